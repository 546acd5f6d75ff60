//! `cargo bench -p pony-runner --bench delivery`: results on their way to pony-serve, measured.
//!
//! Prints figures; asserts nothing, because machines are noisy. A word after `--` picks the measurements whose name holds it.
#![allow(clippy::disallowed_methods, reason = "a benchmark sets up what it measures, and reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};
use pony_server_lite::Server;
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

const PONY_RUN: &str = env!("CARGO_BIN_EXE_pony-run");

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let ["--rss", command @ ..] = arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        return report_rss(command);
    }
    let wanted = arguments.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
    let all: [(&str, Measurement); 4] =
        [("waiting", waiting), ("next", next_build), ("large", large), ("files", files)];
    for (name, measure) in all.into_iter().filter(|(name, _)| name.contains(wanted)) {
        println!("{name}");
        let dir = tempfile::tempdir().expect("a temporary folder");
        measure(dir.path());
    }
}

/// Measures in a fresh folder and prints what it found.
type Measurement = fn(&Path);

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// A pony-serve in this process.
struct Served {
    runtime: Runtime,
    port: u16,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    fn start(folder: &Path, port: u16) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let data = folder.join("served.db");
        let (server, listener) = runtime.block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
            (Server::open(&data).await.expect("a results file"), listener)
        });
        let port = listener.local_addr().expect("an address").port();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = runtime.spawn(async move {
            server.serve(listener, async { drop(stopped.await) }).await.expect("it serves");
            server.close().await;
        });
        Self { runtime, port, stop, task }
    }

    fn end(self) {
        let _ = self.stop.send(());
        self.runtime.block_on(self.task).expect("it ends");
    }
}

/// An address at which nobody listens.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Runs pony-run: how long it takes, and KiB of its memory at the most.
#[expect(clippy::disallowed_methods, reason = "a benchmark spawns")]
fn pony(folder: &Path, arguments: &[&str]) -> (Duration, u64) {
    let start = now();
    let ended = Command::new(std::env::current_exe().expect("this program"))
        .args(["--rss", PONY_RUN])
        .args(arguments)
        .env("PONY_HOME", folder.join("home"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&ended.stdout);
    let kib = said.lines().last().and_then(|line| line.parse().ok());
    (took, kib.unwrap_or_else(|| panic!("{arguments:?}: {ended:?}")))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark spawns")]
fn report_rss(command: &[&str]) {
    let (program, arguments) = command.split_first().expect("a command");
    let ended = Command::new(program).args(arguments).stdout(Stdio::null()).status().expect("it starts");
    assert!(matches!(ended.code(), Some(0 | 13)), "{command:?} ended with {ended}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("what children took");
    println!("{}", usage.max_rss());
}

/// `count` results that wait for the server at `port`, made of one that ran.
fn outbox(folder: &Path, port: u16, count: u32) {
    let recipe = folder.join("demo.yaml");
    fs::write(
        &recipe,
        "package: demo\nsteps:\n- {name: make, run: 'seq 1000'}\n- {name: test, run: 'seq 1000 >&2'}\n",
    )
    .expect("a recipe");
    let server = format!("http://127.0.0.1:{port}/");
    pony(folder, &["--no-progress", "-s", &server, recipe.to_str().expect("text")]);
    let runs = folder.join("home/runs/demo");
    let first = fs::read_dir(&runs).expect("runs").next().expect("a run").expect("a run").path();
    let id = first.file_name().expect("a name").to_str().expect("text").to_owned();
    for number in 1..count {
        let copy_id = format!("{}-{number:08x}", id.split_once('-').expect("an id").0);
        let copy = runs.join(&copy_id);
        fs::create_dir(&copy).expect("a folder");
        for file in fs::read_dir(&first).expect("files").map(|file| file.expect("a file").path()) {
            let name = file.file_name().expect("a name").to_owned();
            if file.is_file() && !name.to_string_lossy().starts_with("waiting-") {
                let text = fs::read_to_string(&file).expect("text").replace(&id, &copy_id);
                fs::write(copy.join(name), text).expect("a copy");
            }
        }
        fs::write(folder.join("home/runs/.active").join(&copy_id), format!("demo/{copy_id}"))
            .expect("a marker");
    }
    // As if the server's time had come.
    fs::remove_dir_all(folder.join("home/servers")).expect("a folder");
    let _ = fs::remove_file(waiting_file(&first));
}

fn waiting_file(run: &Path) -> PathBuf {
    let files = fs::read_dir(run).expect("files").filter_map(Result::ok).map(|file| file.path());
    let is_waiting =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("waiting-"));
    files.into_iter().find(is_waiting).unwrap_or_default()
}

fn left(folder: &Path) -> usize {
    fs::read_dir(folder.join("home/runs/.active")).expect("markers").count()
}

fn waiting(folder: &Path) {
    for count in [1000_u32, 4000] {
        let folder = folder.join(count.to_string());
        fs::create_dir(&folder).expect("a folder");
        let port = free_port();
        outbox(&folder, port, count);
        let server = Served::start(&folder, port);
        let (took, kib) = pony(&folder, &["submit"]);
        server.end();
        println!(
            "  {count} results waiting: {:.0} a second, peak RSS {kib} kB, {} left",
            f64::from(count) / took.as_secs_f64(),
            left(&folder)
        );
    }
}

/// A build while a thousand results wait for a server that is down, and while nothing waits.
fn next_build(folder: &Path) {
    let port = free_port();
    outbox(folder, port, 1000);
    let recipe = folder.join("demo.yaml").display().to_string();
    let server = format!("http://127.0.0.1:{port}/");
    let median = |arguments: &[&str]| {
        let mut took: Vec<Duration> = (0..9).map(|_| pony(folder, arguments).0).collect();
        took.sort_unstable();
        took[took.len() / 2].as_secs_f64() * 1e3
    };
    let with = median(&["--no-progress", "-s", &server, &recipe]);
    fs::remove_dir_all(folder.join("home")).expect("a folder");
    let without = median(&["--no-progress", "-n", &recipe]);
    println!(
        "  a build while 1000 results wait for a server that is down: {with:.0} ms; with nothing waiting: {without:.0} ms"
    );
}

/// A result with 200 MB of logs.
fn large(folder: &Path) {
    let port = free_port();
    let recipe = folder.join("large.yaml");
    let step = |number: usize| {
        format!("- {{name: s{number}, run: 'yes a line of output of step {number} | head -c 50000000'}}\n")
    };
    let steps: String = (0..4).map(step).collect();
    fs::write(&recipe, format!("package: large\nsteps:\n{steps}")).expect("a recipe");
    let server = Served::start(folder, port);
    let address = format!("http://127.0.0.1:{}/", server.port);
    let recipe = recipe.display().to_string();
    pony(folder, &["--no-progress", "-n", &recipe]);
    let runs = folder.join("home/runs/large");
    let run = fs::read_dir(&runs).expect("runs").next().expect("a run").expect("a run").path();
    let (took, kib) = pony(folder, &["submit", "-s", &address, run.to_str().expect("text")]);
    server.end();
    let receipt = fs::read_dir(&run).expect("files").filter_map(Result::ok).map(|file| file.path());
    let receipt =
        receipt.into_iter().find(|path| path.to_string_lossy().contains("receipt-")).expect("a receipt");
    let receipt: Value = serde_json::from_slice(&fs::read(receipt).expect("a receipt")).expect("JSON");
    println!(
        "  200 MB of logs: {:.1} s, peak RSS {kib} kB, uploads {}",
        took.as_secs_f64(),
        receipt["uploads"].as_array().map_or(0, Vec::len)
    );
}

/// A server that takes everything and keeps nothing, so that the client alone is measured; its port.
fn sink() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            swallow(stream.expect("a connection")).expect("a request and its answer");
        }
    });
    port
}

