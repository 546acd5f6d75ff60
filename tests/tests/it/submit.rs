//! Delivery: to every kind of server, to servers that are down or are none, and later.

use pony_tests::{Dialect, Refused, World};
use serde_json::json;

const STEPS: &str = "tags: [fast, unit]\nsteps:\n- {name: make, run: 'echo made; echo warned >&2'}\n- {name: check, type: test, run: exit 1, allow-failure: true}\n";

#[test]
fn a_result_goes_to_the_releases_of_2009_and_2010() {
    for (release, suffix) in
        [(Dialect::V2009, ""), (Dialect::V2009, "xmlrpc"), (Dialect::V2010, ""), (Dialect::V2010, "xmlrpc")]
    {
        let world = World::new();
        let server = world.peer(release);
        let recipe = world.recipe(STEPS);
        let url = format!("{}{suffix}", server.url());
        let ended = world.pony(&["-s", &url, recipe]).end().code(0).err_has("stored");
        let (client_info, results) = server.submission();
        assert_eq!(client_info["package"], "demo", "{ended}");
        assert_eq!(client_info["tags"], json!(["fast", "unit"]));
        assert_eq!(client_info["success"], true);
        assert!(client_info["host"].is_string() && client_info["arch"].is_string(), "{client_info:#}");
        assert!(client_info["duration"].is_f64() && client_info["start_time"].is_string(), "{client_info:#}");
        assert_eq!(results[0]["output"], "made\n");
        assert_eq!(results[0]["errout"], "warned\n");
        assert_eq!(results[0]["command"], "echo made; echo warned >&2");
        assert_eq!((&results[1]["status"], &results[1]["type"]), (&json!(1), &json!("test")));
        let run = world.run();
        let receipt = &run.receipts()[0];
        assert_eq!(receipt["server"], server.url());
        assert_eq!(receipt["result_key"], "0", "{ended}");
        assert!(world.open_runs().is_empty(), "{ended}");
    }
}

#[test]
fn a_result_goes_to_pony_serve() {
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    let recipe = world.recipe(STEPS);
    let ended = world.pony(&[recipe]).env("PONY_SERVER", serve.url()).end().code(0);
    assert_eq!(serve.json("/")["packages"][0]["package"], "demo", "{ended}");
    assert!(!world.path("pony/results.db").exists(), "{ended}");
    // The page that is named is there.
    let err = ended.err();
    let page = err.split_whitespace().find(|word| word.contains("/p/demo/")).expect("a page is named");
    let path = page.trim_start_matches(&serve.url()).trim_end_matches(['.', ',']);
    assert_eq!(serve.page(&format!("/{path}")).status, 200, "{ended}");
}

#[test]
fn a_server_that_is_down_gets_the_result_later() {
    let world = World::new();
    let recipe = world.recipe(STEPS);
    let down = Refused::new();
    let url = format!("http://{}/", down.address());
    let ended = world.pony(&["-s", &url, recipe]).end().code(13).err_has("not delivered");
    assert!(ended.err().contains("pony-run submit"), "{ended}");
    assert_eq!(world.open_runs().len(), 1);
    assert_eq!(world.run().result()["outcome"], "passed", "{ended}");
    world.pony(&["submit"]).end().code(13).err_has("not delivered");

    let server = world.peer(Dialect::V2010);
    let run = world.run().path.display().to_string();
    let result = world.run().path.join("result.json");
    let text = std::fs::read_to_string(&result).unwrap().replace(&url, &server.url());
    std::fs::write(&result, text).unwrap();
    world.pony(&["submit"]).end().code(0).err_has("stored");
    assert_eq!(server.submission().0["package"], "demo");
    world.pony(&["submit"]).end().code(0).err_has("Nothing is waiting to be sent.");
    world.pony(&["submit", &run]).end().code(0);
    assert_eq!(server.stored().results.len(), 1, "it is not sent twice");
}

#[test]
fn a_failed_build_that_is_not_delivered_is_exit_10() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: exit 1\n");
    world.pony(&["-s", "http://127.0.0.1:1/", recipe]).end().code(10).err_has("not delivered");
    world.pony(&["-s", "http://nonexistent.invalid/", recipe]).end().code(10).err_has("not delivered");
    assert_eq!(world.open_runs().len(), 2);
    let server = world.peer(Dialect::V2010);
    world.pony(&["submit", "-s", &server.url()]).end().code(0);
    assert_eq!(server.stored().results.len(), 2);
    assert_eq!(server.stored().results[0]["client_info"]["success"], false);
}

