//! Files that follow a result: artifacts and whole logs, to a server that takes them, one that does not, and one that is gone.

use std::{io::Read, path::PathBuf};

use nix::sys::signal::Signal;
use pony_tests::{Dialect, Direction, Ended, Fault, Odd, Peer, Plan, Proxy, Serve, Stream, World};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A file that does not fit between two programs: whoever does not read it holds up whoever sends it.
const LARGE: usize = 4_900_000;

fn server(world: &World) -> Peer<'_> {
    world.peer(Dialect::V2010)
}

/// No more than the head of what comes with a file is read, until the peer is told otherwise.
fn held() -> Odd {
    Odd::own().on("/upload").held()
}

/// `pony-run` with this recipe, all of its results for `url`.
fn run<'w>(world: &'w World, url: &str, rest: &str) -> Ended<'w> {
    let recipe = world.recipe(rest);
    world.pony(&["-s", url, recipe]).end()
}

/// The files that are whole on the server, in the order in which they came.
fn files(peer: &Peer<'_>) -> Vec<Value> {
    peer.settle();
    let uploads = peer.stored().uploads.into_iter();
    uploads.filter(|file| file["replaced"] == false && file["size"] == file["promised"]).collect()
}

fn names(peer: &Peer<'_>) -> Vec<String> {
    files(peer).iter().map(|file| file["filename"].as_str().unwrap().to_owned()).collect()
}

/// What the receipt of the one run says of the files.
fn noted(world: &World) -> Vec<Value> {
    world.run().receipts()[0]["uploads"].as_array().expect("files").clone()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_follow_a_result_under_their_own_names() {
    let world = World::new();
    let peer = server(&world);
    let ended = run(
        &world,
        &peer.url(),
        "steps:
- run: mkdir -p dist html/api; echo a >dist/a.whl; echo bb >dist/b.whl; echo c >html/api/c.html; echo d >d.log
- {upload: 'dist/*.whl', description: two wheels}
- {name: documents, upload: 'html/**', as: docs/}
- {upload: d.log, as: debug.txt, visible: false}
",
    )
    .code(0)
    .err_has("\nuploaded 4 files (9 B)\n");
    let told: Vec<Value> = files(&peer)
        .iter()
        .map(|file| {
            ["filename", "description", "visible", "size"].iter().map(|key| file[key].clone()).collect()
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["dist/a.whl", "two wheels", true, 2]),
            json!(["dist/b.whl", "two wheels", true, 3]),
            json!(["docs/api/c.html", "documents", true, 2]),
            json!(["debug.txt", "upload 2", false, 2]),
        ],
        "{ended}"
    );
    assert_eq!(files(&peer)[0]["sha256"], sha256(b"a\n"));
    let stored = peer.stored();
    let steps = &stored.results[0]["results"];
    assert_eq!(steps[2]["files"], json!(["docs/api/c.html"]));
    assert_eq!((&steps[1]["visible"], &steps[3]["visible"]), (&Value::Null, &json!(false)));
    assert!(noted(&world).iter().all(|file| file["state"] == "done"), "{ended}");
    assert!(world.open_runs().is_empty(), "{ended}");
    // Nobody is asked twice.
    world.pony(&["submit"]).end().code(0).err_has("Nothing is waiting to be sent.");
    assert_eq!(names(&peer).len(), 4);
}

#[test]
fn two_files_of_one_name_are_an_error_that_names_both() {
    let world = World::new();
    let recipe = world.recipe(
        "steps:
- run: mkdir a b; echo 1 >a/x; echo 2 >b/x
- {name: first, upload: x, cwd: a}
- {name: second, upload: x, cwd: b}
",
    );
    let words = "`b/x` cannot be called `x`, as `a/x` of the step `first` is called `x`";
    world.pony(&["-n", recipe]).end().code(10).err_has(words);
    assert_eq!(world.run().text("artifacts/x"), "1\n");
    let recipe = world.recipe("steps:\n- run: echo >a; echo >b\n- {upload: '[ab]', as: c}\n");
    world.pony(&["-n", recipe]).end().code(10).err_has("`[ab]` matches 2 files (`a`, `b`)");
}

