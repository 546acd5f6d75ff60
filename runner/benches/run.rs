//! `cargo bench -p pony-runner`: whole runs of `pony-run`, measured against a peer in the same run.
//!
//! Prints figures and ratios; asserts nothing, because machines are noisy. A word after `--` picks the measurements whose
//! name holds it.
#![allow(clippy::disallowed_methods, reason = "a benchmark sets up what it measures, and reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::resource::{UsageWho, getrusage};

const PONY_RUN: &str = env!("CARGO_BIN_EXE_pony-run");
const MB: u64 = 1_000_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--print", bytes] => print_bytes(bytes.parse().expect("a number of bytes")),
        ["--stamp", lines] => print_stamps(lines.parse().expect("a number of lines")),
        ["--rss", command @ ..] => report_rss(command),
        words => {
            let wanted = words.iter().find(|word| !word.starts_with('-')).copied().unwrap_or("");
            let all: [(&str, Measurement); 6] = [
                ("startup", startup),
                ("latency", latency),
                ("steps", steps),
                ("throughput", throughput),
                ("memory", memory),
                ("slow reader", slow_reader),
            ];
            for (name, measure) in all.into_iter().filter(|(name, _)| name.contains(wanted)) {
                println!("{name}");
                measure(&Room::new());
            }
        }
    }
}

/// Measures in a fresh place and prints what it found.
type Measurement = fn(&Room);

/// A fresh place for run folders and recipes.
struct Room {
    dir: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn recipe(&self, steps: &str) -> PathBuf {
        let path = self.path("recipe.yaml");
        fs::write(&path, format!("package: bench\nsteps:\n{steps}")).expect("a recipe");
        path
    }

    #[expect(clippy::disallowed_methods, reason = "a benchmark has no runner to spawn for it")]
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("PONY_HOME", self.path("home")).env_remove("PONY_SERVER").stdin(Stdio::null());
        command
    }

    fn pony_run(&self, recipe: &Path) -> Command {
        let mut command = self.command(PONY_RUN);
        command.arg(recipe).stderr(Stdio::null()).stdout(File::create("/dev/null").expect("/dev/null"));
        command
    }
}

fn this_program() -> String {
    std::env::current_exe().expect("a path").display().to_string()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn time(command: &mut Command) -> Duration {
    let start = now();
    let status = command.status().expect("it starts");
    let elapsed = start.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    elapsed
}

/// The medians of two commands that take turns.
fn medians(
    rounds: usize,
    mut a: impl FnMut() -> Duration,
    mut b: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        times[0].push(a());
        times[1].push(b());
    }
    let [mut a, mut b] = times;
    a.sort_unstable();
    b.sort_unstable();
    (a[rounds / 2], b[rounds / 2])
}

fn startup(room: &Room) {
    let version = || time(room.command(PONY_RUN).arg("--version").stdout(Stdio::null()));
    let (version, _) = medians(21, version, || Duration::ZERO);
    println!("  pony-run --version: {version:.1?}");
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let recipes = fs::read_dir(recipes).expect("recipes").map(|entry| entry.expect("an entry").path());
    for recipe in recipes.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")) {
        let check = || time(room.command(PONY_RUN).arg("check").arg(&recipe).stdout(Stdio::null()));
        let (check, _) = medians(21, check, || Duration::ZERO);
        println!("  pony-run check {}: {check:.1?}", recipe.file_name().unwrap_or_default().display());
    }
}

fn steps(room: &Room) {
    const STEPS: u32 = 200;
    let recipe = room.recipe(&"  - run: [\"true\"]\n".repeat(STEPS as usize));
    let script = "/bin/true\n".repeat(STEPS as usize);
    let (ours, sh) =
        medians(7, || time(&mut room.pony_run(&recipe)), || time(room.command("sh").args(["-c", &script])));
    let over = ours.saturating_sub(sh) / STEPS;
    println!("  {STEPS} steps of `true`: {ours:.1?}; sh: {sh:.1?}; {over:.2?} a step above sh");
}

fn throughput(room: &Room) {
    let bytes = 2000 * MB;
    let program = this_program();
    let recipe = room.recipe(&format!("  - run: [{program:?}, --print, {bytes}]\n"));
    let log = room.path("tee.log");
    let ours = || {
        let took = time(&mut room.pony_run(&recipe));
        let _ = fs::remove_dir_all(room.path("home"));
        took
    };
    let tee = || {
        let script = format!("'{program}' --print {bytes} | tee '{}' >/dev/null", log.display());
        let took = time(room.command("sh").args(["-c", &script]));
        let _ = fs::remove_file(&log);
        took
    };
    let (ours, tee) = medians(5, ours, tee);
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let rate = |took: Duration| bytes as f64 / 1e9 / took.as_secs_f64();
    let ratio = tee.as_secs_f64() / ours.as_secs_f64();
    println!("  2 GB: pony-run {:.2} GB/s, tee {:.2} GB/s, ratio {ratio:.2}", rate(ours), rate(tee));
}

