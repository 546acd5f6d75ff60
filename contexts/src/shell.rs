//! What a context is handed to run commands with.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

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
}

/// How a command ended, with what it printed (capped: head and tail of 64 KiB a stream).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// As the protocol wants it: exit status, `-N` for signal N, `-1` could not start.
    pub status: i64,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// The run is being cancelled or is out of time: stop asking for more.
    pub stopped: bool,
}

/// Runs commands for a context, one at a time, and answers when they have ended.
pub trait Shell: Send {
    /// Runs `command` to its end. Never fails: what cannot start ends with status -1 and the reason on `stderr`.
    fn run(&mut self, command: Command) -> impl Future<Output = Ended> + Send;

    /// A line for the person at the terminal, recorded with the events ("using the mirror in …").
    fn note(&mut self, text: &str);
}
