//! Run folders of the first format, as an earlier pony-run wrote them: they are still delivered, run again, opened and
//! recovered.

use std::{fs, path::Path};

use pony_tests::{Dialect, World};

/// Puts the recorded run there, as if it had run in this world; its id.
fn put(world: &World, name: &str) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runs-of-format-1").join(name);
    let read = |file: &Path| {
        let text = String::from_utf8(fs::read(file).unwrap()).unwrap();
        text.replace("/fixture", &world.path("work").display().to_string())
    };
    let events = read(&from.join("events.jsonl"));
    let (_, after) = events.split_once("\"run_id\":\"").unwrap();
    let (id, _) = after.split_once('"').unwrap();
    let folder = world.path("pony/runs/demo").join(id);
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(&from).unwrap().map(Result::unwrap) {
        fs::write(folder.join(entry.file_name()), read(&entry.path())).unwrap();
    }
    fs::create_dir_all(world.path("pony/runs/.active")).unwrap();
    id.to_owned()
}

/// Not closed yet.
fn mark(world: &World, id: &str) {
    fs::write(world.path("pony/runs/.active").join(id), format!("demo/{id}")).unwrap();
}

#[test]
fn an_old_run_that_waits_is_delivered() {
    let world = World::new();
    let id = put(&world, "waiting");
    mark(&world, &id);
    let server = world.peer(Dialect::V2010);
    world.pony(&["submit", "-s", &server.url(), &id]).end().code(0).err_has("stored");
    let (client_info, results) = server.submission();
    assert_eq!((&client_info["package"], &results[0]["output"]), (&"demo".into(), &"hello\n".into()));
}

#[test]
fn an_old_run_that_was_cut_off_is_recorded() {
    let world = World::new();
    let id = put(&world, "crashed");
    mark(&world, &id);
    world.pony(&["submit", "--list"]).end().code(0);
    let run = world.run();
    assert_eq!(
        (run.result()["outcome"].as_str(), run.result()["format"].as_str()),
        (Some("crashed"), Some("1.1"))
    );
    assert_eq!(run.outcomes(), ["passed", "crashed", "skipped"]);
    assert_eq!(run.step("test")["out"]["bytes"], 6);
}

#[test]
fn an_old_run_is_run_again() {
    let world = World::new();
    let id = put(&world, "passed");
    world.pony(&["replay", &id]).end().code(0).out_is("hello\nok\n");
    assert_eq!(world.runs().len(), 2);
}

#[test]
fn a_shell_opens_in_the_tree_of_an_old_run() {
    let world = World::new();
    let id = put(&world, "failed");
    let tree = world.path("work/tmp").join(format!("pony-failed-{id}")).join("src");
    fs::create_dir_all(&tree).unwrap();
    let _ = world.pony(&["shell", &id, "--", "pwd"]).end().code(0).out_is(&format!("{}\n", tree.display()));
}

#[test]
fn a_run_of_a_newer_program_is_refused() {
    let world = World::new();
    let id = put(&world, "passed");
    let result = world.path("pony/runs/demo").join(&id).join("result.json");
    let text = fs::read_to_string(&result).unwrap();
    fs::write(&result, text.replace("\"format\": 1,", "\"format\": \"2.0\",")).unwrap();
    let _ = world.pony(&["replay", &id]).end().code(2).err_has("its format is 2.0");
    fs::write(&result, text.replace("\"format\": 1,", "\"format\": \"1.7\", \"more\": true,")).unwrap();
    let _ = world.pony(&["replay", &id]).end().code(0);
}