#[test]
fn what_is_no_pony_build_server_is_told_in_words() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo hi\n");
    for (how, said) in [
        ("page", "answered with a web page (“Welcome”)"),
        ("garbage", "does not speak XML-RPC"),
        ("empty", "does not speak XML-RPC"),
        ("error", "500 Internal Server Error"),
        ("refuse", "403 Forbidden: go away"),
        ("moved", "http://other.invalid/xmlrpc"),
        ("fault", "KeyError"),
        ("half", "the connection broke"),
        ("text", "unexpected answer; is this a pony-build server?"),
        ("struct", "unexpected answer; is this a pony-build server?"),
        ("bomb", "does not speak XML-RPC"),
        ("hangup", "the connection broke"),
    ] {
        let server = world.odd(how);
        let ended = world.pony(&["-s", &server.url(), recipe]).end().code(13);
        assert!(
            ended.err().contains("not delivered") && ended.err().contains(said),
            "{how}: {said:?} {ended}"
        );
        let longest = ended.err().lines().map(str::len).max().unwrap_or(0);
        assert!(longest < 600, "{how}: a line of {longest} bytes: {ended}");
    }
    assert_eq!(world.open_runs().len(), 12);
}

#[test]
fn much_output_fits_into_what_the_release_of_2010_takes() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    let recipe = world.recipe("steps:\n- {name: much, run: 'yes \"<&> 0123456789\" | head -c 20000000'}\n");
    let ended = world.pony(&["-s", &server.url(), recipe]).end().code(0);
    let (_, results) = server.submission();
    let output = results[0]["output"].as_str().unwrap();
    assert!(output.starts_with("<&> 0123456789\n") && output.ends_with("\n<&> 0"), "{ended}");
    assert!(output.contains("01-much.out"), "the rest is said to be in the run folder");
    let size = server.largest();
    assert!((1_000_000..5_000_000).contains(&size), "{size}");
}

#[test]
fn a_hundred_steps_with_much_output_each_fit_too() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    let step = |i| {
        format!("- {{name: s{i}, run: 'echo begin {i}; yes 0123456789 | head -c 200000; echo end {i}'}}\n")
    };
    let recipe = world.recipe(&format!("steps:\n{}", (0..100).map(step).collect::<String>()));
    let _ = world.pony(&["-s", &server.url(), recipe]).end().code(0);
    let (_, results) = server.submission();
    assert_eq!(results.len(), 100);
    for (i, result) in results.iter().enumerate() {
        let output = result["output"].as_str().unwrap();
        assert!(
            output.starts_with(&format!("begin {i}\n")) && output.trim_end().ends_with(&format!("end {i}"))
        );
    }
    let size = server.largest();
    assert!(size < 5_000_000, "{size}");
}

#[test]
fn output_that_no_xml_may_hold_arrives_all_the_same() {
    for release in [Dialect::V2009, Dialect::V2010] {
        let world = World::new();
        let server = world.peer(release);
        let recipe = world.recipe(
            r"steps:
- {name: odd, run: 'printf ''a\033[31mred\033[0mb\000c\351d\357\277\276e\001f\355\240\200g]]>&amp;\r\nh\033'''}
- {name: 'naïve <&> ☃', run: 'printf ''\303\251 ☃ \360\237\246\204'''}
",
        );
        let ended = world.pony(&["-s", &server.url(), recipe]).end().code(0);
        let (_, results) = server.submission();
        let output = results[0]["output"].as_str().unwrap();
        for part in ["ared", "b", "c", "d", "e", "f", "g]]>&amp;", "h"] {
            assert!(output.contains(part), "{part:?} in {output:?} {ended}");
        }
        assert!(
            !output.contains(['\u{1b}', '\0', '\u{1}', '\u{fffe}']) && !output.contains("[31m"),
            "{output:?}"
        );
        assert_eq!(results[1]["output"], "é ☃ 🦄");
        assert_eq!(results[1]["name"], "naïve <&> ☃");
    }
}

#[test]
fn everything_that_ever_ends_is_a_complete_bag() {
    for (steps, code) in [
        ("steps:\n- run: [no-such-program]\n- run: echo\n", 12),
        ("steps:\n- {run: sleep 60, timeout: 0.2}\n- run: echo\n", 10),
        ("steps:\n- {name: 'a/b: c', run: kill -9 $$}\n", 10),
        ("source: {git: ./nowhere}\nsteps:\n- run: echo\n", 12),
        ("steps:\n- {upload: 'nothing-*'}\n", 10),
        ("steps:\n- {run: echo, cwd: nowhere}\n", 10),
    ] {
        let world = World::new();
        let server = world.peer(Dialect::V2010);
        let recipe = world.recipe(steps);
        let ended = world.pony(&["-s", &server.url(), recipe]).end().code(code);
        let (client_info, results) = server.submission();
        assert_eq!(client_info["success"], false, "{ended}");
        assert_eq!(client_info["tags"], json!([]), "{ended}");
        assert!(results.iter().any(|step| step["status"] != 0), "{results:#?} {ended}");
        for step in &results {
            for key in ["name", "type", "command", "output", "errout"] {
                assert!(step[key].is_string(), "{key} in {step:#}");
            }
        }
    }
}

