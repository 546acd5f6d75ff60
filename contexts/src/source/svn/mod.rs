//! Source `svn`: a working copy per address in the cache, and from it a fresh tree for every run.
//!
//! Upstream is asked first which revision is wanted; the working copy in the cache is then brought to exactly that one
//! and copied, times included, so that svn finds nothing changed in the copy. The tree needs nothing of the
//! cache afterwards. A directory that lasts is brought up to date in place, straight from upstream.
//!
//! A working copy that was left half-changed is rebuilt, and so is one whose upstream has become another repository.
//!
//! Measured on 20,000 files in 1,000 directories, 40 MB (svn 1.14, ext4, 2 busy cores; CPU time of one fresh tree; in brackets
//! the wall clock):
//!
//! | way | CPU s | |
//! |---|---|---|
//! | copy of the working copy | 1.1 (2.3) | taken |
//! | the same, pristine texts as hard links | 0.7 (1.4) | a step that changes them in its tree would change the cache |
//! | `svn checkout file://` | 10.0 (27) | what a run without a cache pays, and the network |
//!
//! Beside it a run without news asks upstream once and this machine for 0.2 s of CPU time: `svn info` 0.01, `svn propget` for
//! externals 0.05, `svnversion` 0.15.
//!
//! Nothing of a repository runs here outside the steps: hooks of Subversion are the server's, and there are no filters. Links
//! (`svn:special`) are made as they are in the repository, but nothing is written through them. Externals are followed,
//! but not to paths of this machine unless the repository itself is on it; a login in the address is given to no other server.

mod externals;
mod history;
mod login;
mod target;
mod tool;
mod working_copy;
mod xml;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use history::History;
use target::SvnTarget;
use tool::{SVNVERSION, Svn, TOOL};
use working_copy::WorkingCopy;

use super::{
    context::SourceContext,
    kind::SourceKind,
    tree::{Destination, PendingTree, SourceTree, discard},
};
use crate::{
    blocking::blocking,
    cache::{EntryKind, Manifest, entry_dir},
    checkout::Checkout,
    error::Error,
    program::Network,
    shell::Shell,
    url::Url,
};

/// A folder of a Subversion repository, as a recipe describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvnSpec {
    /// The folder that is checked out, perhaps with a peg revision (`…/trunk@1234`).
    pub url: Url,
    /// Which revision of it: a number, `HEAD` or `{date}` [default: the peg revision, else the newest].
    pub revision: Option<String>,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// Name of the tree's folder [default: after the address].
    pub dir: Option<String>,
}

impl SourceKind for SvnSpec {
    const CACHED_AS: Option<EntryKind> = Some(EntryKind::Svn);

    fn url(&self) -> Option<&Url> {
        Some(&self.url)
    }

