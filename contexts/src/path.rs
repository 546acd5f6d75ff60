//! Source `path`: a folder of this machine, copied for the run or built where it is.

use std::{
    io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};

use crate::{
    Brought, Request, Shell,
    aside::{Stop, aside},
    error::Error,
    git::{self, Git},
    record::Checkout,
    tree::{CopyError, Selection, copy_tree, hexadecimal},
    url::Url,
};

/// What a recipe asks of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which one, from the recipe's folder.
    pub dir: PathBuf,
    /// Leave out what its `.gitignore` files name.
    pub gitignore: bool,
}

impl Wanted {
    fn selection(&self) -> Selection {
        if self.gitignore { Selection::NotIgnored } else { Selection::All }
    }
}

/// The folder that `dir` of a recipe names; an error if it is none.
pub(crate) fn locate(dir: &Path, request: &Request) -> Result<PathBuf, Error> {
    let dir = request.absolute(dir);
    if dir.is_dir() { Ok(dir) } else { Err(Error::NotADirectory(dir)) }
}

/// The folder as it is; it stays where it is.
pub(crate) async fn here(
    wanted: &Wanted,
    request: &Request,
    dir: PathBuf,
    shell: &mut impl Shell,
) -> Result<Brought, Error> {
    let checkout = describe(&dir, request, shell).await?;
    let tip = tip(wanted, request, shell).await?;
    Ok(Brought { cwd: dir, checkout, tip })
}

/// Copies the folder into `room`, with all in it: work not committed, `.git`, links as links. Where `.git` is a file (a
/// linked work tree, a submodule), the copy shares the repository it names.
pub(crate) async fn copy(
    wanted: &Wanted,
    request: &Request,
    room: &Path,
    shell: &mut impl Shell,
) -> Result<Brought, Error> {
    let dir = locate(&wanted.dir, request)?;
    // Before the copy: what changes meanwhile is news for the next run.
    let tip = tip(wanted, request, shell).await?;
    let checkout = describe(&dir, request, shell).await?;
    let real = dir.canonicalize().map_err(Error::io("find", &dir))?;
    let tree = room.join(real.file_name().unwrap_or("source".as_ref()));
    let (target, selection) = (tree.clone(), wanted.selection());
    let copied = aside(move |stop| Ok(copy_tree(&real, &target, selection, stop)))
        .await
        .map_err(Error::io("copy", dir))?;
    let copied = copied.map_err(|CopyError { path, source }| Error::io("copy", path)(source))?;
    if let Some(first) = copied.skipped.first() {
        let more = copied.skipped.len() - 1;
        shell.note(&format!("not copied, being no file: `{}` and {more} more", first.display()));
    }
    Ok(Brought { cwd: tree, checkout, tip })
}

/// A digest of what the folder holds, by names, sizes and times.
pub(crate) async fn tip(
    wanted: &Wanted,
    request: &Request,
    _shell: &mut impl Shell,
) -> Result<Option<String>, Error> {
    let dir = locate(&wanted.dir, request)?;
    let (root, selection) = (dir.clone(), wanted.selection());
    aside(move |stop| fingerprint(&root, selection, stop)).await.map(Some).map_err(Error::io("read", dir))
}

fn fingerprint(root: &Path, selection: Selection, stop: &Stop) -> io::Result<String> {
    let mut digest = Sha256::new();
    for entry in selection.walk(root) {
        if stop.asked() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        // Of a repository counts what its branches are. The rest changes when it is merely asked.
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
    Ok(hexadecimal(&digest.finalize()))
}

/// What git says of `dir`, if it is in a git work tree: the commit, and whether it is dirty, with the difference in the
/// record. That git cannot say is no reason not to build.
async fn describe(dir: &Path, request: &Request, shell: &mut impl Shell) -> Result<Option<Checkout>, Error> {
    if !dir.ancestors().any(|folder| folder.join(".git").exists()) {
        return Ok(None);
    }
    let Ok(url) = dir.to_string_lossy().parse::<Url>() else { return Ok(None) };
    let mut git = Git::new(&git::TOOL, &url, PathBuf::new(), &request.network, shell);
    let mut checkout = match git::describe(dir, format!("Path({url})"), &request.since, &mut git).await {
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
