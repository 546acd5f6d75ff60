//! Runs that are stopped: by time, by silence, by a person; and what is left of their processes.

use nix::sys::signal::Signal;
use pony_tests::{Dialect, Stream, World};

#[test]
fn a_step_that_takes_too_long_is_stopped() {
    let world = World::new();
    let recipe = world
        .recipe("steps:\n- {name: slow, run: 'echo begun; sleep 60', timeout: 0.5}\n- run: touch never\n");
    let ended = world.pony(&["-n", recipe]).end().code(10).err_has("timed out after ");
    let run = world.run();
    assert_eq!(run.outcomes(), ["timed-out", "skipped"], "{ended}");
    assert_eq!(run.result()["outcome"], "timed-out");
    assert_eq!(run.step("slow")["status"], -15);
    assert_eq!(run.text("01-slow.out"), "begun\n");
    assert!(world.processes().is_empty(), "{:?}", world.processes());
}

#[test]
fn a_step_that_falls_silent_is_stopped() {
    let world = World::new();
    let recipe = world
        .recipe("steps:\n- {name: mute, run: 'echo a; sleep 0.3; echo b; sleep 60', quiet-timeout: 600ms}\n");
    let ended = world
        .pony(&["-n", recipe])
        .end()
        .code(10)
        .out_is("a\nb\n")
        .err_has("mute stopped: no output for 0.6 s");
    assert_eq!(world.run().outcomes(), ["quiet"], "{ended}");
    assert_eq!(world.run().result()["outcome"], "quiet");
}

#[test]
fn a_step_that_keeps_talking_is_not_silent() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:\n- {run: 'for i in 1 2 3 4 5 6; do echo $i >&2; sleep 0.15; done', quiet-timeout: 500ms}\n",
    );
    world.pony(&["-n", recipe]).end().code(0);
}

#[test]
fn a_run_that_takes_too_long_is_stopped() {
    let world = World::new();
    let recipe = world.recipe(
        "timeout: 0.7\nsteps:\n- run: sleep 0.2\n- {name: slow, run: sleep 60}\n- run: touch never\n",
    );
    let ended = world.pony(&["-n", recipe]).end().code(10).err_has("the run took longer than");
    let run = world.run();
    assert_eq!(run.outcomes(), ["passed", "timed-out", "skipped"], "{ended}");
    assert_eq!(run.result()["outcome"], "timed-out");
}

#[test]
fn what_exits_well_after_it_was_stopped_has_not_passed() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- {name: slow, run: 'trap \"exit 0\" TERM; sleep 60 & wait', timeout: 0.3}\n");
    let ended = world.pony(&["-n", recipe]).end().code(10);
    let step = world.run().step("slow");
    assert_eq!((&step["outcome"], &step["status"]), (&"timed-out".into(), &(-15).into()), "{ended}");
}

#[test]
fn ctrl_c_ends_the_step_and_skips_the_rest() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:
- {name: work, run: 'trap \"echo got TERM; exit 1\" TERM; echo ready; sleep 60 & wait'}
- {name: next, run: touch never}
- {name: clean, run: echo cleaning, always: true}
",
    );
    let mut live = world.pony(&[recipe]).start();
    live.until(Stream::Out, "ready");
    live.signal(Signal::SIGINT);
    let ended = live.end().code(130).out_has("got TERM");
    let run = world.run();
    assert_eq!(run.outcomes()[..2], ["cancelled", "skipped"], "{ended}");
    assert_eq!(run.result()["outcome"], "cancelled");
    assert_eq!(run.result()["signal"], 2);
    assert!(world.processes().is_empty() && world.temporary().is_empty(), "{ended}");
    // This machine's own server can tell it from a failure, so it has it.
    assert_eq!(run.receipts().len(), 1, "{ended}");
}

#[test]
fn sigterm_and_sighup_stop_a_run_like_ctrl_c() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let world = World::new();
        let recipe = world.recipe("steps:\n- run: echo ready; sleep 60\n");
        let mut live = world.pony(&["-n", recipe]).start();
        live.until(Stream::Out, "ready");
        live.signal(signal);
        let ended = live.end().code(code);
        assert_eq!(world.run().result()["outcome"], "cancelled", "{ended}");
        assert!(world.processes().is_empty(), "{ended}");
    }
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:\n- {name: stubborn, run: 'trap \"echo not yet\" TERM; echo ready; while :; do sleep 0.1 || :; done'}\n",
    );
    let mut live = world.pony(&["-n", recipe]).start();
    live.until(Stream::Out, "ready");
    live.signal(Signal::SIGINT);
    live.until(Stream::Out, "not yet");
    live.signal(Signal::SIGINT);
    let ended = live.end().code(130);
    // Without the second signal it would have been given ten seconds more.
    assert!(ended.took.as_secs() < 10, "{ended}");
    assert_eq!(world.run().step("stubborn")["status"], -9, "{ended}");
    assert!(world.processes().is_empty(), "{ended}");
}

