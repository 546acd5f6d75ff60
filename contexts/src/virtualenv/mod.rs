//! The `virtualenv` context: a Python environment of the run's own, made and filled before step 1.
//!
//! `uv` makes it if it is there, else `virtualenv`, else `python -m venv`. Whichever it is, pip is in the environment, so
//! that `pip install` in a step never runs a pip from elsewhere. `uv venv --seed` would ask the package index
//! for it every time; here uv unpacks the wheels that come with the interpreter, as `python -m venv` does, and asks the package
//! index only where a packager left them out.
//!
//! Measured with warm caches (uv 0.13.9, virtualenv 21.15.8, Python 3.11.7; median of 7 that took turns, on 2 cores busy
//! with other work):
//!
//! | way | ms | |
//! |---|---|---|
//! | `uv venv`, `uv pip install` of the interpreter's wheels | 445 | taken |
//! | `uv venv --seed` | 1034 | asks the package index |
//! | `virtualenv` | 2231 | where there is no uv |
//!
//! On idle cores `uv venv` alone is 13 ms, `--seed` 540, `virtualenv` 290 and `python -m venv`, where there is neither,
//! 2850.
//!
//! Offline, uv installs from its cache; pip has no such way and installs what lies on this machine
//! (`--find-links`, paths), while addresses elsewhere are refused.

mod installed;
mod python;
mod requirement;
mod spec;
mod tools;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use installed::{Config, installed};
use python::Python;
use requirement::{Requirement, arguments};
pub(crate) use spec::VirtualenvContext;
pub use spec::{Installer, VirtualenvSpec};
use tools::{REDIRECTS, Tools};

use crate::{
    chain::wheels as dependency_wheels,
    client_info::ClientInfo,
    error::Error,
    program::args,
    shell::{EnvOverlay, Shell},
    tree::remove_tree,
};

/// Whether `text` has the form of an entry of `requirements`; the error says what is wrong with it, without a subject.
pub fn check_requirement(text: &str) -> Result<(), String> {
    match Requirement::read(text, Path::new("")) {
        Err(Error::Requirement { problem, .. }) => Err(problem),
        _ => Ok(()),
    }
}

/// Makes the environment in `env_dir`, which does not exist, and fills it, also with the wheels of dependencies. `cwd` is where
/// steps run; their variables go to `env`, what is recorded to `info`. Returns a line about it.
pub(crate) async fn make(
    spec: &VirtualenvSpec,
    context: &VirtualenvContext<'_>,
    env_dir: &Path,
    cwd: &Path,
    env: &mut EnvOverlay,
    info: &mut ClientInfo,
    shell: &mut impl Shell,
) -> Result<String, Error> {
    let read = |texts: &[String]| {
        texts.iter().map(|text| Requirement::read(text, cwd)).collect::<Result<Vec<_>, _>>()
    };
    let (required, optional) = (read(&spec.requirements)?, read(&spec.optional)?);
    // First: pip looks for each in turn, and stops at a name that no index has, even if a wheel of it follows.
    let wheels = dependency_wheels(context.dependencies)?;
    let requirements: Vec<Requirement> =
        wheels.iter().map(|wheel| Requirement::wheel(wheel)).chain(required).collect();
    if let Some(Requirement { shown, .. }) = optional.iter().find(|entry| entry.is_option) {
        let problem = "it names no package; options belong in `requirements`".to_owned();
        return Err(Error::Requirement { entry: shown.clone(), problem });
    }
    let mut tools = Tools::new(shell, context, cwd, env.clone(), spec.secrets());
    let Some(python) = Python::choose(spec.python.as_deref(), context, &tools) else {
        return Err(python::missing(spec.python.as_deref().unwrap_or("python3"), &mut tools).await?);
    };
    let installer = create(spec, &python, env_dir, &mut tools).await?;
    let config = Config::read(env_dir);
    if installer == Installer::Uv {
        seed(&config, env_dir, &mut tools).await?;
    }
    if requirements.iter().any(|entry| !entry.is_option) {
        install("install", installer, requirements.iter(), env_dir, &mut tools).await?;
    }
    let mut missing = Vec::new();
    for one in &optional {
        let entries = requirements.iter().filter(|entry| entry.is_option).chain([one]);
        match install("install optional", installer, entries, env_dir, &mut tools).await {
            Ok(()) => {}
            Err(error @ (Error::Install { .. } | Error::Offline(_))) => {
                let reason = match error {
                    Error::Install { detail, .. } => detail,
                    error => error.to_string(),
                };
                tools.shell.note(&format!(
                    "optional `{}` not installed: {}",
                    one.shown,
                    reason.lines().next().unwrap_or_default()
                ));
                missing.push(one.shown.clone());
            }
            Err(error) => return Err(error),
        }
    }
    let shown = |entries: Vec<Requirement>| entries.into_iter().map(|entry| entry.shown).collect::<Vec<_>>();
    info.insert("virtualenv".to_owned(), true.into());
    info.insert("dependencies".to_owned(), shown(requirements).into());
    info.insert("optional".to_owned(), shown(optional).into());
    info.insert("optional_missing".to_owned(), missing.into());
    let (packages, python) = (installed(env_dir), config.python(env_dir));
    let installer = config.maker.unwrap_or_else(|| installer.to_string());
    let summary = format!("{python}, {} packages, by {installer}", packages.len());
    info.insert("installed".to_owned(), packages.into());
    info.insert("python".to_owned(), python.into());
    info.insert("installer".to_owned(), installer.into());
    activate(env_dir, context.path, env);
    Ok(summary)
}

