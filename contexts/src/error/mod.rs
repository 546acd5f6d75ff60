//! Errors of contexts, each with a hint.

mod hint;

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::url::Url;

/// Why a context could not be prepared. The commands that led here have all gone through the [`Shell`](crate::Shell), which
/// records them.
#[derive(Debug, Error)]
pub enum Error {
    /// The host name cannot be resolved.
    #[error("no such host: `{url}` ({detail})")]
    NoSuchHost {
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        detail: String,
    },
    /// The host does not answer, or the connection broke.
    #[error("cannot reach `{url}` ({detail})")]
    Unreachable {
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        detail: String,
    },
    /// The network must not be used, and the cache does not hold it.
    #[error("cannot fetch `{0}` while offline")]
    Offline(Url),
    /// There is nothing, or something that is no repository.
    #[error("no repository at `{url}` ({detail})")]
    NoSuchRepository {
        /// Which program says so: `git`, `hg`, `svn`.
        program: &'static str,
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        detail: String,
    },
    /// A login is missing or wrong.
    #[error("login required for `{url}` ({detail})")]
    Authentication {
        /// Which program was asked for it: `git`, `hg`, `svn`; none for a file that is downloaded.
        program: Option<&'static str>,
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        detail: String,
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
        /// Existing names that look alike, best first, as `branch: x` or `tag: x`.
        similar: Vec<String>,
    },
    /// Not the form of a revision at all.
    #[error("`{0}` is not a revision")]
    NotARevision(String),
    /// Not the form of a Subversion revision at all.
    #[error("`{0}` is not a Subversion revision")]
    NotAnSvnRevision(String),
    /// Not the form of a Subversion address at all.
    #[error("`{0}` is not an address of a Subversion repository")]
    NotAnSvnAddress(Url),
    /// The repository has no such folder, or not in that revision.
    #[error("no folder `{url}` in revision {revision} ({detail})")]
    NoSuchFolder {
        /// What was asked for.
        url: Url,
        /// In which revision.
        revision: String,
        /// The line of the program's output that says so.
        detail: String,
    },
    /// A repository on another machine refers to a path of this one.
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
    /// There is no space for the mirror, the tree or the copy.
    #[error("the disk is full ({detail})")]
    DiskFull {
        /// The line that says so.
        detail: String,
    },
    /// The program is not installed.
    #[error("cannot start `{program}` ({detail})")]
    MissingProgram {
        /// Its name.
        program: String,
        /// Why.
        detail: String,
    },
    /// The program does not know an option that is needed.
    #[error("`{program}` is too old ({detail})")]
    TooOld {
        /// Its name.
        program: String,
        /// What it did not know.
        detail: String,
        /// The oldest version that will do.
        oldest: &'static str,
    },
    /// There is no such Python interpreter.
    #[error("no Python interpreter `{requested}`")]
    NoPython {
        /// A name, a path or a version, as asked for.
        requested: String,
        /// Versions of those that are on `PATH`.
        available: Vec<String>,
    },
    /// No installed program can make a virtual environment with the interpreter.
    #[error("cannot create a virtual environment with `{}`: {detail}", python.display())]
    Environment {
        /// The interpreter, or the version that was asked for.
        python: PathBuf,
        /// The message of each program, its name first; several lines.
        detail: String,
    },
    /// An entry of `requirements` or `optional` is invalid.
    #[error("cannot install `{entry}`: {problem}")]
    Requirement {
        /// As in the recipe, without logins.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The requirements could not be installed.
    #[error("cannot install the requirements: {detail}")]
    Install {
        /// The installer's message; several lines.
        detail: String,
        /// It tells of a network error.
        network: bool,
    },
    /// A dependency's folder of wheels has none.
    #[error("the output `wheels` of `{name}` has no wheel in `{}`", folder.display())]
    NoWheels {
        /// The dependency's.
        name: String,
        /// Its output `wheels`.
        folder: PathBuf,
    },
    /// The folder inside the checkout is not there.
    #[error("no folder `{0}` in the source")]
    NoSubdir(String),
    /// The folder inside the checkout is a link out of it.
    #[error("`{0}` is outside the checkout")]
    SubdirOutside(String),
    /// The folder to build is not there, or is no folder.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// `context: here` with a repository to clone.
    #[error("`context: here` cannot build `{0}`")]
    HereNeedsPath(Url),
    /// What the cache or the upstream repository holds is broken.
    #[error("the cached copy of `{url}` is damaged ({detail})")]
    Damaged {
        /// Whose they are.
        url: Url,
        /// The line that says so.
        detail: String,
        /// Its entry in the cache of this machine.
        cache: PathBuf,
    },
    /// There is no such file to download or to read.
    #[error("no file at `{url}` ({detail})")]
    NoSuchFile {
        /// What was asked for.
        url: Url,
        /// What the server or the system says.
        detail: String,
    },
    /// The server does not give the file.
    #[error("the server refused `{url}` ({detail})")]
    Refused {
        /// What was asked for.
        url: Url,
        /// What the server says.
        detail: String,
    },
    /// The file is not what the recipe says it is.
    #[error("`{url}` has the SHA-256 `{found}`, not `{expected}`")]
    WrongDigest {
        /// Where it is.
        url: Url,
        /// As the recipe has it.
        expected: String,
        /// As it is.
        found: String,
    },
    /// No archive, or a broken one.
    #[error("cannot unpack `{url}` ({detail})")]
    NotUnpacked {
        /// Where it is.
        url: Url,
        /// What is wrong with it.
        detail: String,
    },
    /// An entry of the archive must not be, or cannot be, unpacked.
    #[error("cannot unpack `{entry}` of `{url}`: {problem}")]
    ArchiveEntry {
        /// Where the archive is.
        url: Url,
        /// The name that it has in there.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A command failed for another reason.
    #[error("`{step}` failed with exit status {status} ({detail})")]
    Command {
        /// Label of the command.
        step: String,
        /// As in [`CommandOutput`](crate::CommandOutput).
        status: i64,
        /// The line of its output that gives the reason.
        detail: String,
    },
    /// The file system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// A verb: `create`, `lock`, `copy`.
        action: &'static str,
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
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { detail: format!("cannot {action} `{}`: {source}", path.display()) }
            }
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether the network caused it, so that a retry may help and the cache may do instead.
    pub fn is_network_error(&self) -> bool {
        matches!(
            self,
            Self::NoSuchHost { .. }
                | Self::Unreachable { .. }
                | Self::Offline(_)
                | Self::Install { network: true, .. }
        )
    }
}
