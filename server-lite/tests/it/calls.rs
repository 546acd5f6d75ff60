//! The five calls over a real socket: what old and new clients send, what they get, what is stored.

use std::path::{Path, PathBuf};
use std::thread;

use crate::harness::{Running, check, info, post_at, send, should_build, slot, step, wait_until};
use pony_wire::{Answer, Call, ClientInfo, StoredResult, Value};

fn data(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("results.db")
}

fn recorded(name: &str) -> (Vec<u8>, Vec<u8>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/recorded");
    let read = |kind: &str| std::fs::read(folder.join(format!("{name}.{kind}.http"))).unwrap();
    (read("request"), read("response"))
}

/// The answer that a recorded server gave.
fn recorded_answer(name: &str) -> Answer {
    let response = recorded(name).1;
    let end = response.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let (head, mut body) = (String::from_utf8_lossy(&response[..end]), response[end + 4..].to_vec());
    if head.contains("Content-Encoding: gzip") {
        let mut unpacked = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut unpacked).unwrap();
        body = unpacked;
    }
    pony_wire::decode_answer(&body).unwrap()
}

/// Sends a recorded request to the byte, but for the end of the connection that the old servers brought about.
fn replay(server: &Running, name: &str) -> Answer {
    let request = recorded(name).0;
    let end = request.windows(2).position(|window| window == b"\r\n").unwrap();
    send(server.address, &[&request[..end], b"\r\nConnection: close", &request[end..]].concat()).answer()
}

fn key(answer: &Answer) -> i64 {
    match answer.as_ref().unwrap().as_array() {
        Some([Value::Int(key), Value::String(auth)]) if auth.len() == 32 => *key,
        other => panic!("{other:?}"),
    }
}

/// The order is that in which the exchanges were recorded, as far as one answer depends on another.
#[test]
fn every_recorded_request_of_2010_is_answered_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    let check_of = |name| should_build(&replay(&server, name));

    let (build, reason) = check_of("2010/check-first");
    assert!(build);
    assert_eq!(
        reason,
        "no build recorded for frozenset(['__arch=linux-x86_64', '__host=laptop', '__package=build-example', \
         'tag1', 'tag2', 'tag3']); build!"
    );
    let first = key(&replay(&server, "2010/add-results"));
    // Until the time of the first question's reservation, some milliseconds, has passed.
    wait_until(|| check_of("2010/check-up-to-date").1 != "may be in build now");
    assert_eq!(check_of("2010/check-up-to-date"), should_build(&recorded_answer("2010/check-up-to-date")));
    let mut last = first;
    for name in [
        "add-results-with-upload-step",
        "add-results-git-fresh-cache",
        "add-results-hg",
        "add-results-svn",
        "add-results-failed-step",
        "add-results-missing-program",
        "add-results-utf8",
        // The old server lost these two, because of one coloured line and one byte of Latin-1.
        "add-results-ansi-rejected",
        "add-results-latin1-rejected",
    ] {
        let key = key(&replay(&server, &format!("2010/{name}")));
        assert_eq!(key, last + 1, "{name}");
        last = key;
    }
    assert!(check_of("2010/check-reserve").0);
    assert_eq!(check_of("2010/check-reserved"), should_build(&recorded_answer("2010/check-reserved")));

    for name in [
        "get-last-result-no-match",
        "get-results-unknown-key",
        "get-tagsets-unknown-package",
        "unknown-method",
    ] {
        let name = format!("2010/{name}");
        assert_eq!(replay(&server, &name), recorded_answer(&name), "{name}");
    }
    let tagsets = |answer: &Answer| {
        let mut tags: Vec<_> = answer.as_ref().unwrap().as_array().unwrap()[0].as_array().unwrap().to_vec();
        tags.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        tags
    };
    let name = "2010/get-tagsets";
    assert_eq!(tagsets(&replay(&server, name)), tagsets(&recorded_answer(name)));

    // The bags come back as they were sent; only the receipt is of this day.
    let bags = |answer: Answer| {
        let StoredResult { client_info, results, .. } = StoredResult::from_value(answer.unwrap()).unwrap();
        (client_info, results)
    };
    let name = "2010/get-last-result-for-tagset";
    // (The recordings name the host in the bag otherwise than in the tagset.)
    let (now, then) = (bags(replay(&server, name)).0.slot, bags(recorded_answer(name)).0.slot);
    assert_eq!((now.package, now.arch, now.tags), (then.package, then.arch, then.tags));
    let sent = match Call::decode(body(&recorded("2010/add-results").0)).unwrap() {
        Call::AddResults { client_info, results } => (client_info, results),
        other => panic!("{other:?}"),
    };
    let got = server.call(&Call::GetResults { result_key: first.to_string() });
    assert_eq!(bags(got), sent);
    // (The recordings differ in the name of a folder.)
    assert_eq!(bags(recorded_answer("2010/get-results")).1, sent.1);
}

