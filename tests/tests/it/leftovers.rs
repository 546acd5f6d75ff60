//! What a build, or a pony-run that was killed, leaves behind: found, named, ended, removed.

use std::fs;

use nix::sys::signal::Signal;
use pony_tests::{Stream, World};

#[test]
fn a_process_left_in_the_background_is_killed_and_reported() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: leaky, run: 'sleep 60 >/dev/null 2>&1 & echo started'}\n");
    let ended = world.pony(&["-n", recipe]).end().code(0).out_is("started\n").err_has("sleep");
    let leaked = world.run().step("leaky")["leaked"].to_string();
    assert!(leaked.contains("sleep"), "{leaked} {ended}");
    assert!(world.processes().is_empty(), "{:?}", world.processes());
}

#[test]
fn a_daemon_that_holds_the_pipe_cannot_hang_the_run() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- {name: daemon, run: 'setsid sleep 60 & echo started'}\n- run: echo next\n");
    let ended = world.pony(&["-n", recipe]).end().code(0).out_is("started\nnext\n");
    assert!(ended.err().contains("sleep"), "{ended}");
    assert!(world.processes().is_empty(), "{:?} {ended}", world.processes());
}

#[test]
fn a_quiet_daemon_outside_the_group_is_killed_at_the_end() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'setsid sleep 60 >/dev/null 2>&1 & echo started'\n");
    world.pony(&["-n", recipe]).end().code(0).err_has("sleep");
    assert!(world.processes().is_empty(), "{:?}", world.processes());
}

#[test]
fn grandchildren_are_dead_when_their_step_was_stopped() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:\n- {run: 'sh -c \"sh -c \\\"trap : TERM; sleep 60\\\" & wait\" & setsid sleep 61 & wait', timeout: 0.5}\n",
    );
    let ended = world.pony(&["-n", recipe]).end().code(10);
    assert!(world.processes().is_empty(), "{:?} {ended}", world.processes());
}

#[test]
fn stdin_is_empty() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: cat; echo end\n");
    world.pony(&["-n", recipe]).end().code(0).out_is("end\n");
}

#[test]
fn after_kill_9_the_next_run_reports_cleans_up_and_delivers() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:\n- run: echo well\n- {name: long, run: 'setsid sleep 60 & touch here; echo begun; sleep 60'}\n- run: echo never\n",
    );
    let mut live = world.pony(&[recipe]).start();
    live.until(Stream::Out, "begun");
    live.signal(Signal::SIGKILL);
    live.end().code(-9);
    let crashed = world.run();
    assert!(!crashed.path.join("result.json").exists());
    assert_eq!(world.temporary().len(), 1);
    assert!(!world.processes().is_empty(), "the build's processes outlive pony-run");

    let other = world.write("other.yaml", "package: other\nsteps: [{run: echo other}]\n");
    let ended = world.pony(&[other.to_str().unwrap()]).end().code(0);
    assert!(ended.err().contains("crashed") && ended.err().contains("step `long`"), "{ended}");
    assert!(ended.err().contains("sleep"), "{ended}");
    assert!(world.processes().is_empty(), "{:?}", world.processes());
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
    assert_eq!(crashed.result()["outcome"], "crashed");
    assert_eq!(crashed.outcomes(), ["passed", "crashed", "skipped"]);
    assert_eq!(crashed.step("long")["out"]["bytes"], 6);
    assert!(world.open_runs().is_empty(), "{ended}");
    let latest = world.serve().json("/p/demo/latest/?format=json");
    assert_eq!(latest["client_info"]["outcome"], "crashed", "{latest:#}");
    assert_eq!(latest["client_info"]["success"], false);
    assert_eq!(latest["results"][1]["output"], "begun\n");
}

#[test]
fn a_crashed_run_that_wanted_no_server_gets_none() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: long, run: 'echo begun; sleep 60'}\n");
    let mut live = world.pony(&["-n", recipe]).start();
    live.until(Stream::Out, "begun");
    live.signal(Signal::SIGKILL);
    live.end().code(-9);
    let ended = world.pony(&["submit"]).end().code(0).err_has("crashed");
    assert!(world.run().receipts().is_empty() && world.open_runs().is_empty(), "{ended}");
}

#[test]
fn a_run_that_is_under_way_is_left_alone() {
    let world = World::new();
    let go = world.fifo("go");
    let recipe = world.recipe(&format!("steps:\n- run: 'echo begun; read x <{}; echo done'\n", go.display()));
    let mut live = world.pony(&["-n", recipe]).start();
    live.until(Stream::Out, "begun");
    let other = world.write("other.yaml", "package: other\nsteps: [{run: echo other}]\n");
    world.pony(&["-n", other.to_str().unwrap()]).end().code(0).has_no("crashed");
    world.pony(&["submit"]).end().code(0).err_has("Nothing is waiting to be sent");
    world.release(&go);
    live.end().code(0).out_is("begun\ndone\n");
}

