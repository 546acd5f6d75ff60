//! What the runner asks of a context.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use crate::{
    chain::DependencyOutputs,
    checkout::EarlierRevisions,
    program::Network,
    shell::Stage,
    source::{SourceContext, SourceSpec},
    virtualenv::{VirtualenvContext, VirtualenvSpec},
};

/// A context to prepare, or to ask about.
#[derive(Debug, Clone)]
pub struct ContextRequest {
    /// Relative paths start here.
    pub recipe_dir: PathBuf,
    /// The person's home, for `~`.
    pub home: Option<PathBuf>,
    /// The `PATH` that steps will have, before the context adds to it.
    pub path: OsString,
    /// The cache, whose entries are retained between runs (`~/.pony-build/cache`).
    pub cache: PathBuf,
    /// The temporary directory to make, if one is needed; it must not exist yet. Chosen beforehand, so that it can be removed
    /// after a crash.
    pub tempdir: PathBuf,
    /// What to build; `None` where the steps bring their own.
    pub source: Option<SourceSpec>,
    /// Where to build it.
    pub working_dir: WorkingDir,
    /// A Python environment of its own.
    pub virtualenv: Option<VirtualenvSpec>,
    /// Outputs of dependencies, the nearest first.
    pub dependencies: Vec<DependencyOutputs>,
    /// Values that steps would have for the search paths that `dependencies` are put on (`PKG_CONFIG_PATH`, …), except `PATH`.
    pub search: BTreeMap<String, OsString>,
    /// Directories that each run gets of its own.
    pub private_dirs: PrivateDirs,
    /// Programs whose versions are recorded.
    pub tools: Vec<String>,
    /// What was built before.
    pub earlier: EarlierRevisions,
    /// How to deal with what lies beyond this machine.
    pub network: Network,
}

/// Where steps run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkingDir {
    /// In a fresh temporary directory.
    Tempdir,
    /// Where the code is. Nothing there is ever removed.
    Here,
    /// In a directory that persists from run to run, relative to the recipe's.
    Directory(PathBuf),
}

/// Directories that each run gets of its own, empty at first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrivateDirs {
    /// `HOME`, and with it where programs keep their configuration and caches.
    pub home: bool,
    /// `TMPDIR`.
    pub tmp: bool,
}

impl ContextRequest {
    /// The stages of preparing it, in order.
    pub fn stages(&self) -> impl Iterator<Item = Stage> {
        let checkout = self.source.as_ref().map(|_| Stage::Checkout);
        let virtualenv = self.virtualenv.as_ref().map(|_| Stage::Virtualenv);
        checkout.into_iter().chain(virtualenv)
    }

    pub(crate) fn needs_tempdir(&self) -> bool {
        self.working_dir == WorkingDir::Tempdir
            || self.virtualenv.is_some()
            || self.private_dirs != PrivateDirs::default()
    }

    pub(crate) fn source_context(&self) -> SourceContext<'_> {
        SourceContext {
            recipe_dir: &self.recipe_dir,
            home: self.home.as_deref(),
            cache: &self.cache,
            network: &self.network,
            earlier: &self.earlier,
        }
    }

    /// With the `PATH` of the programs that make the environment.
    pub(crate) fn virtualenv_context<'a>(&'a self, path: &'a OsString) -> VirtualenvContext<'a> {
        VirtualenvContext {
            recipe_dir: &self.recipe_dir,
            home: self.home.as_deref(),
            path,
            network: &self.network,
            dependencies: &self.dependencies,
        }
    }
}
