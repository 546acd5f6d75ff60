//! The main job: a recipe runs, is shown while it runs, is stored, is listed.

use pony_tests::{Stream, World};

const HELLO: &str =
    "steps:\n- {name: greet, run: echo hello}\n- {name: count, type: test, run: 'echo 1; echo 2 >&2'}\n";

#[test]
fn a_build_runs_is_stored_and_is_listed() {
    let world = World::new();
    let recipe = world.recipe(HELLO);
    let ended = world.pony(&[recipe]).end().code(0).out_is("hello\n1\n").err_has("demo passed");
    let run = world.run();
    assert_eq!(run.result()["outcome"], "passed", "{ended}");
    assert_eq!(run.outcomes(), ["passed", "passed"]);
    assert_eq!(run.text("01-greet.out"), "hello\n");
    assert_eq!(run.text("02-count.err"), "2\n");
    assert_eq!(run.receipts()[0]["server"], "embedded");
    assert!(world.open_runs().is_empty(), "{ended}");
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());

    let serve = world.serve();
    let first = serve.page("/");
    assert!(first.status == 200 && first.body.contains("demo"), "{first:?}");
    assert_eq!(serve.json("/")["packages"][0]["status"], "passed");
    let latest = serve.json("/p/demo/latest/?format=json");
    assert_eq!(latest["results"][0]["output"], "hello\n", "{latest:#}");
    assert_eq!(latest["results"][1]["errout"], "2\n");
    assert_eq!(latest["results"][1]["type"], "test");
    assert_eq!(latest["client_info"]["run_id"], run.result()["run_id"]);
    let page = serve.page("/p/demo/latest/");
    assert!(page.status == 200 && page.body.contains("hello"), "{page:?}");
    serve.stop().code(0);
}

#[test]
fn without_report_it_is_recorded_and_stored_nowhere() {
    let world = World::new();
    let recipe = world.recipe(HELLO);
    let ended = world.pony(&["-n", recipe]).end().code(0);
    assert!(!world.path("pony/results.db").exists(), "{ended}");
    assert!(world.run().receipts().is_empty() && world.open_runs().is_empty(), "{ended}");
    assert!(!ended.err().contains("stored"), "{ended}");
}

#[test]
fn a_line_is_shown_while_the_step_that_printed_it_still_runs() {
    let world = World::new();
    let go = world.fifo("go");
    let recipe =
        world.recipe(&format!("steps:\n- run: 'echo first; read x <{}; echo second'\n", go.display()));
    let mut live = world.pony(&["-n", recipe]).start();
    let printed = live.until(Stream::Out, "first\n");
    assert!(!printed.contains("second") && !live.has_ended(), "{live}");
    world.release(&go);
    live.end().code(0).out_is("first\nsecond\n");
}

#[test]
fn a_piece_of_a_line_is_shown_before_the_line_ends() {
    let world = World::new();
    let go = world.fifo("go");
    let recipe =
        world.recipe(&format!("steps:\n- run: 'printf 50%%; read x <{}; echo 100%'\n", go.display()));
    let mut live = world.pony(&["-n", recipe]).start();
    live.until(Stream::Out, "50%");
    world.release(&go);
    live.end().code(0).out_is("50%100%\n");
}
