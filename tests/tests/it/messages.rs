//! `--message-format json`: what programs read.

use pony_tests::{Ended, World};
use serde_json::Value;

fn events(ended: &Ended<'_>) -> Vec<Value> {
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?} {ended}"));
    ended.out().lines().map(parse).collect()
}

fn names(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
    let mut names: Vec<String> = events.iter().map(name).filter(|name| name != "spawned").collect();
    names.dedup();
    names
}

#[test]
fn every_line_is_an_event_in_order() {
    let world = World::new();
    world.repository("work/project");
    let recipe = world.recipe(
        "source: {git: ./project}\nsteps:\n- {name: talk, run: 'echo out; exit 3'}\n- run: echo never\n",
    );
    let ended = world.pony(&["--message-format", "json", recipe]).end().code(10).err_is("");
    let events = events(&ended);
    let names = names(&events);
    let order = |name: &str| {
        names.iter().position(|known| known == name).unwrap_or_else(|| panic!("{name} {names:?}"))
    };
    assert_eq!(order("run-started"), 0);
    for (earlier, later) in [
        ("run-started", "step-started"),
        ("step-started", "command-started"),
        ("command-started", "command-ended"),
        ("command-ended", "step-ended"),
        ("step-ended", "output"),
        ("output", "run-ended"),
        ("run-ended", "delivered"),
    ] {
        // `output` may also be git's.
        assert!(order(earlier) < order(later) || later == "output" || earlier == "output", "{names:?}");
    }
    assert_eq!(names.last().unwrap(), "delivered");
    let elapsed: Vec<f64> = events.iter().map(|event| event["elapsed"].as_f64().unwrap()).collect();
    assert!(elapsed.is_sorted(), "{elapsed:?}");
    let over = events.iter().find(|event| event["event"] == "run-ended").unwrap();
    assert_eq!(over["record"], world.run().result());
    let step = events.iter().find(|event| event["event"] == "step-ended" && event["step"] == 1).unwrap();
    assert_eq!((&step["record"]["name"], &step["record"]["status"]), (&"talk".into(), &3.into()));
}

#[test]
fn output_is_complete_and_never_cuts_a_character() {
    let world = World::new();
    let script = r"i=0; while [ $i -lt 500 ]; do i=$((i+1)); printf ''é☃%s'' $i; printf ''\303''; printf ''\251\n''; printf err >&2; done";
    let recipe = world.recipe(&format!("steps:\n- {{name: talk, run: '{script}'}}\n"));
    let ended = world.pony(&["-n", "--message-format", "json", recipe]).end().code(0).err_is("");
    let text = |stream: &str| -> String {
        let events = events(&ended);
        let of = |event: &&Value| event["event"] == "output" && event["stream"] == stream;
        events.iter().filter(of).map(|event| event["text"].as_str().unwrap().to_owned()).collect()
    };
    let expected: String = (1..=500).map(|i| format!("é☃{i}é\n")).collect();
    assert!(text("out") == expected, "{ended}");
    assert_eq!(text("err"), "err".repeat(500));
}

#[test]
fn bytes_that_are_no_text_do_not_break_the_format() {
    let world = World::new();
    let recipe = world.recipe(r"steps: [{run: 'printf ''a\377b\000\033[31mc\n\\\042\303'''}]");
    let ended = world.pony(&["-n", "--message-format", "json", recipe]).end().code(0);
    let events = events(&ended);
    let of = |event: &&Value| event["event"] == "output";
    let text: String = events.iter().filter(of).map(|event| event["text"].as_str().unwrap()).collect();
    assert_eq!(text, "a\u{fffd}b\0\x1b[31mc\n\\\"\u{fffd}");
}

#[test]
fn what_is_not_delivered_and_what_is_not_needed_are_events() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo\n");
    let json = ["--message-format", "json"];
    let ended = world.pony(&[&json[..], &["-s", "http://127.0.0.1:1/", recipe]].concat()).end().code(13);
    assert_eq!(names(&events(&ended)).last().unwrap(), "not-delivered", "{ended}");
    let _ = world.pony(&[recipe]).end().code(0);
    let ended = world.pony(&[&json[..], &["--if-needed", recipe]].concat()).end().code(0);
    assert!(names(&events(&ended)).iter().all(|name| name == "note"), "{ended}");
    assert!(ended.out().contains("build up to date"), "{ended}");
}

#[test]
fn errors_are_on_stderr() {
    let world = World::new();
    let recipe = world.recipe("step: []\n");
    let ended = world.pony(&["--message-format", "json", recipe]).end().code(11).out_is("");
    assert!(ended.err().contains("demo.yaml:2"), "{ended}");
}

#[test]
fn a_run_that_is_stopped_has_all_its_events() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- {name: work, run: echo ready; sleep 60}\n- {name: next, run: echo}\n");
    let mut live = world.pony(&["-n", "--message-format", "json", recipe]).start();
    live.until(pony_tests::Stream::Out, "ready\\n");
    live.signal(nix::sys::signal::Signal::SIGINT);
    let ended = live.end().code(130).err_is("");
    let events = events(&ended);
    let over: Vec<&Value> = events.iter().filter(|event| event["event"] == "step-ended").collect();
    assert_eq!(over.len(), 2, "{ended}");
    assert_eq!(events.last().unwrap()["record"]["outcome"], "cancelled", "{ended}");
}
