//! Results on lines that fail and from programs that are killed: afterwards each is on its server exactly once.

use std::{collections::BTreeMap, sync::Mutex, thread, time::Duration};

use pony_tests::{Dialect, Peer, Plan, Proxy, Serve, Stream, World};

/// Points of each test of faults; there are twelve such tests.
const POINTS: u64 = 42;
/// Kills of each test of kills; there are three.
const KILLS: u64 = 67;
/// Clients at once: most of their time is spent waiting for what does not come.
const CLIENTS: u64 = 4;
/// What each client is told of its patience.
const BOUNDS: &str = "delivery: {timeout: 0.6, uploads: 0.6, waiting: 0.4}\n";

/// A server of one kind, and how often it has each run.
enum At<'w> {
    Python(Peer<'w>),
    Ours(Serve<'w>),
}

impl<'w> At<'w> {
    fn start(world: &'w World, kind: &str) -> Self {
        match kind {
            "2009" => Self::Python(world.peer(Dialect::V2009)),
            "2010" => Self::Python(world.peer(Dialect::V2010)),
            _ => Self::Ours(world.serve_file("served.db")),
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Python(peer) => peer.port(),
            Self::Ours(serve) => serve.address().rsplit(':').next().unwrap().parse().unwrap(),
        }
    }

    /// How often each run of the package is there.
    fn runs(&self, package: &str) -> BTreeMap<String, u64> {
        match self {
            Self::Python(peer) => {
                peer.settle();
                peer.runs()
            }
            Self::Ours(serve) => {
                let mut runs = BTreeMap::new();
                let list = serve.json(&format!("/p/{package}/show_all?format=json"));
                for result in list["results"].as_array().expect("results") {
                    let key = result["key"].as_str().expect("a key");
                    let result = serve.json(&format!("/p/{package}/{key}/?format=json"));
                    let run = result["client_info"]["run_id"].as_str().expect("an id").to_owned();
                    *runs.entry(run).or_default() += 1;
                }
                runs
            }
        }
    }
}

/// The seed from which the numbers of a test go on: another one with `PONY_TESTS_SEED`.
fn seed() -> u64 {
    std::env::var("PONY_TESTS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125)
}

/// Does `work` for each number, some at once. A panic of one is the panic of all.
fn spread(numbers: std::ops::Range<u64>, work: impl Fn(u64) + Sync) {
    let numbers = Mutex::new(numbers);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let next = numbers.lock().unwrap().next();
                        let Some(number) = next else { break };
                        work(number);
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
    });
}

fn package(number: u64) -> String {
    format!("demo{number}")
}

fn recipe(world: &World, package: &str, steps: &str) {
    world.write("demo.yaml", format!("package: {package}\nsteps:\n{steps}"));
}

/// Every run of the world is on the server once, and nothing else is.
fn exactly_once(
    world: &World,
    at: &Mutex<At<'_>>,
    package: &str,
    builds: usize,
    what: &dyn std::fmt::Display,
) {
    let there = at.lock().unwrap().runs(package);
    let runs = world.runs();
    assert_eq!(runs.len(), builds, "{what}: none is built twice\n{}", world.listing());
    for run in runs {
        let id = run.path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(
            there.get(&id),
            Some(&1),
            "{what}: {id} is there exactly once\n{there:#?}\n{}",
            world.listing()
        );
    }
}

/// Two builds while the line fails as planned, then one submission while it does not.
fn faults(kind: &str, part: u64) {
    let there = World::new();
    let at = At::start(&there, kind);
    let line = at.port();
    let at = Mutex::new(at);
    spread(part * POINTS..(part + 1) * POINTS, |number| {
        let plan = Plan::random(seed() ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15), 2600, 340);
        let proxy = Proxy::to(line);
        let world = World::new();
        world.configure(BOUNDS);
        let package = package(number);
        recipe(&world, &package, "- run: echo out\n");
        let url = format!("http://{}/", proxy.address());
        proxy.set(&plan);
        for _ in 0..2 {
            let ended = world.pony(&["-s", &url, "demo.yaml"]).end();
            let delivered = !ended.err().contains("not delivered");
            ended.code(if delivered { 0 } else { 13 });
        }
        proxy.open();
        world.configure("");
        let ended = world.pony(&["submit", "--all"]).end().code(0);
        assert!(world.open_runs().is_empty(), "{kind} {number}, {plan}: {ended}\n{}", world.listing());
        exactly_once(&world, &at, &package, 2, &format!("{kind} {number}, {plan}: {ended}"));
    });
}

/// pony-run is killed somewhere between the last words of a build and its receipt; then what waits is submitted.
fn kills(kind: &str) {
    let there = World::new();
    let at = At::start(&there, kind);
    let line = at.port();
    let at = Mutex::new(at);
    spread(0..KILLS, |number| {
        let world = World::new();
        let package = package(number);
        recipe(&world, &package, "- run: echo the last words\n");
        let url = format!("http://127.0.0.1:{line}/");
        let mut chance = fastrand::Rng::with_seed(seed() + number);
        let delay = Duration::from_micros(chance.u64(0..40_000));
        let mut running = world.pony(&["-s", &url, "demo.yaml"]).start();
        running.until(Stream::Out, "the last words");
        // The one thing that a clock is for here: to come at any moment.
        thread::sleep(delay);
        let killed = running.kill();
        let ended = world.pony(&["submit"]).end().code(0);
        let what = format!("{kind} {number}, killed after {delay:?}: {killed}\n{ended}");
        assert!(world.open_runs().is_empty(), "{what}\n{}", world.listing());
        exactly_once(&world, &at, &package, 1, &what);
    });
}

macro_rules! tests {
    ($($name:ident: $test:expr;)*) => { $(#[test] fn $name() { $test; })* };
}

tests! {
    faults_before_pony_serve_1: faults("pony-serve", 0);
    faults_before_pony_serve_2: faults("pony-serve", 1);
    faults_before_pony_serve_3: faults("pony-serve", 2);
    faults_before_pony_serve_4: faults("pony-serve", 3);
    faults_before_2009_1: faults("2009", 0);
    faults_before_2009_2: faults("2009", 1);
    faults_before_2009_3: faults("2009", 2);
    faults_before_2009_4: faults("2009", 3);
    faults_before_2010_1: faults("2010", 0);
    faults_before_2010_2: faults("2010", 1);
    faults_before_2010_3: faults("2010", 2);
    faults_before_2010_4: faults("2010", 3);
    kills_before_pony_serve: kills("pony-serve");
    kills_before_2009: kills("2009");
    kills_before_2010: kills("2010");
}
