//! `cargo bench -p pony-contexts --bench virtualenv`: a Python environment prepared, against the same one made with the bare
//! tools.
//!
//! Prints medians and the ratio of runs that take turns; asserts nothing, because machines are noisy. Needs `python3`, and
//! measures those of uv and virtualenv that are on `PATH`. Nothing is asked of the network.
#![allow(clippy::disallowed_methods, reason = "a benchmark sets up what it measures, and reads the clock")]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its figures, or fails")]

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use pony_contexts::{
    Command, CommandOutput, ContextRequest, EarlierRevisions, Network, PrivateDirs, Shell, Stage,
    VirtualenvSpec, WorkingDir, prepare,
    shell::{Download, DownloadError, Downloaded},
    virtualenv::Installer,
};

/// Writes the wheel of a package `tiny`, then says what the interpreter is called, and where the wheels are that came
/// with it.
const SETUP: &str = r#"
import ensurepip, os, sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/tiny-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("tiny.py", "")
    wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("tiny-1.0.dist-info/RECORD", "")
print(sys.executable)
print(getattr(ensurepip, "_WHEEL_PKG_DIR", None) or os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
print("pip" if sys.version_info >= (3, 12) else "pip setuptools")
"#;

#[expect(clippy::disallowed_methods, reason = "there is no runner to spawn for a benchmark")]
fn program(name: impl AsRef<OsStr>, wheels: &Path) -> process::Command {
    let mut command = process::Command::new(name);
    command
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", wheels)
        .env("UV_OFFLINE", "1")
        .env("UV_FIND_LINKS", wheels);
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env_remove("VIRTUAL_ENV");
    command.stdin(process::Stdio::null());
    command
}

struct Bare {
    wheels: PathBuf,
}

impl Shell for Bare {
    async fn run(&mut self, command: Command) -> CommandOutput {
        let mut child = program(&command.argv[0], &self.wheels);
        child.args(&command.argv[1..]).current_dir(&command.cwd);
        for (name, value) in &command.env {
            match value {
                Some(value) => child.env(name, value),
                None => child.env_remove(name),
            };
        }
        let output = child.output().unwrap();
        let status = output.status.code().map_or(-9, i64::from);
        CommandOutput { status, stdout: output.stdout, stderr: output.stderr, ..CommandOutput::default() }
    }

    async fn download(&mut self, _: Download) -> Result<Downloaded, DownloadError> {
        Err(DownloadError::Stopped)
    }

    async fn pause(&mut self, _: Duration) {}

    fn find(&self, program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
        let file = if program.as_encoded_bytes().contains(&b'/') {
            Some(cwd.join(program))
        } else {
            env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file())
        };
        file.filter(|file| file.is_file())
    }

    async fn capture(&mut self, command: Command, _: Duration) -> CommandOutput {
        self.run(command).await
    }

    fn begin(&mut self, _: Stage) {}

    fn complete(&mut self, _: String) {}

    fn note(&mut self, _: &str) {}
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let wheels = dir.path().join("wheels");
    for name in ["wheels", "tmp", "recipes"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let output = program("python3", &wheels).args(["-c", SETUP]).arg(&wheels).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let [python, bundled, seeds] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{:?}", output.stderr)
    };
    let path = env::var_os("PATH").unwrap();
    for (installer, rounds) in [(Installer::Uv, 21), (Installer::Virtualenv, 7), (Installer::Venv, 3)] {
        let shell = Bare { wheels: wheels.clone() };
        if installer != Installer::Venv
            && shell.find(installer.to_string().as_ref(), &path, dir.path()).is_none()
        {
            println!("{installer}: not on PATH");
            continue;
        }
        // Another path each time, as in life: uv keeps what it knows of an interpreter by its path.
        let bare_room = |round: usize| dir.path().join(format!("tmp/bare-{installer}-{round}"));
        let commands = |round: usize| {
            let room = bare_room(round).display().to_string();
            let pip = format!("{room}/bin/python -m pip install tiny");
            let uv = format!("uv pip install --python {room}");
            match installer {
                Installer::Uv => vec![
                    format!("uv venv --no-project --python {python} {room}"),
                    format!("{uv} --no-deps --no-index --find-links {bundled} {seeds}"),
                    format!("{uv} tiny"),
                ],
                Installer::Virtualenv => {
                    vec![format!("virtualenv --no-periodic-update --python {python} {room}"), pip]
                }
                Installer::Venv => vec![format!("{python} -m venv {room}"), pip],
            }
        };
        let request = |run: usize| ContextRequest {
            recipe_dir: dir.path().join("recipes"),
            home: None,
            path: path.clone(),
            cache: dir.path().join("cache"),
            tempdir: dir.path().join(format!("tmp/{installer}-{run}")),
            source: None,
            working_dir: WorkingDir::Tempdir,
            virtualenv: Some(VirtualenvSpec {
                python: Some(python.to_owned()),
                requirements: vec!["tiny".to_owned()],
                installer: Some(installer),
                ..VirtualenvSpec::default()
            }),
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
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // The first round fills caches.
        for round in 0..=rounds {
            let commands = commands(round);
            let bare = timed(|| commands.iter().for_each(|command| succeed(command, &wheels)));
            let request = request(round);
            let prepared = timed(|| prepared(&request, &wheels));
            fs::remove_dir_all(bare_room(round)).unwrap();
            fs::remove_dir_all(&request.tempdir).unwrap();
            if round > 0 {
                theirs.push(bare);
                ours.push(prepared);
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!(
            "{installer}: prepared {:.1} ms, bare {:.1} ms, ratio {:.3} (median of {rounds})",
            ours.as_secs_f64() * 1e3,
            theirs.as_secs_f64() * 1e3,
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
}

fn succeed(command: &str, wheels: &Path) {
    let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let output = program(&words[0], wheels).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

fn prepared(request: &ContextRequest, wheels: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(prepare(request, &mut Bare { wheels: wheels.to_owned() })).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark is about the clock")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