#[test]
fn a_hundred_files_go_and_any_name_arrives_as_it_is() {
    let world = World::new();
    let peer = server(&world);
    let odd = ["a b", "100%25", "a&b=c", "é☃", "x+y", "new\nline", "q?#[]'\""];
    for name in odd {
        world.write(&format!("source/odd/{name}"), name);
    }
    let ended = run(
        &world,
        &peer.url(),
        "source: {path: source}
steps:
- run: mkdir many; for i in $(seq 100 199); do echo $i >many/$i; done
- {upload: 'many/*'}
- {upload: 'odd/*', as: '& %/'}
",
    )
    .code(0)
    .err_has("uploaded 107 files");
    let mut wanted: Vec<String> = odd.iter().map(|name| format!("& %/{name}")).collect();
    wanted.extend((100..200).map(|number| format!("many/{number}")));
    let mut got = names(&peer);
    wanted.sort();
    got.sort();
    assert_eq!(got, wanted, "{ended}");
}

#[test]
fn what_a_server_does_not_take_is_said_and_changes_nothing_else() {
    let world = World::new();
    let peer = server(&world);
    let ended = run(
        &world,
        &peer.url(),
        "steps:
- run: head -c 5000001 /dev/zero >a; head -c 5000000 /dev/zero >b; touch c
- {upload: '[abc]'}
",
    )
    .code(0)
    .err_has("\nuploaded 1 file (5.0 MB)\n")
    .err_has("note: a was not uploaded to")
    .err_has("it has 5000001 bytes; the server accepts at most 5000000\n")
    .err_has("note: c was not uploaded to")
    .err_has("it is empty");
    assert_eq!(names(&peer), ["b"], "{ended}");
    let states: Vec<Value> = noted(&world).iter().map(|file| file["state"].clone()).collect();
    assert_eq!(states, ["refused", "done", "refused"], "{ended}");
    assert!(world.open_runs().is_empty(), "{ended}");
}

#[test]
fn files_for_which_there_is_no_room_do_not_cost_the_others() {
    let world = World::new();
    let peer = server(&world);
    let ended = run(
        &world,
        &peer.url(),
        "steps:
- run: for i in $(seq 10 21); do head -c 5000000 /dev/zero >$i; done; echo small >z
- {upload: '[0-9]*'}
- {upload: z}
",
    )
    .code(0)
    .err_has("uploaded 10 files (50.0 MB)")
    .err_has("note: 20, 21 and z were not uploaded to")
    .err_has("the server keeps no more than 50000000 bytes of files");
    assert!(files(&peer).iter().all(|file| file["dropped"] == false), "{ended}");
}

#[test]
fn a_key_that_is_not_taken_is_tried_once() {
    let world = World::new();
    let peer = server(&world);
    peer.answer(&[Odd::status(401).on("/upload")]);
    let ended =
        run(&world, &peer.url(), "steps:\n- run: for i in 1 2 3 4 5; do echo >$i; done\n- {upload: '*'}\n")
            .code(0)
            .err_has("note: 1, 2 and 3 more were not uploaded to")
            .err_has("401 Unauthorized; it does not accept the key that it gave");
    let asked = peer.stored().requests.iter().filter(|request| request["odd"] == true).count();
    assert_eq!(asked, 1, "{ended}");
    assert!(world.open_runs().is_empty(), "{ended}");
}

