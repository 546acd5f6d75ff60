//! Why a context could not be prepared, and the way out of each.

mod hint;

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::url::Url;

/// Why there is no place to build in. The commands that led here have all gone through the
/// [`Shell`](crate::Shell), which is where their record is kept.
#[derive(Debug, Error)]
pub enum Error {
    /// The host name means nothing to this machine.
    #[error("no such host: `{url}` ({said})")]
    NoSuchHost {
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        said: String,
    },
    /// The host does not answer, or the connection broke.
    #[error("`{url}` cannot be reached ({said})")]
    Unreachable {
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        said: String,
    },
    /// The network is not to be used, and the cache does not hold it.
    #[error("`{0}` is not asked, being offline")]
    Offline(Url),
    /// Nothing there, or something that is no repository.
    #[error("no repository at `{url}` ({said})")]
    NoSuchRepository {
        /// Which program says so: `git`, `hg`, `svn`.
        program: &'static str,
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        said: String,
    },
    /// A login is missing or wrong.
    #[error("`{url}` wants a login ({said})")]
    Authentication {
        /// Which program was asked for it: `git`, `hg`, `svn`; none for a file that is downloaded.
        program: Option<&'static str>,
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        said: String,
    },
    /// The repository has no such branch, tag or revision.
    #[error("no {kind} `{name}` in `{url}`")]
    NoSuchName {
        /// Which program says so: `git`, `hg`, `svn`.
        program: &'static str,
        /// `branch`, `tag` or `revision`.
        kind: &'static str,
        /// As asked for.
        name: String,
        /// Where it was looked for.
        url: Url,
        /// What to try instead: existing names that look alike, best first, as `branch: x` or `tag: x`.
        near: Vec<String>,
    },
    /// Not the form of a revision at all.
    #[error("`{0}` is not a revision")]
    NotARevision(String),
    /// Not the form of a Subversion revision at all.
    #[error("`{0}` is not a revision of Subversion")]
    NotAnSvnRevision(String),
    /// Not the form of a Subversion address at all.
    #[error("`{0}` is not the address of a Subversion repository")]
    NotAnSvnAddress(Url),
    /// The repository has no such folder, or not in that revision.
    #[error("no folder `{url}` in revision {revision} ({said})")]
    NoSuchFolder {
        /// What was asked for.
        url: Url,
        /// In which revision.
        revision: String,
        /// The line of the program's output that says so.
        said: String,
    },
    /// A repository from elsewhere wants something of this machine's file systems as a part of it.
    #[error("`{url}` has an external on this machine: `{external}`")]
    LocalExternal {
        /// Whose it is.
        url: Url,
        /// As its definition says.
        external: String,
    },
    /// More than one object begins like this.
    #[error("revision `{name}` is ambiguous in `{url}`")]
    Ambiguous {
        /// As asked for.
        name: String,
        /// Where it was looked for.
        url: Url,
    },
    /// Nothing is checked out by default there: no commits yet, or its `HEAD` names a branch that is not there.
    #[error("`{0}` has no default branch")]
    NoDefaultBranch(Url),
    /// No room for the mirror, the tree or the copy.
    #[error("the disk is full ({said})")]
    DiskFull {
        /// The line that says so.
        said: String,
    },
    /// The program is not installed.
    #[error("`{program}` could not be started ({said})")]
    MissingProgram {
        /// Its name.
        program: String,
        /// Why.
        said: String,
    },
    /// The program does not know an option that is needed.
    #[error("`{program}` is too old ({said})")]
    TooOld {
        /// Its name.
        program: String,
        /// What it did not know.
        said: String,
        /// The oldest version that will do.
        oldest: &'static str,
    },
    /// There is no such Python interpreter.
    #[error("no Python interpreter `{wanted}`")]
    NoPython {
        /// A name, a path or a version, as asked for.
        wanted: String,
        /// Versions of those that are on `PATH`.
        there: Vec<String>,
    },
    /// Nothing that is here makes a virtual environment of the interpreter.
    #[error("no virtual environment could be made with `{}`: {said}", python.display())]
    Environment {
        /// The interpreter, or the version that was asked for.
        python: PathBuf,
        /// What each program said, its name first; several lines.
        said: String,
    },
    /// An entry of `requirements` or `optional` that is none.
    #[error("`{entry}` cannot be installed: {why}")]
    Requirement {
        /// As in the recipe, without logins.
        entry: String,
        /// What is wrong with it.
        why: String,
    },
    /// What is required could not be installed.
    #[error("the required packages could not be installed: {said}")]
    Install {
        /// The installer's own words; several lines.
        said: String,
        /// They tell of a fault of the network.
        network: bool,
    },
    /// A needed build hands on a folder of wheels in which there are none.
    #[error("`{name}` hands on no wheel in `{}`", folder.display())]
    NoWheels {
        /// The needed build's.
        name: String,
        /// Its output `wheels`.
        folder: PathBuf,
    },
    /// The folder inside the checkout is not there.
    #[error("no folder `{0}` in the source")]
    NoSubdir(String),
    /// The folder inside the checkout leads out of it.
    #[error("`{0}` leads out of the checkout")]
    SubdirOutside(String),
    /// The folder to build is not there, or is no folder.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// `context: here` with a repository to clone.
    #[error("`context: here` cannot build `{0}`")]
    HereNeedsPath(Url),
    /// What the cache or the upstream repository holds is broken.
    #[error("the objects of `{url}` are damaged ({said})")]
    Damaged {
        /// Whose they are.
        url: Url,
        /// The line that says so.
        said: String,
        /// Its entry in the cache of this machine.
        cache: PathBuf,
    },
    /// There is no such file to download or to read.
    #[error("nothing at `{url}` ({said})")]
    NoSuchFile {
        /// What was asked for.
        url: Url,
        /// What the server or the system says.
        said: String,
    },
    /// The server does not give the file.
    #[error("`{url}` is refused ({said})")]
    Refused {
        /// What was asked for.
        url: Url,
        /// What the server says.
        said: String,
    },
    /// The file is not what the recipe says it is.
    #[error("`{url}` has the SHA-256 `{found}`, not `{wanted}`")]
    WrongDigest {
        /// Where it is.
        url: Url,
        /// As the recipe has it.
        wanted: String,
        /// As it is.
        found: String,
    },
    /// No archive, or a broken one.
    #[error("`{url}` cannot be unpacked ({said})")]
    NotUnpacked {
        /// Where it is.
        url: Url,
        /// What is wrong with it.
        said: String,
    },
    /// Something in the archive must not be, or cannot be, unpacked.
    #[error("`{url}` holds `{entry}`, {why}")]
    Entry {
        /// Where the archive is.
        url: Url,
        /// The name that it has in there.
        entry: String,
        /// What is the matter with it.
        why: &'static str,
    },
    /// A command failed for a reason that has no words here.
    #[error("`{step}` failed with exit status {status} ({said})")]
    Command {
        /// Label of the command.
        step: String,
        /// As in [`Ended`](crate::Ended).
        status: i64,
        /// The line of its output that tells most.
        said: String,
    },
    /// The file system refused.
    #[error("could not {doing} `{}`", path.display())]
    Io {
        /// A verb: `create`, `lock`, `copy`.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The run is being cancelled, or is out of time.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// An [`enum@Error`] for an operation on a path.
    pub(crate) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { said: format!("could not {doing} `{}`: {source}", path.display()) }
            }
            _ => Self::Io { doing, path, source },
        }
    }

    /// Whether it is the network's fault, so that it may pass, and what is here already may do.
    pub fn is_of_the_network(&self) -> bool {
        matches!(
            self,
            Self::NoSuchHost { .. }
                | Self::Unreachable { .. }
                | Self::Offline(_)
                | Self::Install { network: true, .. }
        )
    }
}
