//! A world of its own for one test: folders, an environment, and the end of whatever was started in it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use serde_json::Value;
use tempfile::TempDir;

/// Carried by every process of a world, so that it can be found however it hides.
const MARK: &str = "PONY_TESTS_WORLD";

/// A home, a `PONY_HOME`, a place for temporary folders, and a place to work in.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
    environment: BTreeMap<OsString, OsString>,
    pipes: Mutex<Vec<fs::File>>,
}

/// The folder of one run, below `PONY_HOME`.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// Where it is.
    pub path: PathBuf,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Folders that are empty but for a git configuration, and an environment of nothing but `PATH` and what names them.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("pony-tests-").tempdir().expect("a temporary folder");
        for name in ["home", "tmp", "work"] {
            fs::create_dir(dir.path().join(name)).expect("a new folder");
        }
        let git = "[init]\n\tdefaultBranch = main\n[user]\n\tname = Ann\n\temail = ann@example.org\n";
        fs::write(dir.path().join("home/.gitconfig"), git).expect("a new file");
        let mut world = Self { dir, environment: BTreeMap::new(), pipes: Mutex::default() };
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        world.environment.insert("PATH".into(), path);
        for (name, folder) in [("HOME", "home"), ("PONY_HOME", "pony"), ("TMPDIR", "tmp")] {
            world.environment.insert(name.into(), world.path(folder).into());
        }
        for (name, value) in [("TZ", "UTC"), ("GIT_CONFIG_NOSYSTEM", "1")] {
            world.environment.insert(name.into(), value.into());
        }
        world.environment.insert(MARK.into(), world.dir.path().into());
        world
    }

    /// Writes `config.yaml`.
    pub fn configure(&self, text: &str) {
        fs::create_dir_all(self.path("pony")).expect("a folder");
        fs::write(self.path("pony/config.yaml"), text).expect("a new file");
    }

    /// A path in this world: below `home`, `pony` (the `PONY_HOME`), `tmp` and `work` (the current folder of what runs).
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What every process of this world sees.
    pub fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.environment
    }

    /// Programs in a folder of this world come before others of their name.
    pub fn put_first_on_path(&mut self, folder: &str) {
        let mut path = self.path(folder).into_os_string();
        path.push(":");
        path.push(&self.environment[std::ffi::OsStr::new("PATH")]);
        self.set("PATH", path);
    }

    /// Sets a variable that every process of this world sees from now on.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.insert(name.into(), value.into());
    }

    /// Writes a file below `work`, with the folders that lead to it; its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folders");
        fs::write(&path, content).expect("a new file");
        path
    }

    /// Writes the recipe `demo.yaml` of the package `demo`; `rest` begins at `steps:` or another key.
    pub fn recipe(&self, rest: &str) -> &'static str {
        self.write("demo.yaml", format!("package: demo\n{rest}"));
        "demo.yaml"
    }

    /// A pipe with a name below `work`: what reads it waits until [`World::release`].
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path("work").join(name);
        mkfifo(&path, Mode::S_IRWXU).expect("a named pipe");
        path
    }

    /// Lets one go on that reads a line from this pipe, now or later.
    pub fn release(&self, fifo: &Path) {
        use std::io::Write;
        // For both, so that it does not wait for a reader.
        let mut pipe = fs::File::options().read(true).write(true).open(fifo).expect("a named pipe");
        pipe.write_all(b"go\n").expect("room in the pipe");
        // What is in a pipe that nobody has open is lost.
        self.pipes.lock().expect("no test thread panicked").push(pipe);
    }

    /// Every run folder, oldest first.
    pub fn runs(&self) -> Vec<RunFolder> {
        let mut runs: Vec<PathBuf> = entries(&self.path("pony/runs"))
            .into_iter()
            .filter(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')))
            .flat_map(|package| entries(&package))
            .collect();
        runs.sort_by_key(|path| path.file_name().map(OsString::from));
        runs.into_iter().map(|path| RunFolder { path }).collect()
    }

    /// The one run folder there is.
    pub fn run(&self) -> RunFolder {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "one run is expected\n{}", self.listing());
        runs.remove(0)
    }

    /// The run that began last. Ids of one second are in no order.
    pub fn last_run(&self) -> RunFolder {
        let began = |run: &RunFolder| run.result()["started"].as_str().map(str::to_owned);
        self.runs().into_iter().max_by_key(began).unwrap_or_else(|| panic!("no run: {}", self.listing()))
    }

    /// Names of the runs that are under way or wait.
    pub fn open_runs(&self) -> Vec<String> {
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        entries(&self.path("pony/runs/.active")).iter().map(name).collect()
    }

    /// What is in the place for temporary folders.
    pub fn temporary(&self) -> Vec<PathBuf> {
        entries(&self.path("tmp"))
    }

    /// Processes of this world that run, each `pid command`; zombies do not count.
    pub fn processes(&self) -> Vec<String> {
        self.pids()
            .into_iter()
            .filter_map(|pid| {
                let command =
                    fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|text| !text.is_empty())?;
                Some(format!("{pid} {}", String::from_utf8_lossy(&command).replace('\0', " ").trim_end()))
            })
            .collect()
    }

    /// Those of them that belong to a run: not servers.
    pub fn build_processes(&self) -> Vec<String> {
        let of_a_run = |pid: &str| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
                environ.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"PONY_RUN_ID="))
            })
        };
        let mut processes = self.processes();
        processes.retain(|process| process.split(' ').next().is_some_and(of_a_run));
        processes
    }

    /// What is in the cache, each `kind/name`, without locks.
    pub fn cached(&self) -> Vec<String> {
        let kinds = entries(&self.path("pony/cache"));
        let paths =
            kinds.iter().flat_map(|kind| if kind.is_dir() { entries(kind) } else { vec![kind.clone()] });
        let below = self.path("pony/cache");
        let named = paths.filter_map(|path| Some(path.strip_prefix(&below).ok()?.display().to_string()));
        named.filter(|name| Path::new(name).extension().is_none_or(|end| end != "lock")).collect()
    }

    fn pids(&self) -> Vec<i32> {
        let mark = [MARK.as_bytes(), b"=", self.dir.path().as_os_str().as_encoded_bytes()].concat();
        entries(Path::new("/proc"))
            .into_iter()
            .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
            .filter(|pid: &i32| {
                fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == mark))
            })
            .collect()
    }

    /// Every file of `PONY_HOME` with its size, and of small text files of the runs what they hold.
    pub fn listing(&self) -> String {
        let mut text = String::from("--- PONY_HOME\n");
        for path in files(&self.path("pony")) {
            let size = fs::metadata(&path).map_or(0, |data| data.len());
            let shown = path.strip_prefix(self.dir.path()).unwrap_or(&path);
            let _ = writeln!(text, "{:>10} {}", size, shown.display());
        }
        for run in self.runs() {
            let _ = writeln!(text, "--- {}", run.path.join("result.json").display());
            text.push_str(
                &fs::read_to_string(run.path.join("result.json"))
                    .unwrap_or_else(|error| format!("{error}\n")),
            );
        }
        text
    }

    /// Every file below `PONY_HOME` that holds `needle`.
    pub fn holding(&self, needle: &str) -> Vec<PathBuf> {
        files(&self.path("pony"))
            .into_iter()
            .filter(|path| {
                let bytes = fs::read(path).unwrap_or_default();
                bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
            })
            .collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // What was killed may have had children that the first look missed.
        for _ in 0..3 {
            for pid in self.pids() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if std::thread::panicking() {
            return;
        }
        // Folders that a test made read-only could not be removed otherwise.
        for path in folders(self.dir.path()) {
            use std::os::unix::fs::PermissionsExt;
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
        }
    }
}

