//! Runs at once that want the same source: one makes the cache, one at a time brings it up to date, all succeed.

use std::fs;

use pony_tests::{Kind, World};
use serde_json::Value;

/// From the begin to the end of each command of a run that changes the cache.
fn changes(events: &[Value]) -> Vec<(String, String, String)> {
    let is_of = |event: &Value, name: &str| event["event"] == name;
    let time = |event: &Value| event["time"].as_str().unwrap().to_owned();
    let begun = events.iter().enumerate().filter(|(_, event)| is_of(event, "command-started"));
    let changing = begun.filter(|(_, event)| {
        let label = event["label"].as_str().unwrap();
        label.starts_with("create cache") || label.starts_with("cache_update")
    });
    changing
        .map(|(at, event)| {
            let same = |other: &&Value| is_of(other, "command-ended") && other["label"] == event["label"];
            let end = events[at..].iter().find(same).unwrap_or_else(|| panic!("{events:#?}"));
            (time(event), time(end), event["label"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Ten at once; what changed the cache, in order.
fn ten(world: &World, recipe: &str, expected: &str) -> Vec<String> {
    let lives: Vec<_> = (0..10).map(|_| world.pony(&["-n", recipe]).start()).collect();
    for live in lives {
        live.end().code(0).out_is(expected);
    }
    let runs = world.runs();
    assert_eq!(runs.len(), 10);
    let mut all: Vec<_> = runs.iter().flat_map(|run| changes(&run.events())).collect();
    all.sort();
    for pair in all.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two at a time: {pair:?} of {all:#?}");
    }
    fs::remove_dir_all(world.path("pony/runs")).unwrap();
    all.into_iter().map(|(_, _, label)| label).collect()
}

fn one_entry(world: &World) {
    let cached = world.cached();
    let entries = cached.iter().filter(|name| world.path("pony/cache").join(name).is_dir());
    assert_eq!(entries.count(), 1, "{cached:?}");
    assert!(world.temporary().is_empty());
}

fn share(kind: Kind) {
    let world = World::new();
    let upstream = world.upstream(kind);
    let recipe = upstream.recipe("");
    let changes = ten(&world, recipe, &upstream.built());
    assert_eq!(changes.iter().filter(|label| *label == "create cache").count(), 1, "{changes:?}");
    one_entry(&world);
    if kind == Kind::Hg {
        // Each has brought what is new already, and hg is slow to start.
        assert_eq!(changes.len(), 10, "{changes:?}");
        return;
    }
    upstream.publish("two", &[("data/more", "more")]);
    let changes = ten(&world, recipe, &upstream.built());
    assert!(
        !changes.is_empty() && changes.iter().all(|label| label.starts_with("cache_update")),
        "{changes:?}"
    );
    one_entry(&world);
}

#[test]
fn ten_runs_share_one_mirror_of_git() {
    share(Kind::Git);
}

#[test]
fn ten_runs_share_one_working_copy_of_svn() {
    share(Kind::Svn);
}

#[test]
fn ten_runs_share_one_clone_of_hg() {
    share(Kind::Hg);
}