#[test]
fn a_run_folder_can_be_sent_to_another_server_too() {
    let world = World::new();
    let recipe = world.recipe(STEPS);
    let _ = world.pony(&[recipe]).end().code(0);
    let server = world.peer(Dialect::V2010);
    let run = world.run().path.display().to_string();
    world.pony(&["submit", "-s", &server.url(), &run]).end().code(0).err_has("stored");
    assert_eq!(server.submission().0["package"], "demo");
    assert_eq!(world.run().receipts().len(), 2);
    world.pony(&["submit", "-s", &server.url(), &run]).end().code(0).err_has("already");
    assert_eq!(server.stored().results.len(), 1);
    world.pony(&["submit", "nowhere"]).end().code(2).err_has("nowhere");
}

// -- --if-needed

#[test]
fn a_slot_that_is_up_to_date_is_not_built() {
    for release in [Some(Dialect::V2009), Some(Dialect::V2010), None] {
        let world = World::new();
        let (peer, serve);
        let url = if let Some(release) = release {
            peer = world.peer(release);
            peer.url()
        } else {
            serve = world.serve_file("elsewhere.db");
            serve.url()
        };
        let recipe = world.recipe("steps:\n- run: echo built\n");
        let arguments = ["--if-needed", "-s", &url, recipe];
        world.pony(&arguments).end().code(0).out_is("built\n").err_has("never built here");
        world.pony(&arguments).end().code(0).out_is("").err_has("build up to date");
        assert_eq!(world.runs().len(), 1, "{}", world.listing());
        world.pony(&["-f", "--if-needed", "-s", &url, recipe]).end().code(0).out_is("built\n");
        world.pony(&["-s", &url, recipe]).end().code(0).out_is("built\n");
        // Another slot.
        world.pony(&["-t", "other", "--if-needed", "-s", &url, recipe]).end().code(0).out_is("built\n");
    }
}

#[test]
fn a_slot_that_failed_is_built_again() {
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    let recipe = world.recipe("steps:\n- run: exit 1\n");
    let _ = world.pony(&["-s", &serve.url(), recipe]).end().code(10);
    let ended = world.pony(&["--if-needed", "-s", &serve.url(), recipe]).end().code(10);
    assert!(ended.err().contains("unsuccessful"), "{ended}");
}

#[test]
fn a_slot_that_somebody_else_builds_is_left_to_them() {
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    let go = world.fifo("go");
    let url = serve.url();
    let recipe = world.recipe(&format!("steps:\n- run: 'echo begun; read x <{}'\n", go.display()));
    let mut live = world.pony(&["--if-needed", "-s", &url, recipe]).start();
    live.until(pony_tests::Stream::Out, "begun");
    world.pony(&["--if-needed", "-s", &url, recipe]).end().code(0).out_is("").err_has("is under way");
    // Another user of this machine.
    let other = World::new();
    let recipe = other.recipe("steps:\n- run: echo built\n");
    other.pony(&["--if-needed", "-s", &url, recipe]).end().code(0).out_is("").err_has("may be in build now");
    world.release(&go);
    let _ = live.end().code(0);
}

#[test]
fn the_embedded_server_is_asked_too() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo built\n");
    world.pony(&["--if-needed", recipe]).end().code(0).out_is("built\n");
    world.pony(&["--if-needed", recipe]).end().code(0).out_is("").err_has("build up to date");
}

#[test]
fn a_server_that_cannot_be_asked_does_not_stop_the_build() {
    let world = World::new();
    let recipe = world.recipe("steps:\n- run: echo built\n");
    let ended =
        world.pony(&["--if-needed", "-s", "http://127.0.0.1:1/", recipe]).end().code(13).out_is("built\n");
    assert!(ended.err().contains("cannot ask http://127.0.0.1:1/ whether to build"), "{ended}");
    world.pony(&["--if-needed", "-n", recipe]).end().code(0).out_is("built\n");
}

#[test]
fn a_build_that_was_asked_for_on_the_page_is_needed() {
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    let recipe = world.recipe("steps:\n- run: echo built\n");
    let url = serve.url();
    let _ = world.pony(&["-s", &url, recipe]).end().code(0);
    let key = serve.json("/p/demo/show_all?format=json")["results"][0]["key"].as_str().unwrap().to_owned();
    let form = "application/x-www-form-urlencoded";
    let page = pony_tests::post(serve.address(), &format!("/p/demo/{key}/request_build"), form, b"");
    assert!(page.status < 400, "{page:?}");
    world
        .pony(&["--if-needed", "-s", &url, recipe])
        .end()
        .code(0)
        .out_is("built\n")
        .err_has("build requested");
    world.pony(&["--if-needed", "-s", &url, recipe]).end().code(0).out_is("");
}
