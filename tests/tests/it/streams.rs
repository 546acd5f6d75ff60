//! What comes out where: the build's bytes, our own words, colours.

use pony_tests::{World, program};

const COLOURED: &str = r"steps:
- {name: paint, run: 'printf ''\033[31mred\033[0m\n''; printf ''\033[32mgreen\033[0m\n'' >&2'}
";

#[test]
fn each_stream_of_the_build_comes_out_of_its_own() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: talk, run: 'echo out; echo err >&2'}\n");
    let ended = world.pony(&["-n", recipe]).end().code(0).out_is("out\n");
    let err = ended.err();
    assert!(err.contains("\nerr\n") && err.contains("[1/1] talk passed"), "{ended}");
}

#[test]
fn no_control_sequence_goes_into_a_pipe() {
    let world = World::new();
    let recipe = world.recipe(COLOURED);
    let ended = world.pony(&["-n", recipe]).env("TERM", "xterm-256color").end().code(0).out_is("red\n");
    assert!(!ended.err_bytes().contains(&0x1b) && ended.err().contains("\ngreen\n"), "{ended}");
    assert_eq!(world.run().read("01-paint.out"), b"\x1b[31mred\x1b[0m\n");
}

#[test]
fn colours_are_kept_where_they_are_asked_for() {
    let world = World::new();
    let recipe = world.recipe(COLOURED);
    let red = "\x1b[31mred\x1b[0m\n";
    for (arguments, variables, kept) in [
        (vec!["--color", "always"], vec![], true),
        (vec!["--color", "always"], vec![("NO_COLOR", "1")], true),
        (vec!["--color", "never"], vec![("CLICOLOR_FORCE", "1")], false),
        (vec![], vec![("CLICOLOR_FORCE", "1")], true),
        (vec![], vec![("CLICOLOR_FORCE", "0")], false),
        (vec![], vec![("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        let mut call = world.pony(&[vec!["-n", recipe], arguments].concat());
        for (name, value) in variables {
            call = call.env(name, value);
        }
        let ended = call.end().code(0).out_is(if kept { red } else { "red\n" });
        assert_eq!(ended.err().contains("\x1b[32mgreen\x1b[0m"), kept, "{ended}");
        assert_eq!(ended.err_bytes().contains(&0x1b), kept, "{ended}");
    }
}

#[test]
fn raw_bytes_are_recorded_as_they_are_and_stored_as_text() {
    let world = World::new();
    let recipe = world.recipe(
        r"steps:
- {name: odd, run: 'printf ''\033[1mA\000B\351C\377\033[0m''; printf ''\302\205\357\277\276 end'' >&2'}
",
    );
    let ended = world.pony(&[recipe]).end().code(0);
    let run = world.run();
    assert_eq!(run.read("01-odd.out"), b"\x1b[1mA\0B\xe9C\xff\x1b[0m", "{ended}");
    assert_eq!(run.read("01-odd.err"), b"\xc2\x85\xef\xbf\xbe end");
    assert_eq!(run.step("odd")["out"]["bytes"], 14);
    let serve = world.serve();
    let stored = serve.json("/p/demo/latest/?format=json");
    let output = stored["results"][0]["output"].as_str().unwrap();
    for part in ["A", "B", "C"] {
        assert!(output.contains(part), "{output:?}");
    }
    assert!(!output.contains('\0') && !output.contains('\x1b'), "{output:?}");
    let page = serve.page("/p/demo/latest/");
    assert!(!page.body.contains('\0') && !page.body.contains('\x1b'), "{page:?}");
}

#[test]
fn bytes_pass_into_a_pipe_untouched_but_for_control_sequences() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'printf ''a\\tb\\rc\\351\\377\\000d'''\n");
    let ended = world.pony(&["-n", recipe]).end().code(0);
    assert_eq!(ended.out_bytes(), b"a\tb\rc\xe9\xff\0d", "{ended}");
}

#[test]
fn a_title_that_is_broken_off_takes_no_more_than_its_line_along() {
    let world = World::new();
    let recipe = world.recipe(
        r#"steps:
- {name: title, run: "printf 'building\\n\\033]0;make: all\\n'; echo 'important 1'"}
- {name: cut, run: "printf 'a\\033[3'"}
- {name: more, run: "for i in 1 2 3; do echo line $i; done"}
- {name: last, run: "echo 'error: it broke'; exit 1"}
"#,
    );
    let out = "building\nimportant 1\naline 1\nline 2\nline 3\nerror: it broke\n";
    let _ = world.pony(&["-n", recipe]).end().code(10).out_is(out);
}

#[test]
fn bytes_of_any_encoding_pass_into_a_pipe() {
    let world = World::new();
    let recipe = world.recipe(
        r#"steps:
- {name: colour, run: "printf '\\033[32mok\\033[0m\\n'"}
- {name: cp437, run: "printf 'Datei f\\201r Pr\\201fung nicht gefunden\\n'"}
- {name: sjis, run: "printf '\\203G\\203\\211\\201[\\n'"}
- {name: cp1252, run: "printf '\\223quoted\\224\\n'"}
"#,
    );
    let ended = world.pony(&["-n", recipe]).end().code(0);
    let wanted = b"ok\nDatei f\x81r Pr\x81fung nicht gefunden\n\x83G\x83\x89\x81[\n\x93quoted\x94\n";
    assert_eq!(ended.out_bytes(), wanted, "{ended}");
}

#[test]
fn our_words_begin_on_a_line_of_their_own_where_both_streams_are_one() {
    let world = World::new();
    let recipe =
        world.recipe("steps:\n- {name: a, run: \"printf 'FAILED: 3 tests'\"}\n- {name: b, run: 'true'}\n");
    let pony = program("pony-run");
    for redirection in ["> both 2>&1", "2>&1 | cat > both"] {
        let script = format!("'{}' -n {recipe} {redirection}", pony.display());
        let _ = world.call("sh", &["-c", &script]).end().code(0);
        let both = std::fs::read_to_string(world.path("work/both")).unwrap();
        assert!(both.contains("\nFAILED: 3 tests\n[1/2] a passed"), "{redirection}: {both}");
    }
}

#[test]
fn our_words_begin_on_a_line_of_their_own() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- {name: open, run: printf unfinished >&2}\n");
    world.pony(&["-n", recipe]).end().code(0).err_has("\nunfinished\n[1/1] open passed");
}

#[test]
fn a_script_sees_its_environment() {
    let world = World::new();
    let recipe = world.recipe(
        r#"variables: {who: world, count: 3}
environment: {GREETING: "hello {{who}}"}
steps:
- {run: 'echo "$GREETING $COUNT $OUTER"', env: {COUNT: "{{count}}"}}
- {run: ["echo", "{{who}}", "a  b", "$HOME", "*"]}
"#,
    );
    let call = world.pony(&["-n", recipe, "--set", "who=moon"]).env("OUTER", "outer");
    call.end().code(0).out_is("hello moon 3 outer\nmoon a  b $HOME *\n");
}

#[test]
fn the_current_folder_of_a_step_is_what_it_is_said_to_be() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: 'echo \"$PWD\"; pwd; echo \"${OLDPWD-none}\"'\n");
    let ended =
        world.pony(&["-n", recipe]).env("PWD", "/elsewhere").env("OLDPWD", "/elsewhere").end().code(0);
    let out = ended.out();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0] == lines[1] && lines[0].contains("pony-demo-") && lines[2] == "none", "{ended}");
}