fn body(request: &[u8]) -> &[u8] {
    &request[request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4..]
}

#[test]
fn every_recorded_request_of_2009_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    assert!(should_build(&replay(&server, "2009/check-first")).0);
    for name in ["add-results-git", "add-results-svn", "add-results-failed-step"] {
        key(&replay(&server, &format!("2009/{name}")));
    }
    assert!(!should_build(&replay(&server, "2009/check-first")).0);
    replay(&server, "2009/get-tagsets").unwrap();
    let last = replay(&server, "2009/get-last-result-for-tagset").unwrap();
    assert_eq!(StoredResult::from_value(last).unwrap().client_info.slot.package, "hello-git");
    // This call is not of 2009; here it is answered, and there is no result 0.
    assert_eq!(
        replay(&server, "2009/get-results-unsupported").unwrap_err().message,
        "<type 'exceptions.KeyError'>:'0'"
    );
}

/// Python's own client: every type in every bag, back as it was sent.
#[test]
fn pythons_client_gets_back_what_it_sent() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/client.py");
    #[expect(clippy::disallowed_methods, reason = "the client is another program")]
    let output = std::process::Command::new("python3")
        .arg(script)
        .arg(format!("http://{}/xmlrpc", server.address))
        .output()
        .expect("python3 is needed");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok\n");
}

#[test]
fn a_result_sent_twice_is_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    let run = |package: &str, id: &str| {
        let mut info = info(package, "h", true);
        info.extra.insert("run_id".to_owned(), id.into());
        server.add(info, vec![])
    };
    let first = run("p", "a");
    assert_eq!(run("p", "a"), first);
    let second = run("p", "b");
    assert_ne!(second, first);
    assert_eq!(run("p", "a"), first);
    assert_ne!(run("other", "a"), first);
    let history = server.get("/p/p/show_all?format=json").json();
    assert_eq!(history["results"].as_array().unwrap().len(), 2);
    // The repeated one is not the newest.
    assert_eq!(server.get("/p/p/latest/?format=json").json()["summary"]["key"], second.to_string());
}

#[test]
fn bad_bags_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    let member =
        |name: &str, value: &str| format!("<member><name>{name}</name><value>{value}</value></member>");
    let all = [
        member("package", "p"),
        member("host", "h"),
        member("arch", "a"),
        member("tags", "<array><data/></array>"),
    ];
    let add = |members: &str, results: &str| {
        let call = format!(
            "<methodCall><methodName>add_results</methodName><params><param><value><struct>{members}</struct></value>\
             </param><param><value>{results}</value></param></params></methodCall>"
        );
        post_at(server.address, "/xmlrpc", "", call.as_bytes()).answer()
    };
    let no_steps = "<array><data/></array>";
    for (missing, word) in ["package", "host", "arch"].into_iter().enumerate() {
        let members: String =
            all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, text)| text.as_str()).collect();
        assert_eq!(
            add(&members, no_steps).unwrap_err().message,
            format!("<type 'exceptions.KeyError'>:'{word}'")
        );
    }
    let good = all.concat();
    for (members, results) in [
        ("", no_steps),
        (good.as_str(), "not an array"),
        (&good, "<array><data><value>not a struct</value></data></array>"),
        (
            &good,
            "<array><data><value><struct><member><name>status</name><value>x</value></member></struct></value></data></array>",
        ),
        (&good.replace("<value>p</value>", "<value><int>1</int></value>"), no_steps),
        (&good.replace("<array><data/></array>", "<struct/>"), no_steps),
    ] {
        add(members, results).expect_err(members);
    }
    assert_eq!(server.get("/?format=json").json()["packages"].as_array().unwrap().len(), 0);
    add(&good, no_steps).unwrap();
    assert_eq!(server.get("/?format=json").json()["packages"].as_array().unwrap().len(), 1);
}

