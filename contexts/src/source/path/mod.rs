//! Source `path`: a folder of this machine, copied for the run or built in place.

use std::{
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};

use super::{
    context::SourceContext,
    git::{self, Git},
    kind::SourceKind,
    tree::{Destination, SourceTree},
};
use crate::{
    blocking::{StopFlag, blocking},
    cache::{EntryKind, Manifest},
    checkout::Checkout,
    error::Error,
    shell::Shell,
    tree::{CopyError, Selection, copy_tree},
    url::Url,
};

/// A folder, as a recipe describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathSpec {
    /// Which one, from the recipe's folder.
    pub dir: PathBuf,
    /// Leave out files that its `.gitignore` files name.
    pub gitignore: bool,
}

impl SourceKind for PathSpec {
    const CACHED_AS: Option<EntryKind> = None;

    fn url(&self) -> Option<&Url> {
        None
    }

    fn pinned(&self) -> Option<&str> {
        None
    }

    fn in_place(&self, context: &SourceContext<'_>) -> Result<PathBuf, Error> {
        existing_dir(&self.dir, context)
    }

    async fn obtain(
        &self,
        destination: Destination<'_>,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<SourceTree, Error> {
        match destination {
            Destination::InPlace(dir) => {
                let checkout = describe(dir, context, shell).await?;
                let tip = self.tip(context, shell).await?;
                Ok(SourceTree { cwd: dir.to_owned(), checkout, tip })
            }
            Destination::Fresh(parent) | Destination::Persistent(parent) => {
                self.copy(parent, context, shell).await
            }
        }
    }

    /// A digest of the folder, by names, sizes and times.
    async fn tip(&self, context: &SourceContext<'_>, _: &mut impl Shell) -> Result<Option<String>, Error> {
        let dir = self.in_place(context)?;
        let (root, selection) = (dir.clone(), self.selection());
        let digest = blocking(move |stop| fingerprint(&root, selection, stop)).await;
        digest.map(Some).map_err(Error::io("read", dir))
    }

    async fn changed_files(
        &self,
        _: &str,
        _: &SourceContext<'_>,
        _: &mut impl Shell,
    ) -> Result<Option<Vec<String>>, Error> {
        Ok(None)
    }

    async fn damage(_: &Path, _: &Url, _: &Manifest, _: &mut impl Shell) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

impl PathSpec {
    fn selection(&self) -> Selection {
        if self.gitignore { Selection::NotIgnored } else { Selection::All }
    }

    /// Copies the folder into `parent`, with uncommitted work and `.git`, links as links. Where `.git` is a file (a linked work
    /// tree, a submodule), the copy shares the repository it names.
    async fn copy(
        &self,
        parent: &Path,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<SourceTree, Error> {
        let dir = self.in_place(context)?;
        // Before the copy: changes meanwhile are news for the next run.
        let tip = self.tip(context, shell).await?;
        let checkout = describe(&dir, context, shell).await?;
        let real = dir.canonicalize().map_err(Error::io("find", &dir))?;
        let tree = parent.join(real.file_name().unwrap_or("source".as_ref()));
        let (target, selection) = (tree.clone(), self.selection());
        let copied = blocking(move |stop| Ok(copy_tree(&real, &target, selection, stop)))
            .await
            .map_err(Error::io("copy", dir))?;
        let copied = copied.map_err(|CopyError { path, source }| Error::io("copy", path)(source))?;
        if let Some(first) = copied.skipped.first() {
            let more = copied.skipped.len() - 1;
            shell.note(&format!(
                "not copied (sockets, pipes or devices): `{}` and {more} more",
                first.display()
            ));
        }
        Ok(SourceTree { cwd: tree, checkout, tip })
    }
}

/// The folder that `dir` of a recipe names; an error if it is none.
pub(crate) fn existing_dir(dir: &Path, context: &SourceContext<'_>) -> Result<PathBuf, Error> {
    let dir = context.absolute(dir);
    if dir.is_dir() { Ok(dir) } else { Err(Error::NotADirectory(dir)) }
}

fn fingerprint(root: &Path, selection: Selection, stop: &StopFlag) -> io::Result<String> {
    let mut digest = Sha256::new();
    for entry in selection.walk(root) {
        if stop.requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        // Of a repository only its branches count: the rest changes with every command of git.
        let counts = below.strip_prefix(".git").map_or(true, |inside| {
            inside.as_os_str().is_empty()
                || inside.starts_with("refs")
                || inside == "HEAD"
                || inside == "packed-refs"
        });
        if metadata.is_dir() || !counts {
            continue;
        }
        let time = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        digest.update(below.as_os_str().as_encoded_bytes());
        digest.update(format!("\0{}\0{}\0", metadata.len(), time.as_nanos()));
    }
    Ok(hex::encode(digest.finalize()))
}

/// Describes `dir` if it is in a git work tree: the commit, and whether it is dirty, with the difference in the record. A failure
/// of git is no reason not to build.
async fn describe(
    dir: &Path,
    context: &SourceContext<'_>,
    shell: &mut impl Shell,
) -> Result<Option<Checkout>, Error> {
    if !dir.ancestors().any(|folder| folder.join(".git").exists()) {
        return Ok(None);
    }
    let Ok(url) = dir.to_string_lossy().parse::<Url>() else { return Ok(None) };
    let mut git = Git::new(&git::TOOL, &url, PathBuf::new(), context.network, shell);
    let mut checkout = match git::describe(dir, format!("Path({url})"), context.earlier, &mut git).await {
        Ok(checkout) => checkout,
        Err(Error::Stopped) => return Err(Error::Stopped),
        Err(error) => {
            git.note(&format!("no version recorded: {error}"));
            return Ok(None);
        }
    };
    let args = ["--no-optional-locks", "status", "--porcelain", "--", "."];
    let status = git.attempt("status", dir, &args).await?;
    checkout.dirty = status.status == 0 && !status.stdout.is_empty();
    if checkout.dirty {
        // Its output is the record: a file of the run folder.
        let args =
            ["--no-optional-locks", "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD", "--", "."];
        git.attempt("diff", dir, &args).await?;
    }
    Ok(Some(checkout))
}
