//! Every way in which a step or a run can end by itself: what is recorded, what is said, which exit code.

use std::fs;

use pony_tests::World;

#[test]
fn a_failed_step_ends_the_build_but_for_what_always_runs() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:
- {name: shaky, run: exit 7, allow-failure: true}
- {name: compile, run: 'echo compiling; echo oh no >&2; exit 3'}
- {name: check, type: test, run: touch never}
- {name: clean, run: echo cleaning, always: true}
",
    );
    let ended = world.pony(&["-n", recipe, "--keep", "never"]).end().code(10).out_is("compiling\ncleaning\n");
    let run = world.run();
    assert_eq!(run.outcomes(), ["failed", "failed", "skipped", "passed"], "{ended}");
    assert_eq!(run.step("compile")["status"], 3);
    assert_eq!(run.step("shaky")["status"], 7);
    assert_eq!(run.step("shaky")["allowed_to_fail"], true);
    assert_eq!(run.step("check")["reason"], "step `compile` failed");
    assert_eq!(run.result()["outcome"], "failed");
    let summary = ended.err();
    for said in ["last lines of compile", "| oh no", "02-compile.err", "demo failed at step `compile`"] {
        assert!(summary.contains(said), "{said:?} is expected: {ended}");
    }
}

#[test]
fn a_build_whose_failures_are_all_allowed_passes() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: lint, run: exit 1, allow-failure: true}\n- run: echo on\n");
    let ended = world.pony(&["-n", recipe]).end().code(0).out_is("on\n").err_has("failed (allowed)");
    assert_eq!(world.run().result()["outcome"], "passed", "{ended}");
}

#[test]
fn the_summary_has_the_last_twenty_lines_of_what_failed() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: many, run: 'i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done; exit 1'}\n");
    let ended = world.pony(&["-n", recipe]).end().code(10);
    let tail: Vec<String> =
        ended.err().lines().filter_map(|line| Some(line.strip_prefix("  | ")?.to_owned())).collect();
    let expected: Vec<String> = (31..=50).map(|line| format!("line {line}")).collect();
    assert_eq!(tail, expected, "{ended}");
}

#[test]
fn a_signal_is_a_negative_status() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: crash, run: kill -SEGV $$}\n");
    let ended = world.pony(&["-n", recipe]).end().code(10).err_has("killed by SIGSEGV");
    let step = world.run().step("crash");
    assert_eq!((&step["status"], &step["outcome"]), (&(-11).into(), &"failed".into()), "{ended}");
}

#[test]
fn a_missing_program_is_named_with_its_step_before_anything_runs() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo ran\n- {name: docs, run: [no-such-program, --html]}\n");
    let ended = world.pony(&["-n", recipe]).end().code(12).out_is("");
    assert!(ended.err().contains("docs") && ended.err().contains("`no-such-program`"), "{ended}");
    let run = world.run();
    assert_eq!(run.outcomes(), ["skipped", "infra-error"], "{ended}");
    assert_eq!(run.result()["outcome"], "infra-error");
    assert_eq!(run.step("docs")["status"], -1);
}

#[test]
fn a_missing_program_of_a_script_is_the_machines_fault() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo ran\n- {name: docs, run: no-such-program --html}\n");
    let ended = world.pony(&["-n", recipe]).end().code(12).out_is("ran\n");
    assert!(ended.err().contains("`no-such-program`"), "{ended}");
    let run = world.run();
    assert_eq!(run.outcomes(), ["passed", "infra-error"], "{ended}");
    assert_eq!(run.step("docs")["status"], 127);
}

#[test]
fn a_program_that_an_earlier_step_makes_is_not_missed() {
    let world = World::new();
    let recipe = world.recipe(
        r#"environment: {PATH: "/usr/bin:/bin:."}
steps:
- run: "printf '#!/bin/sh\necho made\n' >fresh-tool; chmod +x fresh-tool"
- run: fresh-tool
"#,
    );
    world.pony(&["-n", recipe]).end().code(0).out_is("made\n");
}

#[test]
fn what_cannot_be_executed_is_the_trees_fault() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo text >plain\n- {name: go, run: [./plain]}\n");
    let ended = world.pony(&["-n", recipe]).end().code(10).err_has("cannot start `./plain`");
    let step = world.run().step("go");
    assert_eq!((&step["status"], &step["outcome"]), (&(-1).into(), &"failed".into()), "{ended}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- {name: docs, run: make, cwd: doc/html}\n- {run: 'true', always: true}\n");
    let ended = world.pony(&["-n", recipe]).end().code(10).err_has("doc/html");
    assert_eq!(world.run().step("docs")["status"], -1, "{ended}");
    assert_eq!(world.run().outcomes(), ["failed", "passed"]);
}

#[test]
fn a_step_may_use_a_folder_that_an_earlier_one_made() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: mkdir -p a/b\n- {run: [pwd], cwd: a/b}\n");
    let ended = world.pony(&["-n", recipe]).end().code(0);
    assert!(ended.out().ends_with("/a/b\n"), "{ended}");
}

#[test]
fn a_script_stops_at_its_first_failing_line() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: |\n    echo one\n    false\n    echo two\n");
    world.pony(&["-n", recipe]).end().code(10).out_is("one\n");
}

