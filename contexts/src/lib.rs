//! Where a build runs, and what must be true before step 1.
//!
//! A context is straight-line code over a [`Shell`] that it is handed: it never spawns, prints or reads the
//! environment itself, so `git fetch` gets the same tee, timeout, kill and record as `make test`.
//!
//! The one entry is [`prepare`], for the runner. Dropping its future stops it: a directory that it made is removed, a
//! lock that it held or waited for is given back.

mod aside;
mod error;
pub mod git;
mod path;
pub mod shell;
mod tempdir;
mod tree;
mod url;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

pub use error::Error;
pub use git::{Changes, Checkout, Commit};
pub use shell::{Command, Ended, Shell};
pub use tree::{Leftover, remove_tree};
pub use url::{Url, UrlError};

use git::unredirected;
use tempdir::Fresh;

/// What a context found out, for the record (`client_info`).
pub type Facts = BTreeMap<String, String>;

/// All that a context needs to know.
#[derive(Debug, Clone)]
pub struct Request {
    /// Relative paths start here.
    pub recipe_dir: PathBuf,
    /// The person's home, for `~`.
    pub home: Option<PathBuf>,
    /// The cache of sources, kept between runs (`~/.pony-build/cache`).
    pub cache: PathBuf,
    /// The temporary directory to make; it must not be there yet. Known beforehand, so that a run that was cut short can be
    /// cleaned up after.
    pub tempdir: PathBuf,
    /// What to build; nothing where the recipe brings its own.
    pub source: Option<Source>,
    /// Where to build it.
    pub place: Place,
    /// What was built before.
    pub since: Since,
}

/// Where the code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A git repository.
    Git(git::Wanted),
    /// A folder, relative to the recipe's.
    Path {
        /// Which one.
        dir: PathBuf,
    },
}

/// Where steps run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a fresh private directory.
    Tempdir,
    /// Where the code is. Nothing there is ever removed.
    Here,
}

/// Revisions of earlier runs of the same slot, ids in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since {
    /// Of the last run.
    pub last: Option<String>,
    /// Of the last success.
    pub last_success: Option<String>,
}

impl Since {
    fn revisions(&self) -> impl Iterator<Item = &str> {
        [&self.last, &self.last_success].into_iter().flatten().map(String::as_str)
    }
}

/// A place to build in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Where steps run.
    pub cwd: PathBuf,
    /// Set (`Some`) or removed (`None`) for every step.
    pub env: BTreeMap<String, Option<OsString>>,
    /// For `client_info`: `tempdir`; `dirty` for a folder under git.
    pub facts: Facts,
    /// What was checked out, if it is under version control.
    pub checkout: Option<Checkout>,
    /// What the run has to clear away.
    pub cleanup: Cleanup,
}

/// What is to be gone when the run is over, unless it is to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// For [`remove_tree`].
    pub remove: Option<PathBuf>,
}

/// Prepares the place that `request` asks for.
pub async fn prepare(request: &Request, shell: &mut impl Shell) -> Result<Prepared, Error> {
    match request.place {
        Place::Tempdir => tempdir(request, shell).await,
        Place::Here => here(request, shell).await,
    }
}

async fn tempdir(request: &Request, shell: &mut impl Shell) -> Result<Prepared, Error> {
    let fresh = Fresh::new(&request.tempdir)?;
    let mut facts = Facts::from([("tempdir".to_owned(), fresh.path().display().to_string())]);
    let (cwd, checkout) = match &request.source {
        None => (fresh.path().to_owned(), None),
        Some(Source::Path { dir }) => {
            let dir = path::locate(dir, request)?;
            let checkout = path::describe(&dir, request, &mut facts, shell).await?;
            (path::copy(&dir, fresh.path(), shell).await?, checkout)
        }
        Some(Source::Git(wanted)) => {
            let tree = git::prepare(wanted, request, fresh.path(), shell).await?;
            (tree.cwd, Some(tree.checkout))
        }
    };
    let cleanup = Cleanup { remove: Some(fresh.keep()) };
    // Not the repository that pony-run was started from, but the one that steps find themselves in.
    Ok(Prepared { cwd, env: unredirected(), facts, checkout, cleanup })
}

async fn here(request: &Request, shell: &mut impl Shell) -> Result<Prepared, Error> {
    let cwd = match &request.source {
        None => path::locate(".".as_ref(), request)?,
        Some(Source::Path { dir }) => path::locate(dir, request)?,
        Some(Source::Git(wanted)) => return Err(Error::HereNeedsPath(wanted.url.clone())),
    };
    let mut facts = Facts::new();
    let checkout = path::describe(&cwd, request, &mut facts, shell).await?;
    Ok(Prepared { cwd, env: BTreeMap::new(), facts, checkout, cleanup: Cleanup::default() })
}
