//! The calls of build clients: XML-RPC over `POST /xmlrpc`.
//!
//! Whatever is wrong with a document is a fault, with status 200. The other statuses are about the transport.

mod calls;
mod submission;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pony_wire::{Call, ErrorMessage, encode_answer};

use crate::blocking::blocking_if_large;
use crate::clock::Time;
use crate::memory::MemoryBudget;
use crate::reply;
use crate::request::{BodyError, RequestBody, client_ip};
use crate::store::Store;
use calls::Reply;

/// Bodies of full size that are in memory at once. Smaller ones are more, in proportion.
const BODIES: usize = 2;

/// What answering a call needs.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    store: Store,
    /// Bytes of one call.
    limit: usize,
    memory: MemoryBudget,
}

impl Calls {
    pub(crate) fn new(store: Store, limit: usize) -> Self {
        Self { store, limit, memory: MemoryBudget::new(limit.saturating_mul(BODIES)) }
    }
}

/// Answers a call.
pub(crate) async fn answer(State(calls): State<Calls>, request: Request) -> Response {
    let client_ip = client_ip(&request);
    let body = RequestBody::new(request, calls.limit as u64);
    // A body without a length (chunked or compressed) may become as long as the limit.
    let announced = body.announced().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let expected = announced.unwrap_or(calls.limit).min(calls.limit);
    let _permit = calls.memory.acquire(expected).await;
    let document = match read(body, expected.min(announced.unwrap_or_default())).await {
        Ok(document) => document,
        Err(error) => return unread(error, calls.limit),
    };
    let size = document.len();
    let reply = match blocking_if_large(size, move || Call::decode(&document)).await {
        Ok(call) => calls::answer(&calls.store, call, size, &client_ip, Time::now()).await,
        Err(fault) => Ok(Err(fault).into()),
    };
    let Reply { answer, size, permit } = match reply {
        Ok(reply) => reply,
        Err(error) => {
            tracing::error!(error = %ErrorMessage::of(&error), "a call could not be answered");
            return reply::unavailable(
                "The results file cannot be used at the moment, and nothing was stored. The server's log says why.\n",
            );
        }
    };
    if let Err(fault) = &answer {
        tracing::info!(fault = fault.message, client_ip, "refused a call");
    }
    let document = blocking_if_large(size, move || encode_answer(&answer)).await;
    let body = match permit {
        Some(permit) => reply::body_with_permit(document, permit),
        None => Body::from(document),
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"))], body).into_response()
}

pub(crate) async fn post_only() -> Response {
    reply::post_only(
        "Build clients talk to pony-serve here: send XML-RPC calls with POST.\n\
         The pages for people begin at the root of this server.\n",
    )
}

/// Reads a whole body. `announced` bytes of it are allocated at once.
async fn read(mut body: RequestBody, announced: usize) -> Result<Vec<u8>, BodyError> {
    let mut document = Vec::with_capacity(announced);
    loop {
        match body.next().await {
            Ok(Some(piece)) => document.extend_from_slice(&piece),
            Ok(None) => return Ok(document),
            Err(error) => {
                drop(document);
                body.discard_rest().await;
                return Err(error);
            }
        }
    }
}

fn unread(error: BodyError, limit: usize) -> Response {
    reply::unread_body(error, || {
        format!(
            "The request is larger than {limit} bytes after decompression, the limit of this server. Send less output, or \
             raise the limit with `pony-serve --body-limit`.\n"
        )
    })
}
