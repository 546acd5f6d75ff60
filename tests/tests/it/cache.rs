//! `pony-run cache` and the budget of the cache.

use std::fs;

use pony_tests::{Kind, World};

fn build(world: &World, name: &str) {
    let text = format!("package: {name}\nsource: {{git: ./{name}}}\nsteps: [{{run: 'true'}}]\n");
    let recipe = world.write(&format!("{name}.yaml"), text);
    let _ = world.pony(&[recipe.to_str().unwrap()]).end().code(0);
}

fn entries(world: &World) -> Vec<String> {
    let ended = world.pony(&["cache"]).end().code(0);
    let out = ended.out();
    out.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.contains('/'))
        .collect()
}

#[test]
fn entries_are_listed_checked_and_removed() {
    let world = World::new();
    world.pony(&["cache"]).end().code(0).out_has("0 B in all, of 20.0 GB at most");
    for name in ["one", "two"] {
        world.repository(&format!("work/{name}"));
        build(&world, name);
    }
    let names = entries(&world);
    assert!(
        names.len() == 2 && names[0].starts_with("git/one-") && names[1].starts_with("git/two-"),
        "{names:?}"
    );
    world.pony(&["cache", "list"]).end().code(0).out_has("work/two").out_has("used ");
    // What is used is not the next to go.
    build(&world, "one");
    assert_eq!(entries(&world), [names[1].clone(), names[0].clone()]);

    world.pony(&["cache", "verify"]).end().code(0).out_has(&format!("{}: ok", names[0]));
    let packs = world.path("pony/cache").join(&names[0]).join("objects/pack");
    let pack = fs::read_dir(packs).unwrap().map(|entry| entry.unwrap().path());
    let pack = pack.into_iter().find(|path| path.extension().is_some_and(|end| end == "pack")).unwrap();
    fs::remove_file(&pack).unwrap();
    let ended = world.pony(&["cache", "verify", &names[0]]).end().code(12).out_has("damaged");
    assert!(!ended.out().contains("two"), "{ended}");
    world.pony(&["cache"]).end().code(0).out_has("incomplete");
    build(&world, "one");
    world.pony(&["cache", "verify"]).end().code(0).out_has(&format!("{}: ok", names[0]));

    let short = names[1].split_once('/').unwrap().1;
    world.pony(&["cache", "remove", short]).end().code(0).out_has(&format!("removed {}", names[1]));
    assert_eq!(entries(&world), [names[0].clone()]);
    world.pony(&["cache", "remove", "nothing"]).end().code(2).err_has("no entry `nothing`");
    world.pony(&["cache", "remove"]).end().code(2).err_has("ENTRY");
    world.pony(&["cache", "remove", "--all"]).end().code(0).out_has("freed");
    assert!(entries(&world).is_empty());
}

#[test]
fn the_cache_is_kept_within_its_budget() {
    let world = World::new();
    for name in ["one", "two", "three"] {
        world.repository(&format!("work/{name}"));
        build(&world, name);
    }
    let names = entries(&world);
    // The last one stays, however small the budget.
    world.configure("cache: {size: 1 kB}");
    build(&world, "two");
    let left = entries(&world);
    assert_eq!(left, [names[1].clone()]);
    world.configure("cache: {size: 1 GB}");
    build(&world, "one");
    world.pony(&["cache", "shrink"]).end().code(0).out_has("0 B freed");
    world.pony(&["cache", "shrink", "--to", "10kB"]).end().code(0).out_has("removed git/two");
    assert_eq!(entries(&world).len(), 1);
    world.pony(&["cache", "shrink", "--to", "many"]).end().code(2).err_has("many");
}

#[test]
fn a_wrong_configuration_is_told_before_anything_runs() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo ran\n");
    world.configure("cahce: {size: 1 GB}\n");
    let ended = world.pony(&[recipe]).end().code(2).out_is("");
    let err = ended.err();
    assert!(
        err.contains("config.yaml") && err.contains("cahce") && err.contains("did you mean `cache`?"),
        "{ended}"
    );
    world.configure("kept: {age: soon}\n");
    let _ = world.pony(&["cache"]).end().code(2).err_has("`soon` is not a duration");
}

#[test]
fn an_archive_that_changes_twice_in_a_second_is_downloaded_again() {
    let world = World::new();
    // This server tells no more than the second in which a file was changed.
    let upstream = world.upstream(Kind::Archive);
    for text in ["two", "three", "four"] {
        upstream.publish(text, &[]);
        let _ = world.pony(&["-n", upstream.recipe("")]).end().code(0).out_is(&upstream.built());
    }
}
