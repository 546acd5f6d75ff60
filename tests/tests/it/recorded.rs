//! The servers of `tests/peers` are what they stand for: every recorded exchange again, and `pony-serve` beside them.

use std::{io::Read, path::PathBuf};

use pony_tests::{Dialect, Peer, World, exchange};
use pony_wire::{decode_answer, encode_value};
use serde_json::{Value, json};

/// A message of `wire/tests/recorded`.
fn recorded(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../wire/tests/recorded");
    std::fs::read(folder.join(format!("{name}.http"))).unwrap()
}

fn split(message: &[u8]) -> (String, Vec<u8>) {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(message[..end].to_vec()).unwrap(), message[end + 4..].to_vec())
}

/// What an answer says, without what is of its day: XML-RPC as the stored form of its value, JSON as it is, else the text.
pub(crate) fn said(head: &str, body: &[u8]) -> Value {
    let mut body = body.to_vec();
    if head.contains("Content-Encoding: gzip") {
        let packed = std::mem::take(&mut body);
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut body).unwrap();
    }
    let mut said = if body.starts_with(b"<?xml") {
        match decode_answer(&body).unwrap() {
            Ok(value) => serde_json::from_str(&encode_value(&value)).unwrap(),
            Err(fault) => json!({ "fault": fault.message, "code": fault.code }),
        }
    } else if head.contains("application/json") {
        serde_json::from_slice(&body).unwrap()
    } else {
        String::from_utf8(body).unwrap().into()
    };
    neutral(&mut said);
    said
}

/// Keys, times, folders and the order of sets are of their day; the host was renamed in the requests only.
fn neutral(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(neutral);
            if items.iter().any(|item| item.as_str().is_some_and(|tag| tag.starts_with("__"))) {
                items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                if ["time", "tempdir", "host"].contains(&&name[..]) {
                    *member = "?".into();
                }
                neutral(member);
            }
        }
        Value::String(text) => {
            if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                text.replace_range(.., "KEY");
            } else if text.ends_with(" 00:00:00 -0600") || text.ends_with(" 00:00:00 -0500") {
                text.replace_range(.., "MIDNIGHT");
            } else if let Some((before, rest)) = text.split_once("([") {
                let (tags, after) = rest.split_once("])").unwrap();
                let mut tags: Vec<&str> = tags.split(", ").collect();
                tags.sort_unstable();
                *text = format!("{before}([{}]){after}", tags.join(", "));
            }
        }
        _ => {}
    }
}

/// The lines of a head that are not of their day.
fn lines(head: &str) -> Vec<&str> {
    let packed = head.contains("gzip");
    let of_the_day =
        |line: &&str| line.starts_with("Date: ") || (packed && line.starts_with("Content-length: "));
    head.lines().filter(|line| !of_the_day(line)).collect()
}

pub(crate) fn request_of(name: &str) -> Vec<u8> {
    recorded(&format!("{name}.request"))
}

/// A recorded request, answered to the line as it was; what the answer says.
#[track_caller]
fn as_recorded(peer: &Peer<'_>, name: &str) -> Value {
    let (head, body) = exchange(peer.address(), &request_of(name));
    let (recorded_head, recorded_body) = split(&recorded(&format!("{name}.response")));
    assert_eq!(lines(&head), lines(&recorded_head), "{name}");
    let said_now = said(&head, &body);
    // What was sent for this one is not among the recordings.
    if !name.ends_with("get-last-result-for-tagset") {
        assert_eq!(said_now, said(&recorded_head, &recorded_body), "{name}");
    }
    said_now
}

/// A request that is not XML-RPC, or none at all; status and body of the answer.
pub(crate) fn ask(peer: &Peer<'_>, request: &str) -> (u16, String) {
    let (head, body) = exchange(peer.address(), request.as_bytes());
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, String::from_utf8(body).unwrap())
}

