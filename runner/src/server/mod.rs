//! Servers as this machine knows them: where each is, how it is logged in to, which dialect it speaks, and single calls.
//!
//! `http` is the only file that talks to them, `embedded` the only one that hosts one. Each kind of server has a file of its own
//! (`pony_build` for 2009 and 2010, `pony_serve`, `devmason`) with its limits, names, pages and quirks; `api` chooses among them.

pub(crate) mod address;
pub(crate) mod api;
pub(crate) mod backoff;
mod devmason;
mod embedded;
pub(crate) mod error;
mod http;
pub(crate) mod kind;
pub(crate) mod login;
mod pony_build;
mod pony_serve;
pub(crate) mod registry;
pub(crate) mod reported;
mod response;
pub(crate) mod state;
pub(crate) mod webhook;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use pony_wire::{
    Answer, Call, ClientInfo, Dialect, ShouldBuild, Slot, Struct, Value, decode_answer, dialect::Manner,
};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::OnceCell;

pub(crate) use self::http::FileContent;
use self::{
    address::{Address, hide},
    embedded::Embedded,
    error::CallError,
    http::{Content, Request, Response},
    login::{Configured, Login, Sources},
    response::{first_line, not_json, not_xmlrpc},
};

/// Name of this machine's own server in receipts.
pub(crate) const EMBEDDED: &str = "embedded";
/// Where `pony-serve` with no arguments shows the embedded server's results.
const PONY_SERVE: &str = "http://127.0.0.1:8000/";
/// From a request to its whole answer.
pub(crate) const CALL: Duration = Duration::from_mins(2);
/// The same for a file, where its stall limit and the caller's patience are the bounds.
const FILE: Duration = Duration::from_hours(24);
/// Local wall clock in the one form that the date parser of every server reads.
pub(crate) const WALL_CLOCK: &str = "%Y-%m-%d %H:%M:%S";

/// A pony-build server. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    place: Place,
    dialect: Option<Dialect>,
}

#[derive(Debug, Clone)]
enum Place {
    /// pony-serve's library, embedded in this process.
    Embedded(Embedded),
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
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    /// `X-Pony-Build`: it is pony-serve.
    pub(crate) is_pony_serve: bool,
    content_type: Option<String>,
}

impl Server {
    /// This machine's own, over this file. It starts with the first call and runs until [`Server::close`].
    pub(crate) fn embedded(results: PathBuf) -> Self {
        Self { place: Place::Embedded(Embedded::new(results)), dialect: Some(Dialect::PonyServe) }
    }

    /// Another one.
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

    /// Stops the embedded server; nothing else has to be closed.
    pub(crate) async fn close(&self) {
        if let Place::Embedded(embedded) = &self.place {
            embedded.stop().await;
        }
    }

    /// Its name in receipts and on screen: its address without credentials, or `embedded`.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Embedded(_) => EMBEDDED.to_owned(),
            Place::Remote(remote) => remote.address.name(),
        }
    }

    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Embedded(_))
    }

    /// The dialect that the command line, config.yaml or its address says it speaks.
    pub(crate) fn given_dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// The project that its address names, as only devmason's do.
    pub(crate) fn project(&self) -> Option<&str> {
        match &self.place {
            Place::Embedded(_) => None,
            Place::Remote(remote) => remote.address.project(),
        }
    }

    /// As people call it in a sentence.
    pub(crate) fn display_name(&self) -> String {
        if self.is_embedded() { "the embedded server on this machine".to_owned() } else { self.name() }
    }

    /// Where its pages for people begin; of this machine's own where `pony-serve` with no arguments shows them.
    pub(crate) fn page_address(&self) -> Option<Address> {
        match &self.place {
            Place::Embedded(_) => Address::new(PONY_SERVE).ok(),
            Place::Remote(remote) => Some(remote.address.clone()),
        }
    }

    /// Its address for people; none of this machine's own.
    pub(crate) fn url(&self) -> Option<String> {
        match &self.place {
            Place::Embedded(_) => None,
            Place::Remote(remote) => Some(remote.address.at(&[]).to_string()),
        }
    }

    /// Where its login comes from; runs no command.
    pub(crate) fn login_source(&self) -> Result<login::Source, CallError> {
        match &self.place {
            Place::Embedded(_) => Ok(login::Source::None),
            Place::Remote(remote) => remote.sources.source(&remote.address, &remote.configured),
        }
    }

    /// The value that it answers a call with.
    pub(crate) async fn ask(&self, call: &Call) -> Result<Value, CallError> {
        Ok(self.call(call.encode(), CALL).await?.answer?)
    }

    /// Whether this slot should be built; with `reserve` it is reserved if so.
    pub(crate) async fn check_should_build(
        &self,
        slot: Slot,
        reserve: bool,
    ) -> Result<ShouldBuild, CallError> {
        let client_info = ClientInfo { slot, success: None, extra: Struct::new() };
        // No allowance of our own: the server takes the last build's duration, or an hour.
        let call = Call::CheckShouldBuild { client_info, reserve, allowance: 0.0 };
        ShouldBuild::from_value(&self.ask(&call).await?).map_err(|_| CallError::Unexpected)
    }

    /// The answer to the document of a call, a fault included.
    pub(crate) async fn call(&self, document: Vec<u8>, limit: Duration) -> Result<Answered, CallError> {
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

    /// The dialect that its answer to a cheap call shows; none if no known server answers so.
    pub(crate) async fn probe(&self, limit: Duration) -> Result<Option<Dialect>, CallError> {
        let call = Call::GetResults { result_key: Dialect::NO_KEY.to_owned() };
        let answered = self.call(call.encode(), limit).await?;
        let manner = Manner {
            pony_build: answered.is_pony_serve.then_some(""),
            content_type: answered.content_type.as_deref(),
        };
        Ok(Dialect::of_answer(&answered.answer, manner))
    }

    /// One of its pages as JSON; none if it has no such page.
    pub(crate) async fn json(
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

    /// Sends JSON to one of its addresses; the status and `Location` of the answer.
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

    /// Sends a file of a result: `POST /upload` of 2010.
    pub(crate) async fn upload(&self, file: FileContent, query: &[(&str, &str)]) -> Result<(), CallError> {
        let mut url = self.address().await?.at(&["upload"]);
        url.query_pairs_mut().extend_pairs(query);
        let response = self.send(Method::POST, url, Content::File(file), FILE).await?;
        match response.status {
            status if status.is_success() => Ok(()),
            // What wants a login says so.
            status @ StatusCode::UNAUTHORIZED if !response.asks_for_login => {
                let text = "; it does not accept the key that it gave for files of this result".to_owned();
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
            Place::Embedded(embedded) => {
                http::send(embedded.client()?, Request { method, url, content, login: None, limit }).await
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
            Place::Embedded(embedded) => {
                let address =
                    embedded.address().await.map_err(|error| CallError::Embedded(error.to_string()))?;
                Address::new(&address).map_err(|error| CallError::Embedded(error.to_string()))
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
            (None, StatusCode::UNAUTHORIZED) => "; it does not accept this login".to_owned(),
            (None, _) => match first_line(&response.body) {
                line if line.is_empty() => line,
                line => format!(": {line}"),
            },
        };
        CallError::Status { status, text, retry_after: response.retry_after }
    }
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
