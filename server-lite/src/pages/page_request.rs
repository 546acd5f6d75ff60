//! A request for a page: which part of it, and whether as HTML or as JSON.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use maud::Markup;
use serde::Deserialize;
use serde_json::Value;

use super::links;

/// Rows on a page of a list.
pub(super) const ROWS: u16 = 100;

/// The query of a page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PageQuery {
    format: Option<String>,
    /// Where a list begins.
    pub(super) from: Option<String>,
    pub(super) slot: Option<String>,
    pub(super) step: Option<String>,
    /// A command inside a step.
    pub(super) of: Option<String>,
}

/// A request for a page.
#[derive(Debug)]
pub(crate) struct PageRequest {
    /// The link from the page to the root of the server.
    pub(super) root: String,
    pub(super) json: bool,
    pub(super) query: PageQuery,
}

impl PageRequest {
    /// The page in the requested format.
    pub(super) fn reply(&self, json: impl FnOnce() -> Value, html: impl FnOnce() -> Markup) -> Response {
        if self.json { Json(json()).into_response() } else { html().into_response() }
    }

    /// The result key at which a list begins.
    pub(super) fn first_key(&self) -> Option<i64> {
        self.query.from.as_deref()?.parse().ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // An invalid query is ignored.
        let query = Query::try_from_uri(&parts.uri).map(|Query(query)| query).unwrap_or_default();
        let json = wants_json(&query, &parts.headers);
        Ok(Self { root: links::root(parts.uri.path()), json, query })
    }
}

fn wants_json(query: &PageQuery, headers: &HeaderMap) -> bool {
    if let Some(format) = &query.format {
        return format == "json";
    }
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/html")
}
