//! `/p/PACKAGE/KEY/request_build`: a button that requests a build of the slot, and what it does.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::json;

use super::error::PageError;
use super::layout::page;
use super::links;
use super::page_request::PageRequest;
use super::view::{self, ResultView};
use crate::store::Store;

/// Links of the 2010 server request a build with GET. Since crawlers follow links, GET only shows a button here.
pub(crate) async fn confirm_request(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    request: PageRequest,
) -> Result<Response, PageError> {
    view::show(&store, links::package(&segment), &key, request, as_html).await
}

pub(crate) async fn request_build(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    headers: HeaderMap,
    request: PageRequest,
) -> Result<Response, PageError> {
    // Browsers tell when a page of another site sent the form.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        let text = "A build can be requested from this server's own pages only.\n";
        return Ok((StatusCode::FORBIDDEN, text).into_response());
    }
    let package = links::package(&segment);
    let found = match key.parse() {
        Ok(key) => store.request_build(package, key).await?,
        Err(_) => false,
    };
    if !found {
        return Err(PageError::no_result(&request, package, &key));
    }
    if request.json {
        return Ok(Json(json!({"build_requested": true})).into_response());
    }
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, "./")]).into_response())
}

fn as_html(view: &ResultView) -> Markup {
    let content = html! {
        h1 { "Request a build of " (view.row.package) "?" }
        p { "The next client that asks for this slot (" (view.row.summary.host) ", " (view.row.summary.arch) ") will be told to build." }
        form method="post" action=(format!("../{}/request_build", view.key())) { button { "Request a build" } }
    };
    page(&view.root, &format!("Request a build of {}", view.row.package), &view.trail(), &content)
}
