//! A server on a loopback socket and a client that sends exactly the bytes it is given.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pony_server_lite::{Server, ServerLimits};
use pony_wire::{Answer, Call, ClientInfo, Slot, StepResult, Struct, Value, decode_answer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A server in a thread of its own. Stops, and closes its file, when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(data: &Path) -> Self {
        Self::with_limits(data, ServerLimits::DEFAULT)
    }

    pub(crate) fn with_limits(data: &Path, limits: ServerLimits) -> Self {
        let data = data.to_owned();
        Self::spawn(async move |listener, stopped| {
            let server = Server::open(&data).await.unwrap().with_limits(limits);
            server.serve(listener, async { drop(stopped.await) }).await.unwrap();
            server.close().await;
        })
    }

    /// As a part of another program's router, below `path`.
    pub(crate) fn nested(data: &Path, path: &'static str) -> Self {
        let data = data.to_owned();
        Self::spawn(async move |listener, stopped| {
            let server = Server::open(&data).await.unwrap();
            let router = axum::Router::new().nest(path, server.router());
            axum::serve(listener, router)
                .with_graceful_shutdown(async { drop(stopped.await) })
                .await
                .unwrap();
            server.close().await;
        })
    }

    /// `serve` gets a listener whose address is known already, so that requests wait in its queue until it serves.
    fn spawn(serve: impl AsyncFnOnce(TcpListener, oneshot::Receiver<()>) + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move { serve(TcpListener::from_std(listener).unwrap(), stopped).await });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn call(&self, call: &Call) -> Answer {
        call_at(self.address, call)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        get_at(self.address, path)
    }

    /// The key under which a result was stored.
    pub(crate) fn add(&self, client_info: ClientInfo, results: Vec<StepResult>) -> i64 {
        let answer = self.call(&Call::AddResults { client_info, results }).unwrap();
        match answer.as_array() {
            Some([Value::Int(key), Value::String(_)]) => *key,
            _ => panic!("{answer:?}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Waits until a condition holds that nothing announces, such as a file that is deleted after the reply.
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Compresses with gzip.
pub(crate) fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A reply to a request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The head as it came, with lower-case names.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn answer(&self) -> Answer {
        assert_eq!(self.status, 200, "{self:?}");
        decode_answer(&self.body).unwrap()
    }
}

/// Sends bytes and reads to the end of the connection.
pub(crate) fn send(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    reply(&mut stream)
}

pub(crate) fn reply(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no answer: {}", String::from_utf8_lossy(&bytes));
    });
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = bytes.split_off(end + 4);
    Reply { status, head, body }
}

pub(crate) fn get_at(address: SocketAddr, path: &str) -> Reply {
    send(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
}

/// Posts a body with headers of its own.
pub(crate) fn post_at(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Reply {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    send(address, &[head.as_bytes(), body].concat())
}

pub(crate) fn call_at(address: SocketAddr, call: &Call) -> Answer {
    post_at(address, "/xmlrpc", "Content-Type: text/xml\r\n", &call.encode()).answer()
}

pub(crate) fn slot(package: &str, host: &str, tags: &[&str]) -> Slot {
    Slot {
        package: package.to_owned(),
        host: host.to_owned(),
        arch: "linux-x86_64".to_owned(),
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
    }
}

pub(crate) fn info(package: &str, host: &str, success: bool) -> ClientInfo {
    ClientInfo { slot: slot(package, host, &["t"]), success: Some(success), extra: Struct::new() }
}

pub(crate) fn step(name: &str, status: i64, output: &str) -> StepResult {
    StepResult {
        name: Some(name.to_owned()),
        status: Some(status),
        kind: Some("build".to_owned()),
        command: Some(format!("make {name}")),
        output: Some(output.to_owned()),
        errout: Some(String::new()),
        ..StepResult::default()
    }
}

pub(crate) fn check(info: &ClientInfo, reserve: bool, allowance: f64) -> Call {
    let client_info = ClientInfo { success: None, ..info.clone() };
    Call::CheckShouldBuild { client_info, reserve, allowance }
}

/// Stores a result of the package `p`; the key that may add files to it.
pub(crate) fn key_for_files(address: SocketAddr) -> String {
    let call = Call::AddResults { client_info: info("p", "h", true), results: vec![step("make", 0, "x")] };
    match call_at(address, &call).unwrap().as_array() {
        Some([Value::Int(_), Value::String(auth)]) => auth.clone(),
        other => panic!("{other:?}"),
    }
}

/// The address of an upload, percent-encoded.
pub(crate) fn upload_path(auth: &str, name: &str) -> String {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    format!("/upload?filename={name}&description=some+words&auth_key={auth}&visible=yes")
}

pub(crate) fn upload(address: SocketAddr, auth: &str, name: &str, body: &[u8]) -> Reply {
    post_at(address, &upload_path(auth, name), "", body)
}

/// The two parts of an answer to `check_should_build`.
pub(crate) fn should_build(answer: &Answer) -> (bool, String) {
    match answer.as_ref().unwrap().as_array() {
        Some([Value::Bool(build), Value::String(reason)]) => (*build, reason.clone()),
        other => panic!("{other:?}"),
    }
}