#[test]
fn a_server_that_is_gone_in_the_middle_gets_the_rest_later() {
    let world = World::new();
    let peer = server(&world);
    let proxy = Proxy::to(peer.port());
    let url = peer.url_at(&proxy.address());
    // What is spoken is asked first, then the result goes, then files: the third of which is lost, and then nobody listens.
    let lost = Fault::Reset(Direction::Up, 100_000);
    let faults = [Fault::Pass, Fault::Pass, Fault::Pass, Fault::Pass, lost, Fault::Refuse];
    proxy.set(&Plan::of(&faults));
    let ended = run(
        &world,
        &url,
        "steps:\n- run: for i in 1 2 3 4 5; do head -c 200000 /dev/zero >$i; done\n- {upload: '*'}\n",
    )
    .code(0)
    .err_has("uploaded 2 files (400.0 kB)")
    .err_has("note: 3 files wait to be uploaded to");
    assert_eq!(names(&peer), ["1", "2"], "{ended}");
    assert_eq!(world.open_runs().len(), 1);
    let tries: Vec<Value> = noted(&world).iter().map(|file| file["tries"].clone()).collect();
    assert_eq!(tries, [Value::Null, Value::Null, json!(1), json!(0), json!(0)], "{ended}");
    let listed = world.pony(&["submit", "--list"]).end().code(0);
    let said = "the result is there, and 3 of its files wait; tried once: cannot reach it";
    assert!(listed.out().contains(said) && listed.out().contains("\n  next try after "), "{listed}");
    proxy.open();
    let ended = world.pony(&["submit"]).end().code(0).err_has("uploaded 3 files (600.0 kB)");
    let mut all = names(&peer);
    all.sort();
    assert_eq!(all, ["1", "2", "3", "4", "5"], "{ended}");
    let (stored, replaced) = (peer.stored().uploads, |file: &&Value| file["replaced"] == true);
    assert!(stored.iter().filter(replaced).all(|file| file["filename"] == "3"), "{stored:#?}");
    assert!(world.open_runs().is_empty(), "{ended}");
}

/// A recipe with a large file and a small one.
const TWO: &str = "steps:\n- run: head -c 4900000 /dev/zero >large; echo >small\n- {upload: '*'}\n";

#[test]
fn a_server_that_takes_nothing_is_noticed() {
    let world = World::new();
    world.configure("delivery: {silence: 0.5s}\n");
    let peer = server(&world);
    peer.answer(&[held()]);
    let ended = run(&world, &peer.url(), TWO)
        .code(0)
        .err_has("note: 2 files wait to be uploaded to")
        .err_has("stalled: accepted no data for 1 s");
    assert_eq!((&noted(&world)[0]["tries"], &noted(&world)[1]["tries"]), (&json!(1), &json!(0)), "{ended}");
    peer.answer(&[]);
    peer.settle();
    // The small one has the fewest tries.
    world.pony(&["submit"]).end().code(0).err_has("uploaded 2 files (4.9 MB)");
    assert_eq!(names(&peer), ["small", "large"]);
}

#[test]
fn files_take_no_longer_than_they_may() {
    let world = World::new();
    world.configure("delivery: {uploads: 0.5s}\n");
    let peer = server(&world);
    peer.answer(&[held()]);
    let ended = run(&world, &peer.url(), TWO).code(0).err_has("no more time, after 1 s");
    let large = &noted(&world)[0];
    assert_eq!((&large["state"], &large["tries"]), (&json!("waiting"), &json!(1)), "{ended}");
    assert_eq!(world.open_runs().len(), 1, "{ended}");
}

