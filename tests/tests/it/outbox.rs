//! What waits for delivery: when it is tried, what is said of it, and what becomes of servers that answer badly.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use pony_tests::{Dialect, Odd, Peer, World, files};
use serde_json::{Value, json};

const LOGIN: &[u8] =
    b"<html><head><title>Sign in to Example Net</title></head><body><form>...</form></body></html>";

fn build<'w>(world: &'w World, url: &str) -> pony_tests::Ended<'w> {
    world.pony(&["-s", url, "demo.yaml"]).end()
}

fn ready(dialect: Dialect, world: &World) -> (Peer<'_>, String) {
    world.recipe("steps:\n- run: echo out\n");
    let peer = world.peer(dialect);
    let url = peer.url();
    (peer, url)
}

fn waiting(world: &World) -> Vec<Value> {
    let listed = world.pony(&["submit", "--list", "--json"]).end().code(0).out();
    serde_json::from_str::<Value>(&listed).expect("JSON").as_array().expect("a list").clone()
}

fn counts(peer: &Peer<'_>) -> Vec<u64> {
    peer.settle();
    peer.runs().into_values().collect()
}

/// Moves all that is noted of tries in this world into the past, as if the time had come.
fn later(world: &World) {
    let age = |path: &std::path::Path| {
        let mut note: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let trouble = if note["trouble"].is_object() { &mut note["trouble"] } else { &mut note };
        if trouble["next"].is_string() {
            trouble["next"] = "2020-01-01T00:00:00Z".into();
        }
        fs::write(path, note.to_string()).unwrap();
    };
    for run in world.runs() {
        for file in files(&run.path) {
            if file.file_name().unwrap().to_string_lossy().starts_with("waiting-") {
                age(&file);
            }
        }
    }
    for file in files(&world.path("pony/servers")) {
        if file.extension().is_some_and(|ending| ending == "json") {
            age(&file);
        }
    }
}

#[test]
fn the_next_run_delivers_what_waits_after_its_own_result() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    peer.answer(&[Odd::status(503)]);
    for _ in 0..3 {
        let _ = build(&world, &url).code(13).err_has("503");
    }
    peer.answer(&[]);
    // Not at once: it was down a moment ago.
    let ended = build(&world, &url).code(0);
    assert_eq!(counts(&peer), [1], "{ended}");
    assert_eq!(waiting(&world).len(), 3);
    later(&world);
    let own = world.last_run().path.file_name().unwrap().to_string_lossy().into_owned();
    let ended = build(&world, &url).code(0).err_has("delivered 3 results of earlier runs");
    assert_eq!(counts(&peer), [1; 5], "{ended}");
    let order: Vec<String> = peer.stored().results.iter().map(run_id).collect();
    let waited = &order[2..];
    assert_eq!(order[0], own, "its own result comes first");
    assert!(waited.is_sorted(), "then the oldest: {order:?}");
    assert!(world.open_runs().is_empty(), "{}", world.listing());
}

fn run_id(result: &Value) -> String {
    result["client_info"]["run_id"].as_str().expect("an id").to_owned()
}

