//! The rules of the servers of `tests/peers`, strict and mistaken as they were, and their odd answers.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use pony_tests::{Dialect, Odd, PATIENCE, Page, Peer, World, exchange, get};
use serde_json::{Value, json};

use crate::recorded::{ask, auth_key, request_of, said};

/// A call in XML-RPC; parameters as they are within `<value>`.
fn call(peer: &Peer<'_>, method: &str, params: &[&str]) -> Value {
    let params: String =
        params.iter().map(|param| format!("<param><value>{param}</value></param>")).collect();
    let text = format!("<methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>");
    let path = peer.url().split_once(peer.address()).unwrap().1.to_owned() + "xmlrpc";
    let length = text.len();
    let request = format!("POST {path} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n{text}");
    let (head, body) = exchange(peer.address(), request.as_bytes());
    assert!(head.starts_with("HTTP/1.0 200 OK"), "{head}");
    said(&head, &body)
}

/// A struct; each member as it is within `<value>`.
fn bag(members: &[(&str, &str)]) -> String {
    let member =
        |(name, value): &(&str, &str)| format!("<member><name>{name}</name><value>{value}</value></member>");
    format!("<struct>{}</struct>", members.iter().map(member).collect::<String>())
}

const TAGS: &str = "<array><data><value>fast</value></data></array>";
const NO_STEPS: &str = "<array><data></data></array>";
const TRUE: &str = "<boolean>1</boolean>";
const SLOT: [(&str, &str); 5] =
    [("package", "demo"), ("host", "h"), ("arch", "a"), ("tags", TAGS), ("success", TRUE)];
const TAGSET: &str = "<array><data><value>fast</value><value>__package=demo</value><value>__host=h</value>\
                      <value>__arch=a</value></data></array>";

fn with(more: &[(&str, &str)]) -> String {
    bag(&[&SLOT[..], more].concat())
}

fn without(name: &str) -> String {
    bag(&SLOT.into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>())
}

#[test]
fn both_releases_need_a_length_and_their_one_path() {
    for dialect in [Dialect::V2009, Dialect::V2010, Dialect::Devmason] {
        let world = World::new();
        let peer = world.peer(dialect);
        let base = peer.url().split_once(peer.address()).unwrap().1.to_owned();
        for (request, status) in [
            (format!("POST {base}xmlrpc/ HTTP/1.0\r\nContent-Length: 0\r\n\r\n"), 404),
            (format!("POST {base}RPC2 HTTP/1.0\r\nContent-Length: 0\r\n\r\n"), 404),
            (format!("POST {base}xmlrpc HTTP/1.0\r\n\r\n"), 500),
            (
                format!(
                    "POST {base}xmlrpc HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<a>\r\n0\r\n\r\n"
                ),
                500,
            ),
            (format!("GET {base} HTTP/1.1\r\n\r\n"), 200),
            (format!("GET {base}nothing/here HTTP/1.1\r\n\r\n"), 404),
        ] {
            assert_eq!(ask(&peer, &request).0, status, "{dialect:?} {request}");
        }
        assert!(peer.stored().results.is_empty());
    }
}

#[test]
fn what_xml_rpc_of_old_has_not_is_a_fault_and_stores_nothing() {
    for dialect in [Dialect::V2009, Dialect::V2010, Dialect::Devmason] {
        let world = World::new();
        let peer = world.peer(dialect);
        for (value, fault) in [
            ("<i8>1</i8>", "<type 'exceptions.TypeError'>:unknown type i8"),
            ("<ex:nil/>", "<type 'exceptions.TypeError'>:unknown type ex:nil"),
            ("<int>1099511627776</int>", "<type 'exceptions.OverflowError'>:int exceeds XML-RPC limits"),
            ("\u{1b}[1m", "<class 'xml.parsers.expat.ExpatError'>:not well-formed (invalid token)"),
            ("\0", "<class 'xml.parsers.expat.ExpatError'>:not well-formed (invalid token)"),
            ("\u{fffe}", "<class 'xml.parsers.expat.ExpatError'>:not well-formed (invalid token)"),
            ("]]>", "<class 'xml.parsers.expat.ExpatError'>:not well-formed (invalid token)"),
            ("&#xD800;", "<class 'xml.parsers.expat.ExpatError'>:reference to invalid character number"),
        ] {
            let answer = call(&peer, "add_results", &[&with(&[("x", value)]), NO_STEPS]);
            let told = answer["fault"].as_str().unwrap_or_else(|| panic!("{dialect:?} {value:?}: {answer}"));
            assert!(told.starts_with(fault), "{dialect:?} {value:?}: {told}");
        }
        assert!(peer.stored().results.is_empty());
        assert_eq!(peer.stored().requests.len(), 8);
    }
}

