//! Programs of `tests/servers`, on the standard library of Python, that listen on a port of their own.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{Call, Live, Stream, World, files};

/// A program that listens.
#[derive(Debug)]
pub struct Helper<'w> {
    _live: Live<'w>,
    port: String,
    /// Where it keeps what comes to it; nowhere, if it does not.
    kept: PathBuf,
}

impl World {
    /// A program of `tests/servers` that prints the port on which it listens.
    pub fn helper(&self, script: &str, arguments: &[&str]) -> Helper<'_> {
        let script =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("servers").join(script).display().to_string();
        let words: Vec<&str> = std::iter::once(script.as_str()).chain(arguments.iter().copied()).collect();
        let mut live = self.python(&words).start();
        let port = live.until(Stream::Out, "\n").trim().to_owned();
        Helper { _live: live, port, kept: PathBuf::new() }
    }

    /// A mail server: `plain`, `login`, `refuse`, `busy`, `hangup`. Its calls are the messages that it took.
    pub fn smtp(&self, how: &str) -> Helper<'_> {
        self.keeping("smtp.py", how)
    }

    /// A webhook: `ok`, or the status that it answers with. Its calls are what was posted.
    pub fn hook(&self, how: &str) -> Helper<'_> {
        self.keeping("hook.py", how)
    }

    /// One that keeps what comes to it.
    fn keeping(&self, script: &str, how: &str) -> Helper<'_> {
        let kept = tempfile::tempdir_in(self.path("work")).expect("a folder").keep();
        Helper { kept: kept.clone(), ..self.helper(script, &[how, &kept.display().to_string()]) }
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

    /// What came to one that keeps it, in order.
    pub fn calls(&self) -> Vec<Value> {
        let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).expect("a call")).expect("JSON");
        files(&self.kept).iter().map(read).collect()
    }
}
