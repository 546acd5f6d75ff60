//! What an environment is made from.

use std::{
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

use super::requirement::without_logins;
use crate::{chain::DependencyOutputs, program::Network, url::absolute};

/// The surroundings of an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VirtualenvContext<'a> {
    /// Relative paths start here.
    pub(crate) recipe_dir: &'a Path,
    /// The person's home, for `~`.
    pub(crate) home: Option<&'a Path>,
    /// Where programs are found.
    pub(crate) path: &'a OsStr,
    /// How to deal with what lies beyond this machine.
    pub(crate) network: &'a Network,
    /// Their wheels are installed.
    pub(crate) dependencies: &'a [DependencyOutputs],
}

impl VirtualenvContext<'_> {
    /// `path`, which may be relative to the recipe.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        absolute(path, self.recipe_dir, self.home)
    }
}

/// A Python environment, as a recipe describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VirtualenvSpec {
    /// A name (`python3.12`), a path (with a `/`, relative to the recipe's folder) or a version (`3.12`) [default: `python3`].
    pub python: Option<String>,
    /// What must be installed, as pip takes it: names with versions, `-r FILE`, paths, wheels, URLs, `git+https://…`.
    /// Paths are relative to the tree's root. Options that say how packages are found (`--index-url`, `-c`, …) hold for
    /// `optional` too.
    pub requirements: Vec<String>,
    /// What is installed if possible, each entry alone.
    pub optional: Vec<String>,
    /// The interpreter's own packages are visible.
    pub system_site_packages: bool,
    /// What makes it [default: the first of them that is installed].
    pub installer: Option<Installer>,
}

impl VirtualenvSpec {
    /// What must be redacted wherever output goes: the logins in addresses. Longest first.
    pub fn secrets(&self) -> Vec<String> {
        let entries = self.requirements.iter().chain(&self.optional);
        let mut secrets: Vec<String> = entries.flat_map(|entry| without_logins(entry).1).collect();
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
    pub(super) const ALL: [Self; 3] = [Self::Uv, Self::Virtualenv, Self::Venv];

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
