//! Where steps run and what they see.

use std::fs;

use pony_tests::{Dialect, Stream, World};

#[test]
fn a_folder_that_lasts_is_built_on() {
    let world = World::new();
    let upstream = world.repository("work/up");
    let recipe = world.recipe(
        "source: {git: ./up}\ncontext: {directory: build}\nsteps:\n- run: cat file; echo; echo x >>product; wc -l <product\n",
    );
    world.pony(&[recipe]).end().code(0).out_is("one\n1\n");
    upstream.commit("two");
    world.pony(&[recipe]).end().code(0).out_is("two\n2\n");
    assert!(world.path("work/build/up/product").exists());
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
    // A tree that was cut short while it was changed is not built on.
    fs::remove_file(world.path("work/build/up.ready")).unwrap();
    world.pony(&[recipe]).end().code(0).out_is("two\n1\n").err_has("incomplete");
    // Nor is one of something else.
    world.repository("work/other/up").commit("three");
    let recipe = world.recipe(
        "source: {git: ./other/up}\ncontext: {directory: build}\nsteps:\n- run: cat file; echo; echo x >>product; wc -l <product\n",
    );
    world.pony(&[recipe]).end().code(0).out_is("three\n1\n").err_has("of another source");
}

#[test]
fn a_folder_that_lasts_is_built_in_by_one_run_at_a_time() {
    let world = World::new();
    let go = world.fifo("go");
    for context in ["{directory: build}", "here"] {
        let wait = world.write(
            "wait.yaml",
            format!(
                "package: wait\ncontext: {context}\nsteps:\n- run: 'echo begun; read x <{}'\n",
                go.display()
            ),
        );
        let recipe = world.recipe(&format!("context: {context}\nsteps:\n- run: echo ran\n"));
        let mut first = world.pony(&[wait.to_str().unwrap()]).start();
        first.until(Stream::Out, "begun");
        let mut second = world.pony(&[recipe]).start();
        second.until(Stream::Err, "waiting for another run that builds in");
        world.release(&go);
        let _ = first.end().code(0);
        second.end().code(0).out_is("ran\n");
    }
}

#[test]
fn what_meddles_with_builds_is_not_inherited() {
    let world = World::new();
    let show = "steps:\n- run: env | cut -d= -f1 | sort | tr '\\n' ' '\n";
    let recipe = world.recipe(show);
    let call = |recipe| {
        world
            .pony(&[recipe])
            .env("MAKEFLAGS", "-k")
            .env("PYTHONPATH", "/x")
            .env("GIT_DIR", "/x")
            .env("VIRTUAL_ENV", "/x")
            .env("CFLAGS", "-O3")
            .env("MY_OWN", "1")
    };
    let ended = call(recipe).end().code(0);
    let out = ended.out();
    for name in ["MAKEFLAGS", "PYTHONPATH", "GIT_DIR", "VIRTUAL_ENV"] {
        assert!(!out.contains(name), "{name}: {ended}");
    }
    for name in ["CFLAGS", "HOME", "MY_OWN", "PATH", "PONY_RUN_ID", "PYTHONUNBUFFERED"] {
        assert!(out.contains(name), "{name}: {ended}");
    }
    let facts = &world.run().result()["facts"];
    let names: Vec<&str> =
        facts["environment"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"MY_OWN") && !names.contains(&"MAKEFLAGS"), "{names:?}");
    let values = facts["environment_values"].to_string();
    assert!(values.contains("CFLAGS=-O3") && !values.contains("MY_OWN"), "{values}");

    let recipe = world.recipe(&format!("environment-from: clean\nenvironment: {{MINE: 1}}\n{show}"));
    let ended = call(recipe).end().code(0);
    let out = ended.out();
    assert!(!out.contains("CFLAGS") && !out.contains("MY_OWN"), "{ended}");
    assert!(["HOME", "LC_ALL", "MINE", "PATH"].iter().all(|name| out.contains(name)), "{ended}");
}

#[test]
fn a_home_of_its_own() {
    let world = World::new();
    let recipe =
        world.recipe("private: [home, tmp]\nsteps:\n- run: touch ~/x $TMPDIR/y; echo $HOME $TMPDIR; ls\n");
    let ended = world.pony(&[recipe]).end().code(0);
    let tempdir = world.run().result()["tempdir"].as_str().unwrap().to_owned();
    assert_eq!(ended.out(), format!("{tempdir}/.home {tempdir}/.tmp\n"));
    assert!(world.temporary().is_empty());
    // Beside a tree that stays where it is, too.
    let recipe = world.recipe("private: [tmp]\ncontext: here\nsteps:\n- run: touch $TMPDIR/y; pwd\n");
    let ended = world.pony(&[recipe]).end().code(0);
    assert_eq!(ended.out().trim(), world.path("work").canonicalize().unwrap().to_str().unwrap());
    assert!(world.temporary().is_empty());
}