#[test]
fn a_file_that_never_gets_through_is_given_up() {
    let world = World::new();
    let peer = server(&world);
    peer.answer(&[Odd::status(500).on("/upload")]);
    let ended = run(&world, &peer.url(), "steps:\n- run: echo >x\n- {upload: x}\n")
        .code(0)
        .err_has("1 file waits to be uploaded");
    // As if it had been tried for most of a day.
    let is_receipt = |path: &PathBuf| path.to_string_lossy().contains("/receipt-");
    let receipt = pony_tests::files(&world.run().path).into_iter().find(is_receipt).unwrap();
    let text = std::fs::read_to_string(&receipt).unwrap();
    std::fs::write(&receipt, text.replace("\"tries\": 1", "\"tries\": 19")).unwrap();
    world.pony(&["submit"]).end().code(0).err_has("note: x was not uploaded to");
    let noted = noted(&world);
    assert_eq!(noted[0]["state"], "refused", "{ended}");
    assert!(noted[0]["reason"].as_str().unwrap().starts_with("tried 20 times, at last: it answered 500"));
    world.pony(&["submit"]).end().code(0).err_has("Nothing is waiting to be sent.");
    assert!(world.open_runs().is_empty(), "{}", world.listing());
    // Unless somebody asks for it.
    peer.answer(&[]);
    let run = world.run().path.display().to_string();
    world.pony(&["submit", &run]).end().code(0).err_has("uploaded 1 file");
    world.pony(&["submit", &run]).end().code(0).err_has("already");
    assert_eq!(names(&peer), ["x"]);
}

#[test]
fn files_that_nobody_wants_any_more_are_dropped() {
    let world = World::new();
    let peer = server(&world);
    peer.answer(&[Odd::status(503).header("Retry-After", "7200").on("/upload")]);
    run(&world, &peer.url(), "steps:\n- run: echo >x\n- {upload: x}\n").code(0).err_has("1 file waits");
    let listed = world.pony(&["submit", "--list", "--json"]).end().code(0);
    let rows: Value = serde_json::from_str(&listed.out()).unwrap();
    let row = &rows[0];
    assert_eq!(
        (&row["files"], &row["tries"], &row["final"]),
        (&json!(1), &json!(1), &json!(false)),
        "{listed}"
    );
    assert!(row["next"].as_str() > row["ended"].as_str(), "it has asked for two hours: {listed}");
    let run = world.run().path.display().to_string();
    world.pony(&["submit", "--drop", &run]).end().code(0).err_has("dropped: files of ");
    world.pony(&["submit"]).end().code(0).err_has("Nothing is waiting to be sent.");
    assert_eq!(noted(&world)[0]["reason"], "given up");
}

#[test]
fn what_a_kill_or_a_signal_cuts_short_goes_on_later() {
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let world = World::new();
        let peer = server(&world);
        peer.answer(&[held()]);
        let recipe = world.recipe(TWO);
        let mut live = world.pony(&["--message-format", "json", "-s", &peer.url(), recipe]).start();
        live.until(Stream::Out, "\"event\":\"uploading\"");
        live.signal(signal);
        let ended = live.end();
        assert_eq!(ended.code, if signal == Signal::SIGINT { 130 } else { -9 }, "{ended}");
        assert_eq!(noted(&world)[0]["state"], "waiting", "{ended}");
        assert_eq!(noted(&world)[0]["tries"], 0, "that was not the server: {ended}");
        peer.answer(&[]);
        peer.settle();
        world.pony(&["submit"]).end().code(0).err_has("uploaded 2 files");
        assert_eq!(names(&peer), ["large", "small"]);
        assert_eq!(peer.stored().results.len(), 1, "the result is there once");
        assert!(world.open_runs().is_empty(), "{}", world.listing());
    }
}

#[test]
fn a_log_that_was_shortened_follows_whole_without_secrets() {
    let world = World::new();
    let peer = server(&world);
    let recipe = world.recipe(
        r#"secrets: [TOKEN]
steps:
- {name: much, run: 'echo "begin $TOKEN"; seq 200000; yes "one line like all others" | head -c 19000000; printf "\351\033[0m\0 end $TOKEN"'}
- {name: little, run: echo little}
"#,
    );
    let ended = world.pony(&["-s", &peer.url(), recipe]).env("TOKEN", "hunter2").end().code(0);
    let log = world.run().read("01-much.out");
    assert!(log.len() > 20_000_000 && log.ends_with(b"\0 end ***"), "{} {ended}", log.len());
    let files = files(&peer);
    assert_eq!(files.len(), 1, "{files:#?} {ended}");
    assert_eq!(files[0]["filename"], "logs/01-much.out.gz");
    assert_eq!(files[0]["unpacked"], sha256(&log), "{files:#?}");
    assert_eq!(files[0]["description"], format!("01-much.out whole, {} bytes", log.len()));
    let stored = peer.stored();
    let output = stored.results[0]["results"][0]["output"].as_str().unwrap();
    let at = output.find("bytes left out").unwrap_or_default();
    assert!(output.len() < 4_000_000, "{}", output.len());
    let marker = &output[at..at + 100];
    assert!(marker.contains("file logs/01-much.out.gz"), "{marker}");
    // Packed for the way only.
    assert!(!world.run().path.join("01-much.out.gz").exists());
}

