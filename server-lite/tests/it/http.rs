//! The transport: addresses, encodings, limits, and the headers of every reply.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Running, call_at, compressed, get_at, info, post_at, reply, send, step};
use pony_server_lite::ServerLimits;
use pony_wire::{Call, Value};

fn server() -> (tempfile::TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let limits = ServerLimits { call: 200_000, ..ServerLimits::DEFAULT };
    let server = Running::with_limits(&folder.path().join("results.db"), limits);
    (folder, server)
}

fn small() -> Vec<u8> {
    Call::AddResults { client_info: info("p", "h", true), results: vec![step("make", 0, "x")] }.encode()
}

#[test]
fn calls_are_answered_at_every_usual_path() {
    let (_folder, server) = server();
    for path in ["/xmlrpc", "/xmlrpc/", "/RPC2"] {
        post_at(server.address, path, "Content-Type: text/xml\r\n", &small()).answer().unwrap();
    }
}

#[test]
fn every_reply_names_the_server_and_restricts_the_browser() {
    let (_folder, server) = server();
    let replies = [
        post_at(server.address, "/xmlrpc", "", &small()),
        get_at(server.address, "/"),
        get_at(server.address, "/nowhere"),
        get_at(server.address, "/xmlrpc"),
        get_at(server.address, "/p/p/1/output/1"),
        get_at(server.address, "/p/p/1/files/none"),
        post_at(server.address, "/upload", "", b"x"),
    ];
    for reply in replies {
        let build = Some(concat!("pony-serve/", env!("CARGO_PKG_VERSION")));
        assert_eq!(reply.header("server"), build, "{reply:?}");
        // A proxy overwrites the other one.
        assert_eq!(reply.header("x-pony-build"), build, "{reply:?}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"), "{policy}");
    }
}

