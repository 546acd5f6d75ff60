//! Servers as this machine knows them: where each is, how it is logged in to, which dialect it speaks, and one call after another.
//!
//! `http` is the only file that talks to them; `embedded` the only one that hosts one.

pub mod address;
mod embedded;
pub mod error;
mod http;
pub mod known;
pub mod login;
pub mod registry;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

pub(crate) use self::http::FileContent;
use bytes::Bytes;
use pony_wire::{
    Answer, Call, Dialect, Value, decode_answer,
    dialect::Manner,
    text::{self, Colours},
};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::OnceCell;

use crate::delivery::receipt::EMBEDDED;

use self::{
    address::{Address, hide},
    embedded::Hosted,
    error::CallError,
    http::{Content, Request, Response},
    login::{Configured, Login, Sources},
};

/// Where `pony-serve` with no arguments shows the embedded server's results.
const PONY_SERVE: &str = "http://127.0.0.1:8000/";
/// From a request to its whole answer, if nothing else is said.
pub const CALL: Duration = Duration::from_mins(2);
/// The same for a file, where silence and whoever waits for it are the bounds.
const FILE: Duration = Duration::from_hours(24);

/// A pony-build server. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Server {
    place: Place,
    dialect: Option<Dialect>,
}

#[derive(Debug, Clone)]
enum Place {
    /// pony-serve's library, hosted in this process.
    Embedded(Hosted),
    /// Another one.
    Remote(Arc<Remote>),
}

#[derive(Debug)]
struct Remote {
    address: Address,
    configured: Configured,
    sources: Sources,
    cacert: Option<PathBuf>,
    client: OnceLock<reqwest::Client>,
    login: OnceCell<Option<Login>>,
}

/// An answer to a call, and what came with it.
#[derive(Debug)]
pub struct Answered {
    /// A value or a fault.
    pub answer: Answer,
    /// `X-Pony-Build`: it is pony-serve.
    pub is_pony_serve: bool,
    content_type: Option<String>,
}

impl Server {
    /// This machine's own, over this file. It begins with the first call and ends with [`Server::close`].
    pub fn embedded(results: PathBuf) -> Self {
        Self { place: Place::Embedded(Hosted::new(results)), dialect: Some(Dialect::PonyServe) }
    }

    /// Another one. `dialect`: somebody has said which it speaks.
    fn remote(
        address: Address,
        configured: Configured,
        sources: Sources,
        cacert: Option<PathBuf>,
        dialect: Option<Dialect>,
    ) -> Self {
        let shown = address.project().map(|_| Dialect::DevmasonRest);
        let remote =
            Remote { address, configured, sources, cacert, client: OnceLock::new(), login: OnceCell::new() };
        Self { place: Place::Remote(Arc::new(remote)), dialect: dialect.or(shown) }
    }

    /// Nothing more is asked of it for now.
    pub async fn close(&self) {
        if let Place::Embedded(hosted) = &self.place {
            hosted.stop().await;
        }
    }

