//! `cargo bench -p pony-server-lite`: sixteen clients send results to the program `pony-serve`, each call over its own
//! connection, as all clients do. Compares a server with 1,000 results to one
//! with 100,000: calls acknowledged in a second, and the time that the page with a package's slots takes.
#![allow(clippy::disallowed_methods, reason = "a benchmark sets up what it measures, and reads the clock")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on fails, and prints"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use pony_wire::{Call, ClientInfo, Slot, StepResult, Struct, Value};

const CLIENTS: usize = 16;
/// Rates are the best of so many: other work on the machine only ever slows one down.
const ROUNDS: usize = 3;
/// Bytes of output in each result.
const OUTPUT: usize = 4096;

fn main() {
    // Without `--bench` (`cargo test --benches`) only whether it runs.
    let (few, many, sample) = if std::env::args().any(|argument| argument == "--bench") {
        (1_000, 100_000, 1_500)
    } else {
        (20, 100, 20)
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let servers = [few, many].map(|size| {
        let server = Program::start(&folder.path().join(format!("{size}.db")));
        server.add(size);
        server
    });
    // Alternately, so that other work on the machine slows both alike.
    let pages = page_times(&servers);
    let mut rates = [0.0_f64; 2];
    for _ in 0..ROUNDS {
        for (server, rate) in servers.iter().zip(&mut rates) {
            *rate = rate.max(server.add(sample));
        }
    }
    for ((size, rate), page) in [few, many].iter().zip(rates).zip(pages) {
        println!("at {size:>7} results: {rate:>6.0} add_results/s, slot page {:>6.3} ms", page * 1e3);
    }
    println!(
        "ratio:              {:>6.2} (bar: at least 0.8),  {:>6.2} (bar: 0.8 to 1.2)",
        rates[1] / rates[0],
        pages[1] / pages[0]
    );
}

/// Seconds that the slot page takes on each server: the median of many, requested alternately.
fn page_times(servers: &[Program; 2]) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..1_000 {
        for (server, times) in servers.iter().zip(&mut times) {
            let start = now();
            let page = exchange(server.address, b"GET /p/bench/ HTTP/1.0\r\n\r\n");
            times.push(start.elapsed().as_secs_f64());
            assert!(page.contains("client15"), "{page}");
        }
    }
    times.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    #[expect(clippy::disallowed_methods, reason = "the program itself is measured")]
    fn start(data: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pony-serve"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split(['/', ' ']).find_map(|word| word.parse().ok()).unwrap();
        Self { child, address }
    }

    /// Sends results from all clients at once; how many a second were acknowledged.
    fn add(&self, count: usize) -> f64 {
        let left = AtomicUsize::new(count);
        let start = now();
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let left = &left;
                scope.spawn(move || {
                    let request = request(client);
                    while left
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                        .is_ok()
                    {
                        let answer = exchange(self.address, &request);
                        assert!(answer.contains("<int>"), "{answer}");
                    }
                });
            }
        });
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let count = count as f64;
        count / start.elapsed().as_secs_f64()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "this measures")]
fn now() -> Instant {
    Instant::now()
}

fn request(client: usize) -> Vec<u8> {
    let slot = Slot {
        package: "bench".to_owned(),
        host: format!("client{client}"),
        arch: "linux-x86_64".to_owned(),
        tags: vec!["load".to_owned()],
    };
    let output = "cc -O2 -c <source>.c && echo \"done\"\n".repeat(OUTPUT / 35 + 1);
    let step = StepResult {
        status: Some(0),
        name: Some("make".to_owned()),
        kind: Some("build".to_owned()),
        command: Some("make".to_owned()),
        output: Some(output[..OUTPUT].to_owned()),
        errout: Some(String::new()),
        ..StepResult::default()
    };
    let extra = Struct::from([("duration".to_owned(), Value::Double(1.5))]);
    let call = Call::AddResults {
        client_info: ClientInfo { slot, success: Some(true), extra },
        results: vec![step],
    };
    let body = call.encode();
    let head =
        format!("POST /xmlrpc HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