#[test]
fn old_clients_get_a_length_and_one_connection() {
    let (_folder, server) = server();
    let body = small();
    let head = format!("POST /xmlrpc HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    let reply = send(server.address, &[head.as_bytes(), &body].concat());
    assert!(reply.head.starts_with("HTTP/1.0 200"), "{}", reply.head);
    assert_eq!(reply.header("content-length").unwrap(), reply.body.len().to_string());
    assert_eq!(reply.header("content-type"), Some("text/xml"));
    reply.answer().unwrap();
}

#[test]
fn a_chunked_request_gets_a_length_too() {
    let (_folder, server) = server();
    let body = small();
    let (first, second) = body.split_at(100);
    let mut request =
        b"POST /xmlrpc HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for chunk in [first, second, b""] {
        request.extend(format!("{:x}\r\n", chunk.len()).bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    let reply = send(server.address, &request);
    assert_eq!(reply.header("content-length").unwrap(), reply.body.len().to_string());
    reply.answer().unwrap();
}

#[test]
fn several_calls_go_over_one_connection() {
    let (_folder, server) = server();
    let body = small();
    let mut stream = TcpStream::connect(server.address).unwrap();
    for _ in 0..3 {
        let head = format!("POST /xmlrpc HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
        while !seen.ends_with(b"</methodResponse>\n") {
            let length = stream.read(&mut chunk).unwrap();
            assert_ne!(length, 0, "closed: {}", String::from_utf8_lossy(&seen));
            seen.extend(&chunk[..length]);
        }
    }
}

#[test]
fn compressed_requests_are_read() {
    let (_folder, server) = server();
    post_at(server.address, "/xmlrpc", "Content-Encoding: gzip\r\n", &compressed(&small())).answer().unwrap();
    let broken = post_at(server.address, "/xmlrpc", "Content-Encoding: gzip\r\n", b"not gzip");
    assert_eq!(broken.status, 400, "{broken:?}");
    assert_eq!(post_at(server.address, "/xmlrpc", "Content-Encoding: br\r\n", &small()).status, 415);
}

#[test]
fn a_call_over_the_limit_is_refused_counted_after_decompression() {
    let (_folder, server) = server();
    let call = |length: usize| {
        Call::AddResults {
            client_info: info("p", "h", true),
            results: vec![step("make", 0, &"x".repeat(length))],
        }
        .encode()
    };
    post_at(server.address, "/xmlrpc", "", &call(190_000)).answer().unwrap();
    // Up to four times the limit, which is read and discarded, and beyond; plain and compressed.
    for (headers, body) in [
        ("", call(300_000)),
        ("Content-Encoding: gzip\r\n", compressed(&call(300_000))),
        ("Content-Encoding: gzip\r\n", compressed(&call(3_000_000))),
    ] {
        let reply = post_at(server.address, "/xmlrpc", headers, &body);
        assert_eq!(reply.status, 413, "{reply:?}");
        assert!(reply.text().contains("larger than 200000 bytes"), "{}", reply.text());
    }
    let results = get_at(server.address, "/p/p/show_all?format=json").json();
    assert_eq!(results["results"].as_array().unwrap().len(), 1);
}

#[test]
fn broken_documents_are_faults_and_the_server_lives() {
    let (_folder, server) = server();
    let nested =
        format!("{}{}", "<value><array><data>".repeat(3_000), "</data></array></value>".repeat(3_000));
    let call = |value: &str| {
        format!(
            "<methodCall><methodName>get_results</methodName><params><param>{value}</param></params></methodCall>"
        )
    };
    for document in [
        String::new(),
        "hello".to_owned(),
        "<methodCall>".to_owned(),
        "\u{0}\u{1}\u{2}".to_owned(),
        call(&nested),
        format!("<!DOCTYPE x [<!ENTITY a \"{}\">]>{}", "b".repeat(1_000), call("<value>&a;</value>")),
        call("<value><int>99999999999999999999</int></value>"),
        call("<value><nil/></value>"),
        "<methodResponse/>".to_owned(),
    ] {
        let fault =
            post_at(server.address, "/xmlrpc", "", document.as_bytes()).answer().expect_err(&document);
        assert!(fault.code == 1 && fault.message.len() < 500, "{fault:?}");
    }
    for bytes in [&b"\xff\xfe\x00<"[..], b"GET", b"<\xc3"] {
        post_at(server.address, "/xmlrpc", "", bytes).answer().unwrap_err();
    }
    let found = call_at(server.address, &Call::GetTagsetsForPackage { package: "p".to_owned() });
    assert_eq!(found, Ok(Value::Array(vec![])));
}

#[test]
fn a_client_that_goes_away_leaves_nothing() {
    let (_folder, server) = server();
    let body = small();
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = format!("POST /xmlrpc HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body[..body.len() - 1]].concat()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(get_at(server.address, "/?format=json").json()["packages"].as_array().unwrap().is_empty());
}

#[test]
fn a_browser_at_the_address_of_calls_is_helped() {
    let (_folder, server) = server();
    let reply = get_at(server.address, "/xmlrpc");
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("allow"), Some("POST"));
    assert!(reply.text().contains("XML-RPC"));
}

#[test]
fn pages_are_compressed_on_request() {
    let (_folder, server) = server();
    server.add(info("p", "h", true), vec![step("make", 0, &"line\n".repeat(2_000))]);
    let request = "GET /p/p/1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n";
    let reply = send(server.address, request.as_bytes());
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert!(reply.body.len() < 5_000, "{}", reply.body.len());
}

#[test]
fn the_router_can_live_below_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::nested(&folder.path().join("results.db"), "/ci");
    let address = server.address;
    post_at(address, "/ci/xmlrpc", "", &small()).answer().unwrap();
    let page = get_at(address, "/ci/p/p/1/").text();
    assert!(page.contains("href=\"../../../style.css\""), "{page}");
    assert_eq!(get_at(address, "/ci/style.css").status, 200);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /ci/p/p/1 HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(reply(&mut stream).header("location"), Some("./1/"));
}
