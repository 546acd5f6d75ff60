//! What a context is handed: to run commands with, to download with, to speak through.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

use crate::{record::Checkout, url::Url};

/// One command that a context wants run. Never through a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Key of the nested struct in the result (`cache_update`, `clone`, …), also used to name its log.
    pub label: String,
    /// Program and arguments; at least the program.
    pub argv: Vec<OsString>,
    /// Working directory; must exist.
    pub cwd: PathBuf,
    /// Set (`Some`) or removed (`None`) on top of the environment that the run inherits.
    pub env: BTreeMap<String, Option<OsString>>,
    /// How long it may print nothing before it is stopped; `None` leaves that to whoever runs it.
    pub silence: Option<Duration>,
}

/// How much of the begin and of the end of a long output is given back, in bytes each.
pub const CAPTURED: usize = 64 << 10;

/// Whether `output` is all that was printed: one as long as this may lack its middle.
pub(crate) fn is_whole(output: &[u8]) -> bool {
    output.len() < 2 * CAPTURED
}

/// How a command ended, with what it printed (of each stream at most [`CAPTURED`] bytes of its begin and as many of its end,
/// with no mark between them).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    /// As the protocol wants it: exit status, `-N` for signal N, `-1` could not start.
    pub status: i64,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// It was stopped because it had printed nothing for too long.
    pub silent: bool,
    /// The run is being cancelled or is out of time: stop asking for more.
    pub stopped: bool,
}

/// A file to be brought here over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Key of its struct in the result.
    pub label: String,
    /// Where it is: `http://` or `https://`, perhaps with a login.
    pub url: Url,
    /// Where it goes; replaced if it is there.
    pub to: PathBuf,
    /// What its server called the version that is here already; if it is still that, nothing is brought.
    pub known: Option<String>,
    /// How long nothing may come before it is given up.
    pub silence: Duration,
}

/// What came of a [`Download`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downloaded {
    /// The file is here.
    New {
        /// What its server calls this version (`ETag`, else `Last-Modified`), if anything.
        version: Option<String>,
    },
    /// It is still the version that was known.
    Unchanged,
}

/// Why a file is not here. The text is one line that says more.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// The host's name means nothing.
    #[error("{0}")]
    NoSuchHost(String),
    /// The host does not answer, the connection broke, or the server has a fault of its own (5xx).
    #[error("{0}")]
    Unreachable(String),
    /// There is no such file (404, 410).
    #[error("{0}")]
    NotFound(String),
    /// A login is missing or wrong (401, 403).
    #[error("{0}")]
    Login(String),
    /// Any other answer.
    #[error("{0}")]
    Refused(String),
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// The run is being cancelled or is out of time.
    #[error("stopped")]
    Stopped,
}

/// The parts that preparing a place can have; each is a step of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The source is brought here.
    Checkout,
    /// The virtualenv is made and filled.
    Virtualenv,
}

impl Stage {
    /// Name of its step.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Virtualenv => "virtualenv",
        }
    }
}

/// Does for a context what touches the world, one thing at a time, and answers when it is over.
pub trait Shell: Send {
    /// Runs `command` to its end. Never fails: what cannot start ends with status -1 and the reason on `stderr`.
    fn run(&mut self, command: Command) -> impl Future<Output = Ended> + Send;

    /// As [`Shell::run`], but leaves no record: for what is only found out (a program's version). No longer than `limit`.
    fn ask(&mut self, command: Command, limit: Duration) -> impl Future<Output = Ended> + Send;

    /// Brings a file here.
    fn download(
        &mut self,
        download: Download,
    ) -> impl Future<Output = Result<Downloaded, DownloadError>> + Send;

    /// Lets time pass before something is tried again.
    fn pause(&mut self, time: Duration) -> impl Future<Output = ()> + Send;

    /// The file that `program` names on `path` (a `PATH`); a name with `/` in it is taken from `cwd`.
    fn find(&self, program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf>;

    /// What follows belongs to this stage. Told once for each of [`Request::stages`](crate::Request::stages), in order.
    fn begin(&mut self, stage: Stage);

    /// The stage that was begun last is complete; a line for the person about what it made.
    fn complete(&mut self, words: String);

    /// What has been checked out, if it is under version control, and what [`tip`](crate::tip) would have answered for it; told
    /// before anything is built on it.
    fn checked_out(&mut self, _checkout: Option<&Checkout>, _tip: Option<&str>) {}

    /// A line for the person at the terminal, recorded with the events ("using the mirror in …").
    fn note(&mut self, text: &str);
}