#[test]
fn nil_is_taken_and_its_record_is_lost_to_readers() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    call(&peer, "add_results", &[&with(&[("note", "<nil/>")]), NO_STEPS]);
    for (method, params) in [("get_results", vec!["0"]), ("get_last_result_for_tagset", vec!["demo", TAGSET])]
    {
        assert_eq!(
            call(&peer, method, &params)["fault"],
            "<type 'exceptions.TypeError'>:cannot marshal None unless allow_none is enabled"
        );
    }
    assert_eq!(peer.stored().results[0]["client_info"]["note"], Value::Null);
}

#[test]
fn a_submission_without_a_slot_is_stored_and_breaks_what_comes_after_it() {
    for dialect in [Dialect::V2009, Dialect::V2010] {
        let world = World::new();
        let peer = world.peer(dialect);
        let fault = |key: &str| format!("<type 'exceptions.KeyError'>:'{key}'");
        assert_eq!(call(&peer, "add_results", &[&without("host"), NO_STEPS])["fault"], fault("host"));
        assert_eq!(call(&peer, "add_results", &[&with(&[]), NO_STEPS])["fault"], fault("host"), "a good one");
        assert_eq!(peer.stored().results.len(), 2, "{dialect:?}");
        // Without tags it is only the questions about its package that break.
        let peer = world.peer(dialect);
        assert_eq!(call(&peer, "add_results", &[&without("tags"), NO_STEPS])["fault"], Value::Null);
        assert_eq!(call(&peer, "get_tagsets_for_package", &["demo"])["fault"], fault("tags"));
    }
}

#[test]
fn asked_twice_in_a_row_the_last_result_is_the_oldest() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    for run in ["one", "two", "three"] {
        call(&peer, "add_results", &[&with(&[("run_id", run)]), NO_STEPS]);
    }
    let last = || call(&peer, "get_last_result_for_tagset", &["demo", TAGSET])[1]["run_id"].clone();
    assert_eq!([last(), last(), last()], ["three", "one", "three"]);
    assert_eq!(peer.runs()["two"], 1);
    call(&peer, "add_results", &[&with(&[("run_id", "two")]), NO_STEPS]);
    assert_eq!((last(), peer.runs()["two"]), (json!("two"), 2));
}

#[test]
fn whether_to_build_is_answered_by_the_first_rule_that_applies() {
    let world = World::new();
    let peer = world.peer(Dialect::V2009);
    let check = |more: &[&str]| {
        let mut params = vec![without("success")];
        params.extend(more.iter().map(|text| (*text).to_owned()));
        let params: Vec<&str> = params.iter().map(String::as_str).collect();
        call(&peer, "check_should_build", &params)[1].as_str().unwrap().to_owned()
    };
    let no = "<boolean>0</boolean>";
    let never =
        "no build recorded for ImmutableSet(['__arch=a', '__host=h', '__package=demo', 'fast']); build!";
    assert_eq!([check(&[no]), check(&[])], [never, never]);
    assert_eq!(check(&[]), "may be in build now", "for an hour");
    let submit = |success: &str| {
        let success = format!("<boolean>{success}</boolean>");
        let bag = bag(&[&SLOT[..4], &[("success", &*success), ("duration", "<double>0</double>")]].concat());
        assert_eq!(call(&peer, "add_results", &[&bag, NO_STEPS]), 1);
    };
    submit("0");
    assert_eq!(check(&[no]), "last build was unsuccessful; go!", "it took no time, and so long is reserved");
    submit("1");
    assert_eq!(check(&[]), "build up to date");
    let asked = json!({"package": "demo", "host": "h", "arch": "a", "tags": ["fast"]});
    peer.request_build(&asked);
    let minute = "<int>60</int>";
    assert_eq!(check(&[TRUE, minute]), "build requested");
    assert_eq!(check(&[]), "may be in build now", "for a minute");
}

