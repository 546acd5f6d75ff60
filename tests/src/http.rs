//! One request to a server of a test, as short as HTTP/1.0 allows.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::PATIENCE;

/// An answer.
#[derive(Debug)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What follows them.
    pub body: String,
}

impl Page {
    /// Its body, which must be JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// GETs `path` from the server at `address` (`127.0.0.1:8000`). `accept` is a media type.
pub fn get(address: &str, path: &str, accept: &str) -> Page {
    request(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: {accept}\r\n\r\n"), b"")
}

/// POSTs `body`.
pub fn post(address: &str, path: &str, media_type: &str, body: &[u8]) -> Page {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    request(address, &head, body)
}

fn request(address: &str, head: &str, body: &[u8]) -> Page {
    let attempt = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let answer = attempt().unwrap_or_else(|error| panic!("{address}: {error} on\n{head}"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Page { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
}
