//! Servers of `tests/servers`, written on Python's own `xmlrpc.server`: a strict parser that is not ours.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::{Live, Stream, World, files};

/// A running Python server.
#[derive(Debug)]
pub struct Python<'w> {
    live: Live<'w>,
    saved: PathBuf,
    port: String,
}

impl World {
    /// A server that answers as the 2009 or the 2010 release of pony-build does.
    pub fn python(&self, release: &str) -> Python<'_> {
        Python::start(self, &["pony.py", release])
    }

    /// A mail server: `plain`, `login`, `refuse`, `busy`, `hangup`. Its calls are the messages that it took.
    pub fn smtp(&self, how: &str) -> Python<'_> {
        Python::start(self, &["smtp.py", how])
    }

    /// A webhook: `ok`, or the status that it answers with. Its calls are what was posted.
    pub fn hook(&self, how: &str) -> Python<'_> {
        Python::start(self, &["hook.py", how])
    }

    /// A server that gives one answer to everything: `page`, `error`, `refuse`, `fault`, `redirect`, `half`, …
    pub fn odd(&self, how: &str) -> Python<'_> {
        Python::start(self, &["odd.py", how])
    }
}

impl World {
    /// The Python interpreter itself, where `python3` may be a script that looks for it.
    pub fn interpreter(&self) -> PathBuf {
        let ask = ["-c", "import sys; print(sys.executable)"];
        let mut call = self.call("python3", &ask);
        // The real one: version managers find Python by it.
        if let Some(home) = std::env::var_os("HOME") {
            call = call.env("HOME", home);
        }
        call.end().code(0).out().trim_end().into()
    }
}

impl<'w> Python<'w> {
    fn start(world: &'w World, arguments: &[&str]) -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("servers").join(arguments[0]);
        let saved = tempfile::tempdir_in(world.path("work")).expect("a folder").keep();
        let words = [&script.display().to_string(), arguments[1], &saved.display().to_string()];
        let mut call = world.call("python3", &words);
        // The real one: version managers find Python by it.
        if let Some(home) = std::env::var_os("HOME") {
            call = call.env("HOME", home);
        }
        let mut live = call.start();
        let port = live.until(Stream::Out, "\n").trim().to_owned();
        Self { live, saved, port }
    }

    /// `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Its port.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// Every call it understood, in order: `{"method": …, "params": […], "size": …, "path": …}`.
    pub fn calls(&self) -> Vec<Value> {
        let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).expect("a call")).expect("JSON");
        files(&self.saved).iter().map(read).collect()
    }

    /// The parameters of the one `add_results` it got: `client_info` and `results`.
    pub fn submission(&self) -> (Value, Vec<Value>) {
        let mut calls = self.calls();
        calls.retain(|call| call["method"] == "add_results");
        assert_eq!(calls.len(), 1, "one submission is expected: {calls:#?}\n{}", self.live);
        let client_info = calls[0]["params"][0].clone();
        (client_info, calls[0]["params"][1].as_array().expect("results").clone())
    }

    /// Everything it saved, as text.
    pub fn saved(&self) -> String {
        files(&self.saved).iter().map(|path| fs::read_to_string(path).expect("text")).collect()
    }
}
