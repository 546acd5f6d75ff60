//! `/p/PACKAGE/`: the slots of a package, each with its newest result.

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
use crate::store::{Page, SlotRow, Store};

pub(crate) async fn slots(
    State(store): State<Store>,
    Path(segment): Path<String>,
    request: PageRequest,
) -> Result<Response, PageError> {
    let package = links::package(&segment);
    let list = store.slots(package, request.first_key().unwrap_or(i64::MAX), ROWS).await?;
    if list.rows.is_empty() {
        return Err(PageError::no_package(&request, package));
    }
    Ok(request.reply(|| as_json(package, &list), || as_html(&request.root, package, &list, Time::now())))
}

fn as_html(root: &str, package: &str, list: &Page<SlotRow>, now: Time) -> Markup {
    let content = html! {
        h1 { (package) }
        nav.pages { a href="latest/" { "latest result" } a href="show_all" { "all results" } }
        table {
            thead { tr { th { "status" } th { "built" } th { "host" } th { "architecture" } th { "tags" } th { "took" } th {} } }
            tbody { @for SlotRow { latest, requested } in &list.rows { tr {
                td { (result_link(latest)) @if *requested { br; span.quiet { "build requested" } } }
                td data-label="built" { (time_ago(latest.received, now)) }
                td data-label="host" { (latest.host) }
                td data-label="arch" { (latest.arch) }
                td { (visible_tags(&latest.tags)) }
                td data-label="took" { @if let Some(took) = latest.duration { (duration(took)) } }
                td { a href=(format!("show_all?slot={}", latest.slot)) { "history" } }
            } } }
        }
        @if let Some(next) = list.next {
            nav.pages { a href="./" { "first page" } a href=(format!("?from={next}")) { "slots built earlier" } }
        }
    };
    page(root, package, &[(package.to_owned(), "./".to_owned())], &content)
}

fn as_json(package: &str, list: &Page<SlotRow>) -> Value {
    let row =
        |slot: &SlotRow| json!({"latest": summary::json(&slot.latest), "build_requested": slot.requested});
    json!({"package": package, "slots": list.rows.iter().map(row).collect::<Vec<_>>(), "next": key_or_null(list.next)})
}
