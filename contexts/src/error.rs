//! Why a context could not be prepared, and the way out of each.

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
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        said: String,
    },
    /// A login is missing or wrong.
    #[error("`{url}` wants a login ({said})")]
    Authentication {
        /// What was asked for.
        url: Url,
        /// The line of the program's output that says so.
        said: String,
    },
    /// The repository has no such branch, tag or revision.
    #[error("no {kind} `{name}` in `{url}`")]
    NoSuchName {
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

    /// What the person can do about it, if there is something to say.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoSuchHost { .. } => "check the spelling of the host and that this machine is online".to_owned(),
            Self::Unreachable { .. } => "check that this machine is online, and the proxy settings; or try again later".to_owned(),
            Self::Offline(_) => {
                "the cache does not hold what is asked for; run once without `--offline` to fill it".to_owned()
            }
            Self::NoSuchRepository { url, .. } if url.is_local() => {
                "the path must name a repository; relative paths start at the recipe's folder".to_owned()
            }
            Self::NoSuchRepository { .. } => "check the path part of the address, and that you may see the repository".to_owned(),
            Self::Authentication { said, .. } if said.starts_with("svn: ") => {
                "put the login into the address (`https://USER:PASSWORD@host/…`), or let `svn` store it by running \
                 `svn info` by hand once; externals on other servers need one that is stored"
                    .to_owned()
            }
            Self::Authentication { .. } => {
                "set up an ssh key or a git credential helper that answers without asking; \
                 hosts also ask for a login where the repository does not exist"
                    .to_owned()
            }
            Self::NoSuchName { near, .. } => match near.as_slice() {
                [] => return None,
                [one] => format!("did you mean `{one}`?"),
                several => format!("did you mean one of `{}`?", several.join("`, `")),
            },
            Self::NotARevision(_) => {
                "a revision is a commit's id, 4 to 64 hexadecimal digits; for a name use `branch:` or `tag:`".to_owned()
            }
            Self::NotAnSvnRevision(_) => {
                "a revision is a number, `HEAD`, or a date in braces such as `{2026-01-31}`".to_owned()
            }
            Self::NotAnSvnAddress(_) => {
                "svn takes `https://`, `http://`, `svn://`, `svn+ssh://` and `file://` addresses, and paths".to_owned()
            }
            Self::NoSuchFolder { .. } => {
                "if it was moved or renamed, `svn:` must name its new place; \
                 what it was before is still there under its old address with a revision: `…/trunk@1234`"
                    .to_owned()
            }
            Self::LocalExternal { .. } => {
                "`svn:externals` of a repository on another machine may not name paths of this one: \
                 have the property changed, or build from a copy on this machine"
                    .to_owned()
            }
            Self::Ambiguous { .. } => "give more digits of the commit's id".to_owned(),
            Self::NoDefaultBranch(_) => "if it has commits, name one of its branches with `branch:`".to_owned(),
            Self::DiskFull { .. } => "make room, or move the cache (`PONY_HOME`) or the place for temporary files".to_owned(),
            Self::MissingProgram { program, .. } => format!("install `{program}` and see that it is on `PATH`"),
            Self::TooOld { program, oldest, .. } => format!("install a newer `{program}` ({oldest} or later)"),
            Self::NoPython { there, .. } => match there.as_slice() {
                [] => "install Python, or see that it is on `PATH`".to_owned(),
                there => format!(
                    "there is {}; `python` of `virtualenv` is a name (`python3.12`), a path with a `/`, or a version (`3.12`)",
                    there.join(", ")
                ),
            },
            Self::Environment { said, .. } if said.contains("ensurepip") => {
                "install `uv`, or what the interpreter lacks: on Debian `apt install python3-venv`".to_owned()
            }
            Self::Environment { said, .. }
                if ["too old", "older than", "not supported", "3.6 or newer", "no longer", "No module named venv"]
                    .iter()
                    .any(|part| said.contains(part)) =>
            {
                "Python 3.6 and 2.7 are too old for new versions of uv and virtualenv: `virtualenv==20.21.1` still makes \
                 environments of them"
                    .to_owned()
            }
            Self::Requirement { .. } => {
                "an entry is what pip installs (a name with a version, a path, a URL, `-r FILE`, `-e PATH`), or one of `-c`, \
                 `--index-url`, `--extra-index-url`, `--find-links`, `--no-binary`, `--only-binary`, `--trusted-host`, \
                 `--pre`, `--no-index`, `--no-deps`, `--no-build-isolation`, `--require-hashes`"
                    .to_owned()
            }
            Self::Install { network: true, .. } => {
                "check that this machine is online, and the index and proxy settings; or try again later".to_owned()
            }
            Self::Install { .. } => {
                "check names and versions in `requirements`; what a build can do without belongs into `optional`".to_owned()
            }
            Self::NoSubdir(_) => "`subdir` is the path of a folder from the top of the repository".to_owned(),
            Self::SubdirOutside(_) => "`subdir` must stay inside the repository".to_owned(),
            Self::NotADirectory(_) => "`path` names a folder; relative ones start at the recipe's folder".to_owned(),
            Self::HereNeedsPath(_) => {
                "use `context: tempdir`, which clones into a fresh directory; or drop `source` to build the recipe's folder"
                    .to_owned()
            }
            Self::Damaged { cache, .. } => format!(
                "making it anew did not help, so the repository itself or the disk may be at fault; \
                 what the cache holds of it is in `{}`",
                cache.display()
            ),
            Self::Io { doing: "lock", .. } => {
                "the file system of the cache must support file locks; `PONY_HOME` moves the cache".to_owned()
            }
            Self::Command { said, .. } if said.contains("dubious ownership") => {
                "the repository belongs to another user; `git config --global --add safe.directory PATH` trusts it"
                    .to_owned()
            }
            Self::Command { said, .. } if said.contains("subrepos not enabled") => {
                "repositories inside a Mercurial repository are not brought; clone them in a step".to_owned()
            }
            Self::NoSuchFile { .. } => "check the spelling; relative paths start at the recipe's folder".to_owned(),
            Self::Refused { .. } => "open the address in a browser to see what its server wants".to_owned(),
            Self::WrongDigest { .. } => {
                "either the file was changed where it is, or `sha256` in the recipe is that of another version".to_owned()
            }
            Self::NotUnpacked { .. } => {
                "it must be a whole tar archive, perhaps packed with gzip, xz, zstd or bzip2, or a zip archive".to_owned()
            }
            Self::Entry { .. } => "archives that reach out of the folder that they are unpacked in are refused as a whole".to_owned(),
            Self::Command { .. } | Self::Environment { .. } | Self::Io { .. } | Self::Stopped => return None,
        };
        Some(hint)
    }
}
