//! `--if-needed`: which rule decides, seen from outside.

use std::fs;

use pony_tests::{Stream, World};

const IF_NEEDED: [&str; 2] = ["--if-needed", "demo.yaml"];

/// Builds if needed; whether it did, and the words for it.
fn ask(world: &World, more: &[&str]) -> (bool, String) {
    let ended = world.pony(&[&IF_NEEDED[..], more].concat()).end();
    let err = ended.err();
    let verdict = err.lines().find(|line| line.contains(": building: ") || line.contains("nothing to do"));
    (ended.out().contains("built"), verdict.unwrap_or_else(|| panic!("{ended}")).to_owned())
}

fn built(world: &World, more: &[&str], why: &str) {
    let (built, words) = ask(world, more);
    assert!(built && words.contains(why), "{why:?} is expected: {words}");
}

fn not_built(world: &World, more: &[&str], why: &str) {
    let runs = world.runs().len();
    let (built, words) = ask(world, more);
    assert!(!built && words.contains(why), "{why:?} is expected: {words}");
    assert_eq!(world.runs().len(), runs);
}

#[test]
fn what_moved_is_built_once() {
    let world = World::new();
    let upstream = world.repository("work/up");
    world.recipe("source: {git: ./up}\nsteps:\n- run: echo built\n");
    built(&world, &[], "never built here");
    not_built(&world, &[], "upstream is still at");
    upstream.commit("two");
    world
        .pony(&["--explain", "--if-needed", "demo.yaml"])
        .end()
        .code(0)
        .out_is("")
        .err_has("upstream has moved");
    built(&world, &[], "upstream has moved from");
    not_built(&world, &[], "upstream is still at");
}

#[test]
fn another_interpreter_is_another_build_and_the_same_one_is_not() {
    let world = World::new();
    world.repository("work/up");
    let python = world.interpreter().display().to_string();
    world.recipe("source: {git: ./up}\ncontext: {virtualenv: {}}\nsteps:\n- run: echo built\n");
    built(&world, &["-e", &python], "never built here");
    not_built(&world, &["-e", &python], "upstream is still at");
    built(&world, &[], "its recipe has changed");
}

#[test]
fn a_recipe_that_changes_is_built_again() {
    let world = World::new();
    world.repository("work/up");
    let recipe = |echo: &str| {
        world.recipe(&format!(
            "source: {{git: ./up}}\nvariables: {{flags: none}}\nsteps:\n- run: echo {echo} {{{{flags}}}}\n"
        ));
    };
    recipe("built");
    built(&world, &[], "never built here");
    built(&world, &["--set", "flags=-O2"], "its recipe has changed");
    not_built(&world, &["--set", "flags=-O2"], "upstream is still at");
    recipe("built anew");
    built(&world, &[], "its recipe has changed");
    world
        .pony(&["--if-needed", "--force", "--explain", "demo.yaml"])
        .end()
        .code(0)
        .out_is("")
        .err_has("building: --force");
    world.pony(&["--if-needed", "--force", "demo.yaml"]).end().code(0).out_has("built anew");
}

#[test]
fn only_watched_files_count() {
    let world = World::new();
    let upstream = world.repository("work/up");
    world.recipe("source: {git: ./up}\nwatch: {include: ['src/**'], exclude: ['**/*.md']}\nsteps:\n- run: echo built\n");
    built(&world, &[], "never built here");
    upstream.write("docs/a", "a");
    upstream.write("src/README.md", "a");
    upstream.commit("no code");
    not_built(&world, &[], "no watched file has changed");
    upstream.write("src/deep/x.c", "x");
    upstream.commit("code");
    built(&world, &[], "upstream has moved");
}

