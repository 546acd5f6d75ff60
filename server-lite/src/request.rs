//! Requests: their bodies, read piece by piece up to a limit and as long as data arrives, and where they come from.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::header;
use http_body_util::BodyExt;
use tokio::time::timeout;

/// A client that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body of the request is too large")]
    TooLarge,
    /// The connection broke, or the encoding is not the announced one.
    #[error("the body of the request ended early")]
    Incomplete,
    #[error("the body of the request did not arrive")]
    TimedOut,
}

/// The body of a request, of which at most `limit` bytes are read.
#[derive(Debug)]
pub(crate) struct RequestBody {
    body: Body,
    limit: u64,
    received: u64,
    /// The `Content-Length`. A body that is chunked or compressed has none.
    announced: Option<u64>,
    /// The client waits before it sends the body (`Expect: 100-continue`); reading from the body makes it send.
    awaits_continue: bool,
}

impl RequestBody {
    pub(crate) fn new(request: Request, limit: u64) -> Self {
        let headers = request.headers();
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let awaits_continue = headers.contains_key(header::EXPECT);
        Self { body: request.into_body(), limit, received: 0, announced, awaits_continue }
    }

    /// The `Content-Length`, if there is one.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.received.max(self.announced.unwrap_or(0)) > self.limit {
            return Err(BodyError::TooLarge);
        }
        let piece = self.frame().await?;
        if self.received > self.limit { Err(BodyError::TooLarge) } else { Ok(piece) }
    }

    /// Reads and discards the rest, up to four times the limit: a client does not read the reply while it is sending.
    pub(crate) async fn discard_rest(mut self) {
        while !self.awaits_continue && self.received / 4 <= self.limit {
            if let Ok(None) | Err(_) = self.frame().await {
                break;
            }
        }
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.awaits_continue = false;
        match timeout(SILENCE, self.body.frame()).await {
            Err(_) => Err(BodyError::TimedOut),
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err(BodyError::Incomplete),
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                self.received = self.received.saturating_add(data.len() as u64);
                Ok(Some(data))
            }
        }
    }
}

/// The address that a request came from, as a receipt has it.
pub(crate) fn client_ip(request: &Request) -> String {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or_else(|| "unknown".to_owned(), |ConnectInfo(peer)| peer.ip().to_canonical().to_string())
}
