//! A shell that runs real commands in a closed world, and git repositories made on the fly.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use pony_contexts::{
    Command, CommandOutput, ContextRequest, EarlierRevisions, Error, GitSpec, Network, Prepared, PrivateDirs,
    RevisionSpec, Shell, SourceSpec, Stage, WorkingDir, prepare,
    shell::{Download, DownloadError, Downloaded},
};
use tempfile::TempDir;

/// A program with nothing of the outer environment but `PATH`.
#[expect(clippy::disallowed_methods, reason = "tests have no runner to spawn for them")]
pub fn program(name: impl AsRef<OsStr>, home: &Path) -> process::Command {
    let mut command = process::Command::new(name);
    command.env_clear();
    command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.env("HOME", home).env("GIT_CONFIG_NOSYSTEM", "1").stdin(Stdio::null());
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        command.env(format!("GIT_{who}_DATE"), "2026-01-02T03:04:05+01:00");
    }
    command
}

/// Looks at a command before it runs; an answer is taken in its place.
pub type Interrupt = Box<dyn FnMut(&Command) -> Option<CommandOutput> + Send>;

/// Runs what it is asked to, and keeps the record.
pub struct Real {
    home: PathBuf,
    /// On top of the closed world's environment.
    pub env: Vec<(&'static str, String)>,
    pub ran: Vec<(Command, CommandOutput)>,
    pub notes: Vec<String>,
    /// Each with what was said when it was complete.
    pub stages: Vec<(Stage, Option<String>)>,
    /// How long it was to wait before each further try; it did not.
    pub pauses: Vec<Duration>,
    pub downloads: usize,
    pub interrupt: Option<Interrupt>,
}

impl Shell for Real {
    async fn run(&mut self, command: Command) -> CommandOutput {
        if let Some(output) = self.interrupt.as_mut().and_then(|interrupt| interrupt(&command)) {
            self.ran.push((command, output.clone()));
            return output;
        }
        let mut child = program(&command.argv[0], &self.home);
        child.args(&command.argv[1..]).current_dir(&command.cwd).envs(self.env.iter().cloned());
        for (name, value) in &command.env {
            match value {
                Some(value) => child.env(name, value),
                None => child.env_remove(name),
            };
        }
        let output = match child.output() {
            Ok(output) => CommandOutput {
                status: output.status.code().map_or(-9, i64::from),
                stdout: output.stdout,
                stderr: output.stderr,
                ..CommandOutput::default()
            },
            Err(error) => {
                CommandOutput { status: -1, stderr: error.to_string().into(), ..CommandOutput::default() }
            }
        };
        self.ran.push((command, output.clone()));
        output
    }

    async fn capture(&mut self, command: Command, _: Duration) -> CommandOutput {
        let output = self.run(command).await;
        self.ran.pop();
        output
    }

    /// With curl in place of the runner's own client.
    async fn download(&mut self, download: Download) -> Result<Downloaded, DownloadError> {
        let mut child = program("curl", &self.home);
        child.args(["--silent", "--show-error", "--location", "--write-out", "%{http_code} %header{etag}"]);
        child.arg("--output").arg(&download.to);
        if let Some(known) = &download.known {
            child.arg("--header").arg(format!("If-None-Match: {known}"));
        }
        let output = child.arg(download.url.to_string()).output().unwrap();
        self.downloads += 1;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        let (status, etag) = answer.split_once(' ').unwrap();
        match status {
            // The line was cut, or there was none.
            _ if !output.status.success() => Err(DownloadError::Unreachable(said)),
            "200" => Ok(Downloaded::New { version: (!etag.is_empty()).then(|| etag.to_owned()) }),
            "304" => Ok(Downloaded::Unchanged),
            "404" => Err(DownloadError::NotFound("404 Not Found".to_owned())),
            "401" | "403" => Err(DownloadError::Login(status.to_owned())),
            other => Err(DownloadError::Refused(format!("{other} {said}"))),
        }
    }

    async fn pause(&mut self, time: Duration) {
        self.pauses.push(time);
    }

    fn find(&self, program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
        if program.as_encoded_bytes().contains(&b'/') {
            return Some(cwd.join(program)).filter(|file| file.is_file());
        }
        std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file())
    }

    fn begin(&mut self, stage: Stage) {
        self.stages.push((stage, None));
    }

