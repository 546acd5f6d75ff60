//! Servers of version control programs for one test: on ports that nobody else can take, ended with it.
//!
//! Those that serve one connection on their standard streams get each connection from a listener that is here before they
//! are; the others choose a port themselves and say which.

use std::{
    fmt,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use crate::{Live, Stream, World, process::Call};

/// A running server.
#[derive(Debug)]
pub struct Daemon<'w> {
    program: Option<Live<'w>>,
    _connections: Option<Connections>,
    port: u16,
    url: String,
}

/// A listener, each of whose connections is served by a process.
struct Connections {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl World {
    /// `git daemon` over the repositories below a folder of this world.
    pub fn git_daemon(&self, below: &str) -> Daemon<'_> {
        let base = format!("--base-path={}", self.path(below).display());
        let call = self.call("git", &["daemon", "--inetd", "--export-all", "--informative-errors", &base]);
        Daemon::of_connections(&call, "git")
    }

    /// `svnserve` over the repositories below a folder of this world.
    pub fn svnserve(&self, below: &str) -> Daemon<'_> {
        let root = self.path(below).display().to_string();
        Daemon::of_connections(&self.call("svnserve", &["--inetd", "--root", &root]), "svn")
    }

    /// `hg serve` of the repository in a folder of this world.
    pub fn hg_serve(&self, repository: &str) -> Daemon<'_> {
        let dir = self.path(repository).display().to_string();
        let call = self.call("hg", &["serve", "--cwd", &dir, "--address", "127.0.0.1", "--port", "0"]);
        Daemon::of_program(call, "bound to 127.0.0.1:")
    }

    /// A web server over the files below a folder of this world.
    pub fn web(&self, below: &str) -> Daemon<'_> {
        let root = self.path(below).display().to_string();
        let arguments = ["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", &root, "0"];
        Daemon::of_program(self.call(self.interpreter(), &arguments), "http://127.0.0.1:")
    }
}

impl<'w> Daemon<'w> {
    /// A program that says its port behind `mark`, once it listens.
    fn of_program(call: Call<'w>, mark: &str) -> Self {
        let mut live = call.start();
        let mut printed = live.until(Stream::Out, mark);
        let port = loop {
            let (_, rest) = printed.split_once(mark).expect("it was waited for");
            if let Some((digits, _)) = rest.split_once(|it: char| !it.is_ascii_digit()) {
                break digits.parse().unwrap_or_else(|error| panic!("{error}: {printed}"));
            }
            printed = live.more();
        };
        let url = format!("http://127.0.0.1:{port}");
        Self { program: Some(live), _connections: None, port, url }
    }

    fn of_connections(call: &Call<'w>, scheme: &str) -> Self {
        let connections = Connections::of(call.command());
        let port = connections.address.port();
        let url = format!("{scheme}://127.0.0.1:{port}");
        Self { program: None, _connections: Some(connections), port, url }
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
        // Nobody answers there any more when this is over.
        if let Some(live) = self.program.take() {
            let _ = live.kill();
        }
    }
}

impl Connections {
    fn of(mut command: Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let accepting = std::thread::spawn(move || {
            let mut children: Vec<Child> = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Acquire) {
                    break;
                }
                children.retain_mut(|child| child.try_wait().is_ok_and(|status| status.is_none()));
                let input = OwnedFd::from(stream.try_clone().expect("a descriptor"));
                let child = command.stdin(input).stdout(OwnedFd::from(stream)).stderr(Stdio::null()).spawn();
                children.push(child.expect("a server for this connection"));
            }
            for mut child in children {
                let _ = child.kill();
                let _ = child.wait();
            }
        });
        Self { address, stop, accepting: Some(accepting) }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // It waits for a connection, and looks at the flag when there is one.
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().map(JoinHandle::join);
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections to {}", self.address)
    }
}

/// An address at which every connection is refused for as long as this is here, and which nobody else is given.
#[derive(Debug)]
pub struct Refused {
    _socket: socket2::Socket,
    address: SocketAddr,
}

impl Refused {
    /// A new one; a server that is told to may listen there all the same.
    pub fn new() -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option of every socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        Self { _socket: socket, address }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Default for Refused {
    fn default() -> Self {
        Self::new()
    }
}