impl RunFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `result.json`.
    pub fn result(&self) -> Value {
        let path = self.path.join("result.json");
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The step of this name in `result.json`.
    pub fn step(&self, name: &str) -> Value {
        let result = self.result();
        let steps = result["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["name"] == name);
        step.unwrap_or_else(|| panic!("no step `{name}` in {result:#}")).clone()
    }

    /// The outcomes of all steps, in order.
    pub fn outcomes(&self) -> Vec<String> {
        let result = self.result();
        let steps = result["steps"].as_array().expect("steps");
        steps.iter().map(|step| step["outcome"].as_str().expect("an outcome").to_owned()).collect()
    }

    /// What the file `name` in it holds.
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path.join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.read(name)).into_owned()
    }

    /// The lines of `events.jsonl`.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text("events.jsonl");
        text.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }

    /// The receipts that are there.
    pub fn receipts(&self) -> Vec<Value> {
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("receipt-"))
        };
        let read = |path: PathBuf| serde_json::from_slice(&fs::read(path).expect("a receipt")).expect("JSON");
        entries(&self.path).into_iter().filter(named).map(read).collect()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    entries
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let below = entries(root).into_iter().filter(|path| path.is_dir() && !path.is_symlink());
    std::iter::once(root.to_path_buf()).chain(below.flat_map(|path| folders(&path))).collect()
}

/// All files below `folder`, sorted; links are not followed.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let is_folder = |path: &Path| path.is_dir() && !path.is_symlink();
    entries(folder)
        .into_iter()
        .flat_map(|path| if is_folder(&path) { files(&path) } else { vec![path] })
        .collect()
}
