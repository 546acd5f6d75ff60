//! `pony-run replay`: what a result was made from is run again here.

use std::fs;

use pony_tests::{Ended, Kind, World, post};
use pony_wire::{Call, ClientInfo, Slot, StepResult, Struct};
use serde_json::{Value, json};

use crate::query::{Asked, KINDS};

fn replay<'w>(world: &'w World, words: &[&str]) -> Ended<'w> {
    world.pony(&[&["replay"], words].concat()).end()
}

/// The last run's `result.json`.
fn last_result(world: &World) -> String {
    world.last_run().path.join("result.json").display().to_string()
}

#[test]
fn the_revision_that_was_built_is_built_again() {
    for kind in [Kind::Git, Kind::Hg, Kind::Svn, Kind::Archive] {
        let world = World::new();
        let upstream = world.upstream(kind);
        let recipe = upstream.recipe("");
        let first = world.pony(&[recipe]).end().code(0).out();
        let result = last_result(&world);
        let revision = world.last_run().result()["checkout"]["revision"].clone();
        upstream.publish("two", &[]);
        assert_ne!(world.pony(&[recipe]).end().code(0).out(), first, "{kind}");
        let again = replay(&world, &[&result]);
        if kind == Kind::Archive {
            // What lies at the address now is something else, which is noticed.
            again.code(12).err_has("SHA-256");
            continue;
        }
        let again = again.code(0).out_is(&first);
        let run = world.last_run();
        assert_eq!(run.result()["checkout"]["revision"], revision, "{kind} {again}");
        assert_eq!(
            (&run.result()["tags"], &run.result()["deliver_to"]),
            (&json!(["replay"]), &json!([])),
            "{again}"
        );
        assert!(run.receipts().is_empty() && world.open_runs().is_empty(), "{again}");
    }
}

#[test]
fn a_result_is_run_again_from_every_server_that_keeps_what_it_is_sent() {
    for kind in KINDS {
        let world = World::new();
        let server = Asked::of(kind, &world);
        let url = server.url();
        let repository = world.repository("work/up");
        repository.write("say", "one");
        repository.commit("one");
        world.recipe("source: {git: ./up}\nvariables: {who: nobody}\nsteps:\n- run: echo \"$(cat say) {{who}}\"; exit 1\n");
        let dialect: &[&str] = if kind == "devmason-rest" { &["--dialect", kind] } else { &[] };
        let words = [dialect, &["-s", &url, "--set", "who=Ann", "demo.yaml"]].concat();
        world.pony(&words).end().code(10).out_is("one Ann\n").err_has("stored");
        repository.write("say", "two");
        repository.commit("two");
        let last =
            world.pony(&[&["query", "last", "demo", "--json", "-s", &url], dialect].concat()).end().code(10);
        let last: Value = serde_json::from_str(&last.out()).unwrap();
        let key = format!("demo/{}", last["results"][0]["key"].as_str().unwrap());
        let words = [&[url.as_str(), &key], dialect].concat();
        match kind {
            "2009" => {
                replay(&world, &words)
                    .code(15)
                    .err_has("speaks 2009, which does not look results up by their key");
            }
            "devmason" => {
                replay(&world, &words).code(1).err_has("does not carry its recipe");
            }
            _ => {
                let again = replay(&world, &words).code(10).out_is("one Ann\n");
                assert!(again.err().contains(&format!("result {key} of demo on ")), "{again}");
                assert!(!again.err().contains("stored"), "{again}");
            }
        }
    }
}

#[test]
fn it_reports_to_nobody_unless_somebody_is_named() {
    let mut world = World::new();
    let serve = world.serve_file("elsewhere.db");
    let url = serve.url();
    let recipe = world.recipe("tags: [fast]\nsteps:\n- run: echo hi\n");
    let _ = world.pony(&["-t", "extra", recipe]).end().code(0);
    let result = last_result(&world);
    drop(serve);
    world.set("PONY_SERVER", &url);
    replay(&world, &[&result]).code(0).out_is("hi\n").has_no("delivered").has_no("stored");
    let serve = world.serve_file("another.db");
    replay(&world, &[&result, "-s", &serve.url(), "-t", "mine"]).code(0).err_has("stored");
    let slots = serve.json("/p/demo/?format=json");
    assert_eq!(slots["slots"][0]["latest"]["tags"], json!(["fast", "extra", "replay", "mine"]), "{slots:#}");
    // By its folder and its id too, and again what was itself run again.
    let run = world.last_run();
    let id = run.path.file_name().unwrap().to_string_lossy().into_owned();
    replay(&world, &[&id]).code(0).out_is("hi\n");
    replay(&world, &[&run.path.display().to_string()]).code(0).out_is("hi\n");
    assert_eq!(world.last_run().result()["tags"], json!(["fast", "extra", "mine", "replay"]));
    let dry = replay(&world, &[&id, "--dry-run"]).code(0).out_has("would be submitted to nobody");
    assert!(dry.err().contains("pony/replays/"), "{dry}");
}

