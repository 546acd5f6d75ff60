//! Environments made with real uv, virtualenv and `python -m venv`, and filled from a folder of packages made here.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use pony_contexts::{
    CommandOutput, ContextRequest, Error, InfoValue, Prepared, VirtualenvSpec, WorkingDir, prepare,
    virtualenv::Installer,
};

use crate::support::{Real, World, files, program};

/// Writes wheels: `tiny` and `more` in two versions each, into the folder that it is given.
const WHEELS: &str = r#"
import sys, zipfile
for name in "tiny", "more":
    for version in "1.0", "2.0":
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(f"{sys.argv[1]}/{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"version = {version!r}\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
"#;

/// Builds the project that it is part of, without anything else.
const BACKEND: &str = r#"
import os, zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None, text="where = 'wheel'\n", module="demo.py"):
    name = "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr(module, text)
        wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        wheel.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("demo-1.0.dist-info/RECORD", "")
    return name
def build_editable(directory, config_settings=None, metadata_directory=None):
    return build_wheel(directory, text=os.getcwd() + "\n", module="demo.pth")
"#;

const PROJECT: &str = "[project]\nname = 'demo'\nversion = '1.0'\n[build-system]\nrequires = []\nbuild-backend = \
                       'backend'\nbackend-path = ['.']\n";

/// A world with an index of its own, and a `PATH` that holds what a test names.
pub(crate) struct Lab {
    pub(crate) world: World,
    /// The interpreter itself, where `python3` may be a script that looks for it.
    python: PathBuf,
    path: OsString,
}

impl Lab {
    /// With `python3`, git and what git needs, and these programs.
    fn new(programs: &[&str]) -> Self {
        let world = World::new();
        let ask = "import sys; print(sys.executable)";
        let output = program("python3", &world.path("home")).args(["-c", ask]).output().unwrap();
        let python = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
        for name in ["wheels", "bin", "home/.config/uv"] {
            fs::create_dir_all(world.path(name)).unwrap();
        }
        let wheels = world.path("wheels");
        let made = program(&python, &world.path("home")).args(["-c", WHEELS]).arg(&wheels).status().unwrap();
        assert!(made.success());
        let lab = Self { path: world.path("bin").into(), world, python };
        lab.index(&format!("no-index = true\nfind-links = [{:?}]\n", wheels.display().to_string()));
        symlink(&lab.python, lab.world.path("bin/python3")).unwrap();
        for name in programs.iter().chain(&["git", "sed", "basename", "uname"]) {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
                .map(|dir| dir.join(name))
                .find(|file| file.is_file())
                .unwrap_or_else(|| panic!("{name} is not on PATH; tests/run installs it"));
            symlink(found, lab.world.path("bin").join(name)).unwrap();
        }
        lab
    }

    pub(crate) fn with(installer: Installer) -> Self {
        match installer {
            Installer::Uv => Self::new(&["uv"]),
            Installer::Virtualenv => Self::new(&["virtualenv"]),
            Installer::Venv => Self::new(&[]),
        }
    }

    /// Writes uv's configuration.
    pub(crate) fn index(&self, config: &str) {
        fs::write(self.world.path("home/.config/uv/uv.toml"), config).unwrap();
    }