/// The version of the interpreter that [`make`] would use, if there is one.
pub(crate) async fn interpreter(
    spec: &VirtualenvSpec,
    context: &VirtualenvContext<'_>,
    cwd: &Path,
    shell: &mut impl Shell,
) -> Result<Option<String>, Error> {
    let mut tools = Tools::new(shell, context, cwd, EnvOverlay::new(), spec.secrets());
    let Some(python) = Python::choose(spec.python.as_deref(), context, &tools) else { return Ok(None) };
    let program = python.program(&mut tools).await?;
    python::version(&program, &mut tools).await
}

/// What sourcing `bin/activate` does, without variables that redirect pip or uv.
fn activate(env_dir: &Path, path: &OsStr, env: &mut EnvOverlay) {
    env.extend(REDIRECTS.into_iter().map(|name| (name.to_owned(), None)));
    let mut with_ours = env_dir.join("bin").into_os_string();
    if !path.is_empty() {
        with_ours.push(":");
        with_ours.push(path);
    }
    env.insert("PATH".to_owned(), Some(with_ours));
    env.insert("VIRTUAL_ENV".to_owned(), Some(env_dir.into()));
    env.insert("VIRTUAL_ENV_PROMPT".to_owned(), env_dir.file_name().map(OsStr::to_owned));
}

/// Creates the environment with the first program that can.
async fn create(
    spec: &VirtualenvSpec,
    python: &Python,
    env_dir: &Path,
    tools: &mut Tools<'_, impl Shell>,
) -> Result<Installer, Error> {
    let mut failures: Vec<String> = Vec::new();
    for installer in
        Installer::ALL.into_iter().filter(|one| spec.installer.is_none_or(|wanted| wanted == *one))
    {
        if installer != Installer::Venv && tools.find(installer.to_string()).is_none() {
            if spec.installer.is_none() {
                continue;
            }
            let detail = "not found on `PATH`".to_owned();
            return Err(Error::MissingProgram { program: installer.to_string(), detail });
        }
        if let Some(failure) = failures.last() {
            let line = failure.lines().next().unwrap_or_default();
            tools.shell.note(&format!("{line}; trying {installer}"));
            if env_dir.exists() {
                remove_tree(env_dir).map_err(io::Error::other).map_err(Error::io("remove", env_dir))?;
            }
        }
        let mut argv: Vec<OsString> = match installer {
            Installer::Uv => owned(&args!["uv", "venv", "--no-project", "--python", &python.argument()]),
            Installer::Virtualenv => {
                // The search for newer seeds would outlive the command.
                let python = python.program(tools).await?;
                owned(&args!["virtualenv", "--no-periodic-update", "--python", &python])
            }
            Installer::Venv => {
                let python = python.program(tools).await?;
                owned(&args![&python, "-m", "venv"])
            }
        };
        if spec.system_site_packages {
            argv.push("--system-site-packages".into());
        }
        argv.push(env_dir.into());
        let output = tools.attempt("create virtualenv", &argv, None).await?;
        if output.status == 0 {
            return Ok(installer);
        }
        let message = tools.message(&output);
        if let Python::Version(version) = python
            && message.contains("No interpreter found")
        {
            return Err(python::missing(version, tools).await?);
        }
        failures.push(format!("{installer}: {message}"));
    }
    Err(Error::Environment { python: python.argument().into(), detail: failures.join("\n") })
}

fn owned(words: &[&OsStr]) -> Vec<OsString> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Installs pip into an environment that uv made.
async fn seed(config: &Config, env_dir: &Path, tools: &mut Tools<'_, impl Shell>) -> Result<(), Error> {
    let mut argv = owned(&args!["uv", "pip", "install", "--python", env_dir]);
    match config.bundled(env_dir) {
        Some(dir) => argv.extend(owned(&args!["--no-deps", "--no-index", "--find-links", &dir])),
        None => argv.extend(tools.context.network.offline.then(|| "--offline".into())),
    }
    argv.extend(config.seeds().iter().map(OsString::from));
    tools.install("install pip", &argv).await
}

/// Installs `entries` with one command.
async fn install<'a>(
    label: &str,
    installer: Installer,
    entries: impl Iterator<Item = &'a Requirement> + Clone,
    env_dir: &Path,
    tools: &mut Tools<'_, impl Shell>,
) -> Result<(), Error> {
    let offline = tools.context.network.offline;
    let mut argv = match installer {
        Installer::Uv => owned(&args!["uv", "pip", "install", "--python", env_dir]),
        // Not `bin/pip`: the path in its first line may be too long for the kernel.
        Installer::Virtualenv | Installer::Venv => {
            owned(&args![&env_dir.join("bin/python"), "-m", "pip", "install"])
        }
    };
    match installer {
        Installer::Uv if offline => argv.push("--offline".into()),
        Installer::Virtualenv | Installer::Venv if offline => {
            if let Some(url) = entries.clone().find_map(Requirement::remote) {
                return Err(Error::Offline(url));
            }
            argv.push("--no-index".into());
        }
        _ => {}
    }
    let (arguments, file) = arguments(entries, env_dir)?;
    argv.extend(arguments);
    let done = tools.install(label, &argv).await;
    // Not earlier, and not later: it may hold logins.
    drop(file);
    done
}
