//! Every kind of server, strict as it was, is given whatever a build may print: it always arrives, as text that the server can
//! read, and what lies here is what was printed, to the byte.

use std::{collections::BTreeMap, fs};

use pony_tests::{Dialect, Ended, Peer, Stored, World};
use pony_wire::text::{Colours, clean};
use serde_json::{Value, json};

const ALL: [Dialect; 4] = [Dialect::V2009, Dialect::V2010, Dialect::Devmason, Dialect::DevmasonRest];

/// The login of a devmason's user: projects are made by whoever has one.
fn url(peer: &Peer<'_>, dialect: Dialect) -> String {
    match dialect {
        Dialect::DevmasonRest => peer.url().replace("http://", "http://ann:secret@"),
        _ => peer.url(),
    }
}

fn arguments(dialect: Dialect, url: &str) -> Vec<String> {
    let words: &[&str] = match dialect {
        Dialect::DevmasonRest => &["--dialect", "devmason-rest", "-s", url],
        _ => &["-s", url],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs the recipe `demo.yaml` and submits it.
fn run<'w>(world: &'w World, peer: &Peer<'_>, dialect: Dialect) -> Ended<'w> {
    let mut words = arguments(dialect, &url(peer, dialect));
    words.push("demo.yaml".to_owned());
    world.pony(&words).end()
}

/// The one result that is stored, and its steps.
fn stored(peer: &Peer<'_>) -> (Stored, Vec<Value>) {
    peer.settle();
    let stored = peer.stored();
    assert_eq!(stored.results.len(), 1, "{:#?}", stored.requests);
    let steps = stored.results[0]["results"].as_array().expect("steps").clone();
    (stored, steps)
}

/// What no XML can hold, what no decoder takes, and what terminals are told.
fn nasty() -> Vec<u8> {
    let mut bytes = b"plain\n".to_vec();
    bytes.extend("naïve ☃ 🦄 日本\n".as_bytes());
    bytes.extend(b"latin-1: caf\xe9 \xff\xfe\n");
    bytes.extend(b"\x1b[1;31merror\x1b[0m: \x1b]0;title\x07\x1b[2K\x1b[?25l done\n");
    bytes.extend((0..32).filter(|byte| *byte != 0x1b).flat_map(|byte| [b'<', byte, b'>']));
    bytes.extend(b"\n\x7f\xc2\x80\xc2\x9f\n");
    bytes.extend(b"\xef\xbf\xbe \xef\xbf\xbf \xed\xa0\x80 \xed\xbf\xbf \xf4\x90\x80\x80 \xc0\x80\n");
    bytes.extend(b"]]> <![CDATA[ &amp; & < > ' \" &#0; <?xml?>\n");
    bytes.extend(b"progress 10%\rprogress 100%\r\nbroken off \x1b[3");
    bytes
}

#[test]
fn whatever_is_printed_arrives_as_text_and_stays_as_bytes() {
    for dialect in ALL {
        let world = World::new();
        let peer = world.peer(dialect);
        world.write("nasty", nasty());
        let here = world.path("work").join("nasty").display().to_string();
        world.recipe(&format!(
            "steps:\n- {{name: nasty, run: 'cat {here}; cat {here} >&2'}}\n- {{name: empty, run: ':'}}\n"
        ));
        let ended = run(&world, &peer, dialect).code(0).err_has("stored");
        let (_, steps) = stored(&peer);
        let text = clean(&nasty(), Colours::Strip);
        // Python's parser makes one line end of all that XML has.
        let arrived = |value: &Value| value.as_str().expect("text").replace('\r', "\n");
        assert_eq!(arrived(&steps[0]["output"]), text.replace('\r', "\n"), "{dialect:?} {ended}");
        assert_eq!(arrived(&steps[0]["errout"]), text.replace('\r', "\n"), "{dialect:?} {ended}");
        assert_eq!((&steps[1]["output"], &steps[1]["errout"]), (&json!(""), &json!("")), "{dialect:?}");
        let run = world.run();
        for log in ["01-nasty.out", "01-nasty.err"] {
            assert_eq!(fs::read(run.path.join(log)).expect("a log"), nasty(), "{dialect:?} {log}");
        }
    }
}

#[test]
fn the_dialect_is_found_and_remembered() {
    for dialect in [Dialect::V2009, Dialect::V2010, Dialect::Devmason] {
        let world = World::new();
        let peer = world.peer(dialect);
        world.recipe("steps:\n- run: echo\n");
        let probes = |stored: &Stored| {
            stored.requests.iter().filter(|request| request["call"] == "get_results").count()
        };
        let _ = run(&world, &peer, dialect).code(0);
        assert_eq!(probes(&peer.stored()), 1, "it is asked what it speaks");
        let _ = run(&world, &peer, dialect).code(0);
        assert_eq!(probes(&peer.stored()), 1, "and not again");
        let receipts: Vec<Value> = world.runs().iter().flat_map(pony_tests::RunFolder::receipts).collect();
        let found = match dialect {
            Dialect::V2009 => "2009",
            Dialect::V2010 => "2010",
            _ => "devmason",
        };
        assert!(receipts.iter().all(|receipt| receipt["dialect"] == found), "{receipts:#?}");
        assert_eq!(peer.stored().results.len(), 2);
        let noted: Vec<_> = pony_tests::files(&world.path("pony/servers"))
            .into_iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        assert!(noted.iter().any(|text| text.contains("dialect")), "{noted:?}");
        assert!(
            !noted.iter().any(|text| text.contains("unsure")),
            "what is answered for is not unsure: {noted:?}"
        );
    }
}

#[test]
fn two_hundred_megabytes_of_output_fit_and_what_failed_is_kept_best() {
    for dialect in ALL {
        let world = World::new();
        let peer = world.peer(dialect);
        world.recipe(
            "steps:\n\
             - {name: chatter, run: 'yes \"<&> all is well\" | head -c 190000000'}\n\
             - {name: short, run: 'echo short'}\n\
             - {name: failing, run: 'yes \"something <is> wrong\" | head -c 10000000; echo; echo the end; exit 3'}\n",
        );
        let ended = run(&world, &peer, dialect).code(10).err_has("stored");
        let (stored, steps) = stored(&peer);
        let sizes: Vec<usize> =
            steps.iter().map(|step| step["output"].as_str().expect("text").len()).collect();
        assert!(sizes[2] > 2 * sizes[0] && sizes[0] > 1000, "{dialect:?} {sizes:?} {ended}");
        assert_eq!(steps[1]["output"], "short\n");
        let failing = steps[2]["output"].as_str().expect("text");
        assert!(
            failing.starts_with("something <is> wrong\n") && failing.ends_with("\nthe end\n"),
            "{dialect:?}"
        );
        let run = world.run();
        let marker = failing.lines().find(|line| line.contains("bytes left out")).expect("a mark");
        let log = run.path.join("03-failing.out");
        assert!(marker.contains(&log.display().to_string()), "{marker}");
        let left_out: usize = marker.split_whitespace().find_map(|word| word.parse().ok()).expect("a number");
        let kept = failing.len() - marker.len() - 1;
        assert_eq!(left_out + kept, 10_000_009, "{marker}");
        assert_eq!(fs::metadata(&log).expect("a log").len(), 10_000_009);
        let largest = stored.requests.iter().filter_map(|request| request["size"].as_u64()).max();
        assert!(largest.expect("a size") < 5_000_000, "{dialect:?} {largest:?}");
    }
}

/// Makes another result of the one there is: `change` is given its `result.json`.
fn changed(world: &World, change: impl FnOnce(&mut Value)) -> String {
    let run = world.run();
    let path = run.path.join("result.json");
    let mut result = run.result();
    change(&mut result);
    fs::write(path, result.to_string()).expect("a new file");
    run.path.display().to_string()
}

#[test]
fn ten_thousand_steps_fit() {
    for dialect in ALL {
        let world = World::new();
        let peer = world.peer(dialect);
        let recipe = world.recipe("steps:\n- {name: one, run: echo out}\n- {name: two, run: exit 3}\n");
        let _ = world.pony(&["-n", recipe]).end().code(10);
        let run = changed(&world, |result| {
            let steps = result["steps"].as_array_mut().expect("steps");
            let (one, two) = (steps[0].clone(), steps[1].clone());
            let one = |number: usize| {
                let mut step = one.clone();
                step["name"] = format!("step {number} of very many").into();
                step["out"] = Value::Null;
                step
            };
            *steps = (0..9_999).map(one).collect();
            steps.push(two);
        });
        let mut words = vec!["submit".to_owned()];
        words.extend(arguments(dialect, &url(&peer, dialect)));
        words.push(run);
        let ended = world.pony(&words).end().code(0);
        let (_, steps) = stored(&peer);
        let named = |step: &Value| step["name"].as_str().expect("a name").to_owned();
        assert_eq!(named(&steps[0]), "step 0 of very many", "{dialect:?} {ended}");
        assert_eq!(named(steps.last().expect("steps")), "two");
        let together = steps.iter().find(|step| named(step).contains(" steps, step "));
        let told = together.map_or(1, |step| named(step).split(' ').next().unwrap().parse().unwrap());
        assert_eq!(steps.len() - 1 + told, 10_000, "{dialect:?}");
    }
}

#[test]
fn large_numbers_are_sent_as_what_old_servers_can_read() {
    for dialect in ALL {
        let world = World::new();
        let peer = world.peer(dialect);
        let recipe = world.recipe("steps:\n- {name: make, run: 'echo > file'}\n- {upload: file}\n");
        let _ = world.pony(&["-n", recipe]).end().code(0);
        let run = changed(&world, |result| {
            result["steps"][0]["status"] = (1_u64 << 40).into();
            result["steps"][1]["artifacts"][0]["bytes"] = (1_u64 << 40).into();
            result["duration"] = json!(1e12);
        });
        let mut words = vec!["submit".to_owned()];
        words.extend(arguments(dialect, &url(&peer, dialect)));
        words.push(run);
        let ended = world.pony(&words).end().code(0);
        let (_, steps) = stored(&peer);
        if dialect != Dialect::Devmason {
            assert_eq!(steps[1]["filesize"].as_f64(), Some(1_099_511_627_776.0), "{dialect:?} {ended}");
        }
    }
}

#[test]
fn a_package_that_devmason_would_lose_is_told_by_its_slug() {
    for dialect in [Dialect::Devmason, Dialect::DevmasonRest] {
        let world = World::new();
        let peer = world.peer(dialect);
        world.write("demo.yaml", "package: My Package 2.0\nsteps:\n- run: echo\n");
        let ended = run(&world, &peer, dialect).code(0).err_has("my-package-2_0");
        let (stored, _) = stored(&peer);
        assert_eq!(stored.results[0]["package"], "my-package-2_0", "{ended}");
        let receipt = &world.run().receipts()[0];
        assert!(receipt["result_key"].as_str().is_some_and(|key| key.parse::<u64>().is_ok()), "{receipt}");
    }
}

/// The address that a delivery printed.
fn printed_link(ended: &Ended<'_>) -> String {
    let err = ended.err();
    let line = err.lines().find(|line| line.contains("stored")).unwrap_or_else(|| panic!("{ended}"));
    let start = line.find("http://").unwrap_or_else(|| panic!("no link in {line}"));
    line[start..].to_owned()
}

fn status_of(link: &str) -> u16 {
    let (address, path) = link.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a path");
    pony_tests::get(address, &format!("/{path}"), "*/*").status
}

#[test]
fn the_link_that_is_printed_after_a_delivery_leads_to_the_result() {
    for (dialect, package, path) in [
        (Dialect::V2009, "demo", "demo/detail?result_key=1"),
        (Dialect::V2009, "My Package", "My%20Package/detail?result_key=1"),
        (Dialect::V2010, "demo", "p/demo/1/"),
        (Dialect::V2010, "My Package", "p/My%20Package/1/"),
        (Dialect::Devmason, "demo", "demo/builds/2"),
        (Dialect::Devmason, "My Package 2.0", "my-package-2_0/builds/2"),
        (Dialect::DevmasonRest, "demo", "demo/builds/2"),
        (Dialect::DevmasonRest, "My Package 2.0", "my-package-2_0/builds/2"),
    ] {
        let world = World::new();
        let peer = world.peer(dialect);
        world.write("demo.yaml", format!("package: {package}\nsteps:\n- run: echo\n"));
        let _ = run(&world, &peer, dialect).code(0);
        let ended = run(&world, &peer, dialect).code(0);
        let link = printed_link(&ended);
        assert_eq!(link, peer.url() + path, "{dialect:?} {package} {ended}");
        assert_eq!(status_of(&link), 200, "{dialect:?} {link}");
    }
    let world = World::new();
    let serve = world.serve_file("elsewhere.db");
    for package in ["demo", "~odd", "My Package"] {
        world.write("demo.yaml", format!("package: '{package}'\nsteps:\n- run: echo\n"));
        let link = printed_link(&world.pony(&["-s", &serve.url(), "demo.yaml"]).end().code(0));
        assert_eq!(status_of(&link), 200, "{link}");
    }
}

#[test]
fn where_no_key_is_known_the_link_leads_to_a_page_that_exists() {
    // A server of 2009 that does not know the question, and a devmason without pages as JSON.
    let no_answer = pony_tests::Odd::status(503);
    for (dialect, odd, path) in [
        (Dialect::V2009, no_answer.clone().on("/xmlrpc"), "demo/"),
        (
            Dialect::Devmason,
            pony_tests::Odd::page("text/html", b"<html><title>devmason</title></html>").on("format=json"),
            "demo",
        ),
    ] {
        let world = World::new();
        let peer = world.peer(dialect);
        world.recipe("steps:\n- run: echo\n");
        let _ = run(&world, &peer, dialect).code(0);
        // The submission itself is answered.
        let odd = if dialect == Dialect::V2009 {
            vec![pony_tests::Odd::own().on("/xmlrpc").times(1), odd]
        } else {
            vec![odd]
        };
        peer.answer(&odd);
        let ended = run(&world, &peer, dialect).code(0);
        let link = printed_link(&ended);
        assert_eq!(link, peer.url() + path, "{dialect:?} {ended}");
        peer.answer(&[]);
        assert_eq!(status_of(&link), 200, "{dialect:?} {link}");
    }
}

#[test]
fn devmason_is_not_believed_when_it_says_that_it_has_a_result() {
    let world = World::new();
    let peer = world.peer(Dialect::Devmason);
    world.recipe("steps:\n- run: echo\n");
    let answer = b"<?xml version='1.0'?><methodResponse><params><param><value><string>Processed Correctly</string></value></param></params></methodResponse>";
    let page = pony_tests::Odd::page("text/html; charset=utf-8", answer);
    // Builds of the same second are not taken for each other.
    let _ = run(&world, &peer, Dialect::Devmason).code(0);
    peer.answer(&[page.on("/xmlrpc")]);
    let ended = run(&world, &peer, Dialect::Devmason).code(13).err_has("does not have it");
    assert_eq!(peer.stored().results.len(), 1, "{ended}");
}

#[test]
fn devmason_rest_makes_the_project_once_and_never_repeats_what_it_refused() {
    let world = World::new();
    let peer = world.peer(Dialect::DevmasonRest);
    world.recipe("steps:\n- run: echo\n");
    let ended = run(&world, &peer, Dialect::DevmasonRest).code(0);
    let _ = run(&world, &peer, Dialect::DevmasonRest).code(0);
    let requests = |method: &str| {
        let requests = peer.stored().requests;
        requests.into_iter().filter(|request| request["method"] == method).count()
    };
    assert_eq!((requests("PUT"), requests("POST")), (1, 3), "{ended}");
    assert_eq!(peer.stored().projects["demo"]["owner"], "ann");
    // The address of a project's builds shows what is spoken there, and whose they are.
    let builds = format!("{}demo/builds", url(&peer, Dialect::DevmasonRest));
    let _ = world.pony(&["-s", &builds, "demo.yaml"]).end().code(0);
    assert_eq!(peer.stored().results.len(), 3);

    peer.answer(&[pony_tests::Odd::status(400)]);
    let _ = run(&world, &peer, Dialect::DevmasonRest).code(13).err_has("400");
    let before = requests("POST");
    peer.answer(&[]);
    let _ = world.pony(&["-n", "demo.yaml"]).end().code(0);
    let _ = world.pony(&["submit"]).end().code(0).err_has("was not tried");
    assert_eq!(requests("POST"), before, "a build of which a part was left behind is not sent again");

    // Without a login no project is made.
    let other = world.peer(Dialect::DevmasonRest);
    let words = ["--dialect", "devmason-rest", "-s", &other.url(), "demo.yaml"];
    let _ = world.pony(&words).end().code(13).err_has("401").err_has("login");
}

#[test]
fn several_servers_each_get_it_and_each_have_a_receipt() {
    let world = World::new();
    let peers: BTreeMap<&str, Peer<'_>> =
        [("2009", world.peer(Dialect::V2009)), ("2010", world.peer(Dialect::V2010))].into();
    let serve = world.serve_file("elsewhere.db");
    world.configure(&format!(
        "servers: {{old: '{}', new: {{url: '{}'}}}}\n",
        peers["2009"].url(),
        peers["2010"].url()
    ));
    world.recipe("steps:\n- run: echo\n");
    let down = "http://127.0.0.1:1/";
    let ended = world.pony(&["-s", "old", "-s", "new", "-s", &serve.url(), "-s", down, "demo.yaml"]).end();
    let ended = ended.code(13).err_has("not delivered");
    let receipts = world.run().receipts();
    assert_eq!(receipts.len(), 3, "{ended}");
    for peer in peers.values() {
        assert_eq!(peer.runs().values().copied().collect::<Vec<_>>(), [1]);
    }
    assert_eq!(serve.json("/")["packages"][0]["package"], "demo");
    assert_eq!(world.open_runs().len(), 1, "it waits for the one that is down");
    let _ = world.pony(&["submit", "--list"]).end().code(0).out_has(down);
    let _ = world.pony(&["-s", "olt", "demo.yaml"]).end().code(2).err_has("did you mean `old`?");
    // In the variable, with blanks between.
    let _ = world.pony(&["demo.yaml"]).env("PONY_SERVER", "old new").end().code(0);
    assert_eq!(peers["2009"].runs().len(), 2);
    assert_eq!(peers["2010"].runs().len(), 2);
}
