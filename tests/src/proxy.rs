//! A proxy between a client and a server that does to each connection what a [`Plan`] says, and keeps account of it.
//!
//! It is as honest as a line is: what came before the client went is handed on, what had to wait then is not.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, ErrorKind, Read, Write},
    mem,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockRef, Socket, Type};

use crate::{
    Direction, Fault, PATIENCE, Plan,
    fault::{Course, Then},
};

/// How many bytes wait for a slow side before those who send them have to.
const ROOM: usize = 4 << 20;
const LOCAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const ERROR: &[u8] =
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\
    Connection: close\r\n\r\nbroken";

/// A proxy on a free port of this machine.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What became of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// What was planned for it.
    pub fault: Fault,
    /// Whether that happened: a limit beyond what was said is never met.
    pub met: bool,
    /// How many bytes of the client were handed on.
    pub up: usize,
    /// How many bytes of the server were.
    pub down: usize,
}

#[derive(Debug)]
struct Shared {
    listener: TcpListener,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ahead: VecDeque<Fault>,
    /// Nobody listens.
    refuses: bool,
    /// Comes after all who came before, and is nobody itself.
    last: Option<SocketAddr>,
    under_way: usize,
    ended: Vec<Connection>,
}

impl Proxy {
    /// A proxy to the server on `port` of this machine, through which everything passes.
    pub fn to(port: u16) -> Self {
        // A port that was asked for by number stays taken while nobody listens on it; one that was given does not.
        let given = || TcpListener::bind(LOCAL).and_then(|listener| listener.local_addr());
        let named = (0..100).find_map(|_| TcpListener::bind(given().ok()?).ok());
        let listener = named.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { listener, state: Mutex::default(), changed: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || accept(&accepting, port));
        Self { address, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What becomes of connections from now on.
    pub fn set(&self, plan: &Plan) {
        let mut state = self.shared.lock();
        state.ahead = plan.faults.iter().copied().collect();
        self.shared.heed_refusal(&mut state);
    }

    /// Everything passes from now on.
    pub fn open(&self) {
        let mut state = self.shared.lock();
        state.ahead.clear();
        if mem::take(&mut state.refuses) {
            SockRef::from(&self.shared.listener).listen(128).expect("the port is still its own");
        }
        self.shared.changed.notify_all();
    }

    /// What became of every connection that was made before now, in the order in which they ended; waits for their ends.
    pub fn connections(&self) -> Vec<Connection> {
        let mut state = self.shared.lock();
        let last = (!state.refuses).then(|| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.bind(&SocketAddr::from(LOCAL).into()).expect("a free port");
            state.last = socket.local_addr().expect("an address").as_socket();
            socket.connect(&self.address.into()).expect("it listens");
            socket
        });
        let under_way = |state: &mut State| state.under_way > 0 || state.last.is_some();
        let waiting = self.shared.changed.wait_timeout_while(state, PATIENCE, under_way);
        let (state, waited) = waiting.unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "connections are still under way: {state:#?}");
        drop(last);
        state.ended.clone()
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, met, up, down } = self;
        write!(f, "{fault}: {}, {up} bytes up, {down} down", if *met { "met" } else { "not met" })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops listening where that is what comes next. The port stays taken: who connects is refused.
    fn heed_refusal(&self, state: &mut State) {
        if !state.refuses && state.ahead.front() == Some(&Fault::Refuse) {
            state.refuses = true;
            // Whoever was not taken yet has been refused.
            state.last = None;
            SockRef::from(&self.listener).shutdown(Shutdown::Read).expect("a listener can be shut");
        }
    }
}

fn accept(shared: &Arc<Shared>, port: u16) {
    loop {
        let Ok((client, address)) = shared.listener.accept() else {
            // It does not listen.
            let state = shared.changed.wait_while(shared.lock(), |state| state.refuses);
            drop(state.unwrap_or_else(PoisonError::into_inner));
            continue;
        };
        let mut state = shared.lock();
        if state.last == Some(address) {
            state.last = None;
            shared.changed.notify_all();
            continue;
        }
        let fault = state.ahead.pop_front().unwrap_or(Fault::Pass);
        state.under_way += 1;
        shared.heed_refusal(&mut state);
        drop(state);
        let shared = shared.clone();
        thread::spawn(move || {
            let connection = carry(client, port, fault);
            let mut state = shared.lock();
            state.under_way -= 1;
            state.ended.push(connection);
            shared.changed.notify_all();
        });
    }
}

