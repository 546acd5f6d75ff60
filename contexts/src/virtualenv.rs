//! The `virtualenv` context: a Python environment of the run's own, made and filled before step 1.

use std::path::Path;

use crate::{Facts, Request, Shell, error::Error, program::Overlay};

/// What a recipe asks of its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A name (`python3.12`), a path or a version (`3.12`); whatever `python3` is if none.
    pub python: Option<String>,
    /// What must be installed, as pip takes it: names with versions, `-r FILE`, paths, wheels, URLs, `git+https://…`.
    /// Paths are from the tree's root.
    pub requirements: Vec<String>,
    /// What is installed where that can be done, each for itself.
    pub optional: Vec<String>,
    /// Packages of the interpreter's own can be seen.
    pub system_site_packages: bool,
    /// What makes it; the first that is there of these in order if none.
    pub installer: Option<Installer>,
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
    /// By its name: `uv`, `virtualenv`, `venv`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "uv" => Some(Self::Uv),
            "virtualenv" => Some(Self::Virtualenv),
            "venv" => Some(Self::Venv),
            _ => None,
        }
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

/// Whether `text` is a requirement by its form; else what is wrong with it, to go on a sentence with.
pub fn check_requirement(_text: &str) -> Result<(), String> {
    Ok(())
}

impl Wanted {
    /// What must be masked wherever output goes.
    pub fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Makes the environment in `room`, which does not exist, and fills it. `cwd` is where steps run; what they need to find it
/// goes to `env`, what is to be recorded to `facts`.
pub(crate) async fn make(
    _: &Wanted,
    _: &Request,
    _: &Path,
    _: &Path,
    _: &mut Overlay,
    _: &mut Facts,
    _: &mut impl Shell,
) -> Result<String, Error> {
    Err(Error::Stopped)
}
