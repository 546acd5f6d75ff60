//! `/p/PACKAGE/show_all`: all results of a package or of one of its slots, newest first.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::error::PageError;
use super::format::duration;
use super::layout::{page, time_ago, visible_tags};
use super::page_request::{PageRequest, ROWS};
use super::summary::{key_or_null, result_link};
use super::{links, summary};
use crate::clock::Time;
use crate::store::{Page, Store, Summary};

pub(crate) async fn history(
    State(store): State<Store>,
    Path(segment): Path<String>,
    request: PageRequest,
) -> Result<Response, PageError> {
    let package = links::package(&segment);
    let slot = request.query.slot.as_deref().and_then(|slot| slot.parse().ok());
    let list = store.history(package, slot, request.first_key().unwrap_or(i64::MAX), ROWS).await?;
    if list.rows.is_empty() {
        return Err(PageError::no_package(&request, package));
    }
    Ok(request
        .reply(|| as_json(package, &list), || as_html(&request.root, package, slot, &list, Time::now())))
}

fn as_html(root: &str, package: &str, slot: Option<i64>, list: &Page<Summary>, now: Time) -> Markup {
    let here = slot.map_or_else(|| "show_all?".to_owned(), |slot| format!("show_all?slot={slot}&"));
    let content = html! {
        h1 { (package) ": " @if slot.is_some() { "results of one slot" } @else { "all results" } }
        @if let (Some(_), Some(row)) = (slot, list.rows.first()) {
            p { (row.host) " · " (row.arch) " " (visible_tags(&row.tags)) }
            nav.pages { a href="show_all" { "results of all slots" } }
        }
        table {
            thead { tr { th { "key" } th { "status" } th { "built" } th { "host" } th { "architecture" } th { "tags" } th { "took" } } }
            tbody { @for row in &list.rows { tr {
                td data-label="key" { (row.key) }
                td { (result_link(row)) }
                td data-label="built" { (time_ago(row.received, now)) }
                td data-label="host" { (row.host) }
                td data-label="arch" { (row.arch) }
                td { (visible_tags(&row.tags)) }
                td data-label="took" { @if let Some(took) = row.duration { (duration(took)) } }
            } } }
        }
        @if let Some(next) = list.next {
            nav.pages { a href=(here.trim_end_matches(['?', '&'])) { "newest" } a href=(format!("{here}from={next}")) { "older results" } }
        }
    };
    let trail = [(package.to_owned(), "./".to_owned()), ("results".to_owned(), "show_all".to_owned())];
    page(root, &format!("{package}: results"), &trail, &content)
}

fn as_json(package: &str, list: &Page<Summary>) -> Value {
    json!({
        "package": package,
        "results": list.rows.iter().map(summary::json).collect::<Vec<_>>(),
        "next": key_or_null(list.next),
    })
}
