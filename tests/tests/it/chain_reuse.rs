//! Builds that need each other, run again: what is reused, what is built, and who is asked.

use pony_tests::World;

use super::chain::{library_and_program, times, world};

/// Two repositories, of which one needs the other.
fn two_repositories(world: &World) {
    for (name, needs, step) in
        [("lib", "", "if grep bad a; then exit 1; fi"), ("app", "needs: [lib]\n", "cat a {{needs.lib.o}}")]
    {
        let repository = world.repository(name);
        repository.write("a", "one\n");
        repository.commit("One");
        let outputs = if name == "lib" { "outputs: {o: a}\n" } else { "" };
        let step = format!("{step}; echo built >>\"$LEDGER/{name}\"");
        world.write(
            &format!("{name}.yaml"),
            format!(
                "package: {name}\nsource: {{git: '{}'}}\n{needs}{outputs}steps:\n- run: '{step}'\n",
                repository.path()
            ),
        );
    }
}

fn publish(world: &World, name: &str, text: &str) {
    let dir = world.path(name);
    std::fs::write(dir.join("a"), text).unwrap();
    world.git(name, &["commit", "-qam", text.trim()]);
}

#[test]
fn a_need_that_is_asked_for_and_has_not_changed_serves() {
    let world = world();
    two_repositories(&world);
    world.pony(&["-n", "lib.yaml", "app.yaml"]).end().code(0);
    publish(&world, "app", "two\n");
    let ended = world.pony(&["-n", "--if-needed", "lib.yaml", "app.yaml"]).end().code(0);
    assert_eq!((times(&world, "lib"), times(&world, "app")), (1, 2), "{ended}");
    // Nothing new: a line for each, and nothing more.
    let ended = world.pony(&["-n", "--if-needed", "lib.yaml", "app.yaml"]).end().code(0);
    assert_eq!(ended.err().lines().count(), 2, "{ended}");
    assert_eq!((times(&world, "lib"), times(&world, "app")), (1, 2), "{ended}");
    // What is needed has gone: no reason to build what needs it.
    world.pony(&["cache", "remove", "--all"]).end().code(0);
    let ended = world.pony(&["-n", "--if-needed", "app.yaml"]).end().code(0);
    assert_eq!((times(&world, "lib"), times(&world, "app")), (1, 2), "{ended}");
    publish(&world, "app", "three\n");
    let ended = world.pony(&["-n", "--if-needed", "app.yaml"]).end().code(0);
    assert_eq!((times(&world, "lib"), times(&world, "app")), (2, 3), "{ended}");
}

#[test]
fn without_a_source_what_is_needed_tells_of_changes() {
    let world = world();
    two_repositories(&world);
    world.write("pair.yaml", "package: pair\nneeds: [lib]\nsteps:\n- run: 'echo built >>\"$LEDGER/pair\"'\n");
    for expected in [1, 1] {
        let ended = world.pony(&["-n", "--if-needed", "pair.yaml"]).end().code(0);
        assert_eq!(times(&world, "pair"), expected, "{ended}");
    }
    publish(&world, "lib", "two\n");
    for expected in [2, 2] {
        let ended = world.pony(&["-n", "--if-needed", "pair.yaml"]).end().code(0);
        assert_eq!((times(&world, "lib"), times(&world, "pair")), (expected, expected), "{ended}");
    }
}

#[test]
fn what_was_reserved_at_the_server_and_did_not_run_is_built_later() {
    let world = world();
    two_repositories(&world);
    publish(&world, "lib", "bad\n");
    let serve = world.serve_file("elsewhere.db");
    let url = serve.url();
    // Looking reserves nothing.
    for _ in 0..2 {
        let ended = world.pony(&["graph", "--if-needed", "-s", &url, "app.yaml"]).end().code(0);
        assert!(ended.out().starts_with("app: will be built"), "{ended}");
    }
    world.pony(&["--if-needed", "-s", &url, "app.yaml"]).end().code(10);
    assert_eq!(times(&world, "app"), 0);
    let ended = world.pony(&["--if-needed", "-s", &url, "app.yaml"]).end().code(0);
    assert!(ended.err().contains("app: nothing to do: its dependency lib ended as failed"), "{ended}");
    publish(&world, "lib", "good\n");
    let ended = world.pony(&["--if-needed", "-s", &url, "app.yaml"]).end().code(0);
    assert_eq!(times(&world, "app"), 1, "{ended}");
}