    /// Puts a program on the `PATH`.
    fn script(&self, name: &str, text: &str) {
        let path = self.world.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A file of the tree.
    fn file(&self, name: &str, text: &str) {
        let path = self.world.path("recipes").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn shell(&self) -> Real {
        let mut shell = self.world.shell();
        shell.env.push(("PIP_NO_INDEX", "1".to_owned()));
        shell.env.push(("PIP_FIND_LINKS", self.world.path("wheels").display().to_string()));
        shell.env.push(("UV_HTTP_RETRIES", "0".to_owned()));
        // Unpacked once, not once a test: the pip that each environment gets.
        let unpacked = |name: &str| format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        shell.env.push(("UV_CACHE_DIR", unpacked("uv")));
        shell.env.push(("VIRTUALENV_OVERRIDE_APP_DATA", unpacked("virtualenv")));
        shell
    }

    pub(crate) fn request(&self, wanted: VirtualenvSpec) -> ContextRequest {
        ContextRequest {
            path: self.path.clone(),
            working_dir: WorkingDir::Here,
            virtualenv: Some(wanted),
            ..self.world.request(None)
        }
    }

    async fn prepare_in(&self, wanted: VirtualenvSpec, shell: &mut Real) -> Result<Prepared, Error> {
        prepare(&self.request(wanted), shell).await
    }

    async fn prepare(&self, wanted: VirtualenvSpec) -> (Result<Prepared, Error>, Real) {
        let mut shell = self.shell();
        let prepared = self.prepare_in(wanted, &mut shell).await;
        (prepared, shell)
    }

    /// Runs a program as a step would.
    fn step(&self, prepared: &Prepared, words: &[&str]) -> Output {
        let mut command = program("/usr/bin/env", &self.world.path("home"));
        command.args(words).current_dir(&prepared.cwd);
        for (name, value) in &prepared.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.output().unwrap()
    }

    /// What the environment's Python says to an expression.
    pub(crate) fn says(&self, prepared: &Prepared, import: &str, expression: &str) -> String {
        let output = self.step(prepared, &["python", "-c", &format!("import {import}; print({expression})")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `3.11.7`.
    fn version(&self) -> String {
        let ask = "import platform; print(platform.python_version())";
        let output = program(&self.python, &self.world.path("home")).args(["-c", ask]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

pub(crate) fn wanted(requirements: &[&str], optional: &[&str]) -> VirtualenvSpec {
    let all = |list: &[&str]| list.iter().map(|&entry| entry.to_owned()).collect();
    VirtualenvSpec { requirements: all(requirements), optional: all(optional), ..VirtualenvSpec::default() }
}

fn of(python: &str) -> VirtualenvSpec {
    VirtualenvSpec { python: Some(python.to_owned()), ..VirtualenvSpec::default() }
}

pub(crate) fn list(prepared: &Prepared, name: &str) -> Vec<String> {
    match &prepared.client_info[name] {
        InfoValue::List(list) => list.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

fn text(prepared: &Prepared, name: &str) -> String {
    match &prepared.client_info[name] {
        InfoValue::Text(text) => text.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

pub(crate) fn labels(shell: &Real) -> Vec<&str> {
    shell.ran.iter().map(|(command, _)| command.label.as_str()).collect()
}

/// What holds for an environment of every installer.
async fn is_filled(installer: Installer) {
    let lab = Lab::with(installer);
    lab.file("dev.txt", "-r more/list.txt\n");
    lab.file("more/list.txt", "more<2\n");
    lab.file("limits.txt", "tiny<2\n");
    lab.file("project/pyproject.toml", PROJECT);
    lab.file("project/backend.py", BACKEND);
    let mut shell = lab.shell();
    // As left behind by whoever started the run.
    for name in
        ["VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON"]
    {
        shell.env.push((name, "/nonexistent".to_owned()));
    }
    shell.env.push(("UV_SYSTEM_PYTHON", "1".to_owned()));
    shell.env.push(("PIP_USER", "1".to_owned()));
    let wanted = wanted(
        &["-c limits.txt", "tiny>=1 ; python_version > '3'", "dev.txt", "-e ./project"],
        &["absent>=9", "wheels/tiny-2.0-py3-none-any.whl"],
    );
    symlink(lab.world.path("wheels"), lab.world.path("recipes/wheels")).unwrap();
    let prepared = lab.prepare_in(wanted, &mut shell).await.unwrap();

    let room = prepared.tempdir.clone().unwrap().join(".virtualenv");
    assert_eq!(lab.says(&prepared, "sys", "sys.prefix"), room.to_str().unwrap());
    assert_eq!(prepared.env["VIRTUAL_ENV"].as_deref(), Some(room.as_os_str()));
    assert_eq!(prepared.env["PYTHONHOME"], None);
    assert_eq!(lab.says(&prepared, "more", "more.version"), "1.0");
    // Editable, and limited to the version below 2.
    assert_eq!(lab.says(&prepared, "tiny", "tiny.version"), "1.0");
    let paths = lab.says(&prepared, "sys", "sys.path");
    assert!(paths.contains("recipes/project"), "{paths}");
    let pip = lab.step(&prepared, &["pip", "--version"]);
    assert!(String::from_utf8_lossy(&pip.stdout).contains(room.to_str().unwrap()), "{pip:?}");

    let asked = ["-c limits.txt", "tiny>=1 ; python_version > '3'", "dev.txt", "-e ./project"];
    assert_eq!(prepared.client_info["virtualenv"], InfoValue::Flag(true));
    assert_eq!(list(&prepared, "dependencies"), asked);
    assert_eq!(list(&prepared, "optional"), ["absent>=9", "wheels/tiny-2.0-py3-none-any.whl"]);
    assert_eq!(list(&prepared, "optional_missing"), ["absent>=9", "wheels/tiny-2.0-py3-none-any.whl"]);
    let packages = list(&prepared, "installed");
    let project = format!("demo @ file://{}", lab.world.path("recipes/project").display());
    for package in ["more==1.0", "tiny==1.0", &project] {
        assert!(packages.iter().any(|line| line == package), "{package}: {packages:?}");
    }
    assert!(packages.iter().any(|line| line.starts_with("pip==")), "{packages:?}");
    assert_eq!(text(&prepared, "python"), format!("CPython {}", lab.version()));
    let maker = text(&prepared, "installer");
    assert!(maker.starts_with(&installer.to_string()), "{maker}");
    assert!(
        shell.notes.iter().any(|note| note.starts_with("optional `absent>=9` not installed: ")),
        "{:?}",
        shell.notes
    );

    let mut expected =
        vec!["create virtualenv", "install pip", "install", "install optional", "install optional 2"];
    expected.retain(|label| installer == Installer::Uv || *label != "install pip");
    assert_eq!(labels(&shell), expected);
    let left = fs::read_dir(&room).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with("requirements-")));
}

#[tokio::test]
async fn filled_by_uv() {
    is_filled(Installer::Uv).await;
}

#[tokio::test]
async fn filled_by_virtualenv() {
    is_filled(Installer::Virtualenv).await;
}

#[tokio::test]
async fn made_by_venv_where_there_is_nothing_else() {
    let lab = Lab::new(&[]);
    let (prepared, shell) = lab.prepare(wanted(&["tiny"], &[])).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "installer"), "venv");
    assert_eq!(lab.says(&prepared, "tiny", "tiny.version"), "2.0");
    assert_eq!(labels(&shell), ["create virtualenv", "install"]);
}

#[tokio::test]
async fn required_ones_that_are_not_to_be_had() {
    for installer in [Installer::Uv, Installer::Virtualenv] {
        let lab = Lab::with(installer);
        let (prepared, shell) = lab.prepare(wanted(&["tiny", "absent>=9"], &["more"])).await;
        let error = prepared.unwrap_err();
        let Error::Install { detail, network: false } = &error else { panic!("{error:?}") };
        assert!(detail.contains("absent"), "{detail}");
        assert!(!detail.contains("Using Python") && detail.lines().count() <= 10, "{detail}");
        assert!(error.hint().is_some() && !error.is_network_error());
        assert_eq!(shell.count("install optional"), 0);
        assert_eq!(lab.world.temporary(), [""; 0].map(PathBuf::from));
    }
}

#[tokio::test]
async fn from_a_repository() {
    for installer in [Installer::Uv, Installer::Virtualenv] {
        let lab = Lab::with(installer);
        let repository = lab.world.repository("demo");
        fs::write(repository.dir.join("pyproject.toml"), PROJECT).unwrap();
        fs::write(repository.dir.join("backend.py"), BACKEND).unwrap();
        let commit = repository.commit("two");
        let address = format!("git+file://{}", repository.url());
        let mut shell = lab.shell();
        shell.env.push(("GIT_DIR", "/nonexistent".to_owned()));
        let prepared =
            lab.prepare_in(wanted(&[&format!("demo @ {address}@main")], &[]), &mut shell).await.unwrap();
        assert_eq!(lab.says(&prepared, "demo", "demo.where"), "wheel");
        let expected = format!("demo @ {address}@{commit}");
        assert!(list(&prepared, "installed").contains(&expected), "{:?}", list(&prepared, "installed"));
    }
}

#[tokio::test]
async fn interpreters_by_name_path_and_version() {
    let lab = Lab::new(&["uv", "virtualenv"]);
    let version = lab.version();
    let minor = version.rsplit_once('.').unwrap().0;
    symlink(&lab.python, lab.world.path("recipes/own")).unwrap();
    symlink(&lab.python, lab.world.path("home/own")).unwrap();
    symlink(&lab.python, lab.world.path("bin/other")).unwrap();
    for name in ["other", "./own", "~/own", lab.python.to_str().unwrap(), minor, &version] {
        let (prepared, shell) = lab.prepare(of(name)).await;
        assert_eq!(text(&prepared.unwrap(), "python"), format!("CPython {version}"), "{name}");
        assert_eq!(labels(&shell), ["create virtualenv", "install pip"], "{name}");
    }
    let wanted = VirtualenvSpec { installer: Some(Installer::Virtualenv), ..of(minor) };
    let (prepared, shell) = lab.prepare(wanted).await;
    assert_eq!(text(&prepared.unwrap(), "python"), format!("CPython {version}"));
    assert_eq!(labels(&shell), ["python version", "create virtualenv"]);
}

#[tokio::test]
async fn interpreters_that_are_not_there() {
    let lab = Lab::new(&["uv", "virtualenv"]);
    let there = lab.version();
    for name in ["3.99", "python9", "./absent", "~/absent"] {
        for installer in [None, Some(Installer::Virtualenv)] {
            let (prepared, _) = lab.prepare(VirtualenvSpec { installer, ..of(name) }).await;
            let error = prepared.unwrap_err();
            assert_eq!(error.to_string(), format!("no Python interpreter `{name}`"));
            assert!(error.hint().unwrap().starts_with(&format!("installed: {there}; ")), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_path_with_nothing_on_it() {
    let mut lab = Lab::new(&[]);
    lab.path = lab.world.path("nowhere").into();
    let (prepared, shell) = lab.prepare(VirtualenvSpec::default()).await;
    let error = prepared.unwrap_err();
    assert_eq!(error.to_string(), "no Python interpreter `python3`");
    assert!(error.hint().unwrap().contains("install Python"));
    assert!(shell.ran.is_empty());
}

#[tokio::test]
async fn an_installer_that_is_not_there() {
    let lab = Lab::new(&[]);
    for installer in [Installer::Uv, Installer::Virtualenv] {
        let (prepared, shell) =
            lab.prepare(VirtualenvSpec { installer: Some(installer), ..VirtualenvSpec::default() }).await;
        let error = prepared.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot start `{installer}` (not found on `PATH`)"));
        assert!(error.hint().unwrap().contains("install"));
        assert!(shell.ran.is_empty());
    }
}

#[tokio::test]
async fn what_one_refuses_is_tried_with_the_next() {
    let lab = Lab::new(&["virtualenv"]);
    lab.script("uv", "echo 'error: Python 3.7 is too old' >&2; exit 2");
    let (prepared, shell) = lab.prepare(VirtualenvSpec::default()).await;
    assert!(text(&prepared.unwrap(), "installer").starts_with("virtualenv "));
    assert_eq!(shell.notes, ["uv: error: Python 3.7 is too old; trying virtualenv"]);
    // Asked for by name, it is the only one.
    let (prepared, _) =
        lab.prepare(VirtualenvSpec { installer: Some(Installer::Uv), ..VirtualenvSpec::default() }).await;
    let error = prepared.unwrap_err();
    assert!(matches!(error, Error::Environment { .. }), "{error:?}");
    assert!(error.to_string().ends_with("uv: error: Python 3.7 is too old"), "{error}");
    assert!(error.hint().unwrap().contains("virtualenv==20.21.1"));
}

#[tokio::test]
async fn a_broken_interpreter() {
    let lab = Lab::new(&["uv", "virtualenv"]);
    lab.script("broken", "echo 'error: no such library' >&2; exit 3");
    let (prepared, shell) = lab.prepare(of("broken")).await;
    let error = prepared.unwrap_err();
    assert!(matches!(error, Error::Environment { .. }), "{error:?}");
    let detail = error.to_string();
    for name in ["uv: ", "virtualenv: ", "venv: error: no such library"] {
        assert!(detail.contains(name), "{detail}");
    }
    assert_eq!(shell.notes.len(), 2);
}

/// As `python -m venv` does on Debian without its other half.
#[tokio::test]
async fn a_python_without_ensurepip() {
    let lab = Lab::new(&[]);
    let mut shell = lab.shell();
    let detail =
        "The virtual environment was not created successfully because ensurepip is not\navailable.\n";
    shell.interrupt = Some(Box::new(move |_| {
        Some(CommandOutput { status: 1, stdout: detail.into(), ..CommandOutput::default() })
    }));
    let error = lab.prepare_in(VirtualenvSpec::default(), &mut shell).await.unwrap_err();
    assert!(error.to_string().contains("ensurepip is not"), "{error}");
    assert!(error.hint().unwrap().contains("apt install python3-venv"));
}

#[tokio::test]
async fn packages_of_the_interpreter_can_be_seen() {
    for installer in [Installer::Uv, Installer::Virtualenv] {
        let lab = Lab::with(installer);
        for seen in [false, true] {
            let (prepared, _) =
                lab.prepare(VirtualenvSpec { system_site_packages: seen, ..VirtualenvSpec::default() }).await;
            let prepared = prepared.unwrap();
            let paths = lab.says(&prepared, "sys", "'\\n'.join(sys.path)");
            let packages = paths.lines().filter(|path| path.ends_with("-packages")).count();
            assert_eq!(packages > 1, seen, "{paths}");
        }
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_reached_is_tried_again() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let lab = Lab::new(&["uv"]);
    lab.index("");
    let mut shell = lab.shell();
    let wanted = wanted(&["tiny"], &[]);
    shell.env.push(("UV_INDEX_URL", format!("http://{free}/")));
    let mut request = lab.request(wanted);
    request.network.retry_delays = vec![Duration::from_secs(1), Duration::from_secs(5)];
    let error = prepare(&request, &mut shell).await.unwrap_err();
    assert!(error.is_network_error(), "{error:?}");
    assert_eq!(shell.pauses, request.network.retry_delays);
    assert_eq!(labels(&shell), ["create virtualenv", "install pip", "install", "install 2", "install 3"]);
    assert!(shell.notes.iter().all(|note| note.ends_with(" s") && !note.contains('\n')), "{:?}", shell.notes);
}

#[tokio::test]
async fn offline() {
    let lab = Lab::new(&["uv", "virtualenv"]);
    for (installer, option) in [(Installer::Uv, "--offline"), (Installer::Virtualenv, "--no-index")] {
        let offline = |wanted| {
            let mut request = lab.request(VirtualenvSpec { installer: Some(installer), ..wanted });
            request.network.offline = true;
            request
        };
        let mut shell = lab.shell();
        // What lies on this machine is to be had.
        prepare(&offline(wanted(&["tiny"], &[])), &mut shell).await.unwrap();
        assert!(shell.ran.last().unwrap().0.argv.contains(&option.into()));

        let mut shell = lab.shell();
        let url = "x @ http://127.0.0.1:1/x-1-py3-none-any.whl";
        let error = prepare(&offline(wanted(&[url], &[])), &mut shell).await.unwrap_err();
        match installer {
            Installer::Uv => assert!(matches!(error, Error::Install { .. }), "{error:?}"),
            _ => assert!(matches!(error, Error::Offline(_)), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn logins_stay_secret() {
    for installer in [Installer::Uv, Installer::Virtualenv] {
        let lab = Lab::with(installer);
        let mut shell = lab.shell();
        shell.env.push(("PIP_RETRIES", "0".to_owned()));
        let wanted = wanted(&["tiny"], &["x @ http://ann:s3cret-w0rd@127.0.0.1:1/x-1-py3-none-any.whl"]);
        assert_eq!(wanted.secrets(), ["ann:s3cret-w0rd", "s3cret-w0rd"]);
        let prepared = lab.prepare_in(wanted, &mut shell).await.unwrap();
        let shown = ["x @ http://127.0.0.1:1/x-1-py3-none-any.whl"];
        assert_eq!(list(&prepared, "optional"), shown);
        assert_eq!(list(&prepared, "optional_missing"), shown);
        let commands: Vec<_> = shell.ran.iter().map(|(command, _)| command).collect();
        let recorded =
            format!("{commands:?} {:?} {:?} {:?}", shell.notes, prepared.client_info, prepared.env);
        assert!(!recorded.contains("s3cret"), "{recorded}");
        for file in files(prepared.tempdir.as_deref().unwrap()) {
            let bytes = fs::read(&file).unwrap_or_default();
            assert!(!bytes.windows(6).any(|part| part == b"s3cret"), "{}", file.display());
        }
    }
}

#[tokio::test]
async fn what_is_no_requirement_is_said_before_anything_is_made() {
    let lab = Lab::new(&[]);
    for (required, optional, message) in [
        (
            &["--target /usr"][..],
            &[][..],
            "cannot install `--target /usr`: the option `--target` is not allowed in recipes",
        ),
        (&[], &["-e"], "cannot install `-e`: `-e` needs a value"),
        (&[], &["--pre"], "cannot install `--pre`: it names no package; options belong in `requirements`"),
    ] {
        let (prepared, shell) = lab.prepare(wanted(required, optional)).await;
        let error = prepared.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().unwrap().contains("--index-url"));
        assert!(shell.ran.is_empty());
    }
}

#[tokio::test]
async fn stopped_and_out_of_room() {
    let lab = Lab::new(&["uv"]);
    for label in ["create virtualenv", "install pip", "install", "install optional"] {
        let mut shell = lab.shell();
        shell.interrupt = Some(Box::new(move |command| {
            (command.label == label).then(|| CommandOutput {
                status: -15,
                stopped: true,
                ..CommandOutput::default()
            })
        }));
        let error = lab.prepare_in(wanted(&["tiny"], &["more"]), &mut shell).await.unwrap_err();
        assert!(matches!(error, Error::Stopped), "{label}: {error:?}");

        let full = "error: Failed to write\n  cause: No space left on device (os error 28)\n";
        shell.interrupt = Some(Box::new(move |command| {
            (command.label == label).then(|| CommandOutput {
                status: 2,
                stderr: full.into(),
                ..CommandOutput::default()
            })
        }));
        let error = lab.prepare_in(wanted(&["tiny"], &["more"]), &mut shell).await.unwrap_err();
        assert!(matches!(error, Error::DiskFull { .. }), "{label}: {error:?}");
        assert_eq!(lab.world.temporary(), [""; 0].map(PathBuf::from));
    }
}

/// The interpreter's own folder is not written to, and neither is the tree.
#[tokio::test]
async fn nothing_is_left_in_the_tree() {
    let lab = Lab::new(&["uv"]);
    lab.file("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\nrequires-python = '>=3.99'\n");
    let before: BTreeSet<_> = files(&lab.world.path("recipes")).into_iter().collect();
    let (prepared, _) = lab.prepare(wanted(&["tiny"], &[])).await;
    prepared.unwrap();
    let after: BTreeSet<_> = files(Path::new(&lab.world.path("recipes"))).into_iter().collect();
    assert_eq!(before, after);
}