    /// How it is called in receipts and on screen: its address without credentials, or `embedded`.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Embedded(_) => EMBEDDED.to_owned(),
            Place::Remote(remote) => remote.address.name(),
        }
    }

    /// Whether it is this machine's own.
    pub fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Embedded(_))
    }

    /// The dialect that somebody has said it speaks, or that its address shows.
    pub fn told_dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// The project that its address names, as only devmason's do.
    pub fn project(&self) -> Option<&str> {
        match &self.place {
            Place::Embedded(_) => None,
            Place::Remote(remote) => remote.address.project(),
        }
    }

    /// Where a result of a package with this key can be looked at.
    pub fn page(&self, package: &str, key: &str) -> Option<String> {
        match &self.place {
            Place::Embedded(_) => Some(Address::new(PONY_SERVE).ok()?.page(package, key)),
            Place::Remote(remote) => Some(remote.address.page(package, key)),
        }
    }

    /// An address below where it begins, for people; none of this machine's own.
    pub fn below(&self, segments: &[&str]) -> Option<String> {
        match &self.place {
            Place::Embedded(_) => None,
            Place::Remote(remote) => Some(remote.address.at(segments).to_string()),
        }
    }

    /// Where its login comes from; nothing is read but names, and no command is run.
    pub fn login_source(&self) -> Result<login::Source, CallError> {
        match &self.place {
            Place::Embedded(_) => Ok(login::Source::None),
            Place::Remote(remote) => remote.sources.source(&remote.address, &remote.configured),
        }
    }

    /// What it answers to a call.
    ///
    /// # Errors
    /// Where there is no answer, or the answer is a fault.
    pub async fn ask(&self, call: &Call) -> Result<Value, CallError> {
        Ok(self.call(call.encode(), CALL).await?.answer?)
    }

    /// What it answers to the document of a call within `limit`, a fault included.
    pub async fn call(&self, document: Vec<u8>, limit: Duration) -> Result<Answered, CallError> {
        let url = self.address().await?.calls();
        let content = Content::Document { kind: "text/xml", bytes: Bytes::from(document) };
        let response = self.send(Method::POST, url.clone(), content, limit).await?;
        if response.status != StatusCode::OK {
            return Err(self.refused(&response));
        }
        let answer =
            decode_answer(&response.body).map_err(|error| not_xmlrpc(&response, &url, &error.to_string()))?;
        let Response { pony_build, content_type, .. } = response;
        Ok(Answered { answer, is_pony_serve: pony_build.is_some(), content_type })
    }

    /// Which dialect it speaks, told by what it says to a cheap call; none if that is no server that is known.
    pub async fn probe(&self, limit: Duration) -> Result<Option<Dialect>, CallError> {
        let call = Call::GetResults { result_key: Dialect::NO_KEY.to_owned() };
        let answered = self.call(call.encode(), limit).await?;
        let manner = Manner {
            pony_build: answered.is_pony_serve.then_some(""),
            content_type: answered.content_type.as_deref(),
        };
        Ok(Dialect::of_answer(&answered.answer, manner))
    }

    /// A page of it as JSON; none if it has no such page.
    pub async fn json(
        &self,
        segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Option<serde_json::Value>, CallError> {
        let mut url = self.address().await?.at(segments);
        url.query_pairs_mut().append_pair("format", "json").extend_pairs(query);
        let response = self.send(Method::GET, url.clone(), Content::Nothing, CALL).await?;
        match response.status {
            StatusCode::OK => {
                let json = serde_json::from_slice(&response.body);
                json.map(Some).map_err(|error| not_json(&response, &url, &error))
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(&response)),
        }
    }

    /// Sends JSON to an address of it; the status, and where it says that the thing is.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        segments: &[&str],
        json: Bytes,
        limit: Duration,
    ) -> Result<(StatusCode, Option<String>), CallError> {
        let url = self.address().await?.at(segments);
        // With a charset behind it devmason answers 400.
        let content = Content::Document { kind: "application/json", bytes: json };
        let response = self.send(method, url, content, limit).await?;
        if response.status.is_success() || response.status == StatusCode::NOT_FOUND {
            return Ok((response.status, response.location));
        }
        Err(self.refused(&response))
    }

    /// Sends a file that belongs to a result: `POST /upload` of the release of 2010.
    pub(crate) async fn upload(&self, file: FileContent, query: &[(&str, &str)]) -> Result<(), CallError> {
        let mut url = self.address().await?.at(&["upload"]);
        url.query_pairs_mut().extend_pairs(query);
        let response = self.send(Method::POST, url, Content::File(file), FILE).await?;
        match response.status {
            status if status.is_success() => Ok(()),
            // Whoever asks for a login says so.
            status @ StatusCode::UNAUTHORIZED if !response.asks_for_login => {
                let text = "; it does not know the key that it gave for files of this result".to_owned();
                Err(CallError::Status { status, text, retry_after: None })
            }
            _ => Err(self.refused(&response)),
        }
    }

    async fn send(
        &self,
        method: Method,
        url: Url,
        content: Content,
        limit: Duration,
    ) -> Result<Response, CallError> {
        match &self.place {
            Place::Embedded(hosted) => {
                http::send(hosted.client()?, Request { method, url, content, login: None, limit }).await
            }
            Place::Remote(remote) => {
                let login =
                    remote.login.get_or_try_init(|| remote.sources.find(&remote.address, &remote.configured));
                let login = login.await?.as_ref();
                http::send(remote.client()?, Request { method, url, content, login, limit }).await
            }
        }
    }

    async fn address(&self) -> Result<Address, CallError> {
        match &self.place {
            Place::Remote(remote) => Ok(remote.address.clone()),
            Place::Embedded(hosted) => {
                let address = hosted.address().await.map_err(|error| CallError::Hosted(error.to_string()))?;
                Address::new(&address).map_err(|error| CallError::Hosted(error.to_string()))
            }
        }
    }

    fn has_login(&self) -> bool {
        matches!(&self.place, Place::Remote(remote) if matches!(remote.login.get(), Some(Some(_))))
    }

    fn refused(&self, response: &Response) -> CallError {
        let status = response.status;
        let text = match (&response.location, status) {
            (Some(location), _) => format!("; it has moved to {}", hide(location)),
            (None, StatusCode::UNAUTHORIZED) if !self.has_login() => {
                "; give it a login: `user` and `password-command` of `servers` in config.yaml, a line in ~/.netrc, or \
                 `--server http://USER:PASSWORD@HOST/`"
                    .to_owned()
            }
            (None, StatusCode::UNAUTHORIZED) => "; it does not know the login that it was given".to_owned(),
            (None, _) => match first_line(&response.body) {
                line if line.is_empty() => line,
                line => format!(": {line}"),
            },
        };
        CallError::Status { status, text, retry_after: response.retry_after }
    }
}

