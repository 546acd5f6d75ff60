//! Programs of `tests/servers`, on Python's standard library, that listen on a port of their own.

use std::path::PathBuf;

use crate::{Call, Live, Stream, World};

/// A program that listens.
#[derive(Debug)]
pub struct Helper<'w> {
    _live: Live<'w>,
    port: String,
}

impl World {
    /// A program of `tests/servers` that prints the port on which it listens.
    pub fn helper(&self, script: &str, arguments: &[&str]) -> Helper<'_> {
        let script =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("servers").join(script).display().to_string();
        let words: Vec<&str> = std::iter::once(script.as_str()).chain(arguments.iter().copied()).collect();
        let mut live = self.python(&words).start();
        let port = live.until(Stream::Out, "\n").trim().to_owned();
        Helper { _live: live, port }
    }

    /// A server that gives one answer to everything: `page`, `error`, `refuse`, `fault`, `redirect`, `half`, …
    pub fn odd(&self, how: &str) -> Helper<'_> {
        self.helper("odd.py", &[how])
    }

    /// The Python interpreter itself, where `python3` may be a script that looks for it.
    pub fn interpreter(&self) -> PathBuf {
        self.python(&["-c", "import sys; print(sys.executable)"]).end().code(0).out().trim_end().into()
    }

    /// Python with these arguments.
    pub(crate) fn python(&self, arguments: &[&str]) -> Call<'_> {
        let call = self.call("python3", arguments);
        // The real one: version managers find Python by it.
        match std::env::var_os("HOME") {
            Some(home) => call.env("HOME", home),
            None => call,
        }
    }
}

impl Helper<'_> {
    /// Where it listens.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}
