//! Where a build runs, and what must be true before step 1.
//!
//! A context is straight-line code over a [`Shell`] that it is handed: it never spawns, prints, opens a socket or reads the
//! environment itself, so `git fetch` gets the same tee, timeout, kill and record as `make test`.
//!
//! For the runner: [`prepare`] makes the place, [`tip`] and [`moved`] ask what would be built without building it, and
//! [`cache`] and [`verify`] look after what is kept. Dropping a future stops it: a directory that it made is removed, a lock that it
//! held or waited for is given back.

pub mod archive;
mod aside;
pub mod cache;
pub mod chain;
mod error;
pub mod git;
pub mod hg;
pub mod path;
mod place;
mod program;
mod record;
pub mod shell;
pub mod svn;
mod tools;
mod tree;
mod url;
mod verify;
pub mod virtualenv;
mod want;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

pub use error::Error;
pub use place::Held;
pub use program::Network;
pub use record::{Changes, Checkout, Commit, Fact, Facts, Since};
pub use shell::{Command, Ended, Shell, Stage};
pub use tree::{Leftover, bytes_of, remove_tree};
pub use url::{Url, UrlError};
pub use verify::{Verdict, verify};
pub use want::Want;

use git::unredirected;
use place::{Fresh, Lasting};

/// All that a context needs to know.
#[derive(Debug, Clone)]
pub struct Request {
    /// Relative paths start here.
    pub recipe_dir: PathBuf,
    /// The person's home, for `~`.
    pub home: Option<PathBuf>,
    /// The `PATH` that steps will have, but for what a context puts before it.
    pub path: OsString,
    /// The cache of sources, kept between runs (`~/.pony-build/cache`).
    pub cache: PathBuf,
    /// The temporary directory to make, if one is needed; it must not be there yet. Known beforehand, so that a run that was
    /// cut short can be cleaned up after.
    pub tempdir: PathBuf,
    /// What to build; nothing where the recipe brings its own.
    pub source: Option<Source>,
    /// Where to build it.
    pub place: Place,
    /// A Python environment of its own.
    pub virtualenv: Option<virtualenv::Wanted>,
    /// What needed builds hand on, the nearest first.
    pub handed: Vec<chain::Handed>,
    /// What the search paths that `handed` adds to hold for steps so far (`PKG_CONFIG_PATH`, …), but for `PATH`.
    pub search: BTreeMap<String, OsString>,
    /// What each run gets of its own.
    pub private: Private,
    /// Programs whose versions are to be told.
    pub tools: Vec<String>,
    /// What was built before.
    pub since: Since,
    /// How to deal with what lies beyond this machine.
    pub network: Network,
}

/// Where the code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A git repository.
    Git(git::Wanted),
    /// A Mercurial repository.
    Hg(hg::Wanted),
    /// A Subversion repository.
    Svn(svn::Wanted),
    /// A folder, relative to the recipe's.
    Path(path::Wanted),
    /// A packed file.
    Archive(archive::Wanted),
}

impl Source {
    /// Its address; a folder has none.
    pub fn url(&self) -> Option<&Url> {
        match self {
            Self::Git(git::Wanted { url, .. })
            | Self::Hg(hg::Wanted { url, .. })
            | Self::Svn(svn::Wanted { url, .. })
            | Self::Archive(archive::Wanted { url, .. }) => Some(url),
            Self::Path(_) => None,
        }
    }

    /// The revision that a recipe names, which is always the same code.
    pub fn pinned(&self) -> Option<&str> {
        match self {
            Self::Git(git::Wanted { want: Want::Revision(id), .. })
            | Self::Hg(hg::Wanted { want: Want::Revision(id), .. })
            | Self::Svn(svn::Wanted { revision: Some(id), .. }) => Some(id),
            Self::Archive(archive::Wanted { sha256: Some(digest), .. }) => Some(digest),
            Self::Git(_) | Self::Hg(_) | Self::Svn(_) | Self::Archive(_) | Self::Path(_) => None,
        }
    }
}

/// Where steps run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a fresh private directory.
    Tempdir,
    /// Where the code is. Nothing there is ever removed.
    Here,
    /// In a directory that lasts from run to run, relative to the recipe's.
    Directory(PathBuf),
}

/// Directories that each run gets of its own, empty at its begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Private {
    /// `HOME`, and with it where programs keep their configuration and caches.
    pub home: bool,
    /// `TMPDIR`.
    pub tmp: bool,
}

impl Request {
    /// What preparing this consists of.
    pub fn stages(&self) -> impl Iterator<Item = Stage> {
        let checkout = self.source.as_ref().map(|_| Stage::Checkout);
        let virtualenv = self.virtualenv.as_ref().map(|_| Stage::Virtualenv);
        checkout.into_iter().chain(virtualenv)
    }

