//! Which address is answered by which function, and the layers around them: time limits, compression, common headers.

use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::timeout::TimeoutLayer;

use crate::limits::ServerLimits;
use crate::store::Store;
use crate::upload::Uploads;
use crate::xmlrpc::Calls;
use crate::{pages, reply, upload, xmlrpc};

/// The longest a call may take, over a slow connection too.
const CALL_TIME: Duration = Duration::from_mins(10);
/// The longest an upload may take: shorter than a connection may last.
const UPLOAD_TIME: Duration = Duration::from_mins(25);
/// The longest a page may take, or an uploaded file until its first byte.
const PAGE_TIME: Duration = Duration::from_mins(1);

/// Everything that the server answers.
pub(crate) fn router(store: &Store, limits: ServerLimits) -> Router {
    let time_limit = |time| TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, time);
    calls(Calls::new(store.clone(), limits.call))
        .layer(RequestDecompressionLayer::new())
        .layer(time_limit(CALL_TIME))
        .merge(
            uploads(Uploads::new(store.clone(), limits))
                .layer(RequestDecompressionLayer::new())
                .layer(time_limit(UPLOAD_TIME)),
        )
        .merge(pages(store.clone()).layer(CompressionLayer::new()).layer(time_limit(PAGE_TIME)))
        .merge(files(store.clone()).layer(time_limit(PAGE_TIME)))
        .layer(CatchPanicLayer::new())
        .layer(middleware::map_response(reply::with_common_headers))
}

fn calls(calls: Calls) -> Router {
    let answer = || post(xmlrpc::answer).fallback(xmlrpc::post_only);
    Router::new()
        .route("/xmlrpc", answer())
        .route("/xmlrpc/", answer())
        .route("/RPC2", answer())
        .with_state(calls)
}

fn uploads(uploads: Uploads) -> Router {
    Router::new().route("/upload", post(upload::receive).fallback(upload::post_only)).with_state(uploads)
}

fn pages(store: Store) -> Router {
    Router::new()
        .route("/", get(pages::packages))
        .route("/style.css", get(pages::style_sheet))
        .route("/chain/{chain}", get(pages::chain))
        .route("/p/{package}", get(pages::add_slash))
        .route("/p/{package}/", get(pages::slots))
        .route("/p/{package}/show_all", get(pages::history))
        .route("/p/{package}/latest", get(pages::add_slash))
        .route("/p/{package}/latest/", get(pages::latest_result))
        .route("/p/{package}/{key}", get(pages::add_slash))
        .route("/p/{package}/{key}/", get(pages::result))
        .route("/p/{package}/{key}/inspect", get(pages::inspect))
        .route("/p/{package}/{key}/output/{step}", get(pages::output))
        .route("/p/{package}/{key}/errout/{step}", get(pages::errout))
        .route("/p/{package}/{key}/request_build", get(pages::confirm_request).post(pages::request_build))
        .fallback(pages::no_page)
        .with_state(store)
}

/// Apart from the pages: files are sent as they are on disk, with a length, not compressed.
fn files(store: Store) -> Router {
    Router::new().route("/p/{package}/{key}/files/{*name}", get(pages::file)).with_state(store)
}