    fn complete(&mut self, summary: String) {
        self.stages.last_mut().unwrap().1 = Some(summary);
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

impl Real {
    /// How often a command of this label ran.
    pub fn count(&self, label: &str) -> usize {
        self.ran.iter().filter(|(command, _)| command.label == label).count()
    }
}

/// A folder with a home, a cache, a place for temporary directories and repositories.
pub struct World {
    pub dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "tmp", "recipes"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let world = Self { dir };
        world.configure("");
        world
    }

    /// Writes the person's configuration of git. What tests make need not outlive a power cut.
    pub fn configure(&self, more: &str) {
        let config = format!("[init]\n\tdefaultBranch = main\n[core]\n\tfsync = none\n{more}");
        fs::write(self.path("home/.gitconfig"), config).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn shell(&self) -> Real {
        Real {
            home: self.path("home"),
            env: Vec::new(),
            ran: Vec::new(),
            notes: Vec::new(),
            stages: Vec::new(),
            pauses: Vec::new(),
            downloads: 0,
            interrupt: None,
        }
    }

    /// Runs git in `dir`, which must succeed; its output without the last line's end.
    pub fn git(&self, dir: &Path, args: &[&str]) -> String {
        let output = program("git", &self.path("home"))
            .arg("-C")
            .arg(dir)
            .args(args)
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A repository with one commit on `main`, which has `file` in it.
    pub fn repository(&self, name: &str) -> Repository<'_> {
        let dir = self.path(name);
        fs::create_dir_all(&dir).unwrap();
        self.git(&dir, &["init", "--quiet"]);
        let repository = Repository { world: self, dir };
        repository.commit("one");
        repository
    }

    pub fn request(&self, source: Option<SourceSpec>) -> ContextRequest {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        ContextRequest {
            recipe_dir: self.path("recipes"),
            home: Some(self.path("home")),
            cache: self.path("cache"),
            tempdir: self.path("tmp").join(format!("run-{run}")),
            source,
            path: std::env::var_os("PATH").unwrap(),
            working_dir: WorkingDir::Tempdir,
            virtualenv: None,
            dependencies: Vec::new(),
            search: std::collections::BTreeMap::new(),
            private_dirs: PrivateDirs::default(),
            tools: Vec::new(),
            earlier: EarlierRevisions::default(),
            network: Network {
                offline: false,
                retry_delays: Vec::new(),
                quiet_timeout: Duration::from_mins(1),
            },
        }
    }

    pub async fn prepare(&self, url: &str, revision: RevisionSpec) -> (Result<Prepared, Error>, Real) {
        self.prepare_wanted(wanted(url, revision)).await
    }

    pub async fn prepare_wanted(&self, wanted: GitSpec) -> (Result<Prepared, Error>, Real) {
        let mut shell = self.shell();
        let prepared = prepare(&self.request(Some(SourceSpec::Git(wanted))), &mut shell).await;
        (prepared, shell)
    }

    /// Prepares with a shell of the test's own.
    pub async fn prepare_with(
        &self,
        url: &str,
        revision: RevisionSpec,
        shell: &mut Real,
    ) -> Result<Prepared, Error> {
        prepare(&self.request(Some(SourceSpec::Git(wanted(url, revision)))), shell).await
    }

    /// The one mirror in the cache.
    pub fn mirror(&self) -> PathBuf {
        let mirrors = self.mirrors();
        assert_eq!(mirrors.len(), 1, "{mirrors:?}");
        mirrors[0].clone()
    }

    /// All directories beside the mirrors' locks.
    pub fn mirrors(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("cache/git")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect()
    }

    /// What is in the place for temporary directories.
    pub fn temporary(&self) -> Vec<PathBuf> {
        fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

pub fn wanted(url: &str, revision: RevisionSpec) -> GitSpec {
    GitSpec { url: url.parse().unwrap(), revision, submodules: false, subdir: None, dir: None }
}

pub fn branch(name: &str) -> RevisionSpec {
    RevisionSpec::Branch(name.to_owned())
}

pub fn tag(name: &str) -> RevisionSpec {
    RevisionSpec::Tag(name.to_owned())
}

pub fn revision(id: &str) -> RevisionSpec {
    RevisionSpec::Revision(id.to_owned())
}

/// All files below `dir`, links not followed.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files
}

/// What the file `name` of a checkout holds.
#[track_caller]
pub fn text(prepared: &Prepared, name: &str) -> String {
    fs::read_to_string(prepared.cwd.join(name)).unwrap()
}

/// A repository to be built.
pub struct Repository<'a> {
    pub world: &'a World,
    pub dir: PathBuf,
}

impl Repository<'_> {
    pub fn git(&self, args: &[&str]) -> String {
        self.world.git(&self.dir, args)
    }

    pub fn url(&self) -> String {
        self.dir.to_str().unwrap().to_owned()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits `file` with `text` in it; the commit's id.
    pub fn commit(&self, text: &str) -> String {
        fs::write(self.dir.join("file"), text).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", text]);
        self.head()
    }
}