    /// What a program is given to reach `url`, which may be relative to the recipe.
    pub(crate) fn address(&self, url: &Url) -> OsString {
        url.address(&self.recipe_dir, self.home.as_deref())
    }

    /// `path`, which may be relative to the recipe.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        url::absolute(path, &self.recipe_dir, self.home.as_deref())
    }

    /// Whether there is a temporary directory to be made.
    fn needs_tempdir(&self) -> bool {
        self.place == Place::Tempdir || self.virtualenv.is_some() || self.private != Private::default()
    }
}

/// A place to build in.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Where steps run.
    pub cwd: PathBuf,
    /// Set (`Some`) or removed (`None`) for every step.
    pub env: BTreeMap<String, Option<OsString>>,
    /// For `client_info`: `tempdir`, `virtualenv`, `dependencies`, ….
    pub facts: Facts,
    /// What was checked out, if it is under version control.
    pub checkout: Option<Checkout>,
    /// What [`tip`] would have answered for what is built here.
    pub tip: Option<String>,
    /// The temporary directory, if one was made. It is the run's to remove.
    pub tempdir: Option<PathBuf>,
    /// A directory that lasts is held as long as this is.
    pub held: Option<Held>,
}

/// Prepares the place that `request` asks for.
pub async fn prepare(request: &Request, shell: &mut impl Shell) -> Result<Prepared, Error> {
    let mut facts = Facts::new();
    // Not the repository that pony-run was started from, but the one that steps find themselves in.
    let mut env = if request.place == Place::Here { BTreeMap::new() } else { unredirected() };
    if let Some(rooms) = request.tempdir.parent().filter(|rooms| rooms.starts_with(&request.cache)) {
        fs::create_dir_all(rooms).map_err(Error::io("create", rooms))?;
    }
    let fresh = if request.needs_tempdir() { Some(Fresh::new(&request.tempdir)?) } else { None };
    if let Some(fresh) = &fresh {
        facts.insert("tempdir".to_owned(), fresh.path().display().to_string().into());
        private(request.private, fresh.path(), &mut env)?;
    }
    let (held, room) = match &request.place {
        Place::Tempdir => (None, request.tempdir.clone()),
        Place::Here => {
            let dir = here(request)?;
            (Some(hold(&dir, shell).await?), dir)
        }
        Place::Directory(dir) => {
            let dir = request.absolute(dir);
            fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
            (Some(hold(&dir, shell).await?), dir)
        }
    };
    let Brought { cwd, checkout, tip } = match &request.source {
        None => Brought { cwd: room, checkout: None, tip: None },
        Some(source) => {
            shell.begin(Stage::Checkout);
            let brought = bring(source, request, room, shell).await?;
            shell.checked_out(brought.checkout.as_ref(), brought.tip.as_deref());
            shell.complete(brought.checkout.as_ref().map(Checkout::words).unwrap_or_default());
            brought
        }
    };
    // From here on programs find what needed builds hand on.
    let path = chain::apply(&request.handed, &request.search, &request.path, &mut env, &mut facts);
    let request = &Request { path, ..request.clone() };
    if let Some(wanted) = &request.virtualenv {
        shell.begin(Stage::Virtualenv);
        let room = request.tempdir.join(".virtualenv");
        let words = virtualenv::make(wanted, request, &room, &cwd, &mut env, &mut facts, shell).await?;
        shell.complete(words);
    }
    tools::describe(request, &cwd, &env, &mut facts, shell).await?;
    Ok(Prepared { cwd, env, facts, checkout, tip, tempdir: fresh.map(Fresh::keep), held })
}

/// What would be built now, to be compared with [`Prepared::tip`] of an earlier run: the same, or its first characters
/// where the recipe pins no more. Nothing if there is no saying without building. Asks upstream; changes nothing but
/// the cache.
pub async fn tip(request: &Request, shell: &mut impl Shell) -> Result<Option<String>, Error> {
    match &request.source {
        None => Ok(None),
        Some(Source::Git(wanted)) => git::tip(wanted, request, shell).await.map(Some),
        Some(Source::Hg(wanted)) => hg::tip(wanted, request, shell).await.map(Some),
        Some(Source::Svn(wanted)) => svn::tip(wanted, request, shell).await.map(Some),
        Some(Source::Archive(wanted)) => archive::tip(wanted, request, shell).await.map(Some),
        Some(Source::Path(wanted)) => path::tip(wanted, request, shell).await,
    }
}

/// What can be said of the context without making it: the versions of the programs that the recipe names, and of the
/// interpreter that a virtualenv would be made of.
pub async fn facts(request: &Request, shell: &mut impl Shell) -> Result<Facts, Error> {
    let mut facts = Facts::new();
    let cwd = &request.recipe_dir;
    if !request.tools.is_empty() {
        tools::describe(request, cwd, &BTreeMap::new(), &mut facts, shell).await?;
    }
    if let Some(wanted) = &request.virtualenv {
        let python = virtualenv::interpreter(wanted, request, cwd, shell).await?;
        facts.extend(python.map(|python| ("python".to_owned(), python.into())));
    }
    Ok(facts)
}

