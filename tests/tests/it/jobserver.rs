//! Builds at once share the machine: makes take their jobs from one pool.

use std::{fs, path::Path};

use pony_tests::World;

/// Twelve jobs, each of which tells of its begin and its end. They take a moment in which all that may run do.
const MAKEFILE: &str = "JOBS := $(foreach job,a b c d,$(job)1 $(job)2 $(job)3)\n\
    all: $(JOBS)\n\
    $(JOBS):\n\
    \t@echo + >>$(LOG); sleep 0.02; echo - >>$(LOG)\n";

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
    let (begun, highest) = counted(&log);
    assert_eq!(begun, 48, "{ended}");
    assert!(highest <= most, "{highest} at once\n{ended}");
}

/// How many jobs there were, and how many at once at the most.
fn counted(log: &Path) -> (usize, usize) {
    let (mut now, mut highest, mut begun) = (0, 0, 0);
    for line in fs::read_to_string(log).unwrap().lines() {
        if line == "+" {
            begun += 1;
            now += 1;
        } else {
            now -= 1;
        }
        highest = now.max(highest);
    }
    assert_eq!(now, 0);
    (begun, highest)
}

#[test]
fn who_is_told_its_jobs_takes_them_from_the_pool() {
    let world = World::new();
    world.write("Makefile", MAKEFILE);
    let log = world.path("log");
    let make = |options: &str| {
        format!("make {options} -f {} LOG={}", world.path("work/Makefile").display(), log.display())
    };
    world.write("told.yaml", format!("package: told\nweight: 3\nsteps:\n- run: {}\n", make("-j{{jobs}}")));
    world.write("plain.yaml", format!("package: plain\nsteps:\n- run: {}\n", make("")));
    let most = std::thread::available_parallelism().unwrap().get().max(4);
    let ended = world.pony(&["-j4", "told.yaml", "plain.yaml"]).end().code(0);
    let (begun, highest) = counted(&log);
    assert_eq!(begun, 24, "{ended}");
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

#[test]
fn who_is_told_how_many_jobs_to_run_shares_with_what_runs_beside_it() {
    let world = World::new();
    let tell = "steps:\n- {name: tell, run: 'echo {{jobs}}'}\n";
    for (name, head) in [
        ("first", ""),
        ("second", "needs: [first]\n"),
        ("heavy", "weight: 3\nneeds: [second]\n"),
        ("light", "needs: [second]\n"),
        ("last", "needs: [heavy, light]\n"),
    ] {
        world.write(&format!("{name}.yaml"), format!("package: {name}\n{head}{tell}"));
    }
    let most = std::thread::available_parallelism().unwrap().get().max(4);
    world.pony(&["-n", "-j4", "last.yaml"]).end().code(0);
    for run in world.runs() {
        let package = run.result()["package"].as_str().unwrap().to_owned();
        // What nothing can run beside has the machine to itself.
        let expected = match package.as_str() {
            "heavy" => most * 3 / 4,
            "light" => most / 4,
            _ => most,
        };
        assert_eq!(run.text("01-tell.out"), format!("{expected}\n"), "{package}");
    }
}
