//! Source `hg`: a clone per repository in the cache, and from it a fresh tree for every run.

use std::path::{Path, PathBuf};

use crate::{Request, Shell, error::Error, record::Checkout, url::Url};

/// What a recipe asks of a Mercurial repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub url: Url,
    /// Which changeset of it.
    pub want: Want,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// What the folder of the tree is called; after the address if not given.
    pub dir: Option<String>,
}

/// Which changeset to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// What `hg clone` checks out: the bookmark `@`, else the tip of the branch `default`, else the tip.
    Default,
    /// The changeset of a bookmark, or the tip of a named branch.
    Branch(String),
    /// The changeset that a tag names.
    Tag(String),
    /// A changeset by its id, in full or its first digits.
    Revision(String),
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