#[test]
fn what_waits_is_shown_and_can_be_given_up() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    peer.answer(&[
        Odd::status(503).header("Retry-After", "7200"),
        Odd::status(503).header("Retry-After", "7200"),
    ]);
    let _ = build(&world, &url).code(13);
    let listed = world.pony(&["submit", "--list"]).end().code(0);
    let listed =
        listed.out_has("demo, ended").out_has("tried once: it answered 503").out_has("next try after ").out();
    assert!(listed.contains(&url), "{listed}");
    // It asked to be left alone, and is.
    peer.answer(&[]);
    let before = peer.stored().requests.len();
    let _ = build(&world, &url).code(13).err_has("it asks for time until");
    assert_eq!(peer.stored().requests.len(), before);
    let waits = waiting(&world);
    assert_eq!((waits.len(), &waits[0]["tries"], &waits[1]["tries"]), (2, &json!(1), &json!(0)));
    let run = waits[0]["run_id"].as_str().unwrap();
    let _ = world.pony(&["submit", "--drop", run]).end().code(0).err_has("dropped: ");
    assert_eq!(waiting(&world).len(), 1);
    let _ = world.pony(&["submit", "--drop"]).end().code(2).err_has("--all");
    // Whoever asks by hand does not wait.
    let _ = world.pony(&["submit"]).end().code(0).err_has("stored");
    assert_eq!(counts(&peer), [1]);
    let _ = world.pony(&["submit", run]).end().code(0).err_has("stored");
    assert_eq!(counts(&peer), [1, 1], "one that was given up is sent to whoever asks for it by name");
    let _ = world.pony(&["submit", "--list"]).end().code(0).err_has("Nothing is waiting to be sent.");
    let _ = world.pony(&["submit", "no-such-run"]).end().code(2).err_has("there is no run `no-such-run`");
}

#[test]
fn what_is_refused_for_good_is_marked_and_blocks_nothing() {
    for odd in [
        Odd::status(400),
        Odd::status(404),
        Odd::page("text/xml", &fault("<type 'exceptions.KeyError'>:'host'")),
        Odd::redirect(301, "http://elsewhere.invalid/xmlrpc"),
        Odd::redirect(307, "/xmlrpc"),
    ] {
        let world = World::new();
        let (peer, url) = ready(Dialect::V2010, &world);
        let _ = build(&world, &url).code(0);
        peer.answer(&[odd]);
        let ended = build(&world, &url).code(13).err_has("will not be tried again");
        let waits = waiting(&world);
        assert_eq!(
            (waits.len(), &waits[0]["final"], &waits[0]["next"]),
            (1, &json!(true), &Value::Null),
            "{ended}"
        );
        peer.answer(&[]);
        later(&world);
        let _ = build(&world, &url).code(0);
        let _ = world.pony(&["submit"]).end().code(0).err_has("1 result waits and was not tried");
        assert_eq!(counts(&peer), [1, 1], "{ended}");
        let _ = world.pony(&["submit", "--all"]).end().code(0).err_has("stored");
        assert_eq!(counts(&peer), [1, 1, 1], "{ended}");
    }
}

#[test]
fn who_is_not_let_in_is_tried_again_with_the_login_of_the_command_line() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    peer.answer(&[Odd::status(401)]);
    let _ =
        build(&world, &url).code(13).err_has("401").err_has("~/.netrc").err_has("will not be tried again");
    peer.answer(&[]);
    let _ = world.pony(&["demo.yaml"]).end().code(0);
    assert_eq!(counts(&peer), [0; 0], "nobody has given a login");
    let _ =
        build(&world, &url.replace("http://", "http://ann:secret@")).code(0).err_has("delivered 1 result");
    assert_eq!(counts(&peer), [1, 1]);
}

fn fault(words: &str) -> Vec<u8> {
    let words = words.replace('<', "&lt;");
    format!(
        "<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int>\
         </value></member><member><name>faultString</name><value><string>{words}</string></value></member></struct>\
         </value></fault></methodResponse>"
    )
    .into_bytes()
}

#[test]
fn odd_answers_are_told_and_tried_again_without_a_second_copy() {
    for (odd, said) in [
        (Odd::page("text/html", LOGIN), "a web page (“Sign in to Example Net”)"),
        (Odd::page("text/xml", b"\x00\x01garbage"), "does not speak XML-RPC"),
        (Odd::page("text/xml", b""), "does not speak XML-RPC"),
        (
            Odd::page("text/xml", &fault("<class 'sqlite3.OperationalError'>:database is locked")),
            "database is locked",
        ),
        (Odd::status(500), "500"),
        (Odd::status(500).handled(), "500"),
        (Odd::status(504).handled(), "504"),
        (Odd::own().cut(200), "broke"),
        (Odd::own().cut(0), "broke"),
    ] {
        for dialect in [Dialect::V2009, Dialect::V2010, Dialect::Devmason] {
            let world = World::new();
            let (peer, url) = ready(dialect, &world);
            let _ = build(&world, &url).code(0);
            peer.answer(&[odd.clone().on("/xmlrpc")]);
            let ended = build(&world, &url);
            assert!(ended.err().contains(said), "{dialect:?} {odd:?} {ended}");
            let ended = ended.code(13);
            peer.answer(&[]);
            let again = world.pony(&["submit"]).end().code(0);
            assert_eq!(counts(&peer), [1, 1], "{dialect:?} {odd:?} {ended} {again}");
            assert!(world.open_runs().is_empty(), "{dialect:?} {odd:?} {again}");
        }
    }
}

