//! Readers of stdout and stderr that stall: nothing that acts on time or on signals waits for them, and nothing is lost.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    os::fd::AsFd,
    path::Path,
    thread,
};

use nix::{
    pty::openpty,
    sys::{
        signal::Signal,
        termios::{FlowArg, tcflow},
    },
};
use pony_tests::{Call, World};

/// More than any pipe or terminal takes.
const PRINTED: usize = 1_000_000;

/// A step that prints more than is read, says so, and says when TERM has come. `traps` is its last word on TERM.
fn step(traps: &str) -> String {
    format!(
        "trap '{traps}' TERM; head -c {PRINTED} /dev/zero | tr '\\0' x; echo full > ../tell; sleep 60 & wait || :; sleep 60"
    )
}

/// What the step says, line by line.
fn told(world: &World) -> impl Iterator<Item = String> + use<> {
    let path = world.fifo("tell");
    // Open for both, so that who writes never waits.
    let pipe = File::options().read(true).write(true).open(path).unwrap();
    BufReader::new(pipe).lines().map(Result::unwrap)
}

/// `call` with both streams in this file.
fn into<'w>(call: Call<'w>, file: &Path) -> Call<'w> {
    call.through(&[
        "sh",
        "-c",
        "out=$1; shift; exec \"$@\" > \"$out\" 2>&1",
        "sh",
        &file.display().to_string(),
    ])
}

/// Recipes of that many builds, each in a folder below `work`.
fn recipes(world: &World, count: usize, rest: &str) -> Vec<String> {
    let write = |number: usize| {
        let name = format!("b{number}/b{number}.yaml");
        world.write(&name, format!("package: demo{number}\ncontext: here\n{rest}"));
        name
    };
    (0..count).map(write).collect()
}

fn stalled(world: &World, count: usize, rest: &str, arguments: &[&str]) -> (Vec<String>, File) {
    let recipes = recipes(world, count, rest);
    let screen = world.fifo("screen");
    // Somebody has it open, and does not read.
    let reader = File::options().read(true).write(true).open(screen).unwrap();
    let words = [arguments, &["-n", "-j", "8"]].concat().into_iter().map(str::to_owned);
    (words.chain(recipes).collect(), reader)
}

/// All that is printed until the end, read on a thread of its own once that is wanted.
fn read_all(world: &World) -> thread::JoinHandle<Vec<u8>> {
    let mut pipe = File::open(world.path("work/screen")).unwrap();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

#[test]
fn timeouts_act_on_time_and_whoever_reads_on_gets_all_of_it() {
    for count in [1, 8] {
        let world = World::new();
        let mut told = told(&world);
        let rest = format!(
            "steps:\n- name: slow\n  timeout: 2s\n  run: {}\n",
            serde_json::json!(step("echo late > ../tell; exit 1"))
        );
        let (words, reader) = stalled(&world, count, &rest, &[]);
        let live = into(world.pony(&words), &world.path("work/screen")).start();
        // Each says so when it is told to end, though nobody has read a byte.
        let mut late = 0;
        while late < count {
            late += usize::from(told.next().unwrap() == "late");
        }
        let all = read_all(&world);
        drop(reader);
        live.end().code(10);
        let all = all.join().unwrap();
        let printed = all.split(|byte| *byte == b'x').count() - 1;
        assert_eq!(printed / PRINTED, count);
        for run in world.runs() {
            let step = run.step("slow");
            assert_eq!((&step["outcome"], &step["out"]["bytes"]), (&"timed-out".into(), &PRINTED.into()));
        }
        assert_eq!(world.runs().len(), count);
    }
}

#[test]
fn a_signal_acts_at_once_though_nobody_reads() {
    for count in [1, 8] {
        let world = World::new();
        let mut told = told(&world);
        let rest = format!("steps:\n- {{name: work, run: {}}}\n", serde_json::json!(step("exit 1")));
        let (words, _reader) = stalled(&world, count, &rest, &[]);
        let live = into(world.pony(&words), &world.path("work/screen")).start();
        assert!((0..count).all(|_| told.next().unwrap() == "full"));
        live.signal(Signal::SIGTERM);
        // It ends, and never had a reader.
        live.end().code(143);
        for run in world.runs() {
            let step = run.step("work");
            assert_eq!((&step["outcome"], &step["out"]["bytes"]), (&"cancelled".into(), &PRINTED.into()));
        }
        assert_eq!((world.runs().len(), world.build_processes().len()), (count, 0));
    }
}

#[test]
fn a_second_signal_kills_though_nobody_reads() {
    let world = World::new();
    let mut told = told(&world);
    let rest = format!("steps:\n- {{name: work, run: {}}}\n", serde_json::json!(step("echo late > ../tell")));
    let (words, _reader) = stalled(&world, 1, &rest, &[]);
    let live = into(world.pony(&words), &world.path("work/screen")).start();
    assert_eq!(told.next().unwrap(), "full");
    live.signal(Signal::SIGTERM);
    assert_eq!(told.next().unwrap(), "late");
    live.signal(Signal::SIGTERM);
    live.end().code(143);
    assert_eq!(world.run().step("work")["status"], -9);
}

#[test]
fn a_terminal_that_was_stopped_with_ctrl_s_stops_nothing_else() {
    let world = World::new();
    let mut told = told(&world);
    let rest = format!("steps:\n- {{name: work, run: {}}}\n", serde_json::json!(step("exit 1")));
    let recipes = recipes(&world, 1, &rest);
    let terminal = openpty(None, None).unwrap();
    tcflow(terminal.slave.as_fd(), FlowArg::TCOOFF).unwrap();
    let path = nix::unistd::ttyname(terminal.slave.as_fd()).unwrap();
    let live = into(world.pony(&["-n", &recipes[0]]).env("TERM", "xterm"), &path).start();
    assert_eq!(told.next().unwrap(), "full");
    live.signal(Signal::SIGTERM);
    live.end().code(143);
    assert_eq!(world.run().step("work")["outcome"], "cancelled");
}