#[test]
fn uploads_go_to_a_release_of_2010_in_order_and_the_oldest_make_room() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let request = request_of("2010/add-results");
    let head = |words: &str, length: usize| {
        format!("POST /upload?{words} HTTP/1.0\r\nContent-Length: {length}\r\n\r\n")
    };
    let upload = |key: &str, name: &str, body: &[u8]| {
        let words = format!("description=d&filename={name}&auth_key={key}");
        let request = [head(&words, body.len()).as_bytes(), body].concat();
        let (head, body) = exchange(peer.address(), &request);
        (head.split(' ').nth(1).unwrap().to_owned(), body.len())
    };
    let first = auth_key(&peer, &request);
    assert_eq!(upload(&first, "a", b"a"), ("200".to_owned(), 0));
    assert_eq!(upload(&first, "a", b"b"), ("200".to_owned(), 0));
    assert_eq!(upload("0123456789abcdef0123456789abcdef", "a", b"c").0, "401");
    let no_length = format!("POST /upload?description=d&filename=a&auth_key={first} HTTP/1.0\r\n\r\n");
    assert_eq!(ask(&peer, &no_length).0, 400);
    // Nothing is read of what is too large, whatever it is.
    assert_eq!(ask(&peer, &head("", 5_000_001)).0, 403);
    assert_eq!(ask(&peer, "POST /xmlrpc HTTP/1.0\r\nContent-Length: 5000001\r\n\r\n").0, 403);
    let file = vec![b'x'; 5_000_000];
    let second = auth_key(&peer, &request);
    for name in 0..9 {
        assert_eq!(upload(&second, &name.to_string(), &file).0, "200");
    }
    let dropped = || {
        let uploads = peer.stored().uploads;
        uploads.iter().map(|upload| upload["dropped"] == true).collect::<Vec<_>>()
    };
    let replaced = peer.stored().uploads.iter().map(|upload| upload["replaced"] == true).collect::<Vec<_>>();
    assert_eq!(replaced[..3], [true, false, false]);
    assert_eq!(dropped(), [false; 11]);
    let third = auth_key(&peer, &request);
    assert_eq!(upload(&third, "last", &file).0, "200");
    assert_eq!(dropped()[..2], [false, true], "what was replaced is no file any more");
    assert_eq!(dropped()[2..], [false; 10]);
    assert_eq!(upload(&third, "more", b"x").0, "200");
    assert_eq!(dropped()[2..], [vec![true; 9], vec![false; 2]].concat(), "all of a result at once");
    // A description that is empty is none, for which it has no answer.
    let request = format!(
        "POST /upload?description=&filename=a&auth_key={first} HTTP/1.0\r\nContent-Length: 0\r\n\r\n"
    );
    let (mut stream, mut answer) = (TcpStream::connect(peer.address()).unwrap(), Vec::new());
    stream.write_all(request.as_bytes()).unwrap();
    assert_eq!(stream.read_to_end(&mut answer).unwrap(), 0);
    // What broke off is stored as far as it came.
    let words = format!("description=d&filename=half&auth_key={first}");
    TcpStream::connect(peer.address())
        .and_then(|mut stream| stream.write_all((head(&words, 100) + "half").as_bytes()))
        .unwrap();
    peer.settle();
    let uploads = peer.stored().uploads;
    assert_eq!((&uploads[13]["size"], &uploads[13]["promised"]), (&json!(4), &json!(100)));
}

