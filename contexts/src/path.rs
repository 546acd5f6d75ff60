//! Source `path`: a folder of this machine, copied for the run or built where it is.

use std::path::{Path, PathBuf};

use crate::{
    Facts, Request, Shell,
    aside::aside,
    error::Error,
    git::{self, Checkout, Git},
    tree::{CopyError, copy_tree},
    url::{Url, absolute},
};

/// The folder that `dir` of a recipe names; an error if it is none.
pub(crate) fn locate(dir: &Path, request: &Request) -> Result<PathBuf, Error> {
    let dir = absolute(dir, &request.recipe_dir, request.home.as_deref());
    if dir.is_dir() { Ok(dir) } else { Err(Error::NotADirectory(dir)) }
}

/// Copies `dir` into `room`, with all in it: work not committed, `.git`, links as links. Where `.git` is a file (a linked work
/// tree, a submodule), the copy shares the repository it names.
pub(crate) async fn copy(dir: &Path, room: &Path, shell: &mut impl Shell) -> Result<PathBuf, Error> {
    let real = dir.canonicalize().map_err(Error::io("find", dir))?;
    let tree = room.join(real.file_name().unwrap_or("source".as_ref()));
    let target = tree.clone();
    let copied =
        aside(move |stop| Ok(copy_tree(&real, &target, stop))).await.map_err(Error::io("copy", dir))?;
    let copied = copied.map_err(|CopyError { path, source }| Error::io("copy", path)(source))?;
    if let Some(first) = copied.skipped.first() {
        let more = copied.skipped.len() - 1;
        shell.note(&format!("not copied, being no file: `{}` and {more} more", first.display()));
    }
    Ok(tree)
}

/// What git says of `dir`, if it is in a git work tree: the commit, and the fact `dirty`. That git cannot say is no
/// reason not to build.
pub(crate) async fn describe(
    dir: &Path,
    request: &Request,
    facts: &mut Facts,
    shell: &mut impl Shell,
) -> Result<Option<Checkout>, Error> {
    if !dir.ancestors().any(|folder| folder.join(".git").exists()) {
        return Ok(None);
    }
    let Ok(url) = dir.to_string_lossy().parse::<Url>() else { return Ok(None) };
    let mut git = Git::new(&url, PathBuf::new(), shell);
    let checkout = match git::describe(dir, format!("Path({url})"), &request.since, &mut git).await {
        Ok(checkout) => checkout,
        Err(Error::Stopped) => return Err(Error::Stopped),
        Err(error) => {
            git.note(&format!("no version recorded: {error}"));
            return Ok(None);
        }
    };
    let args = ["--no-optional-locks", "status", "--porcelain", "--", "."];
    let status = git.attempt("status", dir, &args).await?;
    if status.status == 0 {
        facts.insert("dirty".to_owned(), (!status.stdout.is_empty()).to_string());
    }
    Ok(Some(checkout))
}
