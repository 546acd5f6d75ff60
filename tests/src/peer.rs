//! Servers of `tests/peers`: pony-build of 2009 and of 2010, and devmason, as they were, on Python's standard library.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde_json::{Map, Value, json};

use crate::{Live, Stream, World, get, post};

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// pony-build, 2009.
    V2009,
    /// pony-build, 2010.
    V2010,
    /// devmason: XML-RPC, JSON pages and the REST interface.
    Devmason,
    /// The same without XML-RPC.
    DevmasonRest,
}

/// A running server. It answers one request after another, strictly.
#[derive(Debug)]
pub struct Peer<'w> {
    dialect: Dialect,
    address: String,
    admin: String,
    _live: Live<'w>,
}

/// All that a peer keeps.
#[derive(Debug)]
pub struct Stored {
    /// Each submission that was stored, in order: `key`, `client_info` and `results` as they were read (by REST: `client` and
    /// `results`); of pony-build also `receipt`; of devmason also `package`, and `shown`: the build as its page has it.
    pub results: Vec<Value>,
    /// How often each `run_id` of a `client_info` was stored.
    pub runs: BTreeMap<String, u64>,
    /// 2010: `result_key`, `filename`, `description`, `visible`, `size`, `promised` (more than `size`: it broke off), `sha256`,
    /// `unpacked` (the same of what is in it, if its name ends with `.gz`), `replaced` (by one of its name), `dropped` (for want of room).
    pub uploads: Vec<Value>,
    /// devmason: `name` and `owner` by slug.
    pub projects: Value,
    /// Each connection: `method` (null: nothing came), `path`, `headers`, `promised` (the length in the head), `size` and `sha256`
    /// of the body, `call`, `fault`, `status`, `answered` (bytes), `odd`, `error` (of the connection, or within the server).
    pub requests: Vec<Value>,
}

/// An answer that is not the server's own, or is that and arrives badly. Set with [`Peer::answer`].
#[derive(Debug, Clone)]
pub struct Odd(Map<String, Value>);

impl World {
    /// A server of this kind, ready to answer.
    pub fn peer(&self, dialect: Dialect) -> Peer<'_> {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("peers/peer.py");
        let kind = match dialect {
            Dialect::V2009 => "2009",
            Dialect::V2010 => "2010",
            Dialect::Devmason => "devmason",
            Dialect::DevmasonRest => "devmason-rest",
        };
        let mut live = self.python(&["-B", &script.display().to_string(), kind]).start();
        let said = live.until(Stream::Out, "\n");
        let ports: Vec<&str> = said.split_whitespace().collect();
        let ["ready", port, admin] = ports[..] else { panic!("no ports in {said:?}") };
        let [address, admin] = [port, admin].map(|port| format!("127.0.0.1:{port}"));
        Peer { dialect, address, admin, _live: live }
    }
}