#[test]
fn tools_and_the_machine_are_told() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    world.write("bin/mytool", "#!/bin/sh\necho; echo mytool 1.2 >&2\n");
    world.write("bin/broken", "#!/bin/sh\nexit 3\n");
    for name in ["mytool", "broken"] {
        let path = world.path("work/bin").join(name);
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let bin = world.path("work/bin");
    let recipe = world.recipe(&format!(
        "tools: [mytool, broken, nothing]\nenvironment: {{PATH: '{}:/usr/bin:/bin'}}\nsteps:\n- run: 'true'\n",
        bin.display()
    ));
    let _ = world.pony(&["-s", &server.url(), recipe]).end().code(0);
    // Plain keys of the client's bag, as every server shows them.
    let (client, steps) = server.submission();
    assert_eq!(client["tool mytool"], format!("{}/mytool: mytool 1.2", bin.display()));
    assert_eq!(client["tool broken"], format!("{}/broken: unknown version", bin.display()));
    assert_eq!(client["tool nothing"], "not found");
    for key in ["os", "kernel", "cpus", "memory", "libc", "distribution"] {
        assert!(client[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {client}");
    }
    assert_eq!(steps.len(), 1);
}

#[test]
fn a_context_that_fails_without_a_source_still_tells_a_step() {
    let world = World::new();
    let server = world.peer(Dialect::V2009);
    let recipe = world.recipe("steps:\n- run: 'true'\n- run: 'false'\n");
    let ended = world.pony(&["-s", &server.url(), recipe]).env("TMPDIR", "/nowhere").end().code(12);
    assert!(ended.err().contains("cannot create the directory"), "{ended}");
    let (client, steps) = server.submission();
    assert_eq!((&client["success"], client["outcome"].as_str()), (&false.into(), Some("infra-error")));
    assert_eq!(steps.len(), 1);
    assert!(steps[0]["errout"].as_str().unwrap().contains("cannot create the directory"), "{steps:?}");
}

#[test]
fn what_is_not_committed_is_in_the_run_folder() {
    let world = World::new();
    let code = world.repository("work/code");
    code.write("file", "changed");
    code.write("new", "x");
    let recipe = world.recipe("source: {path: ./code}\nsteps:\n- run: cat file new\n");
    world.pony(&[recipe]).end().code(0).out_is("changedx");
    let run = world.run();
    let result = run.result();
    assert_eq!(result["checkout"]["dirty"], true);
    let step = run.step("checkout");
    let commands = step["commands"].as_array().unwrap();
    let diff = commands.iter().find(|command| command["label"] == "diff").unwrap();
    let diff = run.text(diff["out"]["file"].as_str().unwrap());
    assert!(diff.contains("-one") && diff.contains("+changed"), "{diff}");

    let clean = world.recipe("source: {path: ./code, gitignore: true}\nsteps:\n- run: ls\n");
    code.git(&["checkout", "--quiet", "."]);
    code.write(".gitignore", "*.o\nout/\n");
    code.write("out/x", "x");
    code.write("a.o", "x");
    world.pony(&[clean]).end().code(0).out_is("file\nnew\n");
}

#[test]
fn changes_since_earlier_runs_are_told() {
    let world = World::new();
    let upstream = world.repository("work/up");
    let recipe = world.recipe("source: {git: ./up}\nsteps:\n- run: test ! -e broken\n");
    let _ = world.pony(&[recipe]).end().code(0);
    upstream.write("broken", "x");
    upstream.commit("break it");
    let _ = world.pony(&[recipe]).end().code(10);
    upstream.write("more", "x");
    upstream.commit("go on");
    let _ = world.pony(&[recipe]).end().code(10);
    let checkout = &world.last_run().result()["checkout"];
    let told = |key: &str| {
        let changes = &checkout[key];
        let subjects: Vec<_> =
            changes["commits"].as_array().unwrap().iter().map(|one| one["subject"].clone()).collect();
        (subjects, changes["files"].clone())
    };
    assert_eq!(told("changes_since_last"), (vec!["go on".into()], serde_json::json!(["file", "more"])));
    assert_eq!(
        told("changes_since_success"),
        (vec!["go on".into(), "break it".into()], serde_json::json!(["broken", "file", "more"]))
    );
    let serve = world.serve();
    let page = serve.page("/p/demo/latest/").body;
    assert!(page.contains("Changes since the last success") && page.contains("break it"), "{page}");
}