#[test]
fn any_name_of_a_step_makes_a_file() {
    let world = World::new();
    let long = "x".repeat(300);
    let recipe = world.recipe(&format!(
        "steps:\n- {{name: ../../etc/passwd, run: echo 1}}\n- {{name: 'ünïcode ☃', run: echo 2}}\n- {{name: {long}, run: echo 3}}\n- {{name: '.', run: echo 4}}\n"
    ));
    let ended = world.pony(&[recipe]).end().code(0).out_is("1\n2\n3\n4\n");
    let run = world.run();
    let result = run.result();
    for (index, step) in result["steps"].as_array().unwrap().iter().enumerate() {
        assert_eq!(run.text(step["out"]["file"].as_str().unwrap()), format!("{}\n", index + 1), "{ended}");
    }
}

#[test]
fn a_screen_that_stands_still_loses_nothing_of_a_step_that_has_ended() {
    const PRINTED: usize = 1_721_518;
    let world = World::new();
    let print = format!("head -c {PRINTED} /dev/zero | tr '\\0' x");
    let script = format!("({print}) >&2 & {print}; wait");
    let recipe = world.recipe(&format!("steps:\n- name: much\n  run: |\n    {script}\n"));
    // Longer than a step's end may take once its process has ended: what is in its pipes has to be read all the same.
    let script =
        format!("'{}' -n {recipe} 2>&1 | {{ sleep 1.5; cat >/dev/null; }}", program("pony-run").display());
    let _ = world.call("sh", &["-c", &script]).end().code(0);
    for log in ["01-much.out", "01-much.err"] {
        assert_eq!(world.run().read(log).len(), PRINTED, "{log}");
    }
}