impl Peer<'_> {
    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// What a client is given: `http://127.0.0.1:PORT/`, or `…/devmason/`.
    pub fn url(&self) -> String {
        self.url_at(&self.address)
    }

    /// The same by way of `address`, such as a proxy's.
    pub fn url_at(&self, address: &str) -> String {
        match self.dialect {
            Dialect::V2009 | Dialect::V2010 => format!("http://{address}/"),
            Dialect::Devmason | Dialect::DevmasonRest => format!("http://{address}/devmason/"),
        }
    }

    /// Waits until it has dealt with everybody who came before now; not for as long as one of them stalls.
    pub fn settle(&self) {
        get(&self.address, "/__settle", "*/*");
    }

    /// All that it keeps now, see [`Peer::settle`].
    pub fn stored(&self) -> Stored {
        let mut all = get(&self.admin, "/__stored", "application/json").json();
        let mut list = |name: &str| match all[name].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        };
        let (results, uploads, requests) = (list("results"), list("uploads"), list("requests"));
        Stored { results, uploads, requests, runs: counts(&all["runs"]), projects: all["projects"].take() }
    }

    /// How often each run was stored, without the bags.
    pub fn runs(&self) -> BTreeMap<String, u64> {
        counts(&get(&self.admin, "/__runs", "application/json").json())
    }

    /// The one result that it has: `client_info` and `results`.
    pub fn submission(&self) -> (Value, Vec<Value>) {
        self.settle();
        let Stored { mut results, requests, .. } = self.stored();
        assert_eq!(results.len(), 1, "one submission is expected: {requests:#?}");
        let mut result = results.remove(0);
        (result["client_info"].take(), result["results"].as_array().expect("results").clone())
    }

    /// All results that it has, as text.
    pub fn saved(&self) -> String {
        self.settle();
        Value::Array(self.stored().results).to_string()
    }

    /// The size in bytes of the largest request.
    pub fn largest(&self) -> u64 {
        let requests = self.stored().requests;
        requests.iter().filter_map(|request| request["size"].as_u64()).max().expect("a request")
    }

    /// From now on requests are answered so, each by the first of these that is about it and not over; without any, as usual.
    pub fn answer(&self, odd: &[Odd]) {
        let odd: Vec<Value> = odd.iter().map(|odd| Value::Object(odd.0.clone())).collect();
        self.tell("/__odd", &Value::Array(odd));
    }

    /// Somebody asks for a build of the slot of this `client_info` (2009, 2010).
    pub fn request_build(&self, client_info: &Value) {
        self.tell("/__request_build", client_info);
    }

    fn tell(&self, path: &str, what: &Value) {
        let page = post(&self.admin, path, "application/json", what.to_string().as_bytes());
        assert_eq!(page.status, 200, "{page:?}");
    }
}

fn counts(runs: &Value) -> BTreeMap<String, u64> {
    let runs = runs.as_object().expect("runs");
    runs.iter().map(|(name, times)| (name.clone(), times.as_u64().expect("a count"))).collect()
}

impl Odd {
    /// A status and nothing else; the request is not carried out.
    pub fn status(status: u16) -> Self {
        Self(Map::new()).with("status", status.into())
    }

    /// 200 with this body and media type, in place of an answer; the request is not carried out.
    pub fn page(media_type: &str, body: &[u8]) -> Self {
        Self::status(200).header("Content-Type", media_type).body(body)
    }

    /// A redirect; the request is not carried out.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// The server's own answer; the request is carried out.
    pub fn own() -> Self {
        Self(Map::new()).handled()
    }

    /// The request is carried out all the same.
    #[must_use]
    pub fn handled(self) -> Self {
        self.with("handled", true.into())
    }

    /// A header more. (`Content-Length` is there already.)
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let headers = self.0.entry("headers").or_insert_with(|| json!([]));
        headers.as_array_mut().expect("headers").push(json!([name, value]));
        self
    }

    /// A body, of any bytes.
    #[must_use]
    pub fn body(self, body: &[u8]) -> Self {
        let text: String = body.iter().copied().map(char::from).collect();
        self.with("body", text.into())
    }

    /// So many bytes more are promised than come.
    #[must_use]
    pub fn missing(self, bytes: usize) -> Self {
        self.with("missing", bytes.into())
    }

    /// The line is closed after so many bytes, the head among them.
    #[must_use]
    pub fn cut(self, bytes: usize) -> Self {
        self.with("cut", bytes.into())
    }

    /// It comes so much later, and whoever else asks waits.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.with("delay", delay.as_secs_f64().into())
    }

    /// No more than the head of the request is read until [`Peer::answer`] is called again, and whoever else asks waits.
    #[must_use]
    pub fn held(self) -> Self {
        self.with("held", true.into())
    }

    /// Only for so many requests.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        self.with("times", times.into())
    }

    /// Only for paths that have this in them.
    #[must_use]
    pub fn on(self, path: &str) -> Self {
        self.with("on", path.into())
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }
}