#[test]
fn a_red_build_is_not_repeated_and_an_old_one_is() {
    let world = World::new();
    world.repository("work/up");
    world.recipe("source: {git: ./up}\nsteps:\n- run: echo built; exit 1\n");
    built(&world, &[], "never built here");
    not_built(&world, &[], "upstream is still at");
    world.recipe("source: {git: ./up}\nforce-every: 0.001\nsteps:\n- run: echo built; exit 1\n");
    built(&world, &[], "its recipe has changed");
    built(&world, &[], "the last run was 0.");
}

#[test]
fn what_was_not_the_codes_fault_is_tried_again_after_a_while() {
    let world = World::new();
    world.repository("work/up");
    world.recipe("source: {git: ./up, branch: later}\nsteps:\n- run: echo built\n");
    let ended = world.pony(&IF_NEEDED).end().code(12);
    assert!(ended.err().contains("no branch `later`"), "{ended}");
    not_built(&world, &[], "ended as infra-error; next try in 59 m");
    world.configure("retry-after: 0.001");
    let ended = world.pony(&IF_NEEDED).end().code(12).err_has("the last run ended as infra-error");
    assert!(ended.err().contains(": building: "), "{ended}");
    world.git("work/up", &["branch", "later"]);
    built(&world, &[], "the last run ended as infra-error");
    not_built(&world, &[], "upstream is still at");
}

#[test]
fn an_upstream_that_is_not_there_or_refuses() {
    let world = World::new();
    world.repository("work/up");
    world.recipe("source: {git: ./up}\nsteps:\n- run: echo built\n");
    built(&world, &[], "never built here");
    fs::rename(world.path("work/up"), world.path("work/away")).unwrap();
    // It will not mend itself: the run says so, once an hour.
    let ended = world.pony(&IF_NEEDED).end().code(12).err_has("upstream refuses");
    assert!(ended.err().contains("no repository at"), "{ended}");
    not_built(&world, &[], "next try in");
}

#[test]
fn nobody_who_is_out_of_reach_makes_a_build() {
    let world = World::new();
    let upstream = world.repository("work/up");
    let daemon = world.git_daemon("work");
    let text = format!("source: {{git: '{}/up'}}\nsteps:\n- run: echo built\n", daemon.url());
    world.configure("network: {waits: []}");
    world.recipe(&text);
    built(&world, &[], "never built here");
    upstream.commit("two");
    drop(daemon);
    not_built(&world, &[], "upstream cannot be reached");
    // Asked for, it is built from what is here.
    world.pony(&["-f", "demo.yaml"]).end().code(0).out_has("built").err_has("using the cached copy");
    assert!(world.last_run().result()["checkout"]["offline"].as_str().unwrap().contains("cannot reach"));
    world.pony(&["--offline", "demo.yaml"]).end().code(0).out_has("built").err_has("while offline");
}

#[test]
fn a_run_that_is_under_way_is_not_repeated() {
    let world = World::new();
    world.repository("work/up");
    let go = world.fifo("go");
    let recipe = world.recipe(&format!(
        "source: {{git: ./up}}\nsteps:\n- run: 'echo begun; read x <{}; echo built'\n",
        go.display()
    ));
    let mut live = world.pony(&[recipe]).start();
    live.until(Stream::Out, "begun");
    not_built(&world, &[], "another run of it is under way");
    world.release(&go);
    let _ = live.end().code(0);
    not_built(&world, &[], "upstream is still at");
}

#[test]
fn a_folder_counts_by_what_is_in_it() {
    let world = World::new();
    world.write("src/a", "1");
    world.recipe("source: {path: ./src}\nsteps:\n- run: echo built\n");
    built(&world, &[], "never built here");
    not_built(&world, &[], "upstream is still at");
    world.write("src/deep/b", "2");
    built(&world, &[], "upstream has moved");
    not_built(&world, &[], "upstream is still at");
}