fn swallow(stream: std::net::TcpStream) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(256 * 1024, stream);
    let (mut head, mut length) = (String::new(), 0);
    while reader.read_line(&mut head)? > 2 {
        let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
        length = line.strip_prefix("content-length: ").and_then(|it| it.parse().ok()).unwrap_or(length);
    }
    let mut body = reader.by_ref().take(length);
    let mut call = Vec::new();
    if head.starts_with("POST /xmlrpc") {
        body.read_to_end(&mut call)?;
    } else {
        io::copy(&mut body, &mut io::sink())?;
    }
    let key = "<array><data><value><int>1</int></value><value><string>key</string></value></data></array>";
    let adds = call.windows(11).any(|window| window == b"add_results");
    let value = if adds { key } else { "<int>0</int>" };
    let answer = format!(
        "<?xml version='1.0'?><methodResponse><params><param><value>{value}</value></param></params></methodResponse>"
    );
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Pony-Build: sink\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    reader.get_mut().write_all((head + &answer).as_bytes())
}

/// Builds whose files follow them: a large one, many small ones, and a long log that is packed.
fn files(folder: &Path) {
    let address = format!("http://127.0.0.1:{}/", sink());
    for (what, make, upload) in [
        ("nothing", "true", "."),
        ("a file of 300 MB", "head -c 300000000 /dev/urandom >file", "file"),
        ("1000 files of 1 kB", "for i in $(seq 1000); do head -c 1000 /dev/zero >$i; done", "*"),
        ("a log of 200 MB", "seq 23000000", "."),
    ] {
        let recipe = folder.join("files.yaml");
        let upload = if upload == "." { String::new() } else { format!("- {{upload: '{upload}'}}\n") };
        fs::write(&recipe, format!("package: files\nsteps:\n- run: {make}\n{upload}")).expect("a recipe");
        let recipe = recipe.to_str().expect("text");
        let (took, kib) =
            pony(folder, &["--no-progress", "--message-format", "json", "-s", &address, recipe]);
        println!("  {what}: {:.1} s with the build, peak RSS {kib} kB", took.as_secs_f64());
    }
}
