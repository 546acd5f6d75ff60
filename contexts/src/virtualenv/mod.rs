//! The `virtualenv` context: a Python environment of the run's own, made and filled before step 1.
//!
//! `uv` makes it if it is there, else `virtualenv`, else `python -m venv`. Whichever it is, pip is in the environment, so
//! that `pip install` in a step never means the pip of somebody else. `uv venv --seed` would ask an index for it every
//! time; here uv unpacks the wheels that come with the interpreter, the ones that `python -m venv` takes, and asks an
//! index only where a packager left them out.
//!
//! Measured with warm caches (uv 0.13.9, virtualenv 21.15.8, Python 3.11.7; median of 7 that took turns, on 2 cores busy
//! with other work):
//!
//! | way | ms | |
//! |---|---|---|
//! | `uv venv`, `uv pip install` of the interpreter's wheels | 445 | taken |
//! | `uv venv --seed` | 1034 | asks the index |
//! | `virtualenv` | 2231 | where there is no uv |
//!
//! On idle cores `uv venv` alone is 13 ms, `--seed` 540, `virtualenv` 290 and `python -m venv`, where there is neither,
//! 2850.
//!
//! Being offline, uv installs from its cache; pip has no such way and installs what lies on this machine
//! (`--find-links`, paths), while addresses elsewhere are refused.

mod entry;
mod installed;
mod python;
mod tools;

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::Path,
};

use entry::{Entry, arguments, parted};
use installed::{Config, installed};
use python::Python;
use tools::{REDIRECTING, Tools};

use crate::{
    Facts, Request, Shell,
    chain::wheels,
    error::Error,
    program::{Overlay, args},
    tree::remove_tree,
};

/// What a recipe asks of its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A name (`python3.12`), a path (with a `/`, relative to the recipe's folder) or a version (`3.12`); whatever `python3`
    /// is if none.
    pub python: Option<String>,
    /// What must be installed, as pip takes it: names with versions, `-r FILE`, paths, wheels, URLs, `git+https://…`.
    /// Paths are from the tree's root. Options that say how packages are found (`--index-url`, `-c`, …) hold for
    /// `optional` too.
    pub requirements: Vec<String>,
    /// What is installed where that can be done, each for itself.
    pub optional: Vec<String>,
    /// Packages of the interpreter's own can be seen.
    pub system_site_packages: bool,
    /// What makes it; the first that is there of these in order if none.
    pub installer: Option<Installer>,
}

impl Wanted {
    /// What must be masked wherever output goes: the logins in addresses. Longest first.
    pub fn secrets(&self) -> Vec<String> {
        let entries = self.requirements.iter().chain(&self.optional);
        let mut secrets: Vec<String> = entries.flat_map(|entry| parted(entry).1).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        secrets
    }
}

/// What makes an environment and installs into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installer {
    /// `uv venv`, `uv pip`.
    Uv,
    /// `virtualenv`, then its pip.
    Virtualenv,
    /// `python -m venv`, then its pip.
    Venv,
}

impl Installer {
    /// In the order in which they are tried.
    const ALL: [Self; 3] = [Self::Uv, Self::Virtualenv, Self::Venv];

    /// By its name: `uv`, `virtualenv`, `venv`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|installer| installer.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Virtualenv => "virtualenv",
            Self::Venv => "venv",
        }
    }
}

impl fmt::Display for Installer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Whether `text` can be an entry of `requirements` by its form; else what is wrong with it, to go on a sentence with.
pub fn check_requirement(text: &str) -> Result<(), String> {
    match Entry::read(text, Path::new("")) {
        Err(Error::Requirement { why, .. }) => Err(why),
        _ => Ok(()),
    }
}

