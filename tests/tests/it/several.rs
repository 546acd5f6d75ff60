//! Several builds at once, as a person and as programs see them.

use std::{collections::BTreeMap, fmt::Write as _};

use pony_tests::{RunFolder, Stream, World};
use serde_json::Value;

/// Writes a recipe of one step `make`, and returns the recipe's name.
fn recipe(world: &World, package: &str, script: &str) -> String {
    let name = format!("{package}.yaml");
    let indented: String = script.lines().map(|line| format!("    {line}\n")).collect();
    world.write(&name, format!("package: {package}\nsteps:\n- name: make\n  run: |\n{indented}"));
    name
}

/// The run of this package, which is the only one.
fn run_of(world: &World, package: &str) -> RunFolder {
    let runs = world.runs();
    let mut runs = runs.into_iter().filter(|run| run.result()["package"] == package);
    let run = runs.next().unwrap_or_else(|| panic!("no run of {package}"));
    assert!(runs.next().is_none(), "two runs of {package}");
    run
}

/// Three builds that wait for each other in the middle of a line, so that they do print side by side.
fn side_by_side(world: &World) -> [String; 3] {
    let [first, second] = ["first", "second"].map(|name| world.fifo(name).display().to_string());
    let [a, b] = [
        format!("printf 'a begins'; echo careful >&2; read x <{first}; echo ', a ends'; echo go >{second}"),
        format!("printf 'b begins'; echo go >{first}; read x <{second}; echo ', b ends'; printf open"),
    ];
    [
        recipe(world, "alpha", &a),
        recipe(world, "b", &b),
        recipe(world, "bad", "echo one; echo two >&2; exit 3"),
    ]
}

#[test]
fn lines_carry_the_name_of_their_build() {
    let world = World::new();
    let recipes = side_by_side(&world);
    let ended =
        world.pony(&["-j", "3", &recipes[0], &recipes[1], &recipes[2]]).env("TERM", "xterm").end().code(10);
    let (out, err) = (ended.out(), ended.err());
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["alpha | a begins, a ends", "b     | b begins, b ends", "b     | open", "bad   | one"],
        "{ended}"
    );
    for line in [
        "alpha | careful",
        "bad   | two",
        "b     | [1/1] make",
        "bad   | [1/1] make failed in 0.0 s: exit status 3",
    ] {
        let (start, _) = line.split_once("0.0 s").unwrap_or((line, ""));
        assert!(err.lines().any(|said| said.starts_with(start)), "{line}\n{ended}");
    }
    assert!(!ended.err_bytes().contains(&0x1b), "{ended}");

    let end = &err[err.find("\nbad failed at make: exit status 3\n").unwrap_or_else(|| panic!("{ended}"))..];
    let bad = run_of(&world, "bad");
    let tail: Vec<&str> = end.lines().filter(|line| line.starts_with("  | ")).collect();
    assert!(tail.len() == 2 && tail.contains(&"  | one") && tail.contains(&"  | two"), "{ended}");
    for file in ["01-make.out", "01-make.err"] {
        let log = format!("full log {} (4 B)", bad.path().join(file).display());
        assert!(end.contains(&log), "{log}\n{ended}");
    }
    let rows: Vec<Vec<&str>> = end
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("  |"))
        .map(|line| line.split_whitespace().collect())
        .collect();
    let key =
        |package: &str| run_of(&world, package).receipts()[0]["result_key"].as_str().unwrap().to_owned();
    for (row, (package, outcome, said)) in
        rows.iter().zip([("alpha", "passed", ""), ("b", "passed", ""), ("bad", "failed", "at step `make`; ")])
    {
        assert_eq!(row[..2], [package, outcome], "{ended}");
        // The duration, two words of it, is not the same each time.
        assert_eq!(row[4..].join(" "), format!("{said}result {}", key(package)), "{ended}");
    }
    assert!(end.lines().last().unwrap().starts_with("2 passed · 1 failed in "), "{ended}");
}

