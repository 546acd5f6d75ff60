//! The cases of the original client's own tests, for git; those of hg and svn are with their sources.

use pony_tests::{Repository, World};

/// Builds `want` of `work/up`, and what the cache did for it: `create cache` and `cache_update`.
fn build(world: &World, want: &str, expected: &str, repository: &Repository<'_>) -> Vec<String> {
    let recipe = world.recipe(&format!("source: {{git: ./up{want}}}\nsteps:\n- run: cat file\n"));
    let ended = world.pony(&["-n", recipe]).end().code(0).out_is(expected);
    let run = world.run();
    let result = run.result();
    let revision = result["checkout"]["revision"].as_str().unwrap().to_owned();
    assert_eq!(repository.git(&["show", &format!("{revision}:file")]), expected, "{ended}");
    assert!(result["checkout"]["offline"].is_null(), "{ended}");
    let events = run.events();
    std::fs::remove_dir_all(world.path("pony/runs")).unwrap();
    let labels = events.iter().filter(|event| event["event"] == "command-started");
    let labels = labels.filter_map(|event| event["label"].as_str());
    labels.filter(|label| ["create cache", "cache_update"].contains(label)).map(str::to_owned).collect()
}

const MADE: [&str; 2] = ["create cache", "cache_update"];
const UPDATED: [&str; 1] = ["cache_update"];

#[test]
fn no_cache() {
    let world = World::new();
    let up = world.repository("work/up");
    assert_eq!(build(&world, "", "one", &up), MADE);
}

#[test]
fn a_fresh_cache() {
    let world = World::new();
    let up = world.repository("work/up");
    assert_eq!(build(&world, "", "one", &up), MADE);
    assert_eq!(build(&world, "", "one", &up), UPDATED);
}

#[test]
fn a_cache_that_is_updated_after_a_new_commit() {
    let world = World::new();
    let up = world.repository("work/up");
    assert_eq!(build(&world, "", "one", &up), MADE);
    up.commit("two");
    assert_eq!(build(&world, "", "two", &up), UPDATED);
}

#[test]
fn another_branch() {
    let world = World::new();
    let up = world.repository("work/up");
    up.git(&["checkout", "--quiet", "-b", "other"]);
    up.commit("two");
    up.git(&["checkout", "--quiet", "main"]);
    assert_eq!(build(&world, ", branch: main", "one", &up), MADE);
    assert_eq!(build(&world, ", branch: other", "two", &up), UPDATED);
    assert_eq!(build(&world, ", branch: main", "one", &up), UPDATED);
}

#[test]
fn a_branch_that_did_not_exist_when_the_cache_was_made() {
    let world = World::new();
    let up = world.repository("work/up");
    assert_eq!(build(&world, "", "one", &up), MADE);
    up.git(&["checkout", "--quiet", "-b", "later"]);
    up.commit("two");
    up.git(&["checkout", "--quiet", "main"]);
    assert_eq!(build(&world, ", branch: later", "two", &up), UPDATED);
}

#[test]
fn history_that_was_rewritten_upstream() {
    let world = World::new();
    let up = world.repository("work/up");
    up.commit("two");
    assert_eq!(build(&world, "", "two", &up), MADE);
    up.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    up.commit("two again");
    assert_eq!(build(&world, "", "two again", &up), UPDATED);
    // Of no common commit at all.
    up.git(&["checkout", "--quiet", "--orphan", "anew"]);
    up.commit("three");
    up.git(&["branch", "--force", "main", "anew"]);
    assert_eq!(build(&world, ", branch: main", "three", &up), UPDATED);
}

#[test]
fn a_default_branch_that_was_renamed() {
    let world = World::new();
    let up = world.repository("work/up");
    assert_eq!(build(&world, "", "one", &up), MADE);
    up.git(&["branch", "--move", "main", "trunk"]);
    up.commit("two");
    assert_eq!(build(&world, "", "two", &up), UPDATED);
    let recipe = world.recipe("source: {git: ./up, branch: main}\nsteps: [{run: touch never}]\n");
    let _ = world.pony(&["-n", recipe]).end().code(12).err_has("no branch `main`");
}
