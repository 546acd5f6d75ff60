//! What lies between a program and a server: a line that hands on what both say, until it is told to misbehave.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Asks everybody for a login, and goes.
const LOGIN: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"demo\"\r\nContent-Length: 0\r\n\
                       Connection: close\r\n\r\n";

/// What becomes of connections from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All is handed on.
    Open,
    /// So many are closed at once, those after them are handed on.
    Closed(usize),
    /// Each is cut when the server has said so many bytes.
    Cut(usize),
    /// Each is taken, and nothing is ever said.
    Silent,
    /// Each is asked for a login, over HTTP.
    Login,
}

/// A line on a free port of this machine.
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    way: Arc<Mutex<Way>>,
}

impl Line {
    /// A line to the server on `port` of this machine, open.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let way = Arc::new(Mutex::new(Way::Open));
        let ways = way.clone();
        thread::spawn(move || {
            let mut kept = Vec::new();
            for client in listener.incoming().flatten() {
                match taken(&ways) {
                    Way::Closed(_) => {}
                    Way::Silent => kept.push(client),
                    Way::Login => drop(ask(client)),
                    Way::Open => join(client, port, usize::MAX),
                    Way::Cut(bytes) => join(client, port, bytes),
                }
            }
        });
        Self { address, way }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What becomes of connections that are made from now on.
    pub fn set(&self, way: Way) {
        *lock(&self.way) = way;
    }
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The way of the next connection.
fn taken(way: &Mutex<Way>) -> Way {
    let mut way = lock(way);
    let taken = *way;
    match &mut *way {
        Way::Closed(1) => *way = Way::Open,
        Way::Closed(left) => *left -= 1,
        _ => {}
    }
    taken
}

fn ask(mut client: TcpStream) -> io::Result<()> {
    // All that it wants to say first.
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut buffer)? {
            0 => break,
            count => heard.extend_from_slice(&buffer[..count]),
        }
    }
    client.write_all(LOGIN)?;
    client.shutdown(Shutdown::Write)?;
    while client.read(&mut buffer)? > 0 {}
    Ok(())
}

fn join(client: TcpStream, port: u16, bytes: usize) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let (Ok(mut up), Ok(mut down)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || {
        let _ = io::copy(&mut up, &mut down);
        let _ = down.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = hand_on(&server, &client, bytes);
        for stream in [server, client] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
}

fn hand_on(mut from: &TcpStream, mut to: &TcpStream, mut left: usize) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while left > 0 {
        let count = from.read(&mut buffer)?.min(left);
        if count == 0 {
            break;
        }
        to.write_all(&buffer[..count])?;
        left -= count;
    }
    Ok(())
}