#[test]
fn devmason_keeps_of_a_submission_what_it_knows() {
    let world = World::new();
    let peer = world.peer(Dialect::Devmason);
    let step = bag(&[("name", "make"), ("output", "o"), ("duration", "<double>1</double>"), ("x", "y")]);
    let steps = format!("<array><data><value>{step}</value></data></array>");
    let more = [
        ("run_id", "r"),
        ("start_time", "Sat, 07 Aug 2010 02:20:34 +0000"),
        ("end_time", "2010-08-07 02:22:01"),
    ];
    assert_eq!(call(&peer, "add_results", &[&with(&more), &steps]), "Processed Correctly");
    // No date at all.
    let bad = with(&[("start_time", "<double>1281144034</double>")]);
    assert!(call(&peer, "add_results", &[&bad, NO_STEPS])["fault"].is_string());
    assert_eq!(
        call(&peer, "check_should_build", &[&with(&[])])["fault"].as_str().map(|text| &text[..32]),
        Some("<type 'exceptions.ValueError'>:n")
    );
    let json = |path: &str| {
        let Page { status, head, body } = get(peer.address(), &format!("/devmason{path}?format=json"), "*/*");
        assert_eq!(status, 200, "{path} {head}");
        said(&head, body.as_bytes())
    };
    let build = json("/demo/builds/1");
    assert_eq!(build["client"], json!({"host": "?", "arch": "a", "user": "pony-client"}));
    assert_eq!(build["started"], "Sat, 7 Aug 2010 02:20:34 -0500", "by the clock on the wall");
    assert_eq!(
        build["results"],
        json!([{
            "success": true, "name": "make", "output": "o", "errout": "", "command": "", "type": "",
            "version_type": "", "version_info": "", "started": "MIDNIGHT", "finished": "MIDNIGHT",
        }])
    );
    assert_eq!(json("/demo/builds")["builds"], json!([build]));
    assert_eq!(json("/demo/tags/fast")["builds"], json!([build]));
    assert_eq!(json("/")["projects"], json!([json("/demo")]));
    let latest = get(peer.address(), "/devmason/demo/builds/latest?format=json", "*/*");
    let location = format!("Location: http://{}/devmason/demo/builds/1", peer.address());
    assert!(latest.status == 302 && latest.head.contains(&location), "{latest:?}");
    assert!(get(peer.address(), "/devmason/demo/builds/1", "*/*").body.starts_with("<html>"));
    for nothing in ["/none", "/demo/builds/2", "/demo/tags/none"] {
        assert_eq!(get(peer.address(), &format!("/devmason{nothing}?format=json"), "*/*").status, 404);
    }
    let stored = &peer.stored().results[0];
    assert_eq!((&stored["client_info"]["run_id"], &stored["shown"]["success"]), (&json!("r"), &json!(true)));
    // It is the other interface, which is not everywhere.
    let rest = world.peer(Dialect::DevmasonRest);
    assert_eq!(ask(&rest, "POST /devmason/xmlrpc HTTP/1.0\r\nContent-Length: 0\r\n\r\n").0, 404);
}

#[test]
fn many_builds_of_devmason_are_on_pages() {
    let world = World::new();
    let peer = world.peer(Dialect::Devmason);
    for _ in 0..30 {
        call(&peer, "add_results", &[&with(&[]), NO_STEPS]);
    }
    let page =
        |query: &str| get(peer.address(), &format!("/devmason/demo/builds?format=json{query}"), "*/*").json();
    let counts =
        |page: &Value| (page["builds"].as_array().unwrap().len(), page["links"].as_array().unwrap().len());
    let first = page("");
    assert_eq!(
        (&first["count"], &first["num_pages"], &first["paginated"]),
        (&json!(30), &json!(2), &json!(true))
    );
    assert_eq!((counts(&first), counts(&page("&page=2"))), ((25, 6), (5, 6)));
    assert_eq!(counts(&page("&per_page=30")), (30, 3));
}