fn memory(room: &Room) {
    let program = this_program();
    for bytes in [100 * MB, 2000 * MB, 10_000 * MB] {
        let recipe = room.recipe(&format!("  - run: [{program:?}, --print, {bytes}]\n"));
        let output =
            room.command(&program).args(["--rss", PONY_RUN]).arg(&recipe).output().expect("it starts");
        println!(
            "  {} MB printed: peak RSS {} kB",
            bytes / MB,
            String::from_utf8_lossy(&output.stdout).trim()
        );
        let _ = fs::remove_dir_all(room.path("home"));
    }
}

/// With a reader that takes 10 MB a second, and with one that takes nothing: when all is recorded, and how much memory that took.
fn slow_reader(room: &Room) {
    let program = this_program();
    let recipe = room.recipe(&format!("  - run: [{program:?}, --print, {}]\n", 2000 * MB));
    for rate in [10 * MB, 0] {
        let start = now();
        let mut child = room.pony_run(&recipe).arg("-n").stdout(Stdio::piped()).spawn().expect("it starts");
        let mut out = child.stdout.take().expect("a pipe");
        let status = format!("/proc/{}/status", child.id());
        let mut part = vec![0; 100_000];
        let mut peak = String::new();
        let recorded = loop {
            let pause = Duration::from_millis(10);
            std::thread::sleep(pause);
            if rate > 0 {
                out.read_exact(&mut part).expect("it prints");
            }
            let text = fs::read_to_string(&status).expect("it runs");
            peak = text.lines().find(|line| line.starts_with("VmHWM")).map_or(peak, str::to_owned);
            if results(&room.path("home/runs/bench")) > 0 {
                break start.elapsed();
            }
        };
        println!("  {} MB/s: 2 GB recorded in {recorded:.1?}, {}", rate / MB, peak.replace('\t', " "));
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        let _ = fs::remove_dir_all(room.path("home"));
    }
}

/// How many runs below this folder have a result.
fn results(package: &Path) -> usize {
    let runs = fs::read_dir(package).into_iter().flatten().filter_map(Result::ok);
    runs.filter(|run| run.path().join("result.json").exists()).count()
}

fn latency(room: &Room) {
    let program = this_program();
    let recipe = room.recipe(&format!("  - run: [{program:?}, --stamp, 100]\n"));
    let mut child = room.pony_run(&recipe).stdout(Stdio::piped()).spawn().expect("it starts");
    let out = child.stdout.take().expect("a pipe");
    println!("  into a pipe: {}", delays(out));
    child.wait().expect("it ends");

    let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(&size, None).expect("a terminal");
    let screen = |fd: &std::os::fd::OwnedFd| Stdio::from(fd.try_clone().expect("a copy"));
    let mut command = room.command(PONY_RUN);
    command.arg(&recipe).env("TERM", "xterm").env_remove("CI");
    let mut child = command.stdout(screen(&pty.slave)).stderr(screen(&pty.slave)).spawn().expect("it starts");
    drop((command, pty.slave));
    println!("  on a terminal: {}", delays(File::from(pty.master)));
    child.wait().expect("it ends");
}

/// How long after its printing each stamped line was read.
fn delays(screen: impl Read) -> String {
    let mut delays: Vec<Duration> = Vec::new();
    for line in BufReader::new(screen).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        let Some((_, stamp)) = line.split_once("stamp ") else { continue };
        let digits: String = stamp.chars().take_while(char::is_ascii_digit).collect();
        let stamp = Duration::from_nanos(digits.parse().expect("nanoseconds"));
        delays.push(wall().saturating_sub(stamp));
    }
    delays.sort_unstable();
    let last = delays.last().copied().unwrap_or_default();
    format!("{} lines, median {:.2?}, slowest {last:.2?}", delays.len(), delays[delays.len() / 2])
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

// -- what the measured runs start

fn print_bytes(bytes: u64) {
    let block =
        b"cc -O2 -Wall -o build/objects/some_module.o -c source/some_module.c   # line of text\n".repeat(760);
    let mut out = io::stdout().lock();
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        out.write_all(&block[..count]).expect("it is read");
        left -= count as u64;
    }
}

fn print_stamps(lines: u32) {
    let mut out = io::stdout().lock();
    for _ in 0..lines {
        writeln!(out, "stamp {}", wall().as_nanos()).and_then(|()| out.flush()).expect("it is read");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark has no runner to spawn for it")]
fn report_rss(command: &[&str]) {
    let (program, arguments) = command.split_first().expect("a command");
    let null = || File::create("/dev/null").expect("/dev/null");
    let status =
        Command::new(program).args(arguments).stdout(null()).stderr(null()).status().expect("it starts");
    assert!(status.success(), "{command:?}: {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
    println!("{}", usage.max_rss());
}