#[test]
fn every_recorded_request_of_2009_is_answered_as_it_was() {
    let world = World::new();
    let peer = world.peer(Dialect::V2009);
    for name in [
        "check-first",
        "add-results-git",
        "add-results-svn",
        "add-results-failed-step",
        "get-tagsets",
        "get-results-unsupported",
    ] {
        as_recorded(&peer, &format!("2009/{name}"));
    }
    let last = as_recorded(&peer, "2009/get-last-result-for-tagset");
    assert_eq!((&last[0]["result_key"], &last[1]["package"]), (&json!("0"), &json!("hello-git")));
    assert_eq!(last[2][0]["clone"]["status"], 0);
    assert_eq!(peer.stored().results.len(), 3);
}

#[test]
fn every_recorded_request_of_2010_is_answered_as_it_was() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let again = |name: &str| exchange(peer.address(), &request_of(&format!("2010/{name}")));
    as_recorded(&peer, "2010/check-first");
    as_recorded(&peer, "2010/add-results");
    // Until the few milliseconds have passed that its build took: so long it may be in build.
    let in_build = |(head, body): (String, Vec<u8>)| said(&head, &body)[1] == "may be in build now";
    while in_build(again("check-up-to-date")) {}
    as_recorded(&peer, "2010/check-up-to-date");
    as_recorded(&peer, "2010/add-results-with-upload-step");
    as_recorded(&peer, "2010/add-results-git-fresh-cache");
    let mut upload = request_of("2010/upload-egg");
    let key = auth_key(&peer, &request_of("2010/add-results-git-fresh-cache"));
    let at = upload.windows(9).position(|window| window == b"auth_key=").unwrap() + 9;
    upload[at..at + 32].copy_from_slice(key.as_bytes());
    let (head, body) = exchange(peer.address(), &upload);
    let (recorded_head, recorded_body) = split(&recorded("2010/upload-egg.response"));
    assert_eq!((lines(&head), body), (lines(&recorded_head), recorded_body));
    for name in ["hg", "svn", "failed-step", "missing-program"] {
        as_recorded(&peer, &format!("2010/add-results-{name}"));
    }
    // The one with the key 8 was not recorded.
    again("add-results-failed-step");
    let last = as_recorded(&peer, "2010/get-last-result-for-tagset");
    assert_eq!((&last[0]["result_key"], &last[2][3]["name"]), (&json!("3"), &json!("build an egg")));
    for name in [
        "add-results-ansi-rejected",
        "add-results-latin1-rejected",
        "add-results-utf8",
        "check-reserve",
        "check-reserved",
        "get-last-result-no-match",
        "get-results",
        "get-results-unknown-key",
        "get-tagsets",
        "get-tagsets-unknown-package",
        "unknown-method",
    ] {
        as_recorded(&peer, &format!("2010/{name}"));
    }
    let stored = peer.stored();
    assert_eq!(stored.results.len(), 10, "one coloured line and one byte of Latin-1 lost a result each");
    assert_eq!(stored.results[9]["results"][0]["output"], "café ‘x’\n");
    let upload = &stored.uploads[0];
    assert_eq!((&upload["filename"], &upload["size"]), (&json!("hello-0.1-py2.7.egg"), &json!(920)));
    assert_eq!((&upload["visible"], &upload["result_key"]), (&json!(true), &json!("3")));
    assert_eq!(upload["description"], "an egg installation file");
}

/// Submits to a server of 2010; the key for uploads.
pub(crate) fn auth_key(peer: &Peer<'_>, request: &[u8]) -> String {
    let (_, body) = exchange(peer.address(), request);
    let answer = decode_answer(&body).unwrap().unwrap();
    answer.as_array().unwrap()[1].as_str().unwrap().to_owned()
}