#[test]
fn a_run_that_was_stopped_is_not_sent_to_servers_that_know_only_red_and_green() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    let recipe = world.recipe("steps:\n- run: echo ready; sleep 60\n");
    let mut live = world.pony(&["-s", &server.url(), recipe]).start();
    live.until(Stream::Out, "ready");
    live.signal(Signal::SIGINT);
    let ended = live.end().code(130);
    assert!(server.stored().results.is_empty(), "{ended}");
    world.pony(&["submit"]).end().code(0).err_has("Nothing is waiting to be sent");
}

#[test]
fn the_recipes_after_the_one_that_was_stopped_do_not_run() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo ready; sleep 60\n");
    world.write("next.yaml", "package: next\nsteps:\n- run: echo ready\n");
    let mut live = world.pony(&["-n", "-j1", recipe, "next.yaml"]).start();
    live.until(Stream::Out, "ready");
    live.signal(Signal::SIGINT);
    let ended = live.end().code(130);
    assert_eq!(ended.out().matches("ready").count(), 1, "{ended}");
    assert_eq!(world.runs().len(), 1);
}

#[test]
fn ctrl_c_ends_a_checkout() {
    let world = World::new();
    // A server that accepts and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    let recipe = world.recipe(&format!("source: {{git: '{url}'}}\nsteps:\n- run: touch never\n"));
    let live = world.pony(&["-n", recipe]).start();
    let connection = listener.accept().unwrap();
    live.signal(Signal::SIGINT);
    let ended = live.end().code(130);
    assert_eq!(world.run().outcomes(), ["cancelled", "skipped"], "{ended}");
    assert!(world.processes().is_empty(), "{:?} {ended}", world.processes());
    drop(connection);
}

#[test]
fn the_time_of_a_run_includes_its_checkout() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    let recipe =
        world.recipe(&format!("timeout: 0.7\nsource: {{git: '{url}'}}\nsteps:\n- run: touch never\n"));
    let ended = world.pony(&["-n", recipe]).end().code(10);
    assert_eq!(world.run().result()["outcome"], "timed-out", "{ended}");
    drop(listener);
}

#[test]
fn a_step_that_has_stopped_itself_is_ended_too() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: asleep, run: kill -STOP $$, timeout: 0.3}\n");
    let ended = world.pony(&["-n", recipe]).end().code(10);
    assert_eq!(world.run().outcomes(), ["timed-out"], "{ended}");
    assert!(world.processes().is_empty(), "{:?}", world.processes());
}

#[test]
fn ctrl_c_ends_a_delivery_and_the_result_waits() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let recipe = world.recipe("steps:\n- run: echo built\n");
    let live = world.pony(&["-s", &url, recipe]).start();
    let connection = listener.accept().unwrap();
    live.signal(Signal::SIGINT);
    let ended = live.end().code(130).err_has("not delivered");
    assert_eq!(world.run().result()["outcome"], "passed", "{ended}");
    assert_eq!(world.open_runs().len(), 1);
    drop(connection);
}

#[test]
fn ctrl_c_ends_the_question_whether_to_build() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let recipe = world.recipe("steps:\n- run: echo built\n");
    let live = world.pony(&["--if-needed", "-s", &url, recipe]).start();
    let connection = listener.accept().unwrap();
    live.signal(Signal::SIGTERM);
    let _ = live.end().code(143).out_is("");
    assert!(world.runs().is_empty());
    drop(connection);
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    // `nohup`, and what a script starts with `&`.
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        let world = World::new();
        let go = world.fifo("go");
        let recipe =
            world.recipe(&format!("steps:\n- run: 'echo ready; read x <{}; echo done'\n", go.display()));
        let ignoring = format!("trap '' {}; exec \"$0\" \"$@\"", signal.as_str().trim_start_matches("SIG"));
        let mut live = world.pony(&["-n", recipe]).through(&["sh", "-c", &ignoring]).start();
        live.until(Stream::Out, "ready");
        live.signal(signal);
        world.release(&go);
        live.end().code(0).out_is("ready\ndone\n");
    }
}

#[test]
fn a_step_begins_with_default_signals_however_pony_run_was_started() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: kill, run: 'kill -INT $$; echo survived'}\n");
    // As a shell starts what it runs in the background.
    let call = world.pony(&["-n", recipe]).through(&["sh", "-c", "trap '' INT QUIT HUP; exec \"$0\" \"$@\""]);
    let ended = call.end().code(10);
    assert_eq!(world.run().step("kill")["status"], -2, "{ended}");
}

#[test]
fn what_was_printed_while_pony_run_itself_was_stopped_counts() {
    let world = World::new();
    let fifo = world.fifo("tell");
    let recipe = world.recipe(
        "context: here\nsteps:\n- {quiet-timeout: 800ms, run: 'for i in $(seq 20); do echo $i; sleep 0.1; done; echo over > tell; echo last'}\n",
    );
    let mut live = world.pony(&["-n", recipe]).start();
    live.until(Stream::Out, "1\n");
    live.signal(Signal::SIGSTOP);
    // Two seconds later by the step's own clock.
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(std::fs::File::open(fifo).unwrap()),
        &mut String::new(),
    )
    .unwrap();
    live.signal(Signal::SIGCONT);
    live.end().code(0).out_has("last");
}
