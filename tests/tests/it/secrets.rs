//! What must never be seen: on screen, in the record, at a server.

use pony_tests::{Dialect, World};

const SECRET: &str = "hunter2-s3cr3t";

#[test]
fn a_secret_shows_nowhere() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    let recipe = world.recipe(
        r#"secrets: [TOKEN]
environment: {COPY: "hunter2-s3cr3t"}
variables: {word: none}
steps:
- {name: print, run: 'echo "token=$TOKEN"; echo "again $TOKEN" >&2'}
- {name: split, run: 'printf hunter2; printf -- "-"; sleep 0.1; printf "s3cr3t\n"'}
- {name: words, run: [echo, "{{word}}", hunter2-s3cr3t]}
- {name: copy, run: 'echo $COPY'}
- {name: hunter2-s3cr3t, run: 'exit 1'}
"#,
    );
    let set = format!("word={SECRET}");
    for format in ["human", "json"] {
        let arguments = ["-v", "--message-format", format, "--set", &set, "-s", &server.url(), recipe];
        let ended = world.pony(&arguments).env("TOKEN", SECRET).end().has_no(SECRET);
        let _ = ended.code(10).out_has("token=***");
    }
    assert_eq!(world.holding(SECRET), Vec::<std::path::PathBuf>::new());
    assert!(server.saved().contains("token=***") && !server.saved().contains(SECRET), "{}", server.saved());
    let run = &world.runs()[0];
    assert_eq!(run.text("01-print.out"), "token=***\n");
    assert_eq!(run.text("01-print.err"), "again ***\n");
    assert_eq!(run.text("02-split.out"), "***\n");
}

#[test]
fn secrets_that_overlap_are_all_taken_out() {
    let world = World::new();
    let recipe = world.recipe("secrets: [FIRST, SECOND]\nsteps:\n- {name: leak, run: printf aabaaaaba}\n");
    let call = world.pony(&["-n", recipe]).env("FIRST", "aaba").env("SECOND", "aaaabaa");
    let _ = call.end().code(0).out_is("***a***");
    assert_eq!(world.run().text("01-leak.out"), "***a***");
}

#[test]
fn each_line_of_a_key_is_secret() {
    let world = World::new();
    let recipe = world.recipe("secrets: [KEY]\nsteps:\n- run: 'echo \"$KEY\" | sed s/^/key:/'\n");
    let key = "-----BEGIN KEY-----\nMIIEowIBAAK\nCAQEAx0l4\n-----END KEY-----\n";
    let ended = world.pony(&["-n", recipe]).env("KEY", key).end().code(0);
    for line in key.lines() {
        assert!(!ended.out().contains(line) && world.holding(line).is_empty(), "{ended}");
    }
}

#[test]
fn credentials_of_a_repository_show_nowhere() {
    let world = World::new();
    world.configure("network: {waits: []}");
    let server = world.peer(Dialect::V2009);
    let recipe = world.recipe(
        "source: {git: 'http://ann:hunter2-s3cr3t@127.0.0.1:1/x.git'}\nsteps:\n- run: git remote -v\n",
    );
    let ended = world.pony(&["-v", "--debug", "-s", &server.url(), recipe]).end().code(12).has_no(SECRET);
    assert!(world.holding(SECRET).is_empty(), "{:?} {ended}", world.holding(SECRET));
    assert!(!server.saved().is_empty() && !server.saved().contains(SECRET));
    world.pony(&["--dry-run", recipe]).end().code(0).has_no(SECRET);
}

#[test]
fn credentials_of_a_server_show_nowhere() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    let url = server.url().replace("//", "//ann:hunter2-s3cr3t@");
    let recipe = world.recipe("steps:\n- run: echo hi\n");
    world.pony(&["--debug", "-v", "-s", &url, recipe]).end().code(0).has_no(SECRET);
    let down = "http://ann:hunter2-s3cr3t@127.0.0.1:1/";
    world.pony(&["-s", down, recipe]).end().code(13).has_no(SECRET);
    world.pony(&["-s", "http://ann:hunter2-s3cr3t@[", recipe]).end().code(2).has_no(SECRET);
    world.pony(&["--dry-run", "-s", down, recipe]).end().code(0).has_no(SECRET);
    world.pony(&["submit", "-s", down]).end().code(13).has_no(SECRET);
    assert!(world.holding(SECRET).is_empty(), "{:?}", world.holding(SECRET));
}

#[test]
fn a_secret_is_not_in_the_results_of_the_embedded_server() {
    let world = World::new();
    let recipe = world.recipe("secrets: [TOKEN]\nsteps:\n- run: 'echo $TOKEN; exit 1'\n");
    world.pony(&[recipe]).env("TOKEN", SECRET).end().code(10).has_no(SECRET);
    assert!(world.holding(SECRET).is_empty(), "{:?}", world.holding(SECRET));
}

#[test]
fn a_crash_does_not_let_a_secret_out() {
    let world = World::new();
    let recipe = world.recipe("secrets: [TOKEN]\nsteps:\n- run: 'echo $TOKEN; echo begun; sleep 60'\n");
    let mut live = world.pony(&[recipe]).env("TOKEN", SECRET).start();
    live.until(pony_tests::Stream::Out, "begun");
    live.signal(nix::sys::signal::Signal::SIGKILL);
    live.end().code(-9);
    world.pony(&["submit"]).end().code(0).has_no(SECRET);
    assert!(world.holding(SECRET).is_empty(), "{:?}", world.holding(SECRET));
}

#[test]
fn a_secret_that_is_a_word_of_the_record_breaks_nothing() {
    let world = World::new();
    let recipe = world.recipe(
        "secrets: [WORD, YEAR, END]\nsteps:\n- {name: unit, type: test, run: 'echo $WORD $YEAR $END'}\n",
    );
    let call = world.pony(&[recipe]).env("WORD", "test").env("YEAR", "202").env("END", "passed");
    call.end().code(2);
    let call = world.pony(&[recipe]).env("WORD", "test").env("YEAR", "2026").env("END", "passed");
    call.end().code(0).out_is("*** *** ***\n");
    assert_eq!(world.run().outcomes(), ["passed"]);
    assert_eq!(world.serve().json("/p/demo/latest/?format=json")["results"][0]["output"], "*** *** ***\n");
}