#[test]
fn a_crash_in_the_middle_of_a_line_of_the_record_is_survived() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: long, run: 'echo begun; sleep 60'}\n");
    let mut live = world.pony(&["-n", recipe]).start();
    live.until(Stream::Out, "begun");
    live.signal(Signal::SIGKILL);
    live.end().code(-9);
    let events = world.run().path.join("events.jsonl");
    let text = fs::read(&events).unwrap();
    fs::write(&events, &text[..text.len() - 10]).unwrap();
    let ended = world.pony(&["submit"]).end().code(0);
    assert_eq!(world.run().result()["outcome"], "crashed", "{ended}");
}

#[test]
fn a_hundred_background_processes_are_all_killed() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:\n- run: 'i=0; while [ $i -lt 50 ]; do i=$((i+1)); sleep 60 >/dev/null 2>&1 & setsid sleep 61 & done'\n",
    );
    let ended = world.pony(&["-n", recipe]).end().code(0);
    assert!(world.processes().is_empty(), "{:?} {ended}", world.processes());
}

#[test]
fn a_build_that_removes_its_own_record_is_told_so() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: rm -rf \"$PONY_HOME\"; echo gone\n- run: echo next\n");
    let ended = world.pony(&[recipe]).end().code(14).err_has("cannot record");
    assert!(!ended.err().contains("panic") && world.temporary().is_empty(), "{ended}");
}

#[test]
fn a_build_that_removes_its_own_tree_goes_on_as_far_as_it_can() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: rm -rf \"$PWD\"\n- {name: next, run: echo next}\n");
    let ended = world.pony(&["-n", recipe]).end().code(10);
    assert_eq!(world.run().outcomes(), ["passed", "failed"], "{ended}");
    assert!(world.run().step("next")["reason"].as_str().unwrap().contains("no folder"), "{ended}");
}

#[test]
fn kill_9_in_a_checkout_leaves_a_cache_that_works() {
    let world = World::new();
    let repository = world.repository("work/project");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.git", listener.local_addr().unwrap());
    let steps = "steps:\n- run: cat file\n";
    let recipe = world.recipe(&format!("source: {{git: '{url}'}}\n{steps}"));
    let live = world.pony(&["-n", recipe]).start();
    let connection = listener.accept().unwrap();
    live.signal(Signal::SIGKILL);
    let _ = live.end().code(-9);
    drop((connection, listener));
    // The same address, answered from elsewhere now.
    let config = world.path("home/.gitconfig");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}[url \"{}\"]\n\tinsteadOf = {url}\n", repository.path())).unwrap();
    let ended = world.pony(&["-n", recipe]).end().code(0).out_is("one").err_has("crashed");
    assert_eq!(world.runs().len(), 2, "{ended}");
    let crashed: Vec<_> =
        world.runs().into_iter().filter(|run| run.result()["outcome"] == "crashed").collect();
    assert_eq!(crashed[0].outcomes(), ["crashed", "skipped"]);
    assert!(world.processes().is_empty(), "{:?} {ended}", world.processes());
}

#[test]
fn a_build_may_run_builds() {
    let world = World::new();
    world.write("inner.yaml", "package: inner\nsteps: [{run: echo inner}]\n");
    let pony = pony_tests::program("pony-run").display().to_string();
    let inner = world.path("work/inner.yaml").display().to_string();
    let recipe =
        world.recipe(&format!("steps:\n- {{name: nested, run: ['{pony}', '{inner}']}}\n- run: echo outer\n"));
    let ended = world.pony(&[recipe]).end().code(0).out_is("inner\nouter\n").has_no("crashed");
    assert_eq!(world.runs().len(), 2, "{ended}");
    assert!(world.open_runs().is_empty(), "{ended}");
}

#[test]
fn a_run_that_crashed_is_not_the_last_one_on_the_server() {
    let world = World::new();
    let go = world.fifo("go");
    let recipe = world.recipe(&format!("steps:\n- run: 'echo begun; read x <{}'\n", go.display()));
    let mut live = world.pony(&[recipe]).start();
    live.until(Stream::Out, "begun");
    live.kill();
    world.recipe("steps:\n- run: echo done\n");
    let ended = world.pony(&[recipe]).end().code(0).err_has("had crashed");
    let serve = world.serve();
    let latest = serve.json("/p/demo/latest/?format=json");
    assert_eq!(latest["client_info"]["outcome"], "passed", "{ended}");
    let all = serve.json("/p/demo/show_all?format=json");
    assert_eq!(all["results"].as_array().unwrap().len(), 2, "{ended}");
}
