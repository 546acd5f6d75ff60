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
    let (head, body) = exchange(address, &[head.as_bytes(), body].concat());
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Page { status: status.expect("a status"), head, body: String::from_utf8_lossy(&body).into_owned() }
}

/// Sends a request as it is, which must ask for the end of the connection; head and body of the answer, as they came.
pub fn exchange(address: &str, request: &[u8]) -> (String, Vec<u8>) {
    let attempt = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(answer)
    };
    let shown = || String::from_utf8_lossy(&request[..request.len().min(2000)]).into_owned();
    let answer = attempt().unwrap_or_else(|error| panic!("{address}: {error} on\n{}", shown()));
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no HTTP: {}\non {}", String::from_utf8_lossy(&answer), shown()));
    (String::from_utf8_lossy(&answer[..end]).into_owned(), answer[end + 4..].to_vec())
}