#[test]
fn uploads_are_copied_into_the_run_folder() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:
- run: mkdir dist; echo a >dist/a.whl; echo b >dist/b.whl; echo c >dist/c.txt
- {name: wheels, upload: 'dist/*.whl', description: two wheels}
",
    );
    let ended = world.pony(&[recipe]).end().code(0);
    let run = world.run();
    assert_eq!(run.text("artifacts/dist/a.whl"), "a\n", "{ended}");
    assert_eq!(run.text("artifacts/dist/b.whl"), "b\n");
    assert!(!run.path.join("artifacts/dist/c.txt").exists());
    assert_eq!(run.step("wheels")["artifacts"][1]["bytes"], 2);
    assert_eq!(run.step("wheels")["type"], "package");
    let stored = world.serve().json("/p/demo/latest/?format=json");
    assert_eq!(stored["results"][1]["type"], "file_upload", "{stored:#}");
}

#[test]
fn an_upload_of_nothing_fails_and_says_so() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: wheel, upload: 'dist/*.whl'}\n");
    world.pony(&["-n", recipe]).end().code(10).err_has("dist");
    assert_eq!(world.run().outcomes(), ["failed"]);
}

#[test]
fn the_tree_is_kept_where_there_is_something_to_look_at() {
    for (arguments, steps, kept) in [
        (vec![], "echo", false),
        (vec![], "exit 1", true),
        (vec!["--keep", "never"], "exit 1", false),
        (vec!["--keep", "always"], "echo", true),
        (vec!["-N"], "echo", true),
    ] {
        let world = World::new();
        let recipe = world.recipe(&format!("steps:\n- run: touch made; {steps}\n"));
        let ended = world.pony(&[vec!["-n", recipe], arguments].concat()).end();
        let trees = world.temporary();
        assert_eq!(trees.len(), usize::from(kept), "{trees:?} {ended}");
        if kept {
            assert!(
                trees[0].join("made").exists() && ended.err().contains(trees[0].to_str().unwrap()),
                "{ended}"
            );
        }
    }
}

#[test]
fn a_tree_that_nobody_may_enter_is_removed_all_the_same() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- run: mkdir -p closed/in; touch closed/in/file; chmod 000 closed/in closed\n");
    let ended = world.pony(&["-n", recipe]).end().code(0);
    assert!(world.temporary().is_empty(), "{ended}");
}

#[test]
fn context_here_builds_in_the_recipes_own_folder() {
    let world = World::new();
    world.write(
        "project/demo.yaml",
        "package: demo\ncontext: here\nsource: {path: .}\nsteps:\n- run: touch built\n",
    );
    world.pony(&["-n", "project/demo.yaml"]).end().code(0);
    assert!(world.path("work/project/built").exists());
    assert!(world.temporary().is_empty());
}

#[test]
fn a_wrong_command_line_is_exit_2() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo ran\n");
    for arguments in [
        vec!["--sever", "x", recipe],
        vec!["--set", "nothing", recipe],
        vec!["--keep", "perhaps", recipe],
        vec!["-s", "ftp://x/", recipe],
        vec!["-s", "not an address", recipe],
        vec!["-t", "__host=x", recipe],
        vec![],
    ] {
        let ended = world.pony(&arguments).end().code(2).out_is("");
        assert!(!ended.err().is_empty(), "{ended}");
    }
    world.pony(&["--sever", "x", recipe]).end().err_has("'--server'");
}

#[test]
fn an_invalid_recipe_is_exit_11_and_nothing_runs() {
    let world = World::new();
    let recipe = world.recipe("step:\n- run: echo ran\n");
    let good = world.write("good.yaml", "package: good\nsteps: [{run: echo ran}]\n");
    let ended = world.pony(&["-n", good.to_str().unwrap(), recipe]).end().code(11).out_is("");
    assert!(ended.err().contains("demo.yaml:2:1") && ended.err().contains("`steps`"), "{ended}");
    assert!(!world.path("pony").exists(), "{ended}");
    world.pony(&["-n", "nowhere.yaml"]).end().code(11).err_has("nowhere.yaml");
}

#[test]
fn an_unset_secret_is_exit_2_and_nothing_runs() {
    let world = World::new();
    let recipe = world.recipe("secrets: [TOKEN]\nsteps:\n- run: echo ran\n");
    world.pony(&["-n", recipe]).end().code(2).out_is("").err_has("`TOKEN`");
    world.pony(&["-n", recipe]).env("TOKEN", "abc").end().code(2).out_is("").err_has("`TOKEN`");
    world.pony(&["-n", recipe]).env("TOKEN", "").end().code(0).out_is("ran\n");
}

#[test]
fn where_nothing_can_be_recorded_nothing_runs() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo ran\n");
    fs::write(world.path("pony"), "a file, not a folder").unwrap();
    world.pony(&[recipe]).end().code(14).out_is("").err_has("PONY_HOME");
}

#[test]
fn a_disk_that_gets_full_stops_the_build_and_is_said() {
    let world = World::new();
    let recipe = world
        .recipe("steps:\n- {name: much, run: 'head -c 1000000 /dev/zero; sleep 60'}\n- run: touch never\n");
    let ended = world.full_disk(&world.pony(&["-n", recipe])).end().code(14).err_has("cannot record");
    assert!(world.processes().is_empty(), "{:?} {ended}", world.processes());
}

#[test]
fn the_worst_of_several_recipes_is_the_exit_code() {
    let world = World::new();
    let good = world.write("good.yaml", "package: good\nsteps: [{run: echo good}]\n").display().to_string();
    let bad = world.write("bad.yaml", "package: bad\nsteps: [{run: exit 1}]\n").display().to_string();
    let ended = world.pony(&["-n", &bad, &good]).end().code(10).out_has("good\n");
    assert_eq!(world.runs().len(), 2, "{ended}");
}