#[test]
fn a_newer_result_of_the_slot_is_not_sent_before_an_older_one_is_settled() {
    for dialect in [Dialect::V2009, Dialect::V2010] {
        let world = World::new();
        let (peer, url) = ready(dialect, &world);
        let _ = build(&world, &url).code(0);
        // Stored, and not answered for.
        peer.answer(&[Odd::own().cut(0).times(1)]);
        let _ = build(&world, &url).code(13);
        let _ = build(&world, &url).code(0);
        let _ = world.pony(&["submit"]).end().code(0);
        assert_eq!(counts(&peer), [1, 1, 1], "{dialect:?}");
        assert!(world.open_runs().is_empty(), "{dialect:?} {}", world.listing());
    }
}

#[test]
fn a_server_with_a_record_that_breaks_it_gets_no_copies() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    let _ = build(&world, &url).code(0);
    // Stores it, and then says that it cannot.
    let odd = Odd::page("text/xml", &fault("<type 'exceptions.KeyError'>:'package'")).handled();
    peer.answer(&[odd]);
    let _ = build(&world, &url).code(13).err_has("KeyError");
    peer.answer(&[]);
    let _ = world.pony(&["submit", "--all"]).end().code(0);
    assert_eq!(counts(&peer), [1, 1]);
}

#[test]
fn a_receipt_that_cannot_be_written_makes_no_copies() {
    for dialect in [Dialect::V2009, Dialect::V2010] {
        let world = World::new();
        let (peer, url) = ready(dialect, &world);
        let _ = build(&world, &url).code(0);
        let name = named(&world.run().path, "receipt-")[0].file_name().unwrap().to_owned();
        let _ = world.pony(&["-n", "demo.yaml"]).end().code(0);
        let run = world.last_run();
        let words = ["submit", "-s", &url, &run.path.display().to_string()];
        // While the server has the request and has not answered it, a folder gets in the way of the receipt.
        peer.answer(&[Odd::own().on("/xmlrpc").times(1).delay(Duration::from_secs(2))]);
        let submitting = world.pony(&words).start();
        while peer.runs().len() < 2 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let obstacle = run.path.join(name);
        fs::create_dir_all(obstacle.join("in the way")).unwrap();
        let _ = submitting.end().code(13).err_has("it is stored there, but the receipt cannot be written");
        assert_eq!(counts(&peer), [1, 1]);
        peer.answer(&[]);
        fs::remove_dir_all(&obstacle).unwrap();
        let _ = world.pony(&words).end().code(0).err_has("stored");
        assert_eq!(counts(&peer), [1, 1], "{dialect:?}");
    }
}

#[test]
fn a_clock_that_was_years_ahead_holds_nothing_up() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    peer.answer(&[Odd::status(503).header("Retry-After", "60")]);
    let _ = build(&world, &url).code(13);
    peer.answer(&[]);
    for file in files(&world.path("pony/servers")).into_iter().chain(files(&world.run().path)) {
        let text = fs::read(&file).unwrap();
        if let Ok(text) = String::from_utf8(text) {
            fs::write(&file, text.replace("\"next\": \"20", "\"next\": \"21")).unwrap();
        }
    }
    let _ = build(&world, &url).code(0).err_has("delivered 1 result of earlier runs");
    assert_eq!(counts(&peer), [1, 1]);
}

