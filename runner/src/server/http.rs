//! One request to one server over HTTP, and its answer: the only file that talks to servers.

use std::{
    fmt,
    fs::File,
    io::{self, Seek},
    path::Path,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Method, StatusCode, Url, header};
use tokio::{io::AsyncReadExt, sync::watch};
use tokio_util::io::{InspectReader, ReaderStream};

use super::{address::hide, error::CallError, login::Login};

/// From the first packet to a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// From the end of a file that was sent to the answer.
const ANSWER: Duration = Duration::from_mins(2);
/// Answers are small but for a whole result; more comes from no pony-build server.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// Redirects on the server's own host that are followed.
const REDIRECTS: usize = 5;
/// The longest `Retry-After` that is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(24);

#[derive(Debug, Clone)]
pub(super) struct Request<'r> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) content: Content,
    pub(super) login: Option<&'r Login>,
    /// From the first packet to the last of the answer.
    pub(super) limit: Duration,
}

/// The body of a request. Its length is always known: the old servers need it.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Nothing,
    Document { kind: &'static str, bytes: Bytes },
    File(FileContent),
}

/// A file on its way.
#[derive(Clone)]
pub(crate) struct FileContent {
    /// Sent from its beginning.
    pub(crate) file: Arc<File>,
    /// Size.
    pub(crate) bytes: u64,
    /// Called with the bytes that are on their way so far.
    pub(crate) progress: Arc<dyn Fn(u64) + Send + Sync>,
    /// A server that accepts nothing of it for so long is given up.
    pub(crate) stall_limit: Duration,
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileContent({} bytes)", self.bytes)
    }
}

impl FileContent {
    /// Its content, and a counter of the bytes on their way.
    fn body(&self) -> io::Result<(reqwest::Body, watch::Receiver<u64>)> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        let progress = Arc::clone(&self.progress);
        let (sender, sent) = watch::channel(0);
        let file = tokio::fs::File::from_std(file).take(self.bytes);
        let counted = InspectReader::new(file, move |bytes| {
            sender.send_modify(|sent| *sent += bytes.len() as u64);
            progress(*sender.borrow());
        });
        Ok((reqwest::Body::wrap_stream(ReaderStream::with_capacity(counted, 64 * 1024)), sent))
    }
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    /// `X-Pony-Build`
    pub(super) pony_build: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) location: Option<String>,
    /// `WWW-Authenticate`
    pub(super) asks_for_login: bool,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// What requests to one server are sent with. Made once: it reads the certificates of the system, which takes longer than a
/// call.
pub(super) fn client(is_loopback: bool, cacert: Option<&Path>) -> Result<reqwest::Client, CallError> {
    // A second install is refused and harmless: the first one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("pony-run/", env!("CARGO_PKG_VERSION")));
    if is_loopback {
        builder = builder.no_proxy();
    }
    if let Some(path) = cacert {
        builder = builder.tls_certs_merge(certificates(path)?);
    }
    builder.build().map_err(|error| failed(error, CONNECT))
}

/// The certificates in a file (PEM), at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, CallError> {
    let unreadable = |error: String| CallError::Read { path: path.display().to_string(), error };
    let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let certificates =
        reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}

/// Sends it, follows redirects on the server's own host, and reads the answer.
pub(super) async fn send(client: &reqwest::Client, request: Request<'_>) -> Result<Response, CallError> {
    let mut url = request.url.clone();
    for _ in 0..=REDIRECTS {
        let response = once(client, &request, &url).await?;
        let Some(location) = response.location.as_ref().filter(|_| response.status.is_redirection()) else {
            return Ok(response);
        };
        url = next(&url, location)?;
    }
    Err(CallError::RedirectLoop(hide(url.as_str())))
}

/// Where a redirect leads, if it may be followed: on the same host, and not from https to http. Pure.
fn next(from: &Url, location: &str) -> Result<Url, CallError> {
    let moved = || CallError::Moved(hide(location));
    let to = from.join(location).map_err(|_| moved())?;
    let is_same_host = to.host_str() == from.host_str();
    let is_safe = to.scheme() == from.scheme() || (from.scheme() == "http" && to.scheme() == "https");
    // Another port of a host is another server; that of https, where http was asked for, is not.
    let is_same_port =
        to.port_or_known_default() == from.port_or_known_default() || to.scheme() != from.scheme();
    if is_same_host && is_safe && is_same_port { Ok(to) } else { Err(moved()) }
}