#[test]
fn groups_are_not_interleaved() {
    let world = World::new();
    let recipes = side_by_side(&world);
    let arguments = ["-n", "-j", "3", "--output", "grouped", &recipes[0], &recipes[1], &recipes[2]];
    let ended = world.pony(&arguments).end().code(10);
    let out: Vec<String> = ended.out().lines().map(str::to_owned).collect();
    let b: Vec<usize> = (0..out.len()).filter(|at| out[*at].starts_with("b ")).collect();
    assert_eq!(b, [b[0], b[0] + 1], "{ended}");
    assert_eq!([&out[b[0]], &out[b[1]]], ["b     | b begins, b ends", "b     | open"], "{ended}");
    let err = ended.err();
    let bad: Vec<&str> = err.lines().filter(|line| line.starts_with("bad ")).collect();
    assert!(bad[0].starts_with("bad   | [1/1] make failed in "), "{ended}");
    assert_eq!(bad[1], "bad   | two", "{ended}");
    assert!(bad[2].starts_with("bad   | failed at step `make` ("), "{ended}");
}

#[test]
fn nothing_is_shown_but_ends() {
    let world = World::new();
    let recipes = side_by_side(&world);
    let arguments = ["-n", "-j", "3", "--output", "none", &recipes[0], &recipes[1], &recipes[2]];
    let ended = world.pony(&arguments).end().code(10).out_is("");
    let err = ended.err();
    let live: Vec<&str> = err.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(live.len(), 3, "{ended}");
    assert!(live.iter().any(|line| line.starts_with("b     | passed (")), "{ended}");
    assert!(err.contains("  | two\n"), "what failed is shown at the end: {ended}");
}

#[test]
fn eight_that_print_at_once_never_share_a_line() {
    const LINES: usize = 6_000;
    let world = World::new();
    let text = |name: &str| -> String {
        (1..=LINES).fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "{number} of {name} {}", "x".repeat(number % 90));
            text
        })
    };
    let names: Vec<String> = (1..=8).map(|number| format!("build{number}")).collect();
    let mut arguments = vec!["-n".to_owned(), "-j".to_owned(), "8".to_owned()];
    for name in &names {
        let file = world.write(&format!("{name}.txt"), text(name)).display().to_string();
        // In pieces that end anywhere, on both streams.
        let script = format!("dd if={file} bs=777 status=none & cat {file} >&2; wait; printf 'no end'");
        arguments.push(recipe(&world, name, &script));
    }
    let ended = world.pony(&arguments).end().code(0);
    for (stream, all) in [(Stream::Out, ended.out()), (Stream::Err, ended.err())] {
        let mut seen: BTreeMap<&str, String> = BTreeMap::new();
        for line in all.lines() {
            let Some((name, rest)) = line.split_once(" | ") else { continue };
            if rest == "no end" || rest.starts_with("[1/1]") || rest.starts_with("passed (") {
                continue;
            }
            let _ = writeln!(seen.entry(name).or_default(), "{rest}");
        }
        assert_eq!(seen.len(), 8, "{stream:?}");
        for name in &names {
            assert!(seen[name.as_str()] == text(name), "{name} on {stream:?} is mixed with others");
        }
    }
    for name in &names {
        let run = run_of(&world, name);
        assert!(run.read("01-make.out") == [text(name).as_bytes(), b"no end"].concat(), "{name}");
        assert!(run.read("01-make.err") == text(name).as_bytes(), "{name}");
    }
}

#[test]
fn each_line_of_json_names_its_build() {
    let world = World::new();
    let recipes = side_by_side(&world);
    let arguments = ["--message-format", "json", "-j", "3", &recipes[0], &recipes[1], &recipes[2]];
    let ended = world.pony(&arguments).end().code(10).err_is("");
    let out = ended.out();
    let events: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (first, last) = (&events[0], events.last().unwrap());
    assert_eq!(
        (&first["event"], &last["event"]),
        (&"chain-started".into(), &"chain-ended".into()),
        "{ended}"
    );
    assert_eq!(first["chain"], last["chain"]);
    let names: Vec<&Value> = first["builds"].as_array().unwrap().iter().map(|build| &build["name"]).collect();
    assert_eq!(names, ["alpha", "b", "bad"]);
    let inner = &events[1..events.len() - 1];
    assert!(inner.iter().all(|event| names.contains(&&event["build"])), "{ended}");
    for (name, stream, text) in [
        ("alpha", "out", "a begins, a ends\n"),
        ("alpha", "err", "careful\n"),
        ("b", "out", "b begins, b ends\nopen"),
        ("bad", "err", "two\n"),
    ] {
        let printed = inner.iter().filter(|event| event["build"] == name && event["stream"] == stream);
        let printed: String = printed.map(|event| event["text"].as_str().unwrap()).collect();
        assert_eq!(printed, text, "{ended}");
        let of_build: Vec<&Value> =
            inner.iter().filter(|event| event["build"] == name).map(|event| &event["event"]).collect();
        assert_eq!((of_build[0], *of_build.last().unwrap()), (&"run-started".into(), &"delivered".into()));
    }
}

