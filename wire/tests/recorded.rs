//! Every recorded exchange with the servers of 2009, 2010 and devmason parses, and says what was said.
#![expect(clippy::unwrap_used, reason = "in a test the panic is the message")]

use std::io::Read;
use std::path::{Path, PathBuf};

use pony_wire::{Call, Fault, Value, decode_answer};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// Head and body of a recorded message, the body unpacked.
fn message(name: &str) -> (String, Vec<u8>) {
    let bytes = std::fs::read(recorded().join(name)).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut body = bytes[end + 4..].to_vec();
    if head.contains("Content-Encoding: gzip") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked).unwrap();
        body = unpacked;
    }
    (head, body)
}

fn request(exchange: &str) -> Result<Call, Fault> {
    Call::decode(&message(&format!("{exchange}.request.http")).1)
}

fn answer(exchange: &str) -> Result<Value, Fault> {
    decode_answer(&message(&format!("{exchange}.response.http")).1).unwrap()
}

fn exchanges(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(recorded().join(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut exchanges: Vec<_> = names
        .filter_map(|name| name.strip_suffix(".request.http").map(|name| format!("{folder}/{name}")))
        .collect();
    exchanges.sort();
    exchanges
}

#[test]
fn every_xml_exchange_parses() {
    let mut parsed = 0;
    for exchange in ["2009", "2010", "devmason"].iter().flat_map(|folder| exchanges(folder)) {
        if exchange.contains("/rest-") || exchange.contains("/upload") {
            continue;
        }
        match request(&exchange) {
            // ESC is read, but never written.
            Ok(_) if exchange.ends_with("ansi-rejected") => {}
            Ok(call) => assert_eq!(Call::decode(&call.encode()).as_ref(), Ok(&call), "{exchange}"),
            Err(fault) => assert!(exchange.ends_with("unknown-method"), "{exchange}: {fault}"),
        }
        let _ = answer(&exchange);
        parsed += 1;
    }
    assert_eq!(parsed, 35);
}
