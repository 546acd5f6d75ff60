//! Trees that are kept after a run: looked at with `pony-run shell`, and bounded.

use std::fs;

use pony_tests::{Stream, World};

const FAILS: &str = "environment: {COLOUR: blue}\nsteps:\n- run: echo left >file; exit 1\n";

#[test]
fn a_failed_run_is_looked_at_where_it_failed() {
    let world = World::new();
    let recipe = world.recipe(FAILS);
    let ended = world.pony(&[recipe]).end().code(10);
    let run = world.run();
    let id = run.result()["run_id"].as_str().unwrap().to_owned();
    let command = format!("pony-run shell {id}");
    assert!(ended.err().contains(&command), "{ended}");
    // By its id, as the last of all, by package, by its folder.
    let folder = run.path().display().to_string();
    for name in [&[id.as_str()][..], &[], &["demo"], &[&folder]] {
        let words = ["shell"].iter().chain(name).chain(&["--", "sh", "-c", "cat file; echo $COLOUR $PWD"]);
        let words: Vec<&str> = words.copied().collect();
        let expected = format!("left\nblue {}\n", run.result()["cwd"].as_str().unwrap());
        world.pony(&words).end().code(0).out_is(&expected);
    }
    let ended = world.pony(&["shell", &id]).env("SHELL", "/bin/pwd").end().code(0);
    assert!(ended.out().contains(run.result()["cwd"].as_str().unwrap()), "{ended}");
    // What the shell ends with is what it ends with.
    world.pony(&["shell", "--", "sh", "-c", "exit 7"]).end().code(7);
    assert_eq!(world.temporary().len(), 1);
}

#[test]
fn a_tree_that_is_gone_is_said_to_be() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'true'\n");
    let _ = world.pony(&["shell"]).end().code(2).err_has("no build folders are kept");
    let _ = world.pony(&[recipe]).end().code(0);
    let id = world.run().result()["run_id"].as_str().unwrap().to_owned();
    let _ = world.pony(&["shell", &id]).end().code(2).err_has("is gone (passing runs");
    let _ = world.pony(&["shell", "nothing"]).end().code(2).err_has("no run or package `nothing`");
    let _ = world.pony(&["shell", "no/where"]).end().code(2).err_has("no run");
}

#[test]
fn secrets_are_not_kept_for_the_shell() {
    let world = World::new();
    let recipe = world.recipe("secrets: [TOKEN]\nsteps:\n- run: exit 1\n");
    let _ = world.pony(&[recipe]).env("TOKEN", "hunter2-s3cr3t").end().code(10);
    assert!(world.holding("hunter2-s3cr3t").is_empty());
    // Whoever has it gives it again.
    let words = ["shell", "--", "sh", "-c", "echo ${TOKEN-none}"];
    world.pony(&words).end().code(0).out_is("none\n");
    world.pony(&words).env("TOKEN", "again").end().code(0).out_is("again\n");
}

#[test]
fn no_more_trees_are_kept_than_allowed() {
    let world = World::new();
    world.configure("kept: {count: 2}");
    let recipe = world.recipe(FAILS);
    for _ in 0..4 {
        let _ = world.pony(&[recipe]).end().code(10);
    }
    assert_eq!(world.temporary().len(), 2);
    world.configure("kept: {count: 2, age: 0.000001}");
    let passes = world.write("passes.yaml", "package: other\nsteps: [{run: 'true'}]\n");
    let _ = world.pony(&[passes.to_str().unwrap()]).end().code(0);
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
    assert_eq!(fs::read_dir(world.path("pony/runs/.kept")).unwrap().count(), 0);
}

#[test]
fn a_tree_that_somebody_is_in_stays() {
    let world = World::new();
    world.configure("kept: {count: 0}");
    let recipe = world.recipe(FAILS);
    // Kept nowhere: the first run's own tree goes with it.
    let _ = world.pony(&[recipe]).end().code(10);
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
    world.configure("kept: {count: 1}");
    let _ = world.pony(&[recipe]).end().code(10);
    let go = world.fifo("go");
    let script = format!("echo here; read x <{}", go.display());
    let mut shell = world.pony(&["shell", "--", "sh", "-c", &script]).start();
    shell.until(Stream::Out, "here");
    let _ = world.pony(&[recipe]).end().code(10);
    assert_eq!(world.temporary().len(), 2);
    world.release(&go);
    let _ = shell.end().code(0);
    let _ = world.pony(&[recipe]).end().code(10);
    assert_eq!(world.temporary().len(), 1);
}

#[test]
fn a_secret_that_occurs_in_the_recipe_does_not_keep_the_shell_from_opening() {
    let world = World::new();
    let recipe = world.recipe("secrets: [TOKEN]\nenvironment: {COLOUR: blue}\nsteps:\n- run: exit 1\n");
    let _ = world.pony(&["-n", recipe]).env("TOKEN", "environment").end().code(10);
    world.pony(&["shell", "--", "sh", "-c", "echo $COLOUR"]).end().code(0).out_is("blue\n");
}