/// Makes the environment in `room`, which does not exist, and fills it, also with the wheels that needed builds hand on. `cwd` is where steps run; what they need to find it
/// goes to `env`, what is to be recorded to `facts`. Answers with a line about it.
pub(crate) async fn make(
    wanted: &Wanted,
    request: &Request,
    room: &Path,
    cwd: &Path,
    env: &mut Overlay,
    facts: &mut Facts,
    shell: &mut impl Shell,
) -> Result<String, Error> {
    let read =
        |texts: &[String]| texts.iter().map(|text| Entry::read(text, cwd)).collect::<Result<Vec<_>, _>>();
    let (required, optional) = (read(&wanted.requirements)?, read(&wanted.optional)?);
    // First: pip looks for each in turn, and stops at a name that no index has, even if a wheel of it is to follow.
    let handed = wheels(&request.handed)?;
    let requirements: Vec<Entry> = handed.iter().map(|wheel| Entry::wheel(wheel)).chain(required).collect();
    if let Some(Entry { shown, .. }) = optional.iter().find(|entry| entry.setting) {
        let why = "it brings no package; in `requirements` it holds for all".to_owned();
        return Err(Error::Requirement { entry: shown.clone(), why });
    }
    let mut tools = Tools::new(shell, request, cwd, env.clone(), wanted.secrets());
    let Some(python) = Python::choose(wanted.python.as_deref(), request, &tools) else {
        return Err(python::missing(wanted.python.as_deref().unwrap_or("python3"), &mut tools).await?);
    };
    let installer = create(wanted, &python, room, &mut tools).await?;
    let config = Config::read(room);
    if installer == Installer::Uv {
        seed(&config, room, &mut tools).await?;
    }
    if requirements.iter().any(|entry| !entry.setting) {
        install("install", installer, requirements.iter(), room, &mut tools).await?;
    }
    let mut missing = Vec::new();
    for one in &optional {
        let entries = requirements.iter().filter(|entry| entry.setting).chain([one]);
        match install("install optional", installer, entries, room, &mut tools).await {
            Ok(()) => {}
            Err(error @ (Error::Install { .. } | Error::Offline(_))) => {
                let why = match error {
                    Error::Install { said, .. } => said,
                    error => error.to_string(),
                };
                tools.shell.note(&format!(
                    "without the optional `{}`: {}",
                    one.shown,
                    why.lines().next().unwrap_or_default()
                ));
                missing.push(one.shown.clone());
            }
            Err(error) => return Err(error),
        }
    }
    let shown = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.shown).collect::<Vec<_>>();
    facts.insert("virtualenv".to_owned(), true.into());
    facts.insert("dependencies".to_owned(), shown(requirements).into());
    facts.insert("optional".to_owned(), shown(optional).into());
    facts.insert("optional_missing".to_owned(), missing.into());
    let (packages, python) = (installed(room), config.python(room));
    let installer = config.maker.unwrap_or_else(|| installer.to_string());
    let words = format!("{python}, {} packages, by {installer}", packages.len());
    facts.insert("installed".to_owned(), packages.into());
    facts.insert("python".to_owned(), python.into());
    facts.insert("installer".to_owned(), installer.into());
    activate(room, &request.path, env);
    Ok(words)
}

/// The version of the interpreter that [`make`] would take, if it is there and says one.
pub(crate) async fn interpreter(
    wanted: &Wanted,
    request: &Request,
    cwd: &Path,
    shell: &mut impl Shell,
) -> Result<Option<String>, Error> {
    let mut tools = Tools::new(shell, request, cwd, Overlay::new(), wanted.secrets());
    let Some(python) = Python::choose(wanted.python.as_deref(), request, &tools) else { return Ok(None) };
    let program = python.program(&mut tools).await?;
    python::version(&program, &mut tools).await
}

/// What sourcing `bin/activate` does. What would lead pip or uv elsewhere is removed.
fn activate(room: &Path, path: &OsStr, env: &mut Overlay) {
    env.extend(REDIRECTING.into_iter().map(|name| (name.to_owned(), None)));
    let mut with_ours = room.join("bin").into_os_string();
    if !path.is_empty() {
        with_ours.push(":");
        with_ours.push(path);
    }
    env.insert("PATH".to_owned(), Some(with_ours));
    env.insert("VIRTUAL_ENV".to_owned(), Some(room.into()));
    env.insert("VIRTUAL_ENV_PROMPT".to_owned(), room.file_name().map(OsStr::to_owned));
}