#[test]
fn of_many_clients_one_builds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    // Another process with the same file.
    let other = Running::start(&data(&folder));
    let call = check(&info("p", "h", true), true, 60.0);
    let yes = thread::scope(|scope| {
        let clients: Vec<_> = (0..24)
            .map(|client| {
                let server = if client % 3 == 0 { &other } else { &server };
                let call = &call;
                scope.spawn(move || should_build(&server.call(call)))
            })
            .collect();
        let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(
            answers.iter().all(|(build, reason)| *build || reason == "may be in build now"),
            "{answers:?}"
        );
        answers.iter().filter(|(build, _)| *build).count()
    });
    assert_eq!(yes, 1);
}

#[test]
fn reservations_and_requests_outlive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (reserved, requested) = (info("reserved", "h", true), info("requested", "h", true));
    {
        let server = Running::start(&data(&folder));
        assert!(should_build(&server.call(&check(&reserved, true, 3600.0))).0);
        let key = server.add(requested.clone(), vec![]);
        let reply = post_at(server.address, &format!("/p/requested/{key}/request_build"), "", b"");
        assert_eq!(reply.status, 303);
    }
    let server = Running::start(&data(&folder));
    assert_eq!(
        should_build(&server.call(&check(&reserved, true, 3600.0))),
        (false, "may be in build now".to_owned())
    );
    // The first question consumes the request, even without a reservation.
    assert_eq!(
        should_build(&server.call(&check(&requested, false, 0.0))),
        (true, "build requested".to_owned())
    );
    assert_eq!(
        should_build(&server.call(&check(&requested, false, 0.0))),
        (false, "build up to date".to_owned())
    );
}

#[test]
fn a_question_without_reservation_reserves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    let info = info("p", "h", true);
    for _ in 0..2 {
        assert!(should_build(&server.call(&check(&info, false, 60.0))).0);
    }
    let tagsets = server.call(&Call::GetTagsetsForPackage { package: "p".to_owned() }).unwrap();
    assert_eq!(tagsets, Value::Array(vec![]));
    server.add(ClientInfo { success: Some(false), ..info.clone() }, vec![step("make", 2, "")]);
    let (build, reason) = should_build(&server.call(&check(&info, false, 0.0)));
    assert!(build);
    assert_eq!(reason, "last build was unsuccessful; go!");
}

#[test]
fn the_last_result_of_a_tagset_is_found_by_the_set() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(&data(&folder));
    let with =
        |host: &str, tags: &[&str]| ClientInfo { slot: slot("p", host, tags), ..info("p", host, true) };
    server.add(with("h", &["a", "b"]), vec![]);
    let newest = server.add(with("h", &["b", "a", "a"]), vec![]);
    server.add(with("other", &["a", "b"]), vec![]);
    let last = |tagset: &[&str]| {
        let tagset = tagset.iter().map(|tag| (*tag).to_owned()).collect();
        server.call(&Call::GetLastResultForTagset { package: "p".to_owned(), tagset }).unwrap()
    };
    let found = StoredResult::from_value(last(&["a", "__host=h", "b", "__package=p", "__arch=linux-x86_64"]))
        .unwrap();
    assert_eq!(found.receipt.result_key, newest.to_string());
    assert_eq!(found.receipt.client_ip, "127.0.0.1");
    assert_eq!(last(&["a", "b"]), Value::Int(0));
    let tagsets = server.call(&Call::GetTagsetsForPackage { package: "p".to_owned() }).unwrap();
    assert_eq!(tagsets.as_array().unwrap().len(), 2);
}

#[test]
fn two_processes_fill_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let servers = [Running::start(&data(&folder)), Running::start(&data(&folder))];
    let mut keys: Vec<i64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let server = &servers[writer % 2];
                scope.spawn(move || {
                    (0..10).map(|_| server.add(info("p", "h", true), vec![])).collect::<Vec<_>>()
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    keys.sort_unstable();
    assert_eq!(keys, (1..=80).collect::<Vec<_>>());
    for key in keys {
        let found = servers[0].call(&Call::GetResults { result_key: key.to_string() });
        assert_eq!(StoredResult::from_value(found.unwrap()).unwrap().receipt.result_key, key.to_string());
    }
}