async fn once(client: &reqwest::Client, request: &Request<'_>, url: &Url) -> Result<Response, CallError> {
    let failed = |error| failed(error, request.limit);
    let mut sent = client
        .request(request.method.clone(), url.clone())
        .timeout(request.limit)
        // One call, one connection: the old servers close it anyway.
        .header(header::CONNECTION, "close");
    if let Some(login) = request.login {
        sent = sent.basic_auth(&login.user, Some(&login.password));
    }
    let response = match &request.content {
        Content::Nothing => sent.send().await,
        Content::Document { kind, bytes } => {
            sent.header(header::CONTENT_TYPE, *kind).body(bytes.clone()).send().await
        }
        Content::File(file) => {
            let (body, moved) = file
                .body()
                .map_err(|error| CallError::Read { path: "a file".to_owned(), error: error.to_string() })?;
            let sent = sent
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, file.bytes)
                .body(body);
            moving(sent.send(), moved, file.stall_limit, ANSWER).await?
        }
    };
    let mut response = response.map_err(failed)?;
    let status = response.status();
    let named =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (pony_build, content_type) = (named("x-pony-build"), named("content-type"));
    let location = named("location");
    let asks_for_login = response.headers().contains_key(header::WWW_AUTHENTICATE);
    let retry_after = named("retry-after").and_then(|value| retry_after(&value, named("date").as_deref()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_LIMIT {
            return Err(CallError::NotXmlRpc { what: "an endless answer".to_owned(), url: url.to_string() });
        }
    }
    Ok(Response { status, pony_build, content_type, location, asks_for_login, retry_after, body })
}

/// Runs `work` unless nothing `moved` for `stall_limit`. When all is on its way nothing moves any more; then `answer` is the limit.
async fn moving<T>(
    work: impl Future<Output = T>,
    mut moved: watch::Receiver<u64>,
    stall_limit: Duration,
    answer: Duration,
) -> Result<T, CallError> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            moved = tokio::time::timeout(stall_limit, moved.changed()) => match moved {
                Ok(Ok(())) => {}
                Ok(Err(_)) => break,
                Err(_) => return Err(CallError::Stalled(stall_limit)),
            },
        }
    }
    tokio::time::timeout(answer, work).await.map_err(|_| CallError::Timeout(answer))
}

/// `Retry-After`: seconds, or a date, which is counted from the server's own. Pure.
fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let wait = if let Ok(seconds) = value.trim().parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let parse = |text: &str| -> Option<Timestamp> {
            rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
        };
        Duration::try_from(parse(value)?.duration_since(parse(date?)?)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

fn failed(error: reqwest::Error, limit: Duration) -> CallError {
    if error.is_timeout() && !error.is_connect() {
        return CallError::Timeout(limit);
    }
    let is_connect = error.is_connect();
    // The innermost cause is the shortest ("Connection refused").
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    if is_connect { CallError::Unreachable(text) } else { CallError::Broken(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_host_is_followed_and_never_away_from_tls() {
        let from = Url::parse("http://example.org:8000/xmlrpc").unwrap();
        let to = |location: &str| next(&from, location).map(|url| url.to_string()).ok();
        assert_eq!(to("/pony/xmlrpc").as_deref(), Some("http://example.org:8000/pony/xmlrpc"));
        assert_eq!(to("https://example.org/xmlrpc").as_deref(), Some("https://example.org/xmlrpc"));
        for elsewhere in
            ["http://example.org:9000/", "http://example.com:8000/", "//other/x", "ftp://example.org/"]
        {
            assert_eq!(to(elsewhere), None, "{elsewhere}");
        }
        let from = Url::parse("https://example.org/xmlrpc").unwrap();
        assert!(next(&from, "http://example.org/xmlrpc").is_err());
        let error = next(&from, "http://u:hunter2@elsewhere/").unwrap_err().to_string();
        assert!(error.contains("elsewhere") && !error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn a_stalled_server_is_given_up() {
        const MOMENT: Duration = Duration::from_millis(10);
        const AGE: Duration = Duration::from_mins(1);
        let never = std::future::pending::<()>;
        let (counter, moved) = watch::channel(0);
        counter.send_replace(1);
        let error = moving(never(), moved, MOMENT, AGE).await.unwrap_err();
        assert!(matches!(error, CallError::Stalled(MOMENT)), "{error}");
        // When all is there, the server takes its time, but not for ever.
        let all_is_there = || watch::channel(0).1;
        let answered = moving(tokio::time::sleep(MOMENT * 3), all_is_there(), MOMENT, AGE).await;
        assert!(answered.is_ok(), "{answered:?}");
        let error = moving(never(), all_is_there(), AGE, MOMENT).await.unwrap_err();
        assert!(matches!(error, CallError::Timeout(MOMENT)), "{error}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sun, 22 Nov 2026 05:44:22 GMT");
        assert_eq!(retry_after("120", None), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 05:45:22 GMT", date), Some(Duration::from_mins(1)));
        assert_eq!(retry_after("Sun, 22 Nov 2026 05:43:22 GMT", date), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999999", None), Some(LONGEST_RETRY_AFTER));
        assert_eq!(retry_after("soon", date), None);
        assert_eq!(retry_after("Sun, 22 Nov 2026 05:45:22 GMT", None), None);
    }
}
