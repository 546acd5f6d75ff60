//! Source `archive`: a packed file, of this machine or downloaded into the cache, unpacked for every run.

use std::path::{Path, PathBuf};

use crate::{Request, Shell, error::Error, record::Checkout, url::Url};

/// What a recipe asks of an archive: `.tar`, `.tar.gz`, `.tar.xz`, `.tar.zst`, `.tar.bz2` (and `.tgz`, `.txz`, …) or `.zip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is: `http://`, `https://`, or a path.
    pub url: Url,
    /// What its SHA-256 must be, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
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