/// Posts JSON to an address that is no pony-build server's. Neither the address nor what it leads to is in the error: whoever knows it
/// may post.
pub(crate) async fn post(url: &Url, json: Bytes, limit: Duration) -> Result<(), CallError> {
    let address = Address::new(url.as_str()).map_err(|_| CallError::Answer)?;
    let login = address
        .credentials()
        .map(|(user, password)| Login { user: user.clone(), password: password.clone() });
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let client = http::client(address.is_loopback(), None)?;
    let content = Content::Document { kind: "application/json", bytes: json };
    let request = Request { method: Method::POST, url, content, login: login.as_ref(), limit };
    let response = http::send(&client, request).await.map_err(|error| match error {
        CallError::Moved(_) | CallError::Circle(_) => CallError::Moved("another address".to_owned()),
        CallError::NotXmlRpc { what, .. } => CallError::Broken(what),
        error => error,
    })?;
    if response.status.is_success() {
        return Ok(());
    }
    let line = first_line(&response.body);
    let text = if line.is_empty() { line } else { format!(": {line}") };
    Err(CallError::Status { status: response.status, text, retry_after: response.retry_after })
}

impl Remote {
    fn client(&self) -> Result<&reqwest::Client, CallError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = http::client(self.address.is_loopback(), self.cacert.as_deref())?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn not_xmlrpc(response: &Response, url: &Url, what: &str) -> CallError {
    let is_page = response.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"));
    let url = hide(url.as_str());
    // devmason's answers are said to be pages too.
    if is_page && !response.body.trim_ascii_start().starts_with(b"<?xml") {
        return CallError::Page { title: title(&response.body), url };
    }
    CallError::NotXmlRpc { what: what.to_owned(), url }
}

fn not_json(response: &Response, url: &Url, error: &serde_json::Error) -> CallError {
    not_xmlrpc(response, url, &format!("and this is no JSON: {error}"))
}

/// What stands between `<title>` and its end, or the first line that is no markup.
fn title(body: &[u8]) -> String {
    let text = text::clean(&body[..body.len().min(10_000)], Colours::Strip);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = lower[start..].find("</title>")? + start;
        text.get(start..end)
    });
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => title.chars().take(100).collect(),
        None => first_line(body),
    }
}

/// The first line of a page, without markup.
fn first_line(body: &[u8]) -> String {
    let text = text::clean(&body[..body.len().min(2000)], Colours::Strip);
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
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_by_its_title_or_first_words() {
        assert_eq!(title(b"<html><HEAD><Title> Log in </Title></head><body>x"), "Log in");
        assert_eq!(title(b"<html><body>\n<h1>Welcome</h1>\nmore"), "Welcome");
        assert_eq!(title(b""), "");
        assert_eq!(first_line("<b>I\u{130}\x1b[31m</b>".as_bytes()), "Iİ");
    }
}
