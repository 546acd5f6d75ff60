//! `cargo bench -p pony-runner --bench graph`: graphs of builds, measured.
//!
//! Prints figures; asserts nothing, because machines are noisy. A word after `--` picks the measurements whose name holds it.
#![allow(clippy::disallowed_methods, reason = "a benchmark sets up what it measures, and reads the clock")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::resource::{UsageWho, getrusage};

use pony_runner::{
    graph::{self, Disk, Graph, GraphRequest},
    platform,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let wanted = arguments.iter().find(|word| !word.starts_with('-')).map_or("", String::as_str);
    if let ["--rss", command @ ..] = arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        return report_rss(command);
    }
    let all: [(&str, Measurement); 3] = [("resolve", resolve), ("builds", builds), ("printing", printing)];
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

/// `count` recipes of which each needs up to four of those that come after it; the first leads to all of them.
fn recipes(folder: &Path, count: usize) -> PathBuf {
    for number in 0..count {
        let mut needs = String::new();
        for further in [1, 7, 31, 211] {
            if number + further < count {
                let with = if further == 7 { ", with: {flags: -O3}" } else { "" };
                let _ =
                    writeln!(needs, "  - {{recipe: lib-{}.yaml, as: need{further}{with}}}", number + further);
            }
        }
        let needs = if needs.is_empty() { needs } else { format!("needs:\n{needs}") };
        let text = format!(
            "package: lib-{number}
source: {{git: 'https://git.example.org/lib-{number}.git', branch: main}}
variables: {{flags: -O2, prefix: '/opt/{{{{host}}}}'}}
environment: {{CFLAGS: '{{{{flags}}}}', LC_ALL: C.UTF-8}}
outputs: {{prefix: install}}
{needs}timeout: 1h
steps:
  - {{name: configure, run: './configure --prefix=$PWD/install'}}
  - {{name: make, run: 'make -j{{{{jobs}}}}'}}
  - {{name: test, type: test, run: [make, check, 'DIR={{{{prefix}}}}']}}
  - {{name: install, run: make install}}
"
        );
        fs::write(folder.join(format!("lib-{number}.yaml")), text).expect("a recipe");
    }
    folder.join("lib-0.yaml")
}

fn resolve(folder: &Path) {
    const RECIPES: usize = 2000;
    let first = [recipes(folder, RECIPES)];
    let facts = platform::of_this_machine();
    let request = GraphRequest { recipes: &first, settings: &[], cells: &[] };
    let mut took: Vec<Duration> = Vec::new();
    let mut builds = 0;
    for _ in 0..5 {
        let start = now();
        let graph: Graph = graph::resolve(request, &facts, &mut Disk).expect("a graph");
        took.push(start.elapsed());
        builds = graph.builds.len();
    }
    took.sort_unstable();
    println!("  {RECIPES} recipes, {builds} builds: {:.1?}", took[took.len() / 2]);
}

const PONY_RUN: &str = env!("CARGO_BIN_EXE_pony-run");

/// Runs a command and says what the largest of it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark spawns")]
fn report_rss(command: &[&str]) {
    let (program, arguments) = command.split_first().expect("a command");
    let ended = Command::new(program).args(arguments).stdout(Stdio::null()).status().expect("it starts");
    assert!(ended.success(), "{command:?} ended with {ended}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("what children took");
    println!("{}", usage.max_rss());
}

/// Runs `command` in `folder`: how long it takes, and KiB of the largest process of it.
#[expect(clippy::disallowed_methods, reason = "a benchmark spawns")]
fn run(folder: &Path, command: &[&str], out: &str) -> (Duration, u64) {
    let file = |name: String| File::create(folder.join(name)).expect("a file");
    let start = now();
    let ended = Command::new(std::env::current_exe().expect("this program"))
        .arg("--rss")
        .args(command)
        .env("PONY_HOME", folder.join(format!("home-{out}")))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(file(format!("{out}.err")))
        .output()
        .expect("it starts");
    assert!(ended.status.success(), "{command:?}: {ended:?}");
    let took = start.elapsed();
    let said = String::from_utf8_lossy(&ended.stdout);
    let kib = said.lines().last().and_then(|line| line.parse().ok()).expect("a number");
    (took, kib)
}

/// Numbers that look like chance, the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit.max(1)
    }
}

/// 2,000 builds that need each other at random, each of them `true`; against make, which records nothing.
fn builds(folder: &Path) {
    const BUILDS: usize = 2000;
    let mut dice = Dice(7);
    let mut makefile = String::new();
    let mut needed = vec![false; BUILDS];
    for number in 0..BUILDS {
        let mut needs: Vec<usize> =
            (0..dice.below(4)).map(|_| number.saturating_sub(1 + dice.below(60))).collect();
        needs.retain(|need| *need < number);
        needs.sort_unstable();
        needs.dedup();
        for need in &needs {
            needed[*need] = true;
        }
        let list = |join: &str| needs.iter().map(|need| format!("b{need}")).collect::<Vec<_>>().join(join);
        let _ = writeln!(makefile, "b{number}: {}\n\t@true # $@", list(" "));
        let recipe = format!(
            "package: b{number}\n{}steps: [{{run: [\"true\"]}}]\n",
            if needs.is_empty() { String::new() } else { format!("needs: [{}]\n", list(", ")) }
        );
        fs::write(folder.join(format!("b{number}.yaml")), recipe).expect("a recipe");
    }
    let roots = (0..BUILDS).filter(|number| !needed[*number]).map(|number| format!("b{number}"));
    let roots: Vec<String> = roots.collect();
    let _ = writeln!(makefile, ".PHONY: all {}\nall: {}", roots.join(" "), roots.join(" "));
    fs::write(folder.join("Makefile"), makefile).expect("a Makefile");
    let recipes: Vec<String> = roots.iter().map(|root| format!("{root}.yaml")).collect();
    for (name, options) in [("recorded", vec!["-n"]), ("recorded and delivered", vec![])] {
        let out = name.replace(' ', "-");
        let command = [PONY_RUN, "--output", "none"].into_iter().chain(options);
        let command: Vec<&str> = command.chain(recipes.iter().map(String::as_str)).collect();
        let (took, kib) = run(folder, &command, &out);
        report_each(name, took, BUILDS);
        println!("  {:24} {:.1} MB at most", "", f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0);
    }
    let (took, _) = run(folder, &["make", "-j2", "all"], "make");
    report_each("make -j2", took, BUILDS);
}

fn report_each(name: &str, took: Duration, count: usize) {
    let each = took.as_secs_f64() * 1000.0 / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    println!("  {name:24} {took:.2?}, {each:.2} ms each");
}

/// Eight builds that print 50 MB each at once.
fn printing(folder: &Path) {
    const MB: usize = 50;
    let line = "x".repeat(99);
    for number in 0..8 {
        let step = format!("yes {line} | head -c {}", MB * 1_000_000);
        let recipe = format!("package: p{number}\nsteps: [{{name: print, run: '{step}'}}]\n");
        fs::write(folder.join(format!("p{number}.yaml")), recipe).expect("a recipe");
    }
    let recipes: Vec<String> = (0..8).map(|number| format!("p{number}.yaml")).collect();
    for (name, options) in
        [("interleaved", &["-n"][..]), ("none", &["-n", "--output", "none"]), ("interleaved, delivered", &[])]
    {
        let command = [PONY_RUN, "-j8"].iter().chain(options).copied();
        let command: Vec<&str> = command.chain(recipes.iter().map(String::as_str)).collect();
        let (took, kib) = run(folder, &command, name);
        println!("  {name:24} {took:.2?}, {} MB at most", kib / 1024);
    }
}
