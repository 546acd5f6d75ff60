//! Why there is no page.

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use maud::html;
use pony_wire::ErrorMessage;
use serde_json::json;

use super::layout::page;
use super::page_request::PageRequest;
use crate::store::StoreError;

pub(crate) enum PageError {
    NotFound { root: String, json: bool, what: String },
    Store(StoreError),
}

impl PageError {
    /// `what` is a sentence without its full stop.
    pub(super) fn not_found(request: &PageRequest, what: String) -> Self {
        Self::NotFound { root: request.root.clone(), json: request.json, what }
    }

    pub(super) fn no_package(request: &PageRequest, package: &str) -> Self {
        Self::not_found(request, format!("There are no results of a package “{package}”"))
    }

    pub(super) fn no_result(request: &PageRequest, package: &str, key: &str) -> Self {
        Self::not_found(request, format!("The package “{package}” has no result “{key}”"))
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound { json: true, what, .. } => {
                (StatusCode::NOT_FOUND, Json(json!({"error": what}))).into_response()
            }
            Self::NotFound { root, what, .. } => {
                let content = html! {
                    h1 { "Not found" }
                    p { (what) "." }
                    p { "The address may be mistyped, or its page removed. " a href=(root) { "All packages" } " are on the first page." }
                };
                (StatusCode::NOT_FOUND, page(&root, "Not found", &[], &content)).into_response()
            }
            Self::Store(error) => {
                tracing::error!(error = %ErrorMessage::of(&error), "a page could not be made");
                let text = "The results file cannot be read at the moment. The server's log says why.\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        }
    }
}

/// For every address without a page.
pub(crate) async fn no_page(uri: Uri, request: PageRequest) -> PageError {
    PageError::not_found(&request, format!("There is no page “{}” on this server", uri.path()))
}