/// One connection from beginning to end.
fn carry(mut client: TcpStream, port: u16, fault: Fault) -> Connection {
    let untouched = Connection { fault, met: true, up: 0, down: 0 };
    match fault {
        Fault::HangUp => return untouched,
        Fault::Error { handled: false } => {
            let _ = hear(&mut client).and_then(|()| client.write_all(ERROR));
            part(&client);
            return untouched;
        }
        _ => {}
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
        return Connection { met: false, ..untouched };
    };
    let [mut up, mut down] = [Direction::Up, Direction::Down].map(|way| Flow::new(fault.course(way)));
    let then = hand_on(&client, &server, &mut up, &mut down);
    let dripped = matches!(fault, Fault::Drip { .. });
    let met = fault == Fault::Pass || dripped || matches!(then, Ok(Some(_)));
    let connection = Connection { fault, met, up: up.handed, down: down.handed };
    for stream in [&client, &server] {
        let _ = stream.set_nonblocking(false);
    }
    match then {
        // One end was reset: so is the other.
        Ok(Some(Then::Reset)) | Err(_) => {
            for stream in [client, server] {
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
        }
        Ok(Some(Then::Stall)) => drain(&client),
        Ok(Some(Then::Error)) => {
            let _ = client.write_all(ERROR);
            part(&client);
        }
        Ok(Some(Then::Close)) => {
            let _ = server.shutdown(Shutdown::Write);
            part(&client);
            drain(&server);
        }
        // The server has said all.
        Ok(None) => part(&client),
    }
    connection
}

/// What goes one way.
struct Flow {
    course: Course,
    waiting: VecDeque<u8>,
    handed: usize,
    /// Nothing more comes from where it comes from.
    ended: bool,
}

impl Flow {
    fn new(course: Course) -> Self {
        Self { course, waiting: VecDeque::new(), handed: 0, ended: false }
    }

    /// What is to be done now that a byte wants to go that must not.
    fn met(&self) -> Option<Then> {
        let (limit, then) = self.course.limit?;
        (self.handed == limit && !self.waiting.is_empty()).then_some(then)
    }

    fn takes_more(&self) -> bool {
        !self.ended && self.waiting.len() < ROOM
    }

    fn read(&mut self, mut from: &TcpStream) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match from.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.waiting.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn write(&mut self, mut to: &TcpStream) -> io::Result<()> {
        let limit = self.course.limit.map_or(usize::MAX, |(limit, _)| limit - self.handed);
        let pace = self.course.pace.map_or(usize::MAX, |(bytes, _)| bytes);
        let piece = self.waiting.as_slices().0;
        let piece = &piece[..piece.len().min(limit).min(pace)];
        if piece.is_empty() {
            return Ok(());
        }
        match to.write(piece) {
            Ok(count) => {
                self.handed += count;
                self.waiting.drain(..count);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Hands on both ways until a limit is met (`Some`), or the server has said all, or a dripping client went (`None`).
fn hand_on(
    client: &TcpStream,
    server: &TcpStream,
    up: &mut Flow,
    down: &mut Flow,
) -> io::Result<Option<Then>> {
    client.set_nonblocking(true)?;
    server.set_nonblocking(true)?;
    let mut told = false;
    loop {
        if let Some(then) = up.met().or_else(|| down.met()) {
            return Ok(Some(then));
        }
        if down.ended && down.waiting.is_empty() {
            return Ok(None);
        }
        if up.ended && up.waiting.is_empty() && !mem::replace(&mut told, true) {
            server.shutdown(Shutdown::Write)?;
        }
        wait_for(client, server, up, down)?;
        if up.takes_more() {
            up.read(client)?;
        }
        if down.takes_more() {
            down.read(server)?;
        }
        if up.ended && up.course.pace.is_some() {
            return Ok(None);
        }
        up.write(server)?;
        down.write(client)?;
        if let Some((_, every)) = up.course.pace {
            thread::sleep(every);
        }
    }
}

fn wait_for(client: &TcpStream, server: &TcpStream, up: &Flow, down: &Flow) -> io::Result<()> {
    let wish = |from: &Flow, to: &Flow| {
        let mut wish = PollFlags::empty();
        wish.set(PollFlags::POLLIN, from.takes_more());
        wish.set(PollFlags::POLLOUT, !to.waiting.is_empty());
        wish
    };
    let sides = [(client, wish(up, down)), (server, wish(down, up))];
    // Who is asked for nothing would still be told of, again and again, when it has gone.
    let wished = sides.iter().filter(|(_, wish)| !wish.is_empty());
    let mut wished: Vec<PollFd<'_>> = wished.map(|(side, wish)| PollFd::new(side.as_fd(), *wish)).collect();
    poll(&mut wished, PollTimeout::NONE)?;
    Ok(())
}

/// Reads a whole request: its head, and a body of the length that is in it, or of pieces.
fn hear(client: &mut TcpStream) -> io::Result<()> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    while !is_whole(&heard) {
        match client.read(&mut buffer)? {
            0 => break,
            count => heard.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { return false };
    let (head, body) = (String::from_utf8_lossy(&request[..end]).to_lowercase(), &request[end + 4..]);
    let header = |name: &str| head.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    match header("content-length:").and_then(|length| length.parse().ok()) {
        Some(length) => body.len() >= length,
        None if header("transfer-encoding:").is_some() => body.ends_with(b"0\r\n\r\n"),
        None => true,
    }
}

/// Says that no more comes, and hears what is still said, so that nothing is lost on the way to it.
fn part(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    drain(stream);
}

fn drain(mut stream: &TcpStream) {
    let _ = io::copy(&mut stream, &mut io::sink());
}