/// Paths, from the top of the repository, of the files that differ between the tip `from` and what would be built now.
/// Nothing if there is no saying. Brings what is new into the cache.
pub async fn moved(
    request: &Request,
    from: &str,
    shell: &mut impl Shell,
) -> Result<Option<Vec<String>>, Error> {
    let moved = match &request.source {
        Some(Source::Git(wanted)) => git::moved(wanted, from, request, shell).await,
        Some(Source::Hg(wanted)) => hg::moved(wanted, from, request, shell).await,
        Some(Source::Svn(wanted)) => svn::moved(wanted, from, request, shell).await,
        None | Some(Source::Path(_) | Source::Archive(_)) => Ok(None),
    };
    match moved {
        // Building mends it.
        Err(Error::Damaged { .. }) => Ok(None),
        moved => moved,
    }
}

/// A source that is here.
pub(crate) struct Brought {
    /// Where steps run.
    pub(crate) cwd: PathBuf,
    pub(crate) checkout: Option<Checkout>,
    pub(crate) tip: Option<String>,
}

/// The tree of `source` in `room`, or where it is.
async fn bring(
    source: &Source,
    request: &Request,
    room: PathBuf,
    shell: &mut impl Shell,
) -> Result<Brought, Error> {
    let (url, name) = match source {
        Source::Path(wanted) if request.place == Place::Here => {
            return path::here(wanted, request, room, shell).await;
        }
        Source::Path(wanted) => return path::copy(wanted, request, &room, shell).await,
        Source::Git(git::Wanted { url, dir, .. })
        | Source::Hg(hg::Wanted { url, dir, .. })
        | Source::Svn(svn::Wanted { url, dir, .. })
        | Source::Archive(archive::Wanted { url, dir, .. }) => (url, dir),
    };
    let tree = room.join(name.clone().unwrap_or_else(|| url.basename()));
    let lasting = match &request.place {
        Place::Directory(_) => {
            let address = request.address(url).to_string_lossy().into_owned();
            Some(Lasting::open(tree.clone(), address, |text| shell.note(text)).await?)
        }
        Place::Tempdir | Place::Here => None,
    };
    let (checkout, subdir) = match source {
        Source::Git(wanted) => (git::checkout(wanted, request, &tree, shell).await, &wanted.subdir),
        Source::Hg(wanted) => (hg::checkout(wanted, request, &tree, shell).await, &wanted.subdir),
        Source::Svn(wanted) => (svn::checkout(wanted, request, &tree, shell).await, &wanted.subdir),
        Source::Archive(wanted) => (archive::checkout(wanted, request, &tree, shell).await, &wanted.subdir),
        Source::Path(_) => (Err(Error::HereNeedsPath(url.clone())), &None),
    };
    if let Some(lasting) = lasting {
        // What git or Mercurial did before they asked the network can be gone on with.
        let untouched = |error: &Error| error.is_of_the_network() && !matches!(source, Source::Svn(_));
        if checkout.as_ref().map_or_else(untouched, |_| true) && tree.exists() {
            lasting.vouch()?;
        }
    }
    let checkout = checkout?;
    let cwd = match subdir {
        Some(subdir) => tree::inside(&tree, subdir)?,
        None => tree,
    };
    let tip = Some(checkout.revision.clone());
    Ok(Brought { cwd, checkout: Some(checkout), tip })
}

/// The folder that is built where it is.
fn here(request: &Request) -> Result<PathBuf, Error> {
    match &request.source {
        None => path::locate(Path::new("."), request),
        Some(Source::Path(wanted)) => path::locate(&wanted.dir, request),
        Some(
            Source::Git(git::Wanted { url, .. })
            | Source::Hg(hg::Wanted { url, .. })
            | Source::Svn(svn::Wanted { url, .. })
            | Source::Archive(archive::Wanted { url, .. }),
        ) => Err(Error::HereNeedsPath(url.clone())),
    }
}

async fn hold(dir: &Path, shell: &mut impl Shell) -> Result<Held, Error> {
    let waiting = || shell.note(&format!("waiting for another run that builds in `{}`", dir.display()));
    Held::lock(dir, waiting).await
}

/// Makes the directories that the run has to itself.
fn private(private: Private, room: &Path, env: &mut BTreeMap<String, Option<OsString>>) -> Result<(), Error> {
    for (name, variable, wanted) in [(".home", "HOME", private.home), (".tmp", "TMPDIR", private.tmp)] {
        if wanted {
            let dir = room.join(name);
            fs::create_dir(&dir).map_err(Error::io("create", &dir))?;
            env.insert(variable.to_owned(), Some(dir.into()));
        }
    }
    Ok(())
}
