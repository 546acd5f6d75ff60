//! `pony-serve` for one test: on a free port, stopped with it.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Live, Page, Stream, World, get,
    process::{Call, Ended},
};

/// A running `pony-serve`.
#[derive(Debug)]
pub struct Serve<'w> {
    live: Live<'w>,
    address: String,
}

impl World {
    /// `pony-serve` over this world's `PONY_HOME`, ready to answer.
    pub fn serve(&self) -> Serve<'_> {
        Serve::start(self.call(crate::program("pony-serve"), &["--listen", "127.0.0.1:0"]))
    }

    /// The same with these options.
    pub fn serve_with(&self, options: &[&str]) -> Serve<'_> {
        Serve::start(
            self.call(crate::program("pony-serve"), &[&["--listen", "127.0.0.1:0"], options].concat()),
        )
    }

    /// `pony-serve` over a file of its own.
    pub fn serve_file(&self, name: &str) -> Serve<'_> {
        let data = self.path(name).display().to_string();
        Serve::start(self.call(crate::program("pony-serve"), &["--listen", "127.0.0.1:0", "--data", &data]))
    }
}

impl<'w> Serve<'w> {
    fn start(call: Call<'w>) -> Self {
        let mut live = call.start();
        let ready = live.until(Stream::Err, "/, results in");
        let address = ready
            .split_once("listening on http://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map(|(address, _)| address.to_owned());
        Self { live, address: address.unwrap_or_else(|| panic!("no address in {ready}")) }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// A page as a browser gets it.
    pub fn page(&self, path: &str) -> Page {
        get(&self.address, path, "text/html")
    }

    /// A page as JSON.
    pub fn json(&self, path: &str) -> Value {
        let page = get(&self.address, path, "application/json");
        assert_eq!(page.status, 200, "{page:?}");
        page.json()
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(self) -> Ended<'w> {
        self.live.signal(Signal::SIGTERM);
        self.live.end()
    }
}