    fn pinned(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    fn in_place(&self, _: &SourceContext<'_>) -> Result<PathBuf, Error> {
        Err(Error::HereNeedsPath(self.url.clone()))
    }

    async fn obtain(
        &self,
        destination: Destination<'_>,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<SourceTree, Error> {
        let tree = PendingTree::open(&self.url, self.dir.as_deref(), destination, context, shell).await?;
        let checkout = self.checkout(&tree.path, context, shell).await;
        // Svn changes a tree while it speaks to upstream.
        tree.finish(checkout, self.subdir.as_deref(), false)
    }

    /// The last revision in which the folder was changed. A repository that replaced another is not noticed by this, if it
    /// was changed last in a revision of the same number.
    async fn tip(
        &self,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        let target = self.target(context)?;
        let mut svn = Svn::new(&TOOL, &target.url, PathBuf::new(), context.network, shell);
        let info = working_copy::upstream("remote_tip", &target, context.recipe_dir, &mut svn).await?;
        Ok(Some(info.changed.to_string()))
    }

    /// Folders have a slash at their end. Changes in externals do not count.
    async fn changed_files(
        &self,
        from: &str,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<Vec<String>>, Error> {
        let Ok(from) = from.parse() else { return Ok(None) };
        let target = self.target(context)?;
        let mut svn = Svn::new(&TOOL, &target.url, PathBuf::new(), context.network, shell);
        let info = working_copy::upstream("remote_tip", &target, context.recipe_dir, &mut svn).await?;
        history::changed_files(from, &info, context.recipe_dir, &mut svn).await
    }

    /// Checks the pristine texts, whose names are their SHA-1, and the files.
    async fn damage(
        dir: &Path,
        url: &Url,
        manifest: &Manifest,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        let network = Network::default();
        let mut svn = Svn::new(&TOOL, url, dir.to_owned(), &network, shell);
        let pristine = dir.join(".svn/pristine");
        let broken = blocking(move |stop| working_copy::broken_pristine(&pristine, stop)).await;
        if let Some(path) = broken.map_err(Error::io("read", dir))? {
            return Ok(Some(format!("`{}` was changed", path.display())));
        }
        match working_copy::is_changed_since(manifest, dir, &mut svn).await {
            Ok(changed) => Ok(changed.then(|| "its files were changed".to_owned())),
            Err(error @ (Error::Stopped | Error::MissingProgram { .. })) => Err(error),
            Err(error) => Ok(Some(error.to_string())),
        }
    }
}

impl SvnSpec {
    fn target(&self, context: &SourceContext<'_>) -> Result<SvnTarget, Error> {
        SvnTarget::read(&self.url, self.revision.as_deref(), context)
    }

    /// Makes a fresh `tree`, or brings one that is there up to date; files that svn does not track stay in it. A damaged working
    /// copy in the cache is rebuilt, once.
    async fn checkout(
        &self,
        tree: &Path,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Checkout, Error> {
        let target = self.target(context)?;
        // One entry for all revisions of an address.
        let dir = entry_dir(context.cache, EntryKind::Svn, &target.url, OsStr::new(&target.address));
        let svn = &mut Svn::new(&TOOL, &target.url, dir, context.network, shell);
        let mut made = files(&target, tree, svn).await?;
        let mut version = version(tree, svn).await?;
        if made.should_be_clean && is_changed(&version) {
            svn.note(&format!("the working copy `{}` was changed: rebuilding it", svn.entry_dir().display()));
            discard(tree)?;
            made = working_copy::fresh(&target, tree, true, svn).await?;
            version = self::version(tree, svn).await?;
        }
        let WorkingCopy { info, offline, replaced, .. } = made;
        let history = if offline.is_some() || replaced {
            History::default()
        } else {
            History::read(context.earlier, &info, tree, svn).await?
        };
        Ok(Checkout {
            version_type: "svn",
            dirty: is_changed(&version),
            version_info: version,
            revision: info.changed.to_string(),
            commit_date: info.date,
            command: format!("SvnCheckout({}, r{})", target.url, info.revision),
            offline: offline.map(|error| error.to_string()),
            changes_since_last: history.since_last,
            changes_since_success: history.since_success,
        })
    }
}

/// Output of `svnversion`: `1234`, `1234M` where something was changed, ….
async fn version(tree: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<String, Error> {
    svn.call(&SVNVERSION);
    let output = svn.run("svnversion", tree, &[] as &[&str]).await;
    svn.call(&TOOL);
    Ok(String::from_utf8_lossy(&output?).trim().to_owned())
}

fn is_changed(version: &str) -> bool {
    version.contains('M')
}

/// Makes or updates the tree.
async fn files(target: &SvnTarget, tree: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<WorkingCopy, Error> {
    if tree.exists() {
        match working_copy::refresh(target, tree, svn).await {
            Err(Error::Damaged { detail, .. }) => {
                svn.note(&format!("cannot update `{}` ({detail}): starting afresh", tree.display()));
                discard(tree)?;
            }
            other => return other,
        }
    }
    match working_copy::fresh(target, tree, false, svn).await {
        Err(Error::Damaged { cache, detail, .. }) => {
            svn.note_rebuild("working copy", &cache, &detail);
            discard(tree)?;
            working_copy::fresh(target, tree, true, svn).await
        }
        other => other,
    }
}
