//! `/`: the packages, with the worst status of their slots.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::error::PageError;
use super::format::rfc3339;
use super::layout::{badge, page, time_ago};
use super::links::{query, segment};
use super::page_request::{PageRequest, ROWS};
use crate::clock::Time;
use crate::status::Status;
use crate::store::{PackageRow, Page, Store};

pub(crate) async fn packages(
    State(store): State<Store>,
    request: PageRequest,
) -> Result<Response, PageError> {
    let list = store.packages(request.query.from.as_deref().unwrap_or_default(), ROWS).await?;
    Ok(request.reply(|| as_json(&list), || as_html(&request.root, &list, Time::now())))
}

fn as_html(root: &str, list: &Page<PackageRow, String>, now: Time) -> Markup {
    let content = html! {
        h1 { "Packages" }
        @if list.rows.is_empty() {
            p { "No results yet. Build clients send theirs to " code { "xmlrpc" } " on this server, for example "
                code { "pony-run --server URL RECIPE" } "." }
        } @else {
            table {
                thead { tr { th { "package" } th { "status" } th { "slots" } th { "latest result" } } }
                tbody { @for row in &list.rows {
                    @let link = format!("p/{}/", segment(&row.name));
                    tr {
                        td { a href=(link) { (row.name) } }
                        td { (badge(worst_status(row)))
                            @if row.failing > 0 && row.slots > 1 { span.quiet { " " (row.failing) " of " (row.slots) } } }
                        td data-label="slots" { (row.slots) }
                        td data-label="latest" { a href=(format!("{link}{}/", row.latest)) { (time_ago(row.received, now)) } }
                    }
                } }
            }
            @if let Some(next) = &list.next {
                nav.pages { a href="./" { "first page" } a href=(format!("?from={}", query(next))) { "more packages" } }
            }
        }
    };
    page(root, "Packages", &[], &content)
}

fn worst_status(row: &PackageRow) -> Status {
    match (row.failing, row.unknown) {
        (0, 0) => Status::Passed,
        (0, _) => Status::Unknown,
        _ => Status::Failed,
    }
}

fn as_json(list: &Page<PackageRow, String>) -> Value {
    let row = |row: &PackageRow| {
        json!({
            "package": row.name,
            "path": format!("p/{}/", segment(&row.name)),
            "status": worst_status(row).name(),
            "slots": row.slots,
            "failing": row.failing,
            "latest": {"key": row.latest.to_string(), "received": rfc3339(row.received)},
        })
    };
    json!({"packages": list.rows.iter().map(row).collect::<Vec<_>>(), "next": list.next})
}
