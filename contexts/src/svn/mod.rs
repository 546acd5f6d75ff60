//! Source `svn`: a working copy per address in the cache, and from it a fresh tree for every run.
//!
//! Upstream is asked first which revision is wanted; the working copy in the cache is then brought to exactly that one
//! and copied, times included, so that svn finds nothing changed in the copy. The tree needs nothing of the
//! cache afterwards. A directory that lasts is brought up to date in place, straight from upstream.
//!
//! A working copy is not trusted after it was left half-changed, nor where upstream is another repository than it was: it
//! is made anew.
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

mod asked;
mod externals;
mod history;
mod keys;
mod tool;
mod working_copy;
mod xml;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use asked::Asked;
use history::History;
use tool::{SVNVERSION, TOOL};
use working_copy::Built;

use crate::{
    Request, Shell,
    aside::aside,
    cache::{Card, place},
    error::Error,
    place::discard,
    program::{Network, Program},
    record::Checkout,
    url::Url,
};

/// Svn, called for one source.
type Svn<'a, S> = Program<'a, S>;

/// What a recipe asks of a Subversion repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The folder of the repository that is checked out, perhaps with a peg revision (`…/trunk@1234`).
    pub url: Url,
    /// Which revision of it: a number, `HEAD` or `{date}`; the peg revision if none, else the newest.
    pub revision: Option<String>,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// What the folder of the tree is called; after the address if not given.
    pub dir: Option<String>,
}

/// Makes `tree` of what is wanted: a fresh one, or the one of an earlier run brought up to date, with all in it that svn does
/// not know. A damaged working copy is made anew, once. Answers with what was checked out.
pub(crate) async fn checkout(
    wanted: &Wanted,
    request: &Request,
    tree: &Path,
    shell: &mut impl Shell,
) -> Result<Checkout, Error> {
    let asked = Asked::read(wanted, request)?;
    let dir = cached(&asked, request);
    let mut svn = Svn::new(&TOOL, &asked.url, dir, &request.network, shell);
    let svn = &mut svn;
    let mut built = files(&asked, tree, svn).await?;
    let mut version = summary(tree, svn).await?;
    if built.should_be_clean && is_changed(&version) {
        svn.note(&format!("the working copy `{}` was changed: making it anew", svn.place().display()));
        discard(tree)?;
        built = working_copy::fresh(&asked, tree, true, svn).await?;
        version = summary(tree, svn).await?;
    }
    let Built { info, offline, replaced, .. } = built;
    let history = if offline.is_some() || replaced {
        History::default()
    } else {
        History::read(&request.since, &info, tree, svn).await?
    };
    Ok(Checkout {
        version_type: "svn",
        dirty: is_changed(&version),
        version_info: version,
        revision: info.changed.to_string(),
        commit_date: info.date,
        command: format!("SvnCheckout({}, r{})", asked.url, info.revision),
        offline: offline.map(|error| error.to_string()),
        changes_since_last: history.since_last,
        changes_since_success: history.since_success,
    })
}

/// What `svnversion` says: `1234`, `1234M` where something was changed, ….
async fn summary(tree: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<String, Error> {
    svn.call(&SVNVERSION);
    let output = svn.run("svnversion", tree, &[] as &[&str]).await;
    svn.call(&TOOL);
    Ok(String::from_utf8_lossy(&output?).trim().to_owned())
}

fn is_changed(version: &str) -> bool {
    version.contains('M')
}

/// The tree, by whichever way there is to it.
async fn files(asked: &Asked, tree: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<Built, Error> {
    if tree.exists() {
        match working_copy::refresh(asked, tree, svn).await {
            Err(Error::Damaged { said, .. }) => {
                svn.note(&format!(
                    "`{}` cannot be brought up to date ({said}): starting afresh",
                    tree.display()
                ));
                discard(tree)?;
            }
            other => return other,
        }
    }
    match working_copy::fresh(asked, tree, false, svn).await {
        Err(Error::Damaged { cache, said, .. }) => {
            svn.anew("working copy", &cache, &said);
            discard(tree)?;
            working_copy::fresh(asked, tree, true, svn).await
        }
        other => other,
    }
}

/// What is wrong with a working copy of the cache, if anything is: with the texts that it was checked out from, whose
/// names are their SHA-1, or with its files.
pub(crate) async fn verify(
    dir: &Path,
    url: &Url,
    card: &Card,
    shell: &mut impl Shell,
) -> Result<Option<String>, Error> {
    let network = Network::default();
    let mut svn = Svn::new(&TOOL, url, dir.to_owned(), &network, shell);
    let pristine = dir.join(".svn/pristine");
    let broken = aside(move |stop| working_copy::broken_pristine(&pristine, stop)).await;
    if let Some(path) = broken.map_err(Error::io("read", dir))? {
        return Ok(Some(format!("`{}` is not what it was", path.display())));
    }
    match working_copy::is_changed_since(card, dir, &mut svn).await {
        Ok(changed) => Ok(changed.then(|| "its files were changed".to_owned())),
        Err(error @ (Error::Stopped | Error::MissingProgram { .. })) => Err(error),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Where the working copy of an address is kept, whichever revision of it is wanted.
fn cached(asked: &Asked, request: &Request) -> PathBuf {
    place(&request.cache, "svn", &asked.url, OsStr::new(&asked.address))
}

/// The last revision in which what would be built now was changed. A repository that replaced another is not
/// noticed by this, if it was changed last in a revision of the same number.
pub(crate) async fn tip(wanted: &Wanted, request: &Request, shell: &mut impl Shell) -> Result<String, Error> {
    let asked = Asked::read(wanted, request)?;
    let mut svn = Svn::new(&TOOL, &asked.url, PathBuf::new(), &request.network, shell);
    let info = working_copy::upstream("remote_tip", &asked, &request.recipe_dir, &mut svn).await?;
    Ok(info.changed.to_string())
}

/// Paths of what differs between what was built at the revision `from` and what would be built now, folders with a slash at
/// their end; nothing if there is no saying. What externals bring does not count.
pub(crate) async fn moved(
    wanted: &Wanted,
    from: &str,
    request: &Request,
    shell: &mut impl Shell,
) -> Result<Option<Vec<String>>, Error> {
    let Ok(from) = from.parse() else { return Ok(None) };
    let asked = Asked::read(wanted, request)?;
    let mut svn = Svn::new(&TOOL, &asked.url, PathBuf::new(), &request.network, shell);
    let info = working_copy::upstream("remote_tip", &asked, &request.recipe_dir, &mut svn).await?;
    history::moved(from, &info, &request.recipe_dir, &mut svn).await
}
