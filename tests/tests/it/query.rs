//! `pony-run query`: questions to every kind of server, and what scripts see of the answers.

use nix::sys::signal::Signal;
use pony_tests::{Dialect, Ended, Peer, Refused, Serve, Stream, World};
use serde_json::{Value, json};

/// Two slots of `demo`, of which `slow` fails while there is a file `red`.
const FAST: &str = "package: demo\ntags: [fast, unit]\nsteps:\n- {name: make, run: 'echo made'}\n";
const SLOW: &str = "package: demo\ntags: [slow]\nsteps:\n- {name: make, run: 'echo made'}\n- {name: check, type: test, run: 'printf \"\\033[31mtwo is not one\\033[0m\\n\" >&2; test ! -e red'}\ncontext: here\n";

/// A server of some kind, for questions.
pub(crate) enum Asked<'w> {
    Embedded,
    Serve(Serve<'w>),
    Peer(Peer<'w>),
    /// Whose projects are made by whoever has a login.
    Rest(Peer<'w>),
}

/// All kinds; each but the first is its word in `--dialect`.
pub(crate) const KINDS: [&str; 6] = ["embedded", "pony-serve", "2009", "2010", "devmason", "devmason-rest"];

impl<'w> Asked<'w> {
    /// One of this kind, of which `world` has none yet.
    pub(crate) fn of(kind: &str, world: &'w World) -> Self {
        match kind {
            "embedded" => Self::Embedded,
            "pony-serve" => Self::Serve(world.serve_file("elsewhere.db")),
            "2009" => Self::Peer(world.peer(Dialect::V2009)),
            "2010" => Self::Peer(world.peer(Dialect::V2010)),
            "devmason" => Self::Peer(world.peer(Dialect::Devmason)),
            _ => Self::Rest(world.peer(Dialect::DevmasonRest)),
        }
    }

    /// What is given to `-s`.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Embedded => "embedded".to_owned(),
            Self::Serve(serve) => serve.url(),
            Self::Peer(peer) => peer.url(),
            Self::Rest(peer) => peer.url().replace("http://", "http://ann:hunter2@"),
        }
    }
}

/// A world with both recipes, and `red`.
fn world() -> World {
    let world = World::new();
    world.write("fast.yaml", FAST);
    world.write("slow.yaml", SLOW);
    world.write("red", "");
    world
}

fn submit(world: &World, url: &str, recipe: &str) {
    // Only that kind is given a login here.
    let dialect: &[&str] = if url.contains('@') { &["--dialect", "devmason-rest"] } else { &[] };
    let ended = world.pony(&[dialect, &["-s", url, recipe]].concat()).end();
    assert!(ended.err().contains("stored"), "{ended}");
}

/// Both results on a server.
fn submit_both(world: &World, url: &str) {
    submit(world, url, "fast.yaml");
    submit(world, url, "slow.yaml");
}

fn query<'w>(world: &'w World, url: &str, words: &[&str]) -> Ended<'w> {
    world.pony(&[&["query"], words, &["-s", url]].concat()).end()
}

fn json(ended: &Ended<'_>) -> Value {
    serde_json::from_str(&ended.out()).unwrap_or_else(|error| panic!("{error}: {ended}"))
}

