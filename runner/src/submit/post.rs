//! One call to one server over HTTP: the only file that talks to the network.

use std::{sync::OnceLock, time::Duration};

use pony_wire::{Answer, Value, call::decode_answer};
use reqwest::{StatusCode, Url, header};

/// From the first packet to a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// From the request to the whole answer.
const TOTAL: Duration = Duration::from_mins(2);
/// Answers are small; who sends more is no pony-build server.
const ANSWER_LIMIT: usize = 16 * 1024 * 1024;

/// Where calls are sent.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
}

/// A text that is no server's address.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL at all.
    #[error("`{text}` is not a server's address ({why}); write it as http://HOST:PORT/ or …/xmlrpc")]
    NotAUrl {
        /// As given.
        text: String,
        /// Why.
        why: String,
    },
    /// Another protocol.
    #[error("a pony-build server speaks http or https, not `{0}`")]
    Scheme(String),
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection, or it broke.
    #[error("cannot reach it: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("no answer within {} s", TOTAL.as_secs())]
    Timeout,
    /// An HTTP answer that is not 200.
    #[error("it answered {status}{text}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// `: ` and the beginning of what it said.
        text: String,
    },
    /// Not XML-RPC.
    #[error("it does not speak XML-RPC there ({what}); is `{url}` a pony-build server?")]
    NotXmlRpc {
        /// What was wrong with the answer.
        what: String,
        /// Where it was sent.
        url: String,
    },
    /// It understood and refused.
    #[error("it refused: {0}")]
    Fault(#[from] pony_wire::Fault),
    /// The answer means nothing.
    #[error("its answer is none that a pony-build server gives")]
    Answer,
}

impl Endpoint {
    /// Of a server's address, with or without `/xmlrpc` at its end.
    pub fn new(text: &str) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text)
            .map_err(|error| EndpointError::NotAUrl { text: hide(text), why: error.to_string() })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme(url.scheme().to_owned()));
        }
        let path = url.path().trim_end_matches('/');
        let path = if path.ends_with("/xmlrpc") { path.to_owned() } else { format!("{path}/xmlrpc") };
        url.set_path(&path);
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { url })
    }

    /// The address without credentials and without `/xmlrpc`: how the server is called in receipts and on screen.
    pub fn name(&self) -> String {
        let mut url = self.bare();
        let path = url.path().trim_end_matches("xmlrpc").to_owned();
        url.set_path(&path);
        url.to_string()
    }

    /// Where a result of this package with this key can be looked at.
    pub fn page(&self, package: &str, key: &str) -> Option<String> {
        let mut url = Url::parse(&self.name()).ok()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(["p", package, key, ""]);
        Some(url.to_string())
    }

    /// It is this machine, which no proxy can reach for us.
    fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    fn bare(&self) -> Url {
        let mut url = self.url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({})", self.name())
    }
}

/// `text` without what stands before an `@`.
fn hide(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => text.to_owned(),
    }
}

/// What calls are sent with. Made once: it reads the certificates of the system, which takes longer than a call.
fn client(is_loopback: bool) -> reqwest::Result<&'static reqwest::Client> {
    static CLIENTS: [OnceLock<reqwest::Client>; 2] = [OnceLock::new(), OnceLock::new()];
    let known = &CLIENTS[usize::from(is_loopback)];
    if let Some(client) = known.get() {
        return Ok(client);
    }
    // A second install is refused and harmless: the first one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .timeout(TOTAL)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("pony-run/", env!("CARGO_PKG_VERSION")));
    if is_loopback {
        builder = builder.no_proxy();
    }
    let client = builder.build()?;
    Ok(known.get_or_init(|| client))
}

/// Sends one call's document and reads the answer.
pub async fn call(endpoint: &Endpoint, request: Vec<u8>) -> Result<Value, CallError> {
    let mut response = client(endpoint.is_loopback())
        .map_err(unreachable)?
        .post(endpoint.url.clone())
        .header(header::CONTENT_TYPE, "text/xml")
        // One call, one connection: the old servers close it anyway.
        .header(header::CONNECTION, "close")
        .body(request)
        .send()
        .await
        .map_err(unreachable)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            return Err(not_xmlrpc(endpoint, "an answer without end".to_owned()));
        }
    }
    if status != StatusCode::OK {
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let text = match location {
            Some(location) => format!("; it has moved to {}", hide(location)),
            None if status == StatusCode::UNAUTHORIZED => {
                "; give it a login: `--server http://USER:PASSWORD@HOST/`".to_owned()
            }
            None => excerpt(&body),
        };
        return Err(CallError::Status { status, text });
    }
    let answer: Answer = decode_answer(&body).map_err(|error| not_xmlrpc(endpoint, error.to_string()))?;
    Ok(answer?)
}

fn not_xmlrpc(endpoint: &Endpoint, what: String) -> CallError {
    CallError::NotXmlRpc { what, url: endpoint.bare().to_string() }
}

/// `: ` and the first line of a page, without markup.
fn excerpt(body: &[u8]) -> String {
    let text = pony_wire::text::clean(&body[..body.len().min(2000)], pony_wire::text::Colours::Strip);
    let mut plain = String::new();
    let mut tag = false;
    for c in text.chars() {
        match c {
            '<' => tag = true,
            '>' => tag = false,
            _ if !tag => plain.push(c),
            _ => {}
        }
    }
    let line = plain.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.is_empty() { String::new() } else { format!(": {}", line.chars().take(200).collect::<String>()) }
}

fn unreachable(error: reqwest::Error) -> CallError {
    if error.is_timeout() && !error.is_connect() {
        return CallError::Timeout;
    }
    // The innermost cause says it in the fewest words ("Connection refused").
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    CallError::Unreachable(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_habits_of_writing_a_servers_address_are_one() {
        let rows = [
            ("http://pony.example.org", "http://pony.example.org/xmlrpc", "http://pony.example.org/"),
            (
                "http://pony.example.org:8000/",
                "http://pony.example.org:8000/xmlrpc",
                "http://pony.example.org:8000/",
            ),
            ("https://example.org/xmlrpc", "https://example.org/xmlrpc", "https://example.org/"),
            ("http://example.org/pony/xmlrpc/", "http://example.org/pony/xmlrpc", "http://example.org/pony/"),
        ];
        for (given, url, name) in rows {
            let endpoint = Endpoint::new(given).unwrap();
            assert_eq!((endpoint.url.as_str(), endpoint.name().as_str()), (url, name));
        }
    }

    #[test]
    fn credentials_show_nowhere() {
        let endpoint = Endpoint::new("http://user:hunter2@example.org/").unwrap();
        assert!(!endpoint.name().contains("hunter2") && !format!("{endpoint:?}").contains("hunter2"));
        assert!(!Endpoint::new("user:hunter2@nowhere:x").unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn this_machine_is_known_by_all_its_names() {
        let is_loopback = |text: &str| Endpoint::new(text).unwrap().is_loopback();
        assert!(
            ["http://127.0.0.1:8000/", "http://127.1/", "http://[::1]/", "http://localhost/"]
                .into_iter()
                .all(is_loopback)
        );
        assert!(!["http://10.0.0.1/", "http://localhost.example.org/"].into_iter().any(is_loopback));
    }

    #[test]
    fn a_page_link_survives_any_package_name() {
        let endpoint = Endpoint::new("http://example.org/xmlrpc").unwrap();
        assert_eq!(endpoint.page("a b/c", "7").as_deref(), Some("http://example.org/p/a%20b%2Fc/7/"));
    }
}
