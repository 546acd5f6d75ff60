//! Trees of sources: where they go, and those that persist from run to run.
#![expect(clippy::disallowed_methods, reason = "a tree is marked as whole here")]

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use super::context::SourceContext;
use crate::{
    blocking::blocking,
    checkout::Checkout,
    disk::{remove_file, sibling},
    error::Error,
    shell::Shell,
    tree::remove_tree,
    url::Url,
};

/// Where the tree of a source is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination<'a> {
    /// It is there already: the folder that is built in place.
    InPlace(&'a Path),
    /// In this fresh directory.
    Fresh(&'a Path),
    /// In this directory, where the tree of an earlier run may be.
    Persistent(&'a Path),
}

/// The tree of a source.
pub(crate) struct SourceTree {
    /// Where steps run.
    pub(crate) cwd: PathBuf,
    pub(crate) checkout: Option<Checkout>,
    pub(crate) tip: Option<String>,
}

/// The tree of a checkout that is being made or updated.
pub(super) struct PendingTree {
    /// Where it is, or will be.
    pub(super) path: PathBuf,
    persistent: Option<PersistentTree>,
}

impl PendingTree {
    /// The tree of the source at `url` in `destination`, in a folder called `name`, or after the address.
    pub(super) async fn open(
        url: &Url,
        name: Option<&str>,
        destination: Destination<'_>,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Self, Error> {
        let (parent, persists) = match destination {
            Destination::InPlace(_) => return Err(Error::HereNeedsPath(url.clone())),
            Destination::Fresh(parent) => (parent, false),
            Destination::Persistent(parent) => (parent, true),
        };
        let path = parent.join(name.map_or_else(|| url.basename(), str::to_owned));
        let persistent = if persists {
            let address = context.address(url).to_string_lossy().into_owned();
            Some(PersistentTree::open(path.clone(), address, |text| shell.note(text)).await?)
        } else {
            None
        };
        Ok(Self { path, persistent })
    }

    /// Whether it stays for the next run.
    pub(super) fn persists(&self) -> bool {
        self.persistent.is_some()
    }

    /// The tree after its checkout. With `survives_offline`, a checkout that failed for the network has not changed a tree that
    /// was there.
    pub(super) fn finish(
        self,
        checkout: Result<Checkout, Error>,
        subdir: Option<&Path>,
        survives_offline: bool,
    ) -> Result<SourceTree, Error> {
        if let Some(persistent) = self.persistent {
            let unchanged = |error: &Error| survives_offline && error.is_network_error();
            if checkout.as_ref().map_or_else(unchanged, |_| true) && self.path.exists() {
                persistent.commit()?;
            }
        }
        let checkout = checkout?;
        let cwd = match subdir {
            Some(subdir) => inside(&self.path, subdir)?,
            None => self.path,
        };
        let tip = Some(checkout.revision.clone());
        Ok(SourceTree { cwd, checkout: Some(checkout), tip })
    }
}

/// A tree that persists from run to run. `<tree>.ready` beside it says that it is complete, and of which source. Whoever
/// changes the tree calls [`invalidate`] first: if that run is killed, the next one starts afresh.
struct PersistentTree {
    ready: PathBuf,
    address: String,
}

impl PersistentTree {
    /// The tree of the source at `address`. One of another source, and one that is incomplete, is removed first, which `note`
    /// is told.
    async fn open(tree: PathBuf, address: String, note: impl FnOnce(&str)) -> Result<Self, Error> {
        let ready = sibling(&tree, ".ready");
        let complete = fs::read(&ready).is_ok_and(|of| of == address.as_bytes());
        if !complete {
            invalidate(&tree)?;
            if tree.exists() {
                note(&format!("`{}` is incomplete or of another source: starting afresh", tree.display()));
                let removed = tree.clone();
                blocking(move |_| remove_tree(&removed).map_err(io::Error::other))
                    .await
                    .map_err(Error::io("remove", &tree))?;
            }
        }
        Ok(Self { ready, address })
    }

    /// Marks it as complete.
    fn commit(&self) -> Result<(), Error> {
        fs::write(&self.ready, &self.address).map_err(Error::io("write", &self.ready))
    }
}

/// From now on a kill leaves a tree that the next run starts afresh. Without effect on trees that do not persist.
pub(super) fn invalidate(tree: &Path) -> Result<(), Error> {
    let ready = sibling(tree, ".ready");
    remove_file(&ready).map_err(Error::io("remove", ready))
}

/// Removes a tree that is to be rebuilt.
pub(super) fn discard(tree: &Path) -> Result<(), Error> {
    invalidate(tree)?;
    remove_tree(tree).map_err(io::Error::other).map_err(Error::io("remove", tree))
}

/// `subdir` of `tree`, which no link may lead out of.
fn inside(tree: &Path, subdir: &Path) -> Result<PathBuf, Error> {
    let shown = subdir.display().to_string();
    if !subdir.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(Error::SubdirOutside(shown));
    }
    let dir = tree.join(subdir);
    if !dir.is_dir() {
        return Err(Error::NoSubdir(shown));
    }
    let real = |path: &Path| path.canonicalize().map_err(Error::io("look into", path));
    if real(&dir)?.starts_with(real(tree)?) { Ok(dir) } else { Err(Error::SubdirOutside(shown)) }
}
