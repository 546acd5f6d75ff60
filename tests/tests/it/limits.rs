//! Much of everything: output, lines, steps, runs.

use std::thread;

use pony_tests::World;

#[test]
fn two_hundred_steps() {
    let world = World::new();
    let steps: String = (1..=200).map(|step| format!("- {{name: s{step}, run: ['true']}}\n")).collect();
    let recipe = world.recipe(&format!("steps:\n{steps}"));
    let ended = world.pony(&[recipe]).end().code(0).err_has("[200/200] s200 passed");
    assert_eq!(world.run().outcomes().len(), 200, "{ended}");
    let stored = world.serve().json("/p/demo/latest/?format=json");
    assert_eq!(stored["results"].as_array().unwrap().len(), 200);
}

#[test]
fn fifty_megabytes_of_output() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: much, run: 'yes 0123456789abcdef | head -c 50000000'}\n");
    let ended = world.pony(&["--no-progress", recipe]).end().code(0);
    let bytes = ended.out_bytes();
    let mut expected = b"0123456789abcdef\n".repeat(50_000_000 / 17 + 1);
    expected.truncate(50_000_000);
    assert!(bytes == expected, "{} bytes: {ended}", bytes.len());
    assert!(world.run().read("01-much.out") == bytes, "the record is what was printed");
    let stored = world.serve().json("/p/demo/latest/?format=json");
    let output = stored["results"][0]["output"].as_str().unwrap();
    assert!(output.starts_with("0123456789abcdef\n") && output.len() < 5_000_000, "{}", output.len());
    assert!(output.contains("01-much.out"), "the rest is said to be in the run folder");
}

#[test]
fn ten_thousand_pieces_of_one_line() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:\n- {name: dots, run: 'i=0; while [ $i -lt 10000 ]; do printf 1234567890; i=$((i+1)); done'}\n",
    );
    let ended = world.pony(&[recipe]).end().code(0);
    assert_eq!(ended.out_bytes(), b"1234567890".repeat(10_000), "{ended}");
    assert_eq!(world.run().read("01-dots.out").len(), 100_000);
}

#[test]
fn both_streams_interleaved() {
    let world = World::new();
    let script = "i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done";
    let recipe = world.recipe(&format!("steps:\n- {{name: both, run: '{script}'}}\n"));
    let ended = world.pony(&["-n", recipe]).end().code(0);
    let lines = |word: &str| -> String { (0..2000).map(|line| format!("{word} {line}\n")).collect() };
    assert!(ended.out() == lines("out"), "{ended}");
    assert!(ended.err().contains(&lines("err")), "{ended}");
    assert_eq!(world.run().text("01-both.out"), lines("out"));
    assert_eq!(world.run().text("01-both.err"), lines("err"));
}

#[test]
fn eight_runs_at_once_in_one_home() {
    let world = World::new();
    let repository = world.repository("work/project");
    let recipe =
        world.recipe(&format!("source: {{git: '{}'}}\nsteps:\n- run: cat file\n", repository.path()));
    thread::scope(|scope| {
        let runs: Vec<_> = (0..8).map(|_| scope.spawn(|| world.pony(&[recipe]).end())).collect();
        for run in runs {
            run.join().unwrap().code(0).out_is("one").has_no("crashed");
        }
    });
    assert_eq!(world.runs().len(), 8);
    assert!(world.open_runs().is_empty(), "{:?}", world.open_runs());
    let stored = world.serve().json("/p/demo/show_all?format=json");
    assert_eq!(stored["results"].as_array().unwrap().len(), 8, "{stored:#}");
}