#[test]
fn needs_cells_and_what_is_known_late_are_as_they_were() {
    let world = World::new();
    world.write(
        "lib.yaml",
        "package: lib\noutputs: {out: it}\nvariables: {what: none}\nsteps:\n- run: 'echo {{what}} >it'\n",
    );
    world.write(
        "app.yaml",
        "package: app\nmatrix: {n: [1, 2]}\nneeds: [{recipe: lib, with: {what: \"lib of {{n}}\"}}]\nsteps:\n- run: 'cat {{needs.lib.out}}; echo {{n}} {{jobs}} >&2'\n",
    );
    let _ = world.pony(&["--matrix", "n=2", "app.yaml"]).end().code(0);
    let result = world
        .runs()
        .into_iter()
        .map(|run| run.path)
        .find(|path| path.parent().unwrap().ends_with("app"))
        .unwrap();
    let recipe = fs::read_to_string(result.join("recipe.yaml")).unwrap();
    assert!(recipe.contains("{{needs.lib.out}}") && recipe.contains("{{jobs}}"), "{recipe}");
    let (result, outputs) = (result.display().to_string(), world.cached().len());
    let again =
        replay(&world, &[&result]).code(0).out_has("lib of 2\n").err_has("from their current recipes");
    assert_eq!(world.cached().len(), outputs, "what it needs is there: {again}");
    fs::remove_file(world.path("work/lib.yaml")).unwrap();
    let host = world.last_run().result()["host"].as_str().unwrap().to_owned();
    let lost = replay(&world, &[&result]).code(12).out_is("");
    assert!(lost.err().contains("work/lib.yaml`, which is not on this machine"), "{lost}");
    assert!(lost.err().contains(&format!("re-run it on {host}")), "{lost}");
}

#[test]
fn folders_are_found_from_anywhere_on_this_machine() {
    let world = World::new();
    world.write("src/file", "one\n");
    world.write("recipes/demo.yaml", "package: demo\nsource: {path: ../src}\nsteps:\n- run: cat file\n");
    world.write(
        "recipes/here.yaml",
        "package: here\ncontext: here\nsteps:\n- run: cat demo.yaml | head -n 1\n",
    );
    let call = |words: &[&str]| world.pony(words).cwd(world.path("home"));
    for (name, out) in [("demo", "one\n"), ("here", "package: demo\n")] {
        let recipe = world.path(&format!("work/recipes/{name}.yaml")).display().to_string();
        call(&[&recipe]).end().code(0).out_is(out);
        call(&["replay", &last_result(&world)])
            .end()
            .code(0)
            .out_is(out)
            .err_has("a folder has no revisions");
    }
    let result = world.runs().into_iter().find(|run| run.path.parent().unwrap().ends_with("demo")).unwrap();
    fs::remove_dir_all(world.path("work/src")).unwrap();
    call(&["replay", &result.path.display().to_string()])
        .end()
        .code(12)
        .err_has("which is not on this machine");
}

#[test]
fn no_secret_travels_and_its_name_does() {
    let world = World::new();
    let server = Asked::of("2010", &world);
    let url = server.url();
    let recipe = world.recipe(
        "secrets: [TOKEN]\nvariables: {flag: none}\nsteps:\n- run: echo \"$TOKEN\" {{flag}} | wc -c\n",
    );
    let arguments = ["-s", &url, "--set", "flag=so-hunter2-is-it", recipe];
    world.pony(&arguments).env("TOKEN", "hunter2").end().code(0).err_has("stored");
    let Asked::Peer(peer) = &server else { panic!("a peer is expected") };
    let stored = peer.stored();
    let info = &stored.results[0]["client_info"];
    assert!(info["recipe_text"].as_str().unwrap().contains("TOKEN"), "{info:#}");
    assert_eq!(info["variables"], json!({"flag": "so-***-is-it"}));
    assert!(!info.to_string().contains("hunter2"), "{info:#}");
    replay(&world, &[&url, "0"]).code(2).err_has("the secret `TOKEN` is not in the environment");
    world
        .pony(&["replay", &url, "0"])
        .env("TOKEN", "another")
        .end()
        .code(0)
        .err_has("what was a secret is ***");
    assert!(world.holding("hunter2").is_empty(), "{:?}", world.holding("hunter2"));
}

#[test]
fn what_cannot_be_run_again_is_told_in_words() {
    let world = World::new();
    let serve = world.serve();
    // Of another client.
    let text = |text: &str| text.to_owned();
    let slot = Slot { package: text("old"), host: text("h"), arch: text("a"), tags: Vec::new() };
    let client_info = ClientInfo { slot, success: Some(false), extra: Struct::new() };
    let call = Call::AddResults { client_info, results: vec![StepResult::default()] };
    assert_eq!(post(serve.address(), "/xmlrpc", "text/xml", &call.encode()).status, 200);
    replay(&world, &["embedded", "1"])
        .code(1)
        .out_is("")
        .err_has("result 1 of old")
        .err_has("it was sent by another client");
    replay(&world, &["embedded", "99"]).code(1).err_has("no result 99");
    replay(&world, &["nowhere"])
        .code(2)
        .err_has("there is no result `nowhere`")
        .err_has("its folder or its id");
    replay(&world, &["http://127.0.0.1:1/", "1"]).code(15).err_has("could not be asked");
    world.write("other.json", "{}");
    replay(&world, &["other.json"]).code(2).err_has("cannot read");
    // A recipe that is too large to go along.
    let comment = "x".repeat(110_000);
    let recipe = world.recipe(&format!("variables: {{much: '{comment}'}}\nsteps:\n- run: echo hi\n"));
    let _ = world.pony(&[recipe]).end().code(0);
    let result = last_result(&world);
    replay(&world, &["embedded", "2"])
        .code(1)
        .err_has("more than the 100000 that are sent")
        .err_has("recipe.yaml");
    replay(&world, &[&result]).code(0).out_is("hi\n");
    fs::remove_file(world.last_run().path.join("recipe.yaml")).unwrap();
    replay(&world, &[&last_result(&world)]).code(1).err_has("recipe.yaml");
}
