//! Source `svn`: a working copy per address in the cache, and from it a fresh tree for every run.

use std::path::{Path, PathBuf};

use crate::{Request, Shell, error::Error, record::Checkout, url::Url};

/// What a recipe asks of a Subversion repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The folder of the repository that is checked out, perhaps with a peg revision (`…/trunk@1234`).
    pub url: Url,
    /// Which revision of it; the newest if none.
    pub revision: Option<String>,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// What the folder of the tree is called; after the address if not given.
    pub dir: Option<String>,
}

pub(crate) async fn checkout(
    _: &Wanted,
    _: &Request,
    _: &Path,
    _: &mut impl Shell,
) -> Result<Checkout, Error> {
    Err(Error::Stopped)
}
pub(crate) async fn tip(_: &Wanted, _: &Request, _: &mut impl Shell) -> Result<String, Error> {
    Err(Error::Stopped)
}
pub(crate) async fn moved(
    _: &Wanted,
    _: &str,
    _: &Request,
    _: &mut impl Shell,
) -> Result<Option<Vec<String>>, Error> {
    Err(Error::Stopped)
}