#[test]
fn an_outbox_is_tried_for_a_bounded_time() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    world.configure("delivery: {waiting: 0.2}\n");
    peer.answer(&[Odd::status(503)]);
    for _ in 0..4 {
        let _ = build(&world, &url).code(13);
    }
    later(&world);
    peer.answer(&[Odd::own().delay(Duration::from_millis(250)).on("/xmlrpc")]);
    let ended = build(&world, &url).code(0);
    assert!(waiting(&world).len() >= 3, "one try takes longer than there is time: {ended}");
    peer.answer(&[]);
    let _ = world.pony(&["submit"]).end().code(0);
    assert_eq!(counts(&peer), [1; 5]);
}

#[test]
fn two_at_once_do_not_send_the_same_result_twice() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    peer.answer(&[Odd::status(503)]);
    for _ in 0..5 {
        let _ = build(&world, &url).code(13);
    }
    peer.answer(&[]);
    let many: Vec<_> = (0..4).map(|_| world.pony(&["submit"]).start()).collect();
    for one in many {
        let _ = one.end();
    }
    let _ = world.pony(&["submit"]).end();
    assert_eq!(counts(&peer), [1; 5]);
    assert!(world.open_runs().is_empty(), "{}", world.listing());
}

/// The JSON files in `folder` whose names begin so.
fn named(folder: &Path, start: &str) -> Vec<PathBuf> {
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(start) && path.extension().is_some_and(|extension| extension == "json")
    };
    files(folder).into_iter().filter(is_meant).collect()
}

/// Changes the format that files say they have, and adds a member that nobody knows; none: as in the first format.
fn set_format(paths: &[PathBuf], format: Option<&str>) {
    assert!(!paths.is_empty());
    for path in paths {
        let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let members = json.as_object_mut().unwrap();
        members.remove("format");
        members.remove("added-later");
        if let Some(format) = format {
            members.insert("format".to_owned(), format.into());
            members.insert("added-later".to_owned(), true.into());
        }
        fs::write(path, json.to_string()).unwrap();
    }
}

#[test]
fn files_of_delivery_of_a_newer_major_are_refused_and_others_are_read() {
    let world = World::new();
    let (peer, url) = ready(Dialect::V2010, &world);
    let _ = build(&world, &url).code(0);
    let run = world.run().path;
    let receipts = named(&run, "receipt-");
    let submit = || world.pony(&["submit", &run.display().to_string()]).end();
    set_format(&receipts, Some("2.0"));
    submit().code(13).err_has("is not sent to").err_has("its format is 2.0").err_has("use a newer pony-run");
    for format in [Some("1.9"), None] {
        set_format(&receipts, format);
        submit().code(0).err_has("already");
    }
    assert_eq!(counts(&peer), [1]);

    let states = named(&world.path("pony/servers"), "");
    set_format(&states, Some("2.0"));
    build(&world, &url).code(13).err_has("not sent: cannot read").err_has("use a newer pony-run");
    assert_eq!(counts(&peer), [1]);
    set_format(&states, Some("1.9"));
    world.pony(&["submit"]).end().code(0);
    set_format(&states, None);
    let _ = build(&world, &url).code(0);
    assert_eq!(counts(&peer), [1, 1, 1]);

    peer.answer(&[Odd::status(400)]);
    let _ = build(&world, &url).code(13);
    peer.answer(&[]);
    let marks = named(&world.last_run().path, "waiting-");
    set_format(&marks, Some("2.0"));
    world.pony(&["submit", "--all"]).end().code(0).err_has("use a newer pony-run").err_has("was not tried");
    world.pony(&["submit", "--list"]).end().code(0).out_has("use a newer pony-run");
    for format in [Some("1.9"), None] {
        set_format(&marks, format);
        world.pony(&["submit", "--list"]).end().code(0).out_has("tried once: it answered 400");
    }
    world.pony(&["submit", "--all"]).end().code(0);
    assert_eq!(counts(&peer), [1, 1, 1, 1]);
}