#[test]
fn every_recorded_request_of_devmason_is_answered_as_it_was() {
    let world = World::new();
    let peer = world.peer(Dialect::Devmason);
    for name in [
        "add-results",
        "add-results-failed",
        "add-results-bad-date-silently-dropped",
        "add-results-unslugged-package-silently-dropped",
        "add-results-without-tags-fault",
        "check",
        "unknown-method",
    ] {
        as_recorded(&peer, &format!("devmason/xmlrpc-{name}"));
    }
    assert_eq!(peer.stored().results.len(), 2, "it says that it has processed two more");
    // The builds 3, 6, 7 and 8 were not recorded.
    exchange(peer.address(), &request_of("devmason/xmlrpc-add-results"));
    let rest = |names: &[&str]| {
        for name in names {
            as_recorded(&peer, &format!("devmason/rest-{name}"));
        }
    };
    rest(&["create-project-no-auth", "create-project", "create-project-wrong-password"]);
    rest(&["charset-in-content-type", "post-build", "post-build-failed"]);
    let like_the_first = |change: fn(&mut Value)| {
        let (head, body) = split(&request_of("devmason/rest-post-build"));
        let mut build: Value = serde_json::from_slice(&body).unwrap();
        change(&mut build);
        let body = build.to_string();
        let head = head.replace("618", &body.len().to_string());
        ask(&peer, &format!("{head}\r\n\r\n{body}")).0
    };
    let statuses = [
        like_the_first(|build| {
            build.as_object_mut().unwrap().remove("started");
            build.as_object_mut().unwrap().remove("finished");
        }),
        like_the_first(|build| {
            build["started"] = "2010-08-07 02:20:34".into();
            build["finished"] = "2010-08-07 02:22:01".into();
        }),
        like_the_first(|build| {
            build["results"][0].as_object_mut().unwrap().remove("success");
        }),
    ];
    assert_eq!(statuses, [201, 201, 400]);
    rest(&["post-build-missing-success", "post-build-no-project", "get-build", "list-builds", "list-tags"]);
}

/// Where it says the same as the servers of old.
#[test]
fn pony_serve_answers_as_2010_does() {
    let world = World::new();
    let (peer, serve) = (world.peer(Dialect::V2010), world.serve());
    let both = |name: &str| {
        let request = request_of(&format!("2010/{name}"));
        let end = request.windows(2).position(|window| window == b"\r\n").unwrap();
        let closing = [&request[..end], b"\r\nConnection: close", &request[end..]].concat();
        [peer.address(), serve.address()].map(|address| {
            let (head, body) = exchange(address, &closing);
            let lines: Vec<String> = head.lines().map(str::to_lowercase).collect();
            assert!(
                lines[0].ends_with("200 ok") && lines.contains(&"content-type: text/xml".to_owned()),
                "{head}"
            );
            said(&head, &body)
        })
    };
    let mut in_build = true;
    for name in [
        "check-first",
        "add-results",
        "add-results-with-upload-step",
        "add-results-git-fresh-cache",
        "add-results-failed-step",
        "add-results-missing-program",
        "add-results-utf8",
        "check-reserve",
        "check-reserved",
        "get-last-result-for-tagset",
        "get-last-result-no-match",
        "get-results-unknown-key",
        "get-tagsets",
        "get-tagsets-unknown-package",
        "unknown-method",
    ] {
        let [peers, serves] = both(name);
        let [peers, serves] = [peers, serves].map(|mut said| {
            // They begin to count at 0 and at 1.
            if let Some(key) = said[0]["result_key"].as_str() {
                said[0]["result_key"] = key.len().into();
            }
            if name.starts_with("add-") {
                assert!(said[0].is_i64(), "{name}: {said}");
                said[0] = "KEY".into();
            }
            said
        });
        assert_eq!(peers, serves, "{name}");
    }
    while in_build {
        let [peers, serves] = both("check-up-to-date");
        in_build = [&peers, &serves].iter().any(|said| said[1] == "may be in build now");
        assert!(in_build || peers == serves, "{peers} {serves}");
    }
}
