//! What a context is handed to touch the world: commands, downloads, messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

use crate::{checkout::Checkout, url::Url};

/// Variables set (`Some`) or removed (`None`).
pub(crate) type EnvOverlay = BTreeMap<String, Option<OsString>>;

/// A command, never run through a shell.
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
    /// How long it may print nothing before it is stopped [default: up to whoever runs it].
    pub quiet_timeout: Option<Duration>,
}

/// How much of the begin and of the end of a long output is captured, in bytes each.
pub const CAPTURED: usize = 64 << 10;

/// Whether `output` is all that was printed: one of this length may lack its middle.
pub(crate) fn is_complete(output: &[u8]) -> bool {
    output.len() < 2 * CAPTURED
}

/// How a command ended, with what it printed (of each stream at most [`CAPTURED`] bytes of its begin and as many of its end,
/// with no mark between them).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandOutput {
    /// As the protocol wants it: exit status, `-N` for signal N, `-1` could not start.
    pub status: i64,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// It was stopped because it had printed nothing for too long.
    pub quiet: bool,
    /// The run is being cancelled or is out of time: run no more commands.
    pub stopped: bool,
}

/// Paths of an output in which a NUL is behind each.
pub(crate) fn nul_separated(output: &[u8]) -> Vec<String> {
    let paths = String::from_utf8_lossy(output);
    paths.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// A label that is not in `labels` yet, as they are keys of one record: `clone`, then `clone 2`.
pub(crate) fn unique_label(labels: &mut BTreeSet<String>, label: &str) -> String {
    let mut unused = label.to_owned();
    let mut count = 1;
    while !labels.insert(unused.clone()) {
        count += 1;
        unused = format!("{label} {count}");
    }
    unused
}

/// A file to download over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Key of its struct in the result.
    pub label: String,
    /// Where it is: `http://` or `https://`, perhaps with a login.
    pub url: Url,
    /// Where it goes; replaced if it is there.
    pub to: PathBuf,
    /// The version that is cached, as its server called it; if it is still that, nothing is downloaded.
    pub known: Option<String>,
    /// How long the server may send nothing.
    pub quiet_timeout: Duration,
}

/// What came of a [`Download`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downloaded {
    /// The file was written.
    New {
        /// What its server calls this version (`ETag`, else `Last-Modified`), if anything.
        version: Option<String>,
    },
    /// It is still the known version.
    Unchanged,
}

/// Why a file could not be downloaded. The text is one line of detail.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// The host's name is unknown.
    #[error("{0}")]
    NoSuchHost(String),
    /// The host does not answer, the connection broke, or the server failed (5xx).
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

/// The parts of preparing a context; each is a step of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Making the tree of the source.
    Checkout,
    /// Making and filling the virtualenv.
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

/// Touches the world for a context, one thing at a time, and returns when it is done.
pub trait Shell: Send {
    /// Runs `command` to its end. Never fails: what cannot start ends with status -1 and the reason on `stderr`.
    fn run(&mut self, command: Command) -> impl Future<Output = CommandOutput> + Send;

    /// As [`Shell::run`], but without a record: for questions such as a program's version. No longer than `limit`.
    fn capture(&mut self, command: Command, limit: Duration) -> impl Future<Output = CommandOutput> + Send;

    /// Downloads a file.
    fn download(
        &mut self,
        download: Download,
    ) -> impl Future<Output = Result<Downloaded, DownloadError>> + Send;

    /// Waits before a retry.
    fn pause(&mut self, time: Duration) -> impl Future<Output = ()> + Send;

    /// The file that `program` names on `path` (a `PATH`); a name with `/` in it is relative to `cwd`.
    fn find(&self, program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf>;

    /// What follows belongs to this stage. Called once for each of [`ContextRequest::stages`](crate::ContextRequest::stages), in order.
    fn begin(&mut self, stage: Stage);

    /// The stage that was begun last is complete; `summary` is a line for the person.
    fn complete(&mut self, summary: String);

    /// What has been checked out, if it is under version control, and its [`tip`](crate::tip). Called before anything else uses it.
    fn checked_out(&mut self, _checkout: Option<&Checkout>, _tip: Option<&str>) {}

    /// A line for the person at the terminal, recorded with the events ("using the mirror in …").
    fn note(&mut self, text: &str);
}