#[test]
fn files_of_a_failed_run_go_too_and_with_no_report_none() {
    let world = World::new();
    let peer = server(&world);
    let recipe = world.recipe(
        "steps:\n- {run: echo >log; exit 1}\n- {upload: log, always: true}\n- {name: never, upload: log, as: x}\n",
    );
    world.pony(&["-s", &peer.url(), recipe]).end().code(10).err_has("uploaded 1 file");
    assert_eq!(names(&peer), ["log"]);
    world.pony(&["-s", &peer.url(), "-n", recipe]).end().code(10).has_no("uploaded");
    assert_eq!(names(&peer), ["log"]);
}

#[test]
fn a_server_that_takes_no_files_gets_the_result() {
    let world = World::new();
    let peer = world.peer(Dialect::V2009);
    run(&world, &peer.url(), "steps:\n- run: echo >x\n- {upload: x}\n").code(0).has_no("uploaded");
    assert!(world.run().receipts()[0]["uploads"].is_null());
    assert!(world.open_runs().is_empty());
}

#[test]
fn programs_are_told_how_far_files_are() {
    let world = World::new();
    let peer = server(&world);
    peer.answer(&[held()]);
    let recipe = world.recipe(TWO);
    let mut live = world.pony(&["--message-format", "json", "-s", &peer.url(), recipe]).start();
    live.until(Stream::Out, "\"event\":\"uploading\"");
    peer.answer(&[]);
    let ended = live.end().code(0);
    let lines: Vec<Value> = ended.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    let under_way = of("uploading");
    let large = under_way[0];
    assert_eq!(
        (&large["name"], &large["bytes"], &large["build"]),
        (&json!("large"), &json!(LARGE), &json!("demo"))
    );
    let sent: Vec<u64> = under_way.iter().map(|line| line["sent"].as_u64().unwrap()).collect();
    assert!(sent[0] > 0 && sent.is_sorted(), "{ended}");
    let uploaded = of("uploaded");
    assert_eq!(uploaded.len(), 1, "{ended}");
    assert_eq!((&uploaded[0]["files"], &uploaded[0]["bytes"]), (&json!(2), &json!(LARGE + 1)), "{ended}");
    assert_eq!(lines.last().unwrap()["event"], "uploaded");
    let recorded = world.run().events();
    assert!(recorded.iter().all(|event| event["event"] != "uploading" && event["event"] != "uploaded"));
}

#[test]
fn a_bar_stands_at_the_bottom_while_a_file_goes() {
    let world = World::new();
    let peer = server(&world);
    peer.answer(&[held()]);
    let recipe = world.recipe(TWO);
    let terminal = world.terminal(80, 30, &world.pony(&["-s", &peer.url(), recipe]));
    let screen = terminal.until("a bar", |screen| {
        screen.lines().last().is_some_and(|line| line.starts_with("uploading large ━"))
    });
    let bar = screen.lines().last().unwrap();
    assert!(bar.contains('─') && bar.ends_with(" of 4.9 MB"), "{screen}");
    assert!(screen.contains("stored as result 0"), "{screen}");
    peer.answer(&[]);
    let screen = terminal.end(0);
    assert!(!screen.contains('━') && screen.contains("\nuploaded 2 files (4.9 MB)\n"), "{screen}");
}