#[test]
fn pages_of_results_are_where_the_originals_have_them() {
    for (dialect, pages) in [
        (
            Dialect::V2009,
            [
                ("/demo/", 200),
                ("/demo/detail?result_key=0", 200),
                ("/demo/detail?result_key=7", 500),
                ("/other/detail?result_key=0", 500),
                ("/demo/detail", 500),
                ("/p/demo/0/", 404),
                // Paths are taken apart when they are unquoted, and pages are ASCII.
                ("/de%2Fmo/detail?result_key=0", 404),
                ("/na%C3%AFve/", 500),
            ],
        ),
        (
            Dialect::V2010,
            [
                ("/p/demo/", 200),
                ("/p/demo/0/", 200),
                ("/p/demo/0/inspect", 200),
                ("/p/demo/7/", 500),
                ("/p/other/0/", 500),
                ("/demo/detail?result_key=0", 404),
                ("/p/de%2Fmo/0/", 404),
                ("/p/na%C3%AFve/", 500),
            ],
        ),
    ] {
        let world = World::new();
        let peer = world.peer(dialect);
        call(&peer, "add_results", &[&with(&[]), NO_STEPS]);
        for (path, status) in pages {
            assert_eq!(get(peer.address(), path, "*/*").status, status, "{dialect:?} {path}");
        }
    }
}

#[test]
fn one_request_is_answered_after_another() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let request = request_of("2010/add-results");
    let connect = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(peer.address()).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let half = connect(&request[..1000]);
    let mut whole = connect(&request);
    whole.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut answer = Vec::new();
    let error = whole.read_to_end(&mut answer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop(half);
    whole.set_read_timeout(Some(PATIENCE)).unwrap();
    whole.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.0 200 OK"));
    let stored = peer.stored();
    assert_eq!(stored.results.len(), 1);
    let [half, whole] = &stored.requests[..] else { panic!("{:?}", stored.requests) };
    assert!(half["size"].as_u64() < half["promised"].as_u64());
    assert!(half["fault"].as_str().unwrap().starts_with("<class 'xml.parsers.expat.ExpatError'>"), "{half}");
    assert_eq!((&whole["call"], &whole["fault"]), (&json!("add_results"), &Value::Null));
}

#[test]
fn a_peer_answers_oddly_when_it_is_told_to() {
    let world = World::new();
    let peer = world.peer(Dialect::V2010);
    let request = request_of("2010/add-results");
    let answer = |odd: Odd| {
        peer.answer(&[odd.on("/xmlrpc").times(1)]);
        let (head, body) = exchange(peer.address(), &request);
        (head, String::from_utf8(body).unwrap(), peer.stored().results.len())
    };
    let (head, body, stored) = answer(Odd::status(503).header("Retry-After", "7"));
    assert!(head.starts_with("HTTP/1.0 503 ") && head.contains("Retry-After: 7"), "{head}");
    assert_eq!((&*body, stored), ("", 0));
    let (head, body, stored) = answer(Odd::page("text/html", b"<form>"));
    assert!(head.starts_with("HTTP/1.0 200 ") && head.contains("Content-Type: text/html"), "{head}");
    assert_eq!((&*body, stored), ("<form>", 0));
    let (head, _, stored) = answer(Odd::redirect(307, "/xmlrpc"));
    assert!(head.starts_with("HTTP/1.0 307 ") && head.contains("Location: /xmlrpc"), "{head}");
    assert_eq!(stored, 0);
    let (head, _, stored) = answer(Odd::status(500).handled());
    assert!(head.starts_with("HTTP/1.0 500 "), "{head}");
    assert_eq!(stored, 1);
    let (head, body, stored) = answer(Odd::page("text/xml", b"<?xml").missing(10));
    assert!(head.contains("Content-Length: 15"), "{head}");
    assert_eq!((&*body, stored), ("<?xml", 1));
    let (head, body, stored) = answer(Odd::own().cut(200).delay(Duration::from_millis(1)));
    assert!(head.starts_with("HTTP/1.0 200 OK") && head.len() + 4 + body.len() == 200, "{head}");
    assert_eq!(stored, 2);
    // It is over.
    assert!(exchange(peer.address(), &request).0.starts_with("HTTP/1.0 200 OK"));
    let odd: Vec<bool> = peer.stored().requests.iter().map(|request| request["odd"] == true).collect();
    assert_eq!(odd, [true, true, true, true, true, true, false]);
}
