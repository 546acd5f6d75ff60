//! What a source is handed beside its own description.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    cache::{EntryKind, entry_dir},
    checkout::EarlierRevisions,
    program::Network,
    url::{Url, absolute},
};

/// The surroundings of a source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceContext<'a> {
    /// Relative paths start here.
    pub(crate) recipe_dir: &'a Path,
    /// The person's home, for `~`.
    pub(crate) home: Option<&'a Path>,
    /// The cache, whose entries are retained between runs.
    pub(crate) cache: &'a Path,
    /// How to deal with what lies beyond this machine.
    pub(crate) network: &'a Network,
    /// What was built before.
    pub(crate) earlier: &'a EarlierRevisions,
}

impl SourceContext<'_> {
    /// What a program is given to reach `url`, which may be relative to the recipe.
    pub(crate) fn address(&self, url: &Url) -> OsString {
        url.address(self.recipe_dir, self.home)
    }

    /// `path`, which may be relative to the recipe.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        absolute(path, self.recipe_dir, self.home)
    }

    /// The cache entry for `url`.
    pub(crate) fn entry_dir(&self, kind: EntryKind, url: &Url) -> PathBuf {
        entry_dir(self.cache, kind, url, &self.address(url))
    }
}