#[test]
fn two_settings_of_one_recipe_do_not_wait_for_each_other() {
    let world = world();
    library_and_program(&world);
    world.write(
        "both.yaml",
        "package: both\nneeds: [zlib, {recipe: zlib, as: other, with: {shared: 'no'}}]\nsteps:\n- run: 'echo built >>\"$LEDGER/both\"'\n",
    );
    let ended = world.pony(&["--if-needed", "both.yaml"]).end().code(0);
    assert_eq!((times(&world, "zlib"), times(&world, "both")), (2, 1), "{ended}");
}

#[test]
fn what_is_turned_off_on_one_way_is_there_on_another() {
    let world = world();
    library_and_program(&world);
    for name in ["x", "y"] {
        world.write(
            &format!("{name}.yaml"),
            format!("package: {name}\nneeds: [zlib]\nsteps:\n- run: 'true'\n"),
        );
    }
    for needs in ["{recipe: x, without: [PATH]}, y", "y, {recipe: x, without: [PATH]}"] {
        world.write("app.yaml", format!("package: app\nneeds: [{needs}]\nsteps:\n- run: zlib-config\n"));
        world.pony(&["-n", "app.yaml"]).end().code(0);
    }
    world.write(
        "app.yaml",
        "package: app\nneeds: [{recipe: x, without: [PATH]}]\nsteps:\n- run: '! command -v zlib-config'\n",
    );
    world.pony(&["-n", "app.yaml"]).end().code(0);
}

#[test]
fn what_else_is_asked_for_does_not_make_another_build() {
    let world = world();
    for name in ["a", "b"] {
        world.write(
            &format!("{name}/zlib.yaml"),
            format!("package: zlib-{name}\noutputs: {{o: o}}\nsteps:\n- run: 'touch o; echo built >>\"$LEDGER/zlib\"'\n"),
        );
        world.write(
            &format!("{name}/app.yaml"),
            format!("package: app-{name}\nneeds: [zlib]\nsteps:\n- run: 'true'\n"),
        );
    }
    world.pony(&["-n", "a/app.yaml"]).end().code(0);
    let ended = world.pony(&["-n", "a/app.yaml", "b/app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 2, "{ended}");
    // However its folder is reached.
    std::os::unix::fs::symlink(world.path("work/a"), world.path("work/link")).unwrap();
    let ended = world.pony(&["-n", "a/app.yaml", "link/app.yaml"]).end().code(0);
    assert!(ended.err().contains("1 passed"), "one build: {ended}");
    assert_eq!(times(&world, "zlib"), 2, "{ended}");
    // Compilers in the environment do.
    world.pony(&["-n", "a/app.yaml"]).env("CFLAGS", "-O3").end().code(0);
    assert_eq!(times(&world, "zlib"), 3);
}

#[test]
fn upstream_out_of_reach_is_no_reason_to_build_again() {
    let world = world();
    two_repositories(&world);
    world.configure("network: {waits: []}");
    let daemon = world.git_daemon(".");
    let recipe = std::fs::read_to_string(world.path("work/lib.yaml")).unwrap();
    world.write(
        "lib.yaml",
        recipe.replace(world.path("lib").to_str().unwrap(), &format!("{}/lib", daemon.url())),
    );
    world.pony(&["-n", "app.yaml"]).end().code(0);
    drop(daemon);
    let ended = world.pony(&["-n", "app.yaml"]).end().code(0);
    assert_eq!((times(&world, "lib"), times(&world, "app")), (1, 2), "{ended}");
    let ended = world.pony(&["-n", "--if-needed", "app.yaml"]).end().code(0);
    assert_eq!((times(&world, "lib"), times(&world, "app")), (1, 2), "{ended}");
}

#[test]
fn a_server_that_is_silent_is_asked_once() {
    let world = world();
    // It accepts and says nothing, and closes.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    for name in ["a", "b", "c"] {
        world.write(&format!("{name}.yaml"), format!("package: {name}\nsteps:\n- run: 'true'\n"));
    }
    let ended = world.pony(&["-s", &url, "-j1", "a.yaml", "b.yaml", "c.yaml"]).end().code(13);
    assert_eq!(ended.err().matches("did not answer a moment ago").count(), 2, "{ended}");
    assert_eq!(world.open_runs().len(), 3, "{ended}");
}
