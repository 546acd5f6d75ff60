//! The pages as a browser sees them: what is on them, where their links lead, and that text stays text.

use crate::browser::{all, follow, page, resolve, text};
use crate::harness::{Running, check, info, post_at, send, should_build, slot, step};
use crate::html::Html;
use pony_wire::{ClientInfo, StepResult, Struct, Value};

fn server() -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&folder.path().join("results.db"));
    (folder, server)
}

#[test]
fn from_the_first_page_to_the_output() {
    let (_folder, server) = server();
    let empty = page(&server.get("/"));
    assert!(text(&empty).contains("No results yet"), "{}", text(&empty));

    server.add(info("good", "h1", true), vec![step("make", 0, "fine\n")]);
    server.add(info("mixed", "h1", true), vec![]);
    let checkout = StepResult {
        extra: Struct::from([
            ("version_type".to_owned(), Value::from("git")),
            ("version_info".to_owned(), "3f2504e0 Fix it".into()),
            (
                "cache_update".to_owned(),
                Value::Struct(Struct::from([
                    ("status".to_owned(), Value::Int(0)),
                    ("command".to_owned(), "git fetch".into()),
                    ("output".to_owned(), "From example.org\n".into()),
                ])),
            ),
        ]),
        ..step("checkout", 0, "")
    };
    let change = Struct::from([
        ("id".to_owned(), Value::from("3f2504e04f8911d39a0c0305e82c3301")),
        ("author".to_owned(), "Ada".into()),
        ("date".to_owned(), "2026-11-21".into()),
        ("subject".to_owned(), "Fix it".into()),
    ]);
    let mut broken = info("mixed", "h2", false);
    broken.extra.insert("changes".to_owned(), Value::Array(vec![Value::Struct(change)]));
    let files = vec!["src/a.c".into(), "src/b.c".into()];
    broken.extra.insert("changed_files".to_owned(), Value::Array(files.clone()));
    broken
        .extra
        .insert("changed_files_since_success".to_owned(), Value::Array([files, vec!["c".into()]].concat()));
    broken.extra.insert("kernel".to_owned(), "6.1.0".into());
    broken.extra.insert("tool gcc".to_owned(), "/usr/bin/gcc: 12.2".into());
    broken.extra.insert("installed".to_owned(), Value::Array(vec!["pip==1".into(), "six==2".into()]));
    broken.extra.insert("duration".to_owned(), Value::Double(61.0));
    let failing = StepResult {
        errout: Some("␛[31merror:␛[0m x < y\n".to_owned()),
        ..step("regrtest", -9, "out\n")
    };
    let mut lint = step("lint", 1, "");
    lint.extra.insert("allow_failure".to_owned(), Value::Bool(true));
    let mut last = step("last", -15, "");
    last.extra.insert("outcome".to_owned(), "timed-out".into());
    let key = server.add(broken, vec![checkout, lint, failing, last]);

    let first = page(&server.get("/"));
    assert_eq!(all(&first, "tbody tr td:first-child"), ["good", "mixed"]);
    assert_eq!(all(&first, "tbody .badge"), ["passed", "failed"]);
    assert!(text(&first).contains("1 of 2"));

    let (path, slots) = follow(&server, "/", "mixed");
    assert_eq!(path, "/p/mixed/");
    let slots = page(&slots);
    assert_eq!(all(&slots, "tbody .badge"), ["failed", "passed"]);
    assert!(text(&slots).contains("in regrtest") && text(&slots).contains("1 min 01 s"), "{}", text(&slots));
    assert_eq!(all(&slots, ".tag"), ["t", "t"]);

    let (path, result) = follow(&server, "/p/mixed/", "failed");
    assert_eq!(path, format!("/p/mixed/{key}/"));
    let result = page(&result);
    let summaries = all(&result, "details > summary");
    assert_eq!(summaries[..2], ["2 files", "3 files"]);
    assert_eq!(all(&result, "ul.files li"), ["src/a.c", "src/b.c", "src/a.c", "src/b.c", "c"]);
    assert_eq!(summaries[7..], ["hardware, system and tools"]);
    let machine = all(&result, "h2 + details dd");
    assert_eq!(machine[machine.len() - 3..], ["pip==1six==2", "6.1.0", "/usr/bin/gcc: 12.2"]);
    let summaries = &summaries[2..7];
    assert_eq!(
        summaries,
        [
            "ok 1. checkout (build)",
            "ok cache_update",
            "exit status 1 2. lint, allowed to fail (build)",
            "killed by SIGKILL 3. regrtest (build)",
            "killed by SIGTERM 4. last, timed-out (build)",
        ]
    );
    // What failed is open.
    assert_eq!(all(&result, "details[open] > summary"), summaries[3..]);
    assert_eq!(all(&result, "pre.errout"), ["error: x < y\n"]);
    assert_eq!(all(&result, "pre.errout span"), ["error:"]);
    assert_eq!(all(&result, "ul.changes li"), ["3f2504e04f89 Fix it Ada 2026-11-21"]);
    assert!(text(&result).contains("git 3f2504e0 Fix it"));
    assert!(text(&result).contains("From example.org"));

    let (_, part) = follow(&server, &path, "as text");
    assert_eq!(part.text(), "From example.org\n");
    assert_eq!(part.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(server.get(&format!("{path}errout/3")).text(), "␛[31merror:␛[0m x < y\n");
    let (_, inspect) = follow(&server, &path, "every key");
    let inspect = text(&page(&inspect));
    for key in ["client_ip", "127.0.0.1", "changes", "subject", "cache_update", "errout", "results[2]", "61"]
    {
        assert!(inspect.contains(key), "{key} is not in {inspect}");
    }
    assert_eq!(page(&server.get("/p/mixed/latest/")).select("h1").len(), 1);
    assert_eq!(text(&page(&server.get("/p/mixed/latest/"))), text(&result));
    // Links from there lead to the result itself.
    assert_eq!(follow(&server, "/p/mixed/latest/", "every key").0, format!("/p/mixed/{key}/inspect"));
}

#[test]
fn any_text_can_be_a_package() {
    let (_folder, server) = server();
    let names = [
        "a/b",
        "..",
        ".",
        "...",
        "~",
        "~x",
        "a b+c",
        "100%",
        "%2e%2e",
        "q?x=1&y#z",
        "ünïcode ☃",
        "<b>bold</b>",
        "\"'",
        "\\",
        "a\u{a0}b",
        "latest",
        "show_all",
        "new\nline",
    ];
    for name in names {
        server.add(
            ClientInfo { slot: slot(name, "h", &["", "a,b", "__hidden"]), ..info(name, "h", true) },
            vec![step("s", 0, "out")],
        );
    }
    for name in names {
        let (path, slots) = follow(&server, "/", name);
        assert_eq!(all(&page(&slots), "h1"), [name], "{path}");
        let (path, result) = follow(&server, &path, "passed");
        assert!(all(&page(&result), "h1")[0].starts_with(name), "{path}");
        assert_eq!(follow(&server, &path, "as text").1.text(), "out");
        let (path, history) = follow(&server, &path, "history of this slot");
        assert!(text(&page(&history)).contains(name));
        assert_eq!(follow(&server, &path, "packages").0, "/");
        let json = server.get(&format!("{}?format=json", path.split('?').next().unwrap())).json();
        assert_eq!(json["package"], *name);
    }
}

/// Hostile text in every field that exists, on every page that shows it.
#[test]
fn text_never_becomes_markup() {
    let (_folder, server) = server();
    let evil = "</pre></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg onload=alert(1)>␛[31m<i>";
    let nested = Struct::from([
        (evil.to_owned(), Value::from(evil)),
        ("output".to_owned(), evil.into()),
        ("errout".to_owned(), evil.into()),
        ("command".to_owned(), evil.into()),
        ("status".to_owned(), Value::Int(1)),
    ]);
    let change: Struct =
        ["id", "author", "date", "subject"].map(|key| (key.to_owned(), Value::from(evil))).into();
    let mut extra = Struct::from([
        (evil.to_owned(), Value::from(evil)),
        ("changes".to_owned(), Value::Array(vec![Value::Struct(change)])),
        ("nested".to_owned(), Value::Struct(nested.clone())),
        ("list".to_owned(), Value::Array(vec![evil.into()])),
        ("when".to_owned(), Value::DateTime(evil.to_owned())),
        ("chain".to_owned(), evil.into()),
        (
            "needs".to_owned(),
            Value::Array(vec![need(evil, evil, evil.into()), need(evil, evil, Value::Int(1))]),
        ),
    ]);
    let field = || Some(evil.to_owned());
    let hostile = StepResult {
        status: Some(1),
        name: field(),
        kind: field(),
        command: field(),
        output: field(),
        errout: field(),
        duration: Some(1.0),
        extra: Struct::from([
            (evil.to_owned(), Value::Struct(nested)),
            ("version_type".to_owned(), evil.into()),
            ("version_info".to_owned(), evil.into()),
            ("x".to_owned(), evil.into()),
        ]),
    };
    extra.insert("run_id".to_owned(), evil.into());
    let mut slot = slot(evil, evil, &[evil]);
    slot.arch = evil.to_owned();
    let key = server.add(ClientInfo { slot, success: Some(false), extra }, vec![hostile]);

    let (package, slots) = follow(&server, "/", evil);
    let result = format!("{package}{key}/");
    let replies = [
        server.get("/"),
        slots,
        server.get(&format!("{package}show_all")),
        server.get(&format!("{package}latest/")),
        server.get(&result),
        server.get(&format!("{result}inspect")),
        server.get(&format!("{result}request_build")),
        follow(&server, &result, "all builds of this chain").1,
        server.get(&format!("{package}999/")),
        server.get("/p/%3Cscript%3Ealert(1)%3C%2Fscript%3E/"),
    ];
    for reply in replies {
        let html = Html::parse(&reply.text());
        for bad in ["script", "img", "svg", "i", "[onerror]", "[onload]"] {
            assert_eq!(html.select(bad).len(), 0, "{bad} in {}", reply.text());
        }
        assert!(all(&html, "body").concat().contains("<script>alert(1)</script>"), "{}", reply.text());
    }
}

/// An entry of `needs` in a client's bag.
fn need(package: &str, outcome: &str, key: Value) -> Value {
    let texts =
        [("name", package), ("package", package), ("revision", "3f2504e04f8911d3"), ("outcome", outcome)];
    let mut need: Struct = texts.map(|(key, text)| (key.to_owned(), Value::from(text))).into();
    need.insert("result_key".to_owned(), key);
    need.insert("reused".to_owned(), Value::Bool(outcome == "passed"));
    Value::Struct(need)
}

#[test]
fn builds_that_need_each_other_lead_to_each_other() {
    let (_folder, server) = server();
    let of_chain = |package: &str, success, more: Vec<(&str, Value)>| {
        let mut info = info(package, "h", success);
        let more = more.into_iter().chain([("chain", Value::from("c 1/2"))]);
        info.extra.extend(more.map(|(key, value)| (key.to_owned(), value)));
        info
    };
    let zlib = server.add(of_chain("zlib", true, vec![]), vec![step("make", 0, "")]);
    let png = server.add(of_chain("a/png", false, vec![]), vec![step("make", 2, "")]);
    let needs = vec![
        need("zlib", "passed", zlib.to_string().into()),
        need("a/png", "failed", Value::Int(png)),
        need("lost", "skipped", "x".into()),
        Value::Int(7),
    ];
    let skipped = vec![("needs", Value::Array(needs)), ("outcome", "skipped".into())];
    let app = server.add(of_chain("app", false, skipped), vec![]);
    server
        .add(of_chain("stopped", false, vec![("outcome", "cancelled".into())]), vec![step("make", -15, "")]);
    server.add(info("other", "h", true), vec![]);

    let path = format!("/p/app/{app}/");
    let result = page(&server.get(&path));
    assert_eq!(all(&result, "h1 .skipped"), ["skipped"]);
    let list = all(&result, "ul.changes li");
    assert_eq!(
        list,
        ["passed zlib 3f2504e04f89 reused", "failed a/png 3f2504e04f89", "skipped lost 3f2504e04f89"]
    );
    assert_eq!(follow(&server, &path, "a/png").0, format!("/p/a%2Fpng/{png}/"));
    assert_eq!(follow(&server, &path, "zlib").0, format!("/p/zlib/{zlib}/"));

    let (chain, reply) = follow(&server, &path, "all builds of this chain");
    assert_eq!(chain, "/chain/c%201%2F2");
    let chain_page = page(&reply);
    assert_eq!(all(&chain_page, "tbody tr td:first-child"), ["zlib", "a/png", "app", "stopped"]);
    assert_eq!(all(&chain_page, "tbody .badge"), ["passed", "failed", "skipped", "cancelled"]);
    assert!(text(&chain_page).contains("in make") && !text(&chain_page).contains("cancelled in"));
    assert_eq!(follow(&server, &chain, "skipped").0, path);
    let json = server.get(&format!("{chain}?format=json")).json();
    assert_eq!(
        (&json["results"][1]["path"], &json["next"]),
        (&format!("p/a%2Fpng/{png}/").into(), &().into())
    );
    assert_eq!(json["results"][2]["summary"]["status"], "skipped");
    assert_eq!(server.get("/chain/c%201").status, 404);

    for (list, selector) in [("/p/app/", "tbody .skipped"), ("/p/stopped/show_all", "tbody .cancelled")] {
        assert_eq!(all(&page(&server.get(list)), selector).len(), 1, "{list}");
    }
    // No slot of theirs fails.
    let first = page(&server.get("/"));
    assert_eq!(all(&first, "tbody .badge"), ["failed", "unknown", "passed", "unknown", "passed"]);
    assert_eq!(
        server.get(&format!("{path}?format=json")).json()["client_info"]["needs"][2]["outcome"],
        "skipped"
    );
}

#[test]
fn a_request_for_a_build_takes_a_form() {
    let (_folder, server) = server();
    let key = server.add(info("p", "h", true), vec![]);
    let path = format!("/p/p/{key}/request_build");
    let should_build_now = || should_build(&server.call(&check(&info("p", "h", true), false, 0.0)));

    // A GET, as the old server's links send it, shows a button.
    let form = page(&server.get(&path));
    assert_eq!(form.select("form[method=post]").len(), 1);
    assert!(!should_build_now().0);

    assert_eq!(post_at(server.address, &path, "Sec-Fetch-Site: cross-site\r\n", b"").status, 403);
    assert!(!should_build_now().0);

    let reply = post_at(server.address, &path, "Sec-Fetch-Site: same-origin\r\n", b"");
    assert_eq!((reply.status, reply.header("location")), (303, Some("./")));
    assert!(text(&page(&server.get(&format!("/p/p/{key}/")))).contains("was requested"));
    assert!(text(&page(&server.get("/p/p/"))).contains("build requested"));
    assert_eq!(should_build_now(), (true, "build requested".to_owned()));
    assert!(!text(&page(&server.get("/p/p/"))).contains("build requested"));

    for wrong in ["/p/other/1/request_build", "/p/p/999/request_build", "/p/p/x/request_build"] {
        assert_eq!(post_at(server.address, wrong, "", b"").status, 404, "{wrong}");
    }
}

#[test]
fn what_is_not_there_says_so_and_shows_the_way() {
    let (_folder, server) = server();
    server.add(info("p", "h", true), vec![step("make", 0, "x")]);
    for path in [
        "/nowhere",
        "/p/none/",
        "/p/none/show_all",
        "/p/none/latest/",
        "/p/p/999/",
        "/p/p/x/",
        "/p/none/1/",
        "/p/p/-1/",
        "/p/p/99999999999999999999/",
        "/p/p/1/output/2",
        "/p/p/1/output/0",
        "/p/p/1/output/x",
        "/p/p/1/output/1?of=none",
        "/p/",
        "/p/p/1/nowhere/",
    ] {
        let reply = server.get(path);
        assert_eq!(reply.status, 404, "{path}");
        let html = Html::parse(&reply.text());
        let link = *html.select("main a").first().unwrap_or_else(|| panic!("{path}"));
        assert_eq!(resolve(path, link.attr("href").unwrap()), "/", "{path}");
        let json = server.get(&format!("{path}{}format=json", if path.contains('?') { "&" } else { "?" }));
        assert!(json.json()["error"].is_string(), "{path}");
    }
    for (path, to) in [
        ("/p/p", "./p/"),
        ("/p/a%2Fb", "./a%2Fb/"),
        ("/p/p/1?format=json", "./1/?format=json"),
        ("/p/p/latest", "./latest/"),
    ] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.header("location")), (308, Some(to)), "{path}");
    }
}