/// The words of each line of a table, without its head.
fn table(ended: &Ended<'_>) -> Vec<Vec<String>> {
    ended.out().lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn every_kind_of_server_gives_the_last_results() {
    for kind in KINDS {
        let world = world();
        let server = Asked::of(kind, &world);
        let url = server.url();
        submit_both(&world, &url);
        let told = query(&world, &url, &["last", "demo"]).code(10).err_is("");
        let rows = table(&told);
        assert_eq!(rows.len(), 2, "{kind} {told}");
        let (failed, passed) =
            if rows[0][0] == "failed" { (&rows[0], &rows[1]) } else { (&rows[1], &rows[0]) };
        assert!(failed.contains(&"slow".to_owned()) && failed.contains(&"check".to_owned()), "{kind} {told}");
        assert_eq!(passed[0], "passed", "{kind} {told}");
        assert!(told.out().contains("just now") && told.out().contains("fast, unit"), "{kind} {told}");

        let json = json(&query(&world, &url, &["last", "demo", "slow", "--json"]).code(10));
        let results = json["results"].as_array().unwrap();
        assert_eq!(results.len(), 1, "{json:#}");
        assert_eq!(
            (&json["verdict"], &results[0]["status"], &results[0]["failed_step"], &results[0]["tags"]),
            (&json!("red"), &json!("failed"), &json!("check"), &json!(["slow"])),
            "{kind}"
        );
        assert!(results[0]["host"].is_string() && results[0]["received"].is_string(), "{json:#}");

        query(&world, &url, &["last", "demo", "unit"]).code(0).out_has("passed");
        query(&world, &url, &["last", "demo", "fast", "slow"])
            .code(1)
            .err_has("no slot of demo with the tags");
        query(&world, &url, &["last", "nothing"])
            .code(1)
            .out_is("")
            .err_has("no results of a package `nothing`");
        let slots = query(&world, &url, &["slots", "demo"]).code(0);
        assert_eq!(table(&slots).len(), 2, "{kind} {slots}");
        let earlier_name = query(&world, &url, &["tagsets", "demo"]).code(0);
        assert_eq!(earlier_name.out(), slots.out());
        query(&world, &url, &["failures", "demo"]).code(10).out_has("check").has_no("unit");
        query(&world, &url, &["failures", "demo", "fast"])
            .code(0)
            .out_is("")
            .err_is("demo: nothing is failing (1 slot)\n");

        // What was built last is what counts.
        std::fs::remove_file(world.path("work/red")).unwrap();
        submit(&world, &url, "slow.yaml");
        query(&world, &url, &["last", "demo"]).code(0).has_no("failed");
    }
}

#[test]
fn a_result_is_given_by_its_key_where_there_is_one() {
    for kind in KINDS {
        let world = world();
        let server = Asked::of(kind, &world);
        let url = server.url();
        submit_both(&world, &url);
        if kind == "2009" {
            query(&world, &url, &["result", "1"])
                .code(15)
                .out_is("")
                .err_has("speaks 2009, which does not look results up by their key")
                .err_has("query last PACKAGE");
            continue;
        }
        let last = json(&query(&world, &url, &["last", "demo", "slow", "--json"]));
        let bare = last["results"][0]["key"].as_str().unwrap().to_owned();
        let key = format!("demo/{bare}");
        let told = query(&world, &url, &["result", &key]).code(10).err_is("");
        for words in
            ["demo", "[slow]", "just now", "make", "check", "last lines of check:\n  two is not one\n"]
        {
            assert!(told.out().contains(words), "{kind}: {words:?} {told}");
        }
        assert!(!told.out_bytes().contains(&0x1b), "{told}");
        let whole = json(&query(&world, &url, &["result", &key, "--json"]).code(10));
        let steps = whole["result"]["steps"].as_array().unwrap();
        assert_eq!(
            steps.iter().map(|step| step["failed"].as_bool()).collect::<Vec<_>>(),
            [Some(false), Some(true)]
        );
        assert_eq!(whole["result"]["steps"][0]["output"], "made\n", "{kind}");
        if kind.starts_with("devmason") {
            query(&world, &url, &["result", &bare]).code(15).err_has(&format!("write it as PACKAGE/{bare}"));
        } else {
            query(&world, &url, &["result", &bare]).code(10).out_has("check");
            query(&world, &url, &["result", &format!("other/{bare}")]).code(1).err_has("no result other/");
        }
        query(&world, &url, &["result", "demo/999"]).code(1).out_is("").err_has("no result demo/999");
    }
}

#[test]
fn packages_are_listed_where_a_server_can() {
    for kind in KINDS {
        let world = world();
        let server = Asked::of(kind, &world);
        let url = server.url();
        if ["2009", "2010"].contains(&kind) {
            query(&world, &url, &["packages", "--dialect", kind])
                .code(15)
                .out_is("")
                .err_has(&format!("speaks {kind}, which does not list packages to programs\n"))
                .err_has(&format!("hint: open {url} in a browser"));
            continue;
        }
        query(&world, &url, &["packages"]).code(1).err_has("has no results");
        submit_both(&world, &url);
        query(&world, &url, &["packages"]).code(0).out_has("demo");
        let json = json(&query(&world, &url, &["packages", "--json"]).code(0));
        assert_eq!(json["packages"].as_array().unwrap().len(), 1, "{json:#}");
        if !kind.starts_with("devmason") {
            let package = &json["packages"][0];
            assert_eq!((&package["verdict"], &package["failing"]), (&json!("red"), &json!(1)), "{json:#}");
        }
    }
}

#[test]
fn whether_to_build_is_asked_without_reserving() {
    for kind in KINDS {
        let world = world();
        let server = Asked::of(kind, &world);
        let url = server.url();
        if kind == "devmason-rest" {
            let said = "speaks devmason-rest, which does not say whether to build";
            query(&world, &url, &["check", "fast.yaml"]).code(15).err_has(said);
            continue;
        }
        for _ in 0..2 {
            query(&world, &url, &["check", "fast.yaml"]).code(0).out_has("yes");
        }
        submit(&world, &url, "fast.yaml");
        let told = query(&world, &url, &["check", "fast.yaml"]);
        if kind.starts_with("devmason") {
            told.code(0).out_has("We always build, now!");
            continue;
        }
        assert_eq!(table(&told.code(1)), [["no", "fast", "up", "to", "date"]], "{kind}");
        query(&world, &url, &["check", "-t", "other", "fast.yaml"]).code(0);
        let json = json(&query(&world, &url, &["check", "fast.yaml", "slow.yaml", "--json"]).code(0));
        let builds: Vec<_> = json["builds"].as_array().unwrap().iter().map(|build| &build["build"]).collect();
        assert_eq!(builds, [&json!(false), &json!(true)], "{json:#}");
    }
    let world = world();
    world.write("bad.yaml", "package: bad\n");
    query(&world, "embedded", &["check", "bad.yaml"]).code(11).err_has("steps");
}

#[test]
fn waiting_ends_when_all_slots_pass() {
    let world = world();
    let serve = world.serve_file("elsewhere.db");
    let url = serve.url();
    let wait = ["query", "wait", "demo", "--until-green", "--every", "0.1", "-s", &url];
    let mut waiting = world.pony(&wait).start();
    waiting.until(Stream::Err, "no result of demo yet");
    submit(&world, &url, "slow.yaml");
    waiting.until(Stream::Err, "failed (result");
    submit(&world, &url, "fast.yaml");
    std::fs::remove_file(world.path("work/red")).unwrap();
    submit(&world, &url, "slow.yaml");
    let ended = waiting.end().code(0).out_has("passed");
    assert_eq!(table(&ended).len(), 2, "{ended}");
}

#[test]
fn waiting_ends_at_its_timeout_or_by_a_signal() {
    let world = world();
    let wait = ["query", "wait", "demo", "--until-green", "--every", "0.1"];
    let ended = world.pony(&[&wait[..], &["--timeout", "0.3"]].concat()).end().code(1);
    assert!(ended.err().contains("no results of demo"), "{ended}");
    submit(&world, "embedded", "slow.yaml");
    let timeout = [&wait[..], &["--timeout", "0.3", "--json"]].concat();
    assert_eq!(json(&world.pony(&timeout).end().code(10))["verdict"], "red");
    let mut waiting = world.pony(&wait).start();
    waiting.until(Stream::Err, "failed (result");
    waiting.signal(Signal::SIGINT);
    waiting.end().code(130).out_is("");
    world.pony(&["query", "wait", "demo"]).end().code(2).err_has("--until-green");
    world.pony(&[&wait[..5], &["soon"]].concat()).end().code(2).err_has("is not a duration");
}

#[test]
fn waiting_continues_while_the_server_is_down() {
    let world = world();
    let refused = Refused::new();
    let url = format!("http://{}/", refused.address());
    let wait = ["query", "wait", "demo", "--until-green", "--every", "0.1", "-s", &url];
    let mut waiting = world.pony(&wait).start();
    waiting.until(Stream::Err, "could not be asked");
    let listen = refused.address();
    let data = world.path("late.db").display().to_string();
    let mut serve =
        world.call(pony_tests::program("pony-serve"), &["--listen", &listen, "--data", &data]).start();
    serve.until(Stream::Err, "listening");
    submit(&world, &url, "fast.yaml");
    waiting.end().code(0).out_has("passed");
    let down = ["query", "wait", "demo", "--until-green", "--timeout", "0.2", "-s", "http://127.0.0.1:1/"];
    world.pony(&down).end().code(15).err_has("could not be asked");
}

#[test]
fn what_a_server_is_and_what_is_remembered_of_it_is_shown() {
    for kind in KINDS {
        let world = world();
        let server = Asked::of(kind, &world);
        let url = server.url();
        let told = world.pony(&["query", "server", &url]).end().code(0).err_is("").has_no("hunter2");
        let speaks = if kind == "embedded" { "pony-serve" } else { kind };
        let login = if kind == "devmason-rest" { "in its address" } else { "none" };
        for line in [
            &format!("type {speaks} ("),
            "maximum request ",
            "last error none",
            "results in doubt none",
            &format!("login {login}"),
            "FEATURE",
            "duplicate detection ",
            "build advice ",
        ] {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + " ";
            let has = told.out().lines().any(|shown| words(shown).starts_with(line));
            assert!(has, "{line} {told}");
        }
        assert!(told.out().lines().all(|line| line.chars().count() <= 110), "{told}");
        let json = json(&query(&world, &url, &["server", "--json"]).code(0));
        assert_eq!(json["dialect"], speaks);
        assert_eq!(json["can"]["result"], kind != "2009", "{json:#}");
    }
}

#[test]
fn a_server_that_is_down_shows_what_is_remembered() {
    let world = world();
    let refused = "http://ann:hunter2@127.0.0.1:1/";
    let _ = world.pony(&["-s", refused, "fast.yaml"]).end().code(13);
    let told = world
        .pony(&["query", "server", refused])
        .end()
        .code(15)
        .out_has("(failed once")
        .out_has("in its address");
    told.has_no("hunter2");
    world.configure("servers:\n  lab: {url: 'http://127.0.0.1:1/', user: ann, password-command: [no-such-program, hunter2]}\n");
    world
        .pony(&["query", "server", "lab"])
        .end()
        .code(15)
        .out_has("`password-command` in config.yaml (no-such-program)")
        .has_no("hunter2");
    query(&world, "lab", &["last", "demo"]).code(15).err_has("could not be asked").has_no("hunter2");
}

#[test]
fn what_is_not_a_server_is_named() {
    let world = world();
    for (how, said) in [
        ("page", "answered with a web page (“Welcome”)"),
        ("garbage", "does not speak XML-RPC"),
        ("error", "500"),
        ("refuse", "403 Forbidden: go away"),
        ("text", "does not answer like any pony-build server"),
        ("hangup", "the connection broke"),
    ] {
        let server = world.odd(how);
        query(&world, &server.url(), &["last", "demo"]).code(15).out_is("").err_has(said);
    }
    // What it answers is none, although somebody said so.
    let server = world.odd("struct");
    query(&world, &server.url(), &["result", "1", "--dialect", "2010"])
        .code(15)
        .err_has("sent what is not a result");
    query(&world, "http://a/ http://b/", &["last", "demo"])
        .code(2)
        .err_has("only one server can be asked at a time");
    query(&world, "ftp://a/", &["last", "demo"]).code(2).err_has("http or https");
}

#[test]
fn text_of_a_server_does_not_control_the_terminal() {
    let world = World::new();
    let recipe = world.write(
        "odd.yaml",
        "package: demo\nsteps:\n- {name: odd, run: 'printf \"\\033]0;owned\\007\\033[2Jgone\\r\\033[1mback\\n\"; exit 1'}\n",
    );
    submit(&world, "embedded", &recipe.display().to_string());
    let told = query(&world, "embedded", &["result", "1", "--color", "always"]).code(10);
    assert!(!told.out().contains("\x1b]") && !told.out().contains("\x1b[2J"), "{told}");
    assert!(told.out().contains("\x1b[1m\x1b[31mfailed") && told.out().contains("  back\n"), "{told}");
}
