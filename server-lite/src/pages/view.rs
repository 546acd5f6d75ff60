//! A result with everything that its pages show, read once from the store.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::Markup;
use pony_wire::{StepResult, StoredResult};
use serde_json::{Value as Json, json};

use super::error::PageError;
use super::format::rfc3339;
use super::links::{file_path, segment};
use super::page_request::PageRequest;
use super::summary::{self, key_or_null};
use crate::blocking::blocking_if_large;
use crate::clock::Time;
use crate::reply::body_with_permit;
use crate::store::{FILES_PER_RESULT, FileRow, ResultRow, Store};

/// Files on a result's page; its JSON has all.
pub(super) const FILES_ON_PAGE: u16 = 500;

#[derive(Debug)]
pub(super) struct ResultView {
    /// The link to the root of the server.
    pub(super) root: String,
    pub(super) row: ResultRow,
    pub(super) bags: StoredResult,
    /// For HTML those that the client made visible, one more than are shown; for JSON all.
    pub(super) files: Vec<FileRow>,
    /// The result before this one in its slot.
    pub(super) previous: Option<i64>,
    /// The result after this one in its slot.
    pub(super) next: Option<i64>,
    /// The first step on this page, from 1.
    pub(super) first_step: usize,
    pub(super) now: Time,
}

impl ResultView {
    pub(super) fn key(&self) -> i64 {
        self.row.summary.key
    }

    /// The pages above this one.
    pub(super) fn trail(&self) -> Vec<(String, String)> {
        vec![
            (self.row.package.clone(), "../".to_owned()),
            (format!("result {}", self.key()), format!("../{}/", self.key())),
        ]
    }
}

/// The result that an address names.
pub(super) async fn find(
    store: &Store,
    package: &str,
    key: &str,
    request: &PageRequest,
) -> Result<ResultRow, PageError> {
    let row = match key.parse() {
        Ok(key) => store.result(key).await?,
        Err(_) => None,
    };
    row.filter(|row| row.package == package).ok_or_else(|| PageError::no_result(request, package, key))
}

/// Draws a page of a result. All of them are the same JSON.
pub(super) async fn show(
    store: &Store,
    package: &str,
    key: &str,
    request: PageRequest,
    draw: fn(&ResultView) -> Markup,
) -> Result<Response, PageError> {
    let row = find(store, package, key, &request).await?;
    let (previous, next) = store.neighbours(&row.summary).await?;
    let files = if request.json {
        store.files(row.summary.key, false, FILES_PER_RESULT).await?
    } else {
        store.files(row.summary.key, true, FILES_ON_PAGE + 1).await?
    };
    let now = Time::now();
    blocking_if_large(row.size(), move || {
        let bags = row.decode()?;
        let first_step = request.query.step.as_deref().and_then(|step| step.parse().ok()).unwrap_or(1);
        let view = ResultView { root: request.root, row, bags, files, previous, next, first_step, now };
        if request.json {
            let json = as_json(&view).to_string();
            Ok(large_reply("application/json", json, view.row))
        } else {
            Ok(draw(&view).into_response())
        }
    })
    .await
}

/// A reply about as large as the result that it is made of, whose memory it takes over.
pub(super) fn large_reply(content_type: &'static str, text: String, row: ResultRow) -> Response {
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
    (content_type, body_with_permit(text, row.memory)).into_response()
}

fn as_json(view: &ResultView) -> Json {
    let ResultRow { package, summary, requested, .. } = &view.row;
    let folder = format!("p/{}/{}/files", segment(package), summary.key);
    let file = |file: &FileRow| {
        json!({
            "name": file.info.name,
            "path": format!("{folder}/{}", file_path(&file.info.name)),
            "size": file.size,
            "description": file.info.description,
            "visible": file.info.visible,
            "received": rfc3339(file.received),
        })
    };
    json!({
        "package": package,
        "summary": summary::json(summary),
        "receipt": view.bags.receipt.to_value(),
        "client_info": view.bags.client_info.to_value(),
        "results": view.bags.results.iter().map(StepResult::to_value).collect::<Vec<_>>(),
        "files": view.files.iter().map(file).collect::<Vec<_>>(),
        "build_requested": requested,
        "previous": key_or_null(view.previous),
        "next": key_or_null(view.next),
    })
}