#[test]
fn how_long_a_build_usually_takes_is_how_long_it_took_when_it_passed() {
    let world = World::new();
    let two = "steps:\n- {name: configure, run: 'true'}\n- {name: make, run: 'false'}\n";
    world.write("fails.yaml", format!("package: fails\n{two}"));
    let recipes = ["fails.yaml", &recipe(&world, "passes", "true")];
    let mut arguments = vec!["-n", "--message-format", "json"];
    arguments.extend(recipes);
    for know in [false, true] {
        let ended = world.pony(&arguments).end().code(10);
        let out = ended.out();
        let started: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        let usual: Vec<bool> =
            started["builds"].as_array().unwrap().iter().map(|build| build["usual"].is_number()).collect();
        // The first step of the other is not all of it.
        assert_eq!(usual, [false, know], "{ended}");
    }
}

#[test]
fn each_running_build_has_a_line_at_the_bottom() {
    let world = World::new();
    let gates: Vec<_> = (0..6).map(|number| world.fifo(&format!("gate{number}"))).collect();
    let mut arguments = vec!["-n".to_owned(), "-j".to_owned(), "5".to_owned()];
    for (number, gate) in gates.iter().enumerate() {
        let script = format!("echo out {number}; read x <{}; exit {}", gate.display(), number % 2);
        arguments.push(recipe(&world, &format!("build{number}"), &script));
    }
    let terminal = world.terminal(80, 24, &world.pony(&arguments));
    let bottom = |screen: &str, lines: usize| -> Vec<String> {
        let all: Vec<&str> = screen.lines().collect();
        all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
    };
    let screen = terminal.until("five that run", |screen| {
        screen.ends_with("5 running · 1 to go")
            && (0..5).all(|number| screen.contains(&format!("| out {number}")))
    });
    let status = bottom(&screen, 6);
    for number in 0..5 {
        let start = format!("build{number} · step 1/1 make · 0:0");
        assert_eq!(status.iter().filter(|line| line.starts_with(&start)).count(), 1, "{screen}");
    }
    assert_eq!(screen.matches("· step 1/1 make").count(), 5, "{screen}");

    // Half of the screen at the most.
    terminal.resize(80, 8);
    let screen = terminal.until("less room", |screen| screen.contains("… and 3 more"));
    assert_eq!(bottom(&screen, 2), ["… and 3 more", "5 running · 1 to go"], "{screen}");
    assert_eq!(screen.matches("· step 1/1 make").count(), 2, "{screen}");
    terminal.resize(80, 40);
    let _ = terminal.until("more room", |screen| screen.matches("· step 1/1 make").count() == 5);

    world.release(&gates[1]);
    let screen = terminal.until_shown("5 running · 1 failed");
    assert!(screen.contains("build1 | failed at step `make` ("), "{screen}");
    assert!(terminal.coloured().contains("\u{1b}[36mbuild0"), "names have colours");
    for gate in [0, 2, 3, 4, 5] {
        world.release(&gates[gate]);
    }
    let screen = terminal.end(10);
    assert!(!screen.contains("· step 1/1 make") && !screen.contains("running"), "{screen}");
    assert!(screen.contains("\nbuild1 failed at make: exit status 1\nlast lines:\n  | out 1\n"), "{screen}");
    assert!(screen.contains("\n3 passed · 3 failed in "), "{screen}");
}