#[test]
fn history_goes_page_by_page_to_the_first_result() {
    let (_folder, server) = server();
    for number in 0..250 {
        server.add(info("p", if number % 2 == 0 { "even" } else { "odd" }, true), vec![]);
    }
    let keys = |json: &serde_json::Value| -> Vec<i64> {
        json["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["key"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    for (query, expected) in [
        ("", (1..=250).rev().collect::<Vec<i64>>()),
        ("&slot=1", (1..=250).rev().filter(|key| key % 2 == 1).collect()),
    ] {
        let (mut seen, mut from) = (Vec::new(), String::new());
        loop {
            let json = server.get(&format!("/p/p/show_all?format=json{query}{from}")).json();
            let page = keys(&json);
            assert!(!page.is_empty() && page.len() <= 100);
            seen.extend(page);
            match json["next"].as_str() {
                Some(next) => from = format!("&from={next}"),
                None => break,
            }
        }
        assert_eq!(seen, expected);
    }
    let (path, older) = follow(&server, "/p/p/show_all", "older results");
    assert_eq!(path, "/p/p/show_all?from=150");
    assert_eq!(all(&page(&older), "tbody tr td:first-child").first().map(String::as_str), Some("150"));

    // Next and previous stay in the slot.
    assert_eq!(follow(&server, "/p/p/100/", "next of this slot →").0, "/p/p/102/");
    assert_eq!(follow(&server, "/p/p/100/", "← previous of this slot").0, "/p/p/98/");
    assert!(!text(&page(&server.get("/p/p/250/"))).contains("next of"));
    let json = server.get("/p/p/250/?format=json").json();
    assert_eq!((&json["previous"], &json["next"]), (&serde_json::json!("248"), &serde_json::Value::Null));
}

#[test]
fn many_packages_and_slots_come_in_pages() {
    let (_folder, server) = server();
    for number in 0..120 {
        server.add(info(&format!("package {number:03}"), "h", true), vec![]);
        server.add(info("p", &format!("host{number}"), true), vec![]);
    }
    let (path, second) = follow(&server, "/", "more packages");
    assert_eq!(path, "/?from=package%20099");
    assert_eq!(all(&page(&second), "tbody tr").len(), 21);
    let (_, second) = follow(&server, "/p/p/", "slots built earlier");
    assert_eq!(all(&page(&second), "tbody tr").len(), 20);
}

#[test]
fn long_output_is_cut_on_the_page_and_whole_behind_it() {
    let (_folder, server) = server();
    let lines = (0..100_000).map(|line| format!("line {line}\n")).collect::<Vec<_>>().concat();
    let key = server.add(info("p", "h", true), vec![step("make", 0, &lines)]);
    let path = format!("/p/p/{key}/");
    let reply = server.get(&path);
    assert!(reply.body.len() < 200_000, "{}", reply.body.len());
    let outputs = all(&page(&reply), "pre.output");
    assert!(outputs[0].starts_with("line 0\n") && outputs[1].ends_with("line 99999\n"));
    assert_eq!(follow(&server, &path, "full text").1.text(), lines);
    assert!(server.get(&format!("{path}inspect")).body.len() < 200_000);

    let many: Vec<_> = (0..600).map(|number| step(&format!("s{number}"), 0, &"x".repeat(6_000))).collect();
    let key = server.add(info("p", "h", true), many);
    let path = format!("/p/p/{key}/");
    let reply = server.get(&path);
    assert!(reply.body.len() < 3_000_000, "{}", reply.body.len());
    let (_, second) = follow(&server, &path, "steps 401 to 600");
    assert!(all(&page(&second), "summary")[0].starts_with("ok 401. s400"));
    assert!(server.get(&format!("{path}inspect")).body.len() < 4_000_000);
}

#[test]
fn json_for_who_accepts_it() {
    let (_folder, server) = server();
    let mut sent = info("p", "h", false);
    sent.extra.insert("numbers".to_owned(), Value::Array(vec![Value::Int(1), Value::Double(0.5)]));
    let key = server.add(sent, vec![step("make", 2, "x")]);
    let accepting = |accept: &str, path: &str| {
        send(
            server.address,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: {accept}\r\n\r\n")
                .as_bytes(),
        )
    };
    let json = accepting("application/json", &format!("/p/p/{key}/")).json();
    assert_eq!(json["client_info"]["numbers"], serde_json::json!([1, 0.5]));
    assert_eq!(json["client_info"]["tags"], serde_json::json!(["t"]));
    assert_eq!(json["results"][0]["status"], 2);
    assert_eq!(json["receipt"]["result_key"], key.to_string());
    assert_eq!(json["summary"]["status"], "failed");
    assert_eq!(json["summary"]["failed_step"], "make");
    let json = accepting("application/json, */*", "/").json();
    assert_eq!(json["packages"][0]["status"], "failed");
    assert_eq!(json["packages"][0]["latest"]["key"], key.to_string());
    let slots = accepting("application/json", "/p/p/").json();
    assert_eq!(slots["slots"][0]["latest"]["failed_step"], "make");
    page(&accepting("text/html,application/json;q=0.9", "/"));
}
