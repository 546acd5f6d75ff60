//! Bodies of requests, piece by piece: within a limit, and as long as something comes.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use http_body_util::BodyExt;
use tokio::time::timeout;

/// A client that sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    #[error("the body of the request is too large")]
    TooLarge,
    /// It stopped in the middle, or was not packed as its header says.
    #[error("the body of the request could not be read to its end")]
    Broken,
    #[error("the body of the request did not arrive")]
    Silent,
}

/// The body of a request, of which at most `limit` bytes are wanted.
#[derive(Debug)]
pub(crate) struct Pieces {
    body: Body,
    limit: u64,
    length: u64,
    /// As far as the client says; it does not where the body is chunked or packed.
    announced: Option<u64>,
    /// The client sends nothing before it is asked to (`Expect: 100-continue`), which the first look at the body does.
    waits: bool,
}

impl Pieces {
    pub(crate) fn new(request: Request, limit: u64) -> Self {
        let headers = request.headers();
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let waits = headers.contains_key(header::EXPECT);
        Self { body: request.into_body(), limit, length: 0, announced, waits }
    }

    /// Bytes that will come, as far as the client says and they are wanted.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        if self.length.max(self.announced.unwrap_or(0)) > self.limit {
            return Err(Unread::TooLarge);
        }
        let piece = self.frame().await?;
        if self.length > self.limit { Err(Unread::TooLarge) } else { Ok(piece) }
    }

    /// Reads what is left and drops it, within reason: a client that is still sending does not hear the answer.
    pub(crate) async fn drop_rest(mut self) {
        while !self.waits && self.length / 4 <= self.limit {
            if let Ok(None) | Err(_) = self.frame().await {
                break;
            }
        }
    }

    async fn frame(&mut self) -> Result<Option<Bytes>, Unread> {
        self.waits = false;
        match timeout(SILENCE, self.body.frame()).await {
            Err(_) => Err(Unread::Silent),
            Ok(None) => Ok(None),
            Ok(Some(Err(_))) => Err(Unread::Broken),
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                self.length = self.length.saturating_add(data.len() as u64);
                Ok(Some(data))
            }
        }
    }
}