/// Makes the environment with the first program that can.
async fn create(
    wanted: &Wanted,
    python: &Python,
    room: &Path,
    tools: &mut Tools<'_, impl Shell>,
) -> Result<Installer, Error> {
    let mut refusals: Vec<String> = Vec::new();
    for installer in
        Installer::ALL.into_iter().filter(|one| wanted.installer.is_none_or(|wanted| wanted == *one))
    {
        if installer != Installer::Venv && tools.find(installer.to_string()).is_none() {
            if wanted.installer.is_none() {
                continue;
            }
            let said = "it is not on `PATH`".to_owned();
            return Err(Error::MissingProgram { program: installer.to_string(), said });
        }
        if let Some(refusal) = refusals.last() {
            let line = refusal.lines().next().unwrap_or_default();
            tools.shell.note(&format!("{line}; trying {installer}"));
            if room.exists() {
                remove_tree(room).map_err(io::Error::other).map_err(Error::io("remove", room))?;
            }
        }
        let mut argv: Vec<OsString> = match installer {
            Installer::Uv => words(&args!["uv", "venv", "--no-project", "--python", &python.argument()]),
            Installer::Virtualenv => {
                // A look for newer seeds would outlive the command.
                let python = python.program(tools).await?;
                words(&args!["virtualenv", "--no-periodic-update", "--python", &python])
            }
            Installer::Venv => {
                let python = python.program(tools).await?;
                words(&args![&python, "-m", "venv"])
            }
        };
        if wanted.system_site_packages {
            argv.push("--system-site-packages".into());
        }
        argv.push(room.into());
        let ended = tools.attempt("create virtualenv", &argv, None).await?;
        if ended.status == 0 {
            return Ok(installer);
        }
        let said = tools.said(&ended);
        if let Python::Version(version) = python
            && said.contains("No interpreter found")
        {
            return Err(python::missing(version, tools).await?);
        }
        refusals.push(format!("{installer}: {said}"));
    }
    Err(Error::Environment { python: python.argument().into(), said: refusals.join("\n") })
}

fn words(words: &[&OsStr]) -> Vec<OsString> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Puts pip into an environment of uv's.
async fn seed(config: &Config, room: &Path, tools: &mut Tools<'_, impl Shell>) -> Result<(), Error> {
    let mut argv = words(&args!["uv", "pip", "install", "--python", room]);
    match config.bundled(room) {
        Some(dir) => argv.extend(words(&args!["--no-deps", "--no-index", "--find-links", &dir])),
        None => argv.extend(tools.request.network.offline.then(|| "--offline".into())),
    }
    argv.extend(config.seeds().iter().map(OsString::from));
    tools.install("install pip", &argv).await
}

/// Installs `entries` with one command.
async fn install<'a>(
    label: &str,
    installer: Installer,
    entries: impl Iterator<Item = &'a Entry> + Clone,
    room: &Path,
    tools: &mut Tools<'_, impl Shell>,
) -> Result<(), Error> {
    let offline = tools.request.network.offline;
    let mut argv = match installer {
        Installer::Uv => words(&args!["uv", "pip", "install", "--python", room]),
        // Not `bin/pip`: the path in its first line may be too long for the kernel.
        Installer::Virtualenv | Installer::Venv => {
            words(&args![&room.join("bin/python"), "-m", "pip", "install"])
        }
    };
    match installer {
        Installer::Uv if offline => argv.push("--offline".into()),
        Installer::Virtualenv | Installer::Venv if offline => {
            if let Some(url) = entries.clone().find_map(Entry::remote) {
                return Err(Error::Offline(url));
            }
            argv.push("--no-index".into());
        }
        _ => {}
    }
    let (words, file) = arguments(entries, room)?;
    argv.extend(words);
    let done = tools.install(label, &argv).await;
    // Till here: it may hold logins.
    drop(file);
    done
}
