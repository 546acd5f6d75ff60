//! Builds that need each other: each once, in order, its outputs handed on, and none blamed for another.

use std::collections::BTreeMap;

use pony_tests::{Dialect, Ended, RunFolder, Stream, World};
use serde_json::Value;

/// A library that is "installed" into `install`, and what uses it.
pub(super) fn library_and_program(world: &World) {
    world.write(
        "zlib.yaml",
        "package: zlib\nvariables: {shared: 'yes'}\noutputs: {prefix: install}\nsteps:\n\
         - {name: make, run: 'mkdir -p install/bin; echo \"echo zlib {{shared}}\" >install/bin/zlib-config; chmod +x install/bin/*; \
         echo built >>\"$LEDGER/zlib\"'}\n",
    );
    world.write(
        "app.yaml",
        "package: app\nneeds: [zlib.yaml]\nsteps:\n- {name: use, run: 'zlib-config; ls {{needs.zlib.prefix}}/bin; echo built >>\"$LEDGER/app\"'}\n",
    );
}

pub(super) fn world() -> World {
    let mut world = World::new();
    let ledger = world.path("ledger");
    std::fs::create_dir(&ledger).unwrap();
    world.set("LEDGER", ledger);
    world
}

/// How often the build of this name has run.
pub(super) fn times(world: &World, name: &str) -> usize {
    std::fs::read_to_string(world.path("ledger").join(name)).unwrap_or_default().lines().count()
}

/// The only run of each package.
fn runs(world: &World) -> BTreeMap<String, RunFolder> {
    let mut runs = BTreeMap::new();
    for run in world.runs() {
        let package = run.result()["package"].as_str().unwrap().to_owned();
        assert!(runs.insert(package.clone(), run).is_none(), "two runs of {package}");
    }
    runs
}

/// Those of these packages.
fn runs_of(world: &World, packages: &[&str]) -> BTreeMap<String, RunFolder> {
    runs(world).into_iter().filter(|(package, _)| packages.contains(&package.as_str())).collect()
}