#[test]
fn files_of_several_builds_are_told_in_the_table() {
    let world = World::new();
    let peer = server(&world);
    peer.answer(&[held()]);
    for name in ["one", "two"] {
        let rest = TWO.replace("large", &format!("large-{name}"));
        world.write(&format!("{name}.yaml"), format!("package: {name}\n{rest}"));
    }
    let call = world.pony(&["-s", &peer.url(), "one.yaml", "two.yaml"]);
    let terminal = world.terminal(100, 40, &call);
    terminal.until("a bar above the counts", |screen| {
        let mut lines = screen.lines().rev();
        let counts = lines.next().is_some_and(|line| line.contains("passed"));
        counts && lines.next().is_some_and(|line| line.starts_with("uploading large-"))
    });
    peer.answer(&[]);
    let screen = terminal.end(0);
    assert_eq!(screen.matches("; uploaded 2 files (4.9 MB)").count(), 2, "{screen}");
    assert!(!screen.contains('━'), "{screen}");
}

// -- pony-serve

const SERVED: &str = "steps:
- run: mkdir -p dist 'a b&c'; echo a >dist/a.whl; echo é >'a b&c/é%.txt'; seq 1000000
- {upload: 'dist/*', description: a wheel}
- {upload: 'a b&c/*', as: docs/, visible: false}
";

/// What `pony-serve` says of the files of the newest result.
fn listed(serve: &Serve<'_>) -> Vec<Value> {
    let result = serve.json("/p/demo/latest/?format=json");
    let told = |file: &Value| ["name", "description", "visible", "size"].map(|key| file[key].clone()).into();
    result["files"].as_array().expect("files").iter().map(told).collect()
}

#[test]
fn files_go_to_pony_serve_and_to_this_machine_and_come_back_as_they_were() {
    for embedded in [false, true] {
        let world = World::new();
        let recipe = world.recipe(SERVED);
        let serve = world.serve();
        let url = serve.url();
        let server: &[&str] = if embedded { &[] } else { &["-s", &url] };
        let ended = world.pony(&[server, &[recipe]].concat()).end().code(0).err_has("\nuploaded 3 files (");
        let log = world.run().read("01-mkdir.out");
        let files = listed(&serve);
        assert_eq!(files[0], json!(["dist/a.whl", "a wheel", true, 2]), "{ended}");
        assert_eq!(files[1], json!(["docs/é%.txt", "upload 2", false, 3]), "{ended}");
        assert_eq!(files[2][0], "logs/01-mkdir.out.gz", "{ended}");
        let page = serve.page("/p/demo/latest/").body;
        assert!(page.contains("files/dist/a.whl") && !page.contains("files/docs"), "{page}");
        let result = serve.json("/p/demo/latest/?format=json");
        let path = result["files"][2]["path"].as_str().unwrap();
        let (head, packed) = pony_tests::exchange(
            serve.address(),
            format!("GET /{path} HTTP/1.0\r\nHost: {}\r\n\r\n", serve.address()).as_bytes(),
        );
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut whole).expect(&head);
        assert_eq!(sha256(&whole), sha256(&log), "{head}");
        assert_eq!(files[2][1], format!("01-mkdir.out whole, {} bytes", log.len()));
        assert!(world.open_runs().is_empty(), "{ended}");
    }
}

#[test]
fn what_is_too_large_for_pony_serve_is_said_in_its_words() {
    let world = World::new();
    let serve = world.serve_with(&["--upload-limit", "1"]);
    let rest = "steps:\n- run: head -c 4000000 /dev/zero >large; echo >small\n- {upload: '*'}\n";
    let ended = run(&world, &serve.url(), rest)
        .code(0)
        .err_has("\nuploaded 1 file (1 B)\n")
        .err_has("note: large was not uploaded to")
        .err_has("413 Payload Too Large: The file is larger than 1048576 bytes");
    assert_eq!(listed(&serve).len(), 1, "{ended}");
    assert!(world.open_runs().is_empty(), "{ended}");
}
