//! Servers of version control programs for one test: on free ports of this machine, ended with it.

use std::net::{TcpListener, TcpStream};

use crate::{Live, World, process::Call};

/// A running server.
#[derive(Debug)]
pub struct Daemon<'w> {
    live: Option<Live<'w>>,
    port: u16,
    url: String,
}

impl World {
    /// `git daemon` over the repositories below a folder of this world.
    pub fn git_daemon(&self, below: &str) -> Daemon<'_> {
        let port = free_port();
        let base = format!("--base-path={}", self.path(below).display());
        let listen = format!("--port={port}");
        // `git daemon` itself would be another process, which outlives it.
        let script = "exec \"$(git --exec-path)/git-daemon\" \"$@\"";
        let options = ["--export-all", "--reuseaddr", "--listen=127.0.0.1", "--informative-errors"];
        let arguments = [&["-c", script, "git-daemon", &listen, &base][..], &options].concat();
        Daemon::start(self.call("sh", &arguments), port, format!("git://127.0.0.1:{port}"))
    }

    /// `svnserve` over the repositories below a folder of this world.
    pub fn svnserve(&self, below: &str) -> Daemon<'_> {
        let port = free_port();
        let (root, listen) = (self.path(below).display().to_string(), port.to_string());
        let arguments =
            ["-d", "--foreground", "-T", "--listen-host", "127.0.0.1", "--listen-port", &listen, "-r", &root];
        Daemon::start(self.call("svnserve", &arguments), port, format!("svn://127.0.0.1:{port}"))
    }

    /// `hg serve` of the repository in a folder of this world.
    pub fn hg_serve(&self, repository: &str) -> Daemon<'_> {
        let port = free_port();
        let (dir, listen) = (self.path(repository).display().to_string(), port.to_string());
        let arguments = ["serve", "--cwd", &dir, "--address", "127.0.0.1", "--port", &listen];
        Daemon::start(self.call("hg", &arguments), port, format!("http://127.0.0.1:{port}"))
    }

    /// A web server over the files below a folder of this world.
    pub fn web(&self, below: &str) -> Daemon<'_> {
        let port = free_port();
        let (root, listen) = (self.path(below).display().to_string(), port.to_string());
        let arguments = ["-m", "http.server", "--bind", "127.0.0.1", "--directory", &root, &listen];
        let call = self.call(self.interpreter(), &arguments);
        Daemon::start(call, port, format!("http://127.0.0.1:{port}"))
    }
}

impl<'w> Daemon<'w> {
    fn start(call: Call<'w>, port: u16, url: String) -> Self {
        let live = call.start();
        let mut daemon = Self { live: Some(live), port, url };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = daemon.live.as_mut().is_none_or(Live::has_ended_by_now);
            assert!(!ended, "it does not serve: {daemon:?}");
            std::thread::yield_now();
        }
        daemon
    }

    /// Where it serves, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if let Some(live) = self.live.take() {
            // Nobody answers there any more when this is over.
            let _ = live.kill();
        }
    }
}

/// One that nobody listens on now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