fn events(ended: &Ended<'_>, kind: &str) -> Vec<Value> {
    let events =
        ended.out().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>();
    events.into_iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn what_a_build_needs_is_built_first_and_handed_on() {
    let world = world();
    library_and_program(&world);
    let ended = world.pony(&["app.yaml"]).end().code(0);
    let runs = runs(&world);
    let (zlib, app) = (runs["zlib"].result(), runs["app"].result());
    assert_eq!(runs["app"].text("01-use.out"), "zlib yes\nzlib-config\n", "{ended}");
    assert_eq!(zlib["chain"], app["chain"], "{ended}");
    assert!(zlib["chain"].is_string());
    assert_eq!(app["needs"][0]["name"], "zlib");
    assert_eq!(app["needs"][0]["run_id"], zlib["run_id"]);
    assert!(zlib["ended"].as_str() < app["started"].as_str());
    let prefix = zlib["outputs"]["prefix"].as_str().expect("an output");
    assert!(std::path::Path::new(prefix).join("bin/zlib-config").exists());
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
    assert!(world.open_runs().is_empty(), "{ended}");

    let serve = world.serve();
    let latest = serve.json("/p/app/latest/?format=json");
    let need = &latest["client_info"]["needs"][0];
    assert_eq!(need["outcome"], "passed", "{latest:#}");
    assert_eq!(need["result_key"], runs["zlib"].receipts()[0]["result_key"]);
    assert_eq!(latest["client_info"]["chain"], app["chain"]);
}

#[test]
fn what_is_there_already_is_reused_and_reported_as_such() {
    let world = world();
    library_and_program(&world);
    world.pony(&["app.yaml"]).end().code(0);
    let ended = world.pony(&["--message-format", "json", "app.yaml"]).end().code(0);
    assert_eq!((times(&world, "zlib"), times(&world, "app")), (1, 2), "{ended}");
    assert_eq!(events(&ended, "reused")[0]["build"], "zlib", "{ended}");
    let app = world.last_run();
    assert_eq!(app.result()["needs"][0]["reused"], true, "{ended}");

    world.pony(&["--rebuild", "app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 2);
    world.pony(&["--rebuild=zlib", "app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 3);
    world.pony(&["--rebuild=zlip", "app.yaml"]).end().code(2).err_has("zlib");

    // Another recipe is another build; the one before is still there.
    let text = std::fs::read_to_string(world.path("work/zlib.yaml")).unwrap();
    world.write("zlib.yaml", text.replace("'yes'", "'no'"));
    world.pony(&["app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 4);
    assert_eq!(world.last_run().text("01-use.out"), "zlib no\nzlib-config\n");
    world.write("zlib.yaml", text);
    world.pony(&["app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 4);

    let listed = world.pony(&["cache", "list"]).end().code(0);
    assert!(listed.out().contains("chain/zlib"), "{listed}");
    world.pony(&["cache", "remove", "--all"]).end().code(0);
    world.pony(&["app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 5);
}

#[test]
fn new_code_of_a_need_is_built() {
    let world = world();
    let zlib = world.repository("zlib");
    zlib.write("version", "1\n");
    zlib.commit("One");
    let recipe = format!(
        "package: zlib\nsource: {{git: '{}'}}\noutputs: {{v: version}}\nsteps:\n- run: 'echo built >>\"$LEDGER/zlib\"'\n",
        zlib.path()
    );
    world.write("zlib.yaml", recipe);
    world.write("app.yaml", "package: app\nneeds: [zlib]\nsteps:\n- run: 'cat {{needs.zlib.v}}'\n");
    world.pony(&["app.yaml"]).end().code(0).out_has("1\n");
    world.pony(&["app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 1);
    zlib.write("version", "2\n");
    let revision = zlib.commit("Two");
    let ended = world.pony(&["app.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 2, "{ended}");
    assert_eq!(world.last_run().result()["needs"][0]["revision"], revision, "{ended}");

    // For cron: nothing new, nothing done; new in what it needs, all done.
    world.pony(&["--if-needed", "app.yaml"]).end().code(0);
    let runs = world.runs().len();
    zlib.write("version", "3\n");
    zlib.commit("Three");
    let ended = world.pony(&["--if-needed", "app.yaml"]).end().code(0);
    assert_eq!((times(&world, "zlib"), world.runs().len()), (3, runs + 2), "{ended}");
    let ended = world.pony(&["--if-needed", "app.yaml"]).end().code(0);
    assert_eq!(world.runs().len(), runs + 2, "{ended}");
}

#[test]
fn a_need_that_fails_fails_nobody_else() {
    let world = world();
    world.write("zlib.yaml", "package: zlib\nsteps:\n- {name: make, run: 'echo no rule; exit 2'}\n");
    world.write("png.yaml", "package: png\nneeds: [zlib]\nsteps:\n- run: 'true'\n");
    world.write("app.yaml", "package: app\nneeds: [png]\nsteps:\n- run: 'true'\n");
    world.write("other.yaml", "package: other\nsteps:\n- run: 'true'\n");
    let ended = world.pony(&["app.yaml", "other.yaml"]).end().code(10);
    let runs = runs(&world);
    let key = runs["zlib"].receipts()[0]["result_key"].as_str().unwrap().to_owned();
    for skipped in ["png", "app"] {
        let result = runs[skipped].result();
        assert_eq!(result["outcome"], "skipped", "{ended}");
        assert_eq!(result["reason"], format!("zlib failed at make (result {key})"), "{ended}");
    }
    assert_eq!(runs["other"].result()["outcome"], "passed");
    assert!(world.open_runs().is_empty(), "{ended}");

    let ended = world.pony(&["-n", "--fail-fast", "-j1", "zlib.yaml", "other.yaml"]).end().code(10);
    assert!(ended.err().contains("other"), "{ended}");
    assert_eq!(world.runs().len(), 5, "{ended}");

    // A server that knows red and green only is not told of builds that never ran.
    let python = world.peer(Dialect::V2010);
    world.pony(&["-s", &python.url(), "app.yaml"]).end().code(10);
    let results = python.stored().results;
    let told: Vec<&str> =
        results.iter().map(|result| result["client_info"]["package"].as_str().unwrap()).collect();
    assert_eq!(told, ["zlib"], "{results:#?}");
}

#[test]
fn a_cron_job_does_not_try_what_failed_and_has_not_changed() {
    let world = world();
    let zlib = world.repository("zlib");
    zlib.write("version", "1\n");
    zlib.commit("One");
    let recipe = format!("package: zlib\nsource: {{git: '{}'}}\nsteps:\n- run: 'false'\n", zlib.path());
    world.write("zlib.yaml", recipe);
    world.write("app.yaml", "package: app\nneeds: [zlib]\nsteps:\n- run: 'true'\n");
    world.pony(&["--if-needed", "app.yaml"]).end().code(10);
    let runs = world.runs().len();
    let ended = world.pony(&["--if-needed", "app.yaml"]).end().code(0);
    assert_eq!(world.runs().len(), runs, "{ended}");
}

#[test]
fn outputs_that_were_not_made_fail_the_build() {
    let world = world();
    world.write(
        "lib.yaml",
        "package: lib\noutputs: {prefix: install, doc: doc/html}\nsteps:\n- run: mkdir install\n",
    );
    let ended = world.pony(&["-n", "lib.yaml"]).end().code(10);
    let result = world.run().result();
    assert_eq!(result["outcome"], "failed", "{ended}");
    let step = world.run().step("outputs");
    assert_eq!(step["reason"], "the build did not make its output `doc` (`doc/html`)", "{ended}");
}

#[test]
fn each_is_built_once_and_with_other_settings_again() {
    let world = world();
    library_and_program(&world);
    world.write("left.yaml", "package: left\nneeds: [./zlib.yaml]\nsteps:\n- run: 'true'\n");
    world.write(
        "sub/right.yaml",
        "package: right\nneeds: [{recipe: ../zlib.yaml, with: {shared: 'yes'}}, {recipe: ../zlib.yaml, as: static, with: {shared: 'no'}}]\n\
         steps:\n- run: '{{needs.static.prefix}}/bin/zlib-config'\n",
    );
    world.write("top.yaml", "package: top\nneeds: [left, sub/right.yaml]\nsteps:\n- run: 'true'\n");
    let ended = world.pony(&["-n", "--message-format", "json", "top.yaml"]).end().code(0);
    assert_eq!(times(&world, "zlib"), 2, "{ended}");
    let started = &events(&ended, "chain-started")[0];
    let names: Vec<&str> =
        started["builds"].as_array().unwrap().iter().map(|build| build["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["zlib", "left", "zlib(shared=no)", "right", "top"], "{ended}");
    assert!(ended.out().contains("zlib no"), "{ended}");
}

#[test]
fn every_cell_of_a_matrix_is_a_build_of_its_own() {
    let world = world();
    world.write("lib.yaml", "package: lib\nmatrix: {python: ['3.12', '3.13']}\noutputs: {v: v}\nsteps:\n- run: 'echo {{python}} >v'\n");
    world.write(
        "app.yaml",
        "package: app\nmatrix: {python: ['3.12', '3.13'], db: [sqlite, postgres], exclude: [{python: '3.12', db: postgres}]}\n\
         needs: [{recipe: lib, with: {python: '{{python}}'}}]\nsteps:\n- run: 'echo {{python}} {{db}} $(cat {{needs.lib.v}})'\n",
    );
    let ended = world.pony(&["-n", "app.yaml"]).end().code(0);
    let mut said: Vec<(String, String)> = world
        .runs()
        .iter()
        .filter(|run| run.result()["package"] == "app")
        .map(|run| {
            let tags = run.result()["tags"].as_array().unwrap().clone();
            let tags: Vec<&str> = tags.iter().filter_map(Value::as_str).collect();
            let steps = run.result()["steps"][0]["out"]["file"].as_str().unwrap().to_owned();
            (tags.join(" "), run.text(&steps))
        })
        .collect();
    said.sort();
    let expected = [
        ("3.12 sqlite", "3.12 sqlite 3.12\n"),
        ("3.13 postgres", "3.13 postgres 3.13\n"),
        ("3.13 sqlite", "3.13 sqlite 3.13\n"),
    ];
    assert_eq!(said, expected.map(|(tags, text)| (tags.to_owned(), text.to_owned())), "{ended}");
    world.pony(&["-n", "--matrix", "db=postgres", "app.yaml"]).end().code(0);
    assert_eq!(world.runs().len(), 5 + 1);
}

#[test]
fn what_was_finished_before_a_kill_is_not_built_again() {
    let world = world();
    let go = world.fifo("go");
    let step = |name: &str, more: &str| format!("steps:\n- run: 'echo built >>\"$LEDGER/{name}\"; {more}'\n");
    world.write("one.yaml", format!("package: one\n{}", step("one", "true")));
    world.write(
        "two.yaml",
        format!("package: two\nneeds: [one]\noutputs: {{o: o}}\n{}", step("two", "touch o")),
    );
    let wait = format!("if test -e stop; then echo waiting; read x <{}; fi", go.display());
    world.write(
        "three.yaml",
        format!("package: three\nsource: {{path: three}}\nneeds: [two]\n{}", step("three", &wait)),
    );
    world.write("three/stop", "");
    world.write("four.yaml", format!("package: four\nneeds: [three]\n{}", step("four", "true")));
    let mut live = world.pony(&["four.yaml"]).start();
    live.until(Stream::Out, "waiting");
    live.kill();
    world.release(&go);
    std::fs::remove_file(world.path("work/three/stop")).unwrap();
    let ended = world.pony(&["four.yaml"]).end().code(0).err_has("crashed");
    let built = ["one", "two", "three", "four"].map(|name| times(&world, name));
    assert_eq!(built, [1, 1, 2, 1], "{ended}");
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
}

#[test]
fn ctrl_c_ends_all_that_run_and_begins_nothing_more() {
    let world = world();
    let wait = "steps:\n- {name: wait, run: 'echo waiting; exec sleep 1000'}\n";
    world.write("a.yaml", format!("package: a\n{wait}"));
    world.write("b.yaml", format!("package: b\n{wait}"));
    world.write("c.yaml", "package: c\nneeds: [a, b]\nsteps:\n- run: 'true'\n");
    let mut live = world.pony(&["-j2", "c.yaml"]).start();
    assert!(live.until_times("waiting", 2));
    live.signal(nix::sys::signal::Signal::SIGINT);
    let ended = live.end().code(130);
    let runs = runs(&world);
    assert_eq!(runs.keys().collect::<Vec<_>>(), ["a", "b"], "{ended}");
    for run in runs.values() {
        assert_eq!(run.result()["outcome"], "cancelled", "{ended}");
        assert_eq!(run.receipts().len(), 1, "{ended}");
    }
    assert!(ended.err().contains('c') && world.open_runs().is_empty(), "{ended}");
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
}

#[test]
fn builds_that_share_a_lock_do_not_run_together() {
    let world = world();
    let step = "steps:\n- run: 'mkdir \"$LEDGER/port\"; sleep 0.01; rmdir \"$LEDGER/port\"'\n";
    for name in ["a", "b", "c", "d"] {
        world.write(&format!("{name}.yaml"), format!("package: {name}\nlocks: [port-5432]\n{step}"));
    }
    world.pony(&["-n", "-j4", "a.yaml", "b.yaml", "c.yaml", "d.yaml"]).end().code(0);
}

#[test]
fn a_chain_of_five_hundred() {
    let world = world();
    world.write("b0.yaml", "package: b0\nsteps:\n- run: [\"true\"]\n");
    for at in 1..500 {
        world.write(
            &format!("b{at}.yaml"),
            format!("package: b{at}\nneeds: [b{}]\nsteps:\n- run: [\"true\"]\n", at - 1),
        );
    }
    let ended = world.pony(&["-n", "--message-format", "json", "b499.yaml"]).end().code(0);
    let order: Vec<String> = events(&ended, "run-started")
        .iter()
        .map(|event| event["package"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (0..500).map(|at| format!("b{at}")).collect();
    assert_eq!(order, expected, "{ended}");
}

#[test]
fn a_circle_is_shown_and_nothing_runs() {
    let world = world();
    world.write("a.yaml", "package: a\nneeds: [b]\nsteps:\n- run: 'true'\n");
    world.write("b.yaml", "package: b\nneeds: [a]\nsteps:\n- run: 'true'\n");
    let ended = world.pony(&["a.yaml"]).end().code(11);
    assert!(ended.err().contains("a.yaml → b.yaml → a.yaml"), "{ended}");
    assert!(world.runs().is_empty(), "{ended}");
}

#[test]
fn the_graph_says_what_would_be_built_and_why() {
    let world = world();
    library_and_program(&world);
    let ended = world.pony(&["graph", "app.yaml"]).end().code(0);
    ended.out_is("app: will be built (requested)\n└── zlib: will be built (no earlier build to reuse)\n");
    assert!(world.runs().is_empty());
    world.pony(&["-n", "app.yaml"]).end().code(0);
    let ended = world.pony(&["graph", "--format", "json", "app.yaml"]).end().code(0);
    let graph: Value = serde_json::from_str(&ended.out()).expect("JSON");
    assert_eq!(graph["builds"][0]["name"], "zlib", "{ended}");
    assert_eq!(graph["builds"][0]["decision"], "reuse", "{ended}");
    let ended = world.pony(&["graph", "--rebuild=zlib", "app.yaml"]).end().code(0);
    assert!(ended.out().contains("zlib: will be built (--rebuild)"), "{ended}");
    assert_eq!((times(&world, "zlib"), times(&world, "app")), (1, 1));
}

/// Most that were between their first and their last line at once.
fn most_at_once(ledger: &str) -> usize {
    let mut most = 0;
    ledger.lines().fold(0_usize, |now, line| {
        let now = if line == "begin" { now + 1 } else { now - 1 };
        most = most.max(now);
        now
    });
    most
}

#[test]
fn makes_of_several_builds_share_their_jobs() {
    let world = world();
    let compile =
        "echo begin >>\"$LEDGER/jobs\"; gcc -x c -c -o /dev/null main.c; echo end >>\"$LEDGER/jobs\"";
    let targets: String = (0..12).map(|at| format!("o{at} ")).collect();
    let makefile = format!(".PHONY: all {targets}\nall: {targets}\n{targets}:\n\t@{compile}\n");
    let makefile = makefile.replace("$LEDGER", "$$LEDGER");
    for name in ["a", "b", "c", "d"] {
        world.write(&format!("{name}/Makefile"), &makefile);
        world
            .write(&format!("{name}/main.c"), "#include <stdio.h>\nint main(void) { return puts(\"x\"); }\n");
        world.write(
            &format!("{name}.yaml"),
            format!("package: {name}\nsource: {{path: {name}}}\nsteps:\n- run: make all\n"),
        );
    }
    let ended = world.pony(&["-n", "-j4", "a.yaml", "b.yaml", "c.yaml", "d.yaml"]).end().code(0);
    let ledger = std::fs::read_to_string(world.path("ledger/jobs")).unwrap();
    assert_eq!(ledger.lines().count(), 4 * 12 * 2, "{ended}");
    let cores = std::thread::available_parallelism().unwrap().get();
    let most = most_at_once(&ledger);
    assert!((2..=cores.max(4)).contains(&most), "{most} at once: {ended}");
    assert!(!ended.err().contains("jobserver"), "{ended}");

    // A step that is told how many jobs it may run shares in another way.
    world.write(
        "e.yaml",
        "package: e\nsteps:\n- {name: told, run: 'echo {{jobs}} \"$MAKEFLAGS\"'}\n- {name: shares, run: 'echo \"$MAKEFLAGS\"'}\n",
    );
    world.write("f.yaml", "package: f\njobserver: false\nsteps:\n- run: 'echo none \"$MAKEFLAGS\"'\n");
    let ended = world.pony(&["-n", "-j4", "e.yaml", "f.yaml"]).end().code(0);
    let runs = runs_of(&world, &["e", "f"]);
    assert_eq!(runs["e"].text("01-told.out"), format!("{} \n", cores.max(4) / 2), "{ended}");
    assert!(runs["e"].text("02-shares.out").contains("--jobserver-auth="), "{ended}");
    assert_eq!(runs["f"].text("01-echo.out"), "none \n", "{ended}");
}

#[test]
fn a_chain_that_is_killed_at_any_moment_goes_on_where_it_was() {
    const BUILDS: [&str; 5] = ["a", "b", "c", "d", "top"];
    let recipes = |world: &World| {
        for (name, needs) in [("a", ""), ("b", "a"), ("c", "a"), ("d", "b, c"), ("top", "d")] {
            let outputs = if name == "c" { "" } else { "outputs: {o: o}\n" };
            let step = format!("touch o; echo built >>\"$LEDGER/{name}\"");
            let needs = if needs.is_empty() { String::new() } else { format!("needs: [{needs}]\n") };
            let text = format!("package: {name}\n{needs}{outputs}steps:\n- run: '{step}'\n");
            world.write(&format!("{name}.yaml"), text);
        }
    };
    let whole = world();
    recipes(&whole);
    let ended = whole.pony(&["--message-format", "json", "top.yaml"]).end().code(0);
    let of = ended.out().matches("\"event\":").count();
    for event in (1..of).step_by(5) {
        let world = world();
        recipes(&world);
        let mut live = world.pony(&["--message-format", "json", "top.yaml"]).start();
        live.until_times("\"event\":", event);
        live.kill();
        let finished: Vec<String> = world
            .runs()
            .iter()
            .filter(|run| run.path().join("result.json").exists())
            .map(|run| run.result()["package"].as_str().unwrap().to_owned())
            .collect();
        let before = BUILDS.map(|name| times(&world, name));
        let ended = world.pony(&["top.yaml"]).end().code(0);
        for (name, before) in BUILDS.iter().zip(before) {
            let now = times(&world, name);
            let is_finished = *name != "top" && finished.iter().any(|finished| finished == name);
            // What was under way may have gone on for a moment after the kill.
            let is_right = if is_finished { now == before } else { now > before };
            assert!(
                is_right,
                "{name}: {before} times, then {now}; killed after event {event} of {of}, {finished:?} had ended: {ended}"
            );
        }
        // What had ended and was not delivered waits.
        let ended = world.pony(&["submit"]).end().code(0);
        assert!(world.open_runs().is_empty(), "killed after event {event} of {of}: {ended}");
        assert!(
            world.temporary().is_empty(),
            "killed after event {event} of {of}: {:?}: {ended}",
            world.temporary()
        );
    }
}
