//! The verbs that run nothing.

use std::path::PathBuf;

use pony_tests::{Dialect, World, files};

fn project(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name)
}

#[test]
fn every_recipe_that_ships_is_valid() {
    let world = World::new();
    let recipes: Vec<String> = files(&project("recipes"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.display().to_string())
        .collect();
    assert!(!recipes.is_empty());
    let ended = world.pony(&[vec!["check".to_owned()], recipes.clone()].concat()).end().code(0).err_is("");
    assert_eq!(ended.out().lines().filter(|line| line.contains(": ok (")).count(), recipes.len(), "{ended}");
    assert!(!world.path("pony").exists());
}

#[test]
fn the_first_recipe_runs() {
    let world = World::new();
    let hello = project("recipes/hello.yaml").display().to_string();
    world.pony(&[&hello]).end().code(0).out_has("ello");
    assert_eq!(world.serve().json("/")["packages"][0]["package"], "hello");
}

#[test]
fn check_shows_all_errors_of_all_recipes() {
    let world = World::new();
    world.write("one.yaml", "pakage: one\nsteps:\n- rum: make\n- run: 'make {{job}}'\n");
    world.write("two.yaml", "package: two\ntimeout: soon\nsteps: []\n");
    world.write("good.yaml", "package: good\nsteps: [{run: make}]\n");
    let ended =
        world.pony(&["check", "one.yaml", "good.yaml", "two.yaml", "none.yaml"]).end().code(11).out_is("");
    for place in ["one.yaml:1:1", "one.yaml:3:3", "one.yaml:4", "two.yaml:2:10", "two.yaml:3", "none.yaml"] {
        assert!(ended.err().contains(place), "{place}: {ended}");
    }
    assert!(ended.err().contains("`package`") && ended.err().contains("`run`"), "{ended}");
    assert!(!ended.err_bytes().contains(&0x1b), "{ended}");
    let coloured = world.pony(&["check", "--color", "always", "one.yaml"]).end().code(11);
    assert!(coloured.err_bytes().contains(&0x1b), "{coloured}");
}

#[test]
fn the_schema_is_the_one_that_ships() {
    let world = World::new();
    let schema = std::fs::read_to_string(project("recipes/recipe.schema.json")).unwrap();
    world.pony(&["schema"]).end().code(0).err_is("").out_is(&schema);
}

#[test]
fn a_dry_run_does_nothing() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    let recipe = world.recipe(
        "source: {git: 'http://nonexistent.invalid/x.git'}\nvariables: {jobs: 4}\nsteps:\n- {name: make, run: 'make -j{{jobs}}'}\n",
    );
    let ended =
        world.pony(&["--dry-run", "-s", &server.url(), "--set", "jobs=9", recipe]).end().code(0).err_is("");
    assert!(ended.out().contains("make -j9") && ended.out().contains("nonexistent.invalid"), "{ended}");
    assert!(!world.path("pony").exists(), "{}", world.listing());
    assert!(server.stored().results.is_empty() && world.temporary().is_empty());
}

#[test]
fn completions_and_the_manual_are_printed() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        world.pony(&["completions", shell]).end().code(0).err_is("").out_has("if-needed");
    }
    world.pony(&["man"]).end().code(0).err_is("").out_has(".TH pony-run");
    world.pony(&["--version"]).end().code(0).err_is("").out_has("pony-run 0.");
    world.pony(&["--help"]).end().code(0).err_is("").out_has("Exit codes");
    assert!(!world.path("pony").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_disaster() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'yes | head -c 3000000'\n- run: touch \"$DONE\"\n");
    let done = world.path("work/done");
    let script = "{ \"$0\" \"$@\"; echo \"exit $?\" >&2; } | head -n 1 >/dev/null";
    for arguments in [vec!["schema"], vec!["completions", "bash"], vec!["man"], vec!["--help"]] {
        let ended = world.pony(&arguments).through(&["sh", "-c", script]).end();
        assert!(!ended.err().contains("panic"), "{ended}");
    }
    for format in ["human", "json"] {
        let call = world.pony(&["-n", "--message-format", format, recipe]).env("DONE", &done);
        let ended = call.through(&["sh", "-c", script]).end().err_has("exit 0");
        assert!(!ended.err().contains("panic") && done.exists(), "{ended}");
        std::fs::remove_file(&done).unwrap();
    }
    // Nobody reads stderr either.
    let call = world.pony(&["-n", recipe]).env("DONE", &done);
    let closed = "{ \"$0\" \"$@\" 2>&1; echo \"$?\" >code; } | true";
    let ended = call.through(&["sh", "-c", closed]).end();
    assert_eq!(std::fs::read_to_string(world.path("work/code")).unwrap(), "0\n", "{ended}");
    assert!(done.exists());
}