#[test]
fn names_of_slots_are_no_requests() {
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    world.repository("work/up");
    let recipe =
        world.write("rq.yaml", "package: requests\nsource: {git: ./up}\nsteps: [{run: echo built}]\n");
    let recipe = recipe.to_str().unwrap();
    // The server has heard of no build of this slot, and says so with its name.
    let _ = world.pony(&["-n", recipe]).end().code(0);
    let ended = world.pony(&["--if-needed", "-s", &serve.url(), recipe]).end().code(0).out_is("");
    assert!(ended.err().contains("upstream is still at"), "{ended}");
}

#[test]
fn a_crash_is_not_repeated_at_once() {
    let world = World::new();
    world.repository("work/up");
    let go = world.fifo("go");
    let recipe = world
        .recipe(&format!("source: {{git: ./up}}\nsteps:\n- run: 'echo begun; read x <{}'\n", go.display()));
    let mut live = world.pony(&["--if-needed", recipe]).start();
    live.until(Stream::Out, "begun");
    live.signal(nix::sys::signal::Signal::SIGKILL);
    let _ = live.end();
    let ended = world.pony(&["--if-needed", recipe]).end().code(0).out_is("");
    assert!(ended.err().contains("ended as crashed; next try in 59 m"), "{ended}");
    world.configure("retry-after: 0.001");
    world.release(&go);
    world.pony(&["--if-needed", recipe]).end().code(0).err_has("the last run ended as crashed");
}

#[test]
fn two_recipes_for_one_slot_are_both_built() {
    let world = World::new();
    world.repository("work/up");
    let recipe = world.recipe("source: {git: ./up}\nsteps:\n- run: echo built\n");
    std::fs::copy(world.path("work/demo.yaml"), world.path("work/again.yaml")).unwrap();
    let ended = world.pony(&["--if-needed", recipe, "again.yaml"]).end().code(0);
    assert_eq!(world.runs().len(), 2, "{ended}");
}

#[test]
fn a_request_waits_for_a_run_that_reports() {
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    world.repository("work/up");
    let recipe = world.recipe("source: {git: ./up}\nsteps:\n- run: echo built\n");
    let url = serve.url();
    let _ = world.pony(&["-s", &url, recipe]).end().code(0);
    let form = "application/x-www-form-urlencoded";
    let key = serve.json("/p/demo/show_all?format=json")["results"][0]["key"].as_str().unwrap().to_owned();
    let _ = pony_tests::post(serve.address(), &format!("/p/demo/{key}/request_build"), form, b"");
    world.pony(&["--if-needed", "-n", "-s", &url, recipe]).end().code(0).out_is("");
    world
        .pony(&["--if-needed", "-s", &url, recipe])
        .end()
        .code(0)
        .out_is("built\n")
        .err_has("build requested");
}

#[test]
fn a_reservation_of_ours_that_was_not_given_back_stops_nothing() {
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    let upstream = world.repository("work/up");
    let go = world.fifo("go");
    let recipe = world.recipe(&format!(
        "source: {{git: ./up}}\nsteps:\n- run: 'echo begun; read x <{}; echo built'\n",
        go.display()
    ));
    let arguments = ["--if-needed", "-s", &serve.url(), recipe];
    let mut live = world.pony(&arguments).start();
    live.until(Stream::Out, "begun");
    live.signal(nix::sys::signal::Signal::SIGTERM);
    let _ = live.end().code(143);
    upstream.commit("two");
    let mut live = world.pony(&arguments).start();
    live.until(Stream::Out, "begun");
    world.release(&go);
    let _ = live.end().code(0).out_has("built");
}

#[test]
fn time_that_is_over_before_there_is_a_tree_is_not_spent_again_at_once() {
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let recipe = world.recipe(&format!(
        "source: {{git: 'git://{address}/x', branch: main}}\ntimeout: 0.3\nsteps: [{{run: echo built}}]\n"
    ));
    let ended = world.pony(&["--if-needed", recipe]).end();
    assert_eq!(world.run().result()["outcome"], "timed-out", "{ended}");
    not_built(&world, &[], "next try in 59 m");
    drop(listener);
}
