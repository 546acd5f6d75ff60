//! Builds at once share the machine: makes take their jobs from one pool.

use std::fs;

use pony_tests::World;

/// Twelve jobs, each of which tells of its begin and its end.
const MAKEFILE: &str = "JOBS := $(foreach job,a b c d,$(job)1 $(job)2 $(job)3)\n\
    all: $(JOBS)\n\
    $(JOBS):\n\
    \t@echo + >>$(LOG); i=0; while [ $$i -lt 1000 ]; do i=$$((i+1)); done; echo - >>$(LOG)\n";

#[test]
fn makes_of_four_builds_run_no_more_jobs_than_were_asked_for() {
    let world = World::new();
    world.write("Makefile", MAKEFILE);
    let log = world.path("log");
    let recipes = ["a.yaml", "b.yaml", "c.yaml", "d.yaml"];
    for name in recipes {
        let make = format!("make -f {} LOG={}", world.path("work/Makefile").display(), log.display());
        world.write(name, format!("package: {}\nsteps:\n- run: {make}\n", name.trim_end_matches(".yaml")));
    }
    // As many tokens as builds at once, or as there are processors.
    let most = std::thread::available_parallelism().unwrap().get().max(4);
    let ended = world.pony(&["-j", "4"].iter().chain(&recipes).collect::<Vec<_>>()).end().code(0);
    assert!(!ended.err().contains("jobserver") && !ended.out().contains("jobserver"), "{ended}");
    let (mut now, mut highest, mut begun) = (0, 0, 0);
    for line in fs::read_to_string(&log).unwrap().lines() {
        if line == "+" {
            begun += 1;
            now += 1;
        } else {
            now -= 1;
        }
        highest = now.max(highest);
    }
    assert_eq!((begun, now), (48, 0), "{ended}");
    assert!(highest <= most, "{highest} at once\n{ended}");
}

#[test]
fn who_has_its_share_or_does_not_want_one_is_offered_none() {
    let world = World::new();
    let tell = "test -n \"${MAKEFLAGS-}\" && echo offered || echo not";
    for (name, head, run) in [
        ("plain", "", format!("{tell}; true")),
        ("counted", "", format!("{tell}; : {{{{jobs}}}}")),
        ("refused", "jobserver: false\n", format!("{tell}; true")),
    ] {
        world.write(&format!("{name}.yaml"), format!("package: {name}\n{head}steps:\n- run: '{run}'\n"));
    }
    world.pony(&["-j", "2", "plain.yaml", "counted.yaml", "refused.yaml"]).end().code(0);
    for run in world.runs() {
        let result = run.result();
        let name = result["package"].as_str().unwrap();
        let expected = if name == "plain" { "offered\n" } else { "not\n" };
        let said = fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().path());
        let said = said.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "out")).unwrap();
        assert_eq!(fs::read_to_string(said).unwrap(), expected, "{name}");
    }
}
