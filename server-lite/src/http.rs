//! XML-RPC over HTTP: `POST /xmlrpc`, and the headers, limits and timeouts of every answer.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Router, middleware};
use pony_wire::{Call, encode_answer};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::TimeoutLayer;

use crate::body::{Pieces, Unread};
use crate::clock::Time;
use crate::memory::{self, Budget};
use crate::offload::offload;
use crate::rpc::{self, Answered};
use crate::store::Store;
use crate::{Limits, upload, web};

/// The longest a call may take, a slow line included.
const CALL: Duration = Duration::from_mins(10);
/// The longest an upload may take: shorter than what a connection may last.
const UPLOAD: Duration = Duration::from_mins(25);
/// The longest a page may take, or a file until it begins.
const PAGE: Duration = Duration::from_mins(1);
/// Bodies of full size that are in memory at once; smaller ones are as many more.
const BODIES: usize = 2;

const NAME: HeaderValue = HeaderValue::from_static(concat!("pony-serve/", env!("CARGO_PKG_VERSION")));
/// Who answers, where a proxy puts its own name into `Server`.
const BUILD: HeaderName = HeaderName::from_static("x-pony-build");
/// Nothing but our own style sheet; colours of build output are `style` attributes that we write.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'",
);

/// What the handlers of the calls share.
#[derive(Debug, Clone)]
struct Calls {
    store: Store,
    body_limit: usize,
    bodies: Budget,
}

/// Everything that the server answers.
pub(crate) fn router(store: &Store, limits: Limits) -> Router {
    let body_limit = limits.body;
    let bodies = Budget::new(body_limit.saturating_mul(BODIES));
    let late = |time| TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time);
    let calls = Router::new()
        .route("/xmlrpc", post(xmlrpc).fallback(only_post))
        .route("/xmlrpc/", post(xmlrpc).fallback(only_post))
        .route("/RPC2", post(xmlrpc).fallback(only_post))
        .with_state(Calls { store: store.clone(), body_limit, bodies })
        .layer(RequestDecompressionLayer::new())
        .layer(late(CALL));
    let uploads =
        upload::router(store.clone(), limits).layer(RequestDecompressionLayer::new()).layer(late(UPLOAD));
    let pages = web::router(store.clone()).layer(CompressionLayer::new()).layer(late(PAGE));
    // As they are on disk, and with a length: not packed.
    let files = web::files::router(store.clone()).layer(late(PAGE));
    calls
        .merge(uploads)
        .merge(pages)
        .merge(files)
        .layer(CatchPanicLayer::new())
        .layer(middleware::map_response(common_headers))
}

async fn common_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::SERVER, NAME);
    headers.insert(BUILD, NAME);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
    response
}

/// A call. Whatever is wrong with the document is a fault, status 200; the other statuses speak of the transport.
async fn xmlrpc(State(calls): State<Calls>, request: Request) -> Response {
    let client_ip = client_ip(&request);
    let body = Pieces::new(request, calls.body_limit as u64);
    // Without a length (chunked, or packed) it may be as long as it likes, up to the limit.
    let announced = body.announced().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let expected = announced.unwrap_or(calls.body_limit).min(calls.body_limit);
    let _held = calls.bodies.hold(expected).await;
    let document = match read(body, expected.min(announced.unwrap_or_default())).await {
        Ok(document) => document,
        Err(why) => {
            return unread(why, || {
                format!(
                    "The request is larger than {} bytes (counted unpacked), the most that this server takes. Send less \
                     output, or raise the limit with `pony-serve --body-limit`.\n",
                    calls.body_limit
                )
            });
        }
    };
    let size = document.len();
    let Answered { answer, size, held } = match offload(size, move || Call::decode(&document)).await {
        Ok(call) => match rpc::answer(&calls.store, call, size, &client_ip, Time::now()).await {
            Ok(answered) => answered,
            Err(error) => {
                tracing::error!(error = chain(&error), "a call could not be answered");
                return unavailable(
                    "The results file cannot be used right now; nothing was stored. The server's log says why.\n",
                );
            }
        },
        Err(fault) => Err(fault).into(),
    };
    if let Err(fault) = &answer {
        tracing::info!(fault = fault.message, client_ip, "refused");
    }
    let document = offload(size, move || encode_answer(&answer)).await;
    let body = match held {
        Some(held) => memory::body(document, held),
        None => Body::from(document),
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"))], body).into_response()
}

async fn only_post() -> Response {
    let text = "This is where build clients talk to pony-serve: send XML-RPC calls here with POST.\n\
                The pages for people begin at the root of this server.\n";
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], text).into_response()
}

/// Reads a whole body, of which so many bytes are announced.
async fn read(mut body: Pieces, announced: usize) -> Result<Vec<u8>, Unread> {
    let mut document = Vec::with_capacity(announced);
    loop {
        match body.next().await {
            Ok(Some(piece)) => document.extend_from_slice(&piece),
            Ok(None) => return Ok(document),
            Err(unread) => {
                drop(document);
                body.drop_rest().await;
                return Err(unread);
            }
        }
    }
}

/// An answer to a request that may not have been read to its end.
pub(crate) fn refusal(status: StatusCode, text: impl Into<Body>) -> Response {
    let headers = [(header::CONNECTION, "close"), (header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, headers, text.into()).into_response()
}

/// An answer to a request that nothing is wrong with.
pub(crate) fn unavailable(text: &'static str) -> Response {
    let later = [(header::RETRY_AFTER, HeaderValue::from_static("60"))];
    (StatusCode::SERVICE_UNAVAILABLE, later, text).into_response()
}

/// An answer to a request whose body was not read to its end.
pub(crate) fn unread(why: Unread, too_large: impl FnOnce() -> String) -> Response {
    match why {
        Unread::TooLarge => refusal(StatusCode::PAYLOAD_TOO_LARGE, too_large()),
        Unread::Broken => {
            refusal(StatusCode::BAD_REQUEST, "The body of the request could not be read to its end.\n")
        }
        Unread::Silent => refusal(StatusCode::REQUEST_TIMEOUT, "The body of the request did not arrive.\n"),
    }
}

/// The address that a request came from, as it goes into a receipt.
pub(crate) fn client_ip(request: &Request) -> String {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or_else(|| "unknown".to_owned(), |ConnectInfo(peer)| peer.ip().to_canonical().to_string())
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
