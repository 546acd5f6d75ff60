//! `/chain/CHAIN`: the builds that were made together.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::error::PageError;
use super::format::duration;
use super::layout::{badge, page, time_ago, visible_tags};
use super::links::segment;
use super::page_request::{PageRequest, ROWS};
use super::summary::key_or_null;
use super::{links, summary};
use crate::clock::Time;
use crate::store::{ChainRow, Page, Store};

pub(crate) async fn chain(
    State(store): State<Store>,
    Path(segment): Path<String>,
    request: PageRequest,
) -> Result<Response, PageError> {
    let chain = links::package(&segment);
    // Other lists begin with the newest result, this one with the first.
    let list = store.chain(chain, request.first_key().unwrap_or(0), ROWS).await?;
    if list.rows.is_empty() {
        return Err(PageError::not_found(&request, format!("There are no results of a chain “{chain}”")));
    }
    Ok(request.reply(|| as_json(chain, &list), || as_html(&request.root, chain, &list, Time::now())))
}

/// In the order of arrival: dependencies first.
fn as_html(root: &str, chain: &str, list: &Page<ChainRow>, now: Time) -> Markup {
    let here = format!("{root}chain/{}", segment(chain));
    let content = html! {
        h1 { "Builds of one chain" }
        p.quiet { (chain) }
        table {
            thead { tr { th { "package" } th { "status" } th { "built" } th { "host" } th { "tags" } th { "took" } } }
            tbody { @for ChainRow { package, result } in &list.rows {
                @let link = format!("{root}p/{}/", segment(package));
                tr {
                    td { a href=(link) { (package) } }
                    td {
                        a href=(format!("{link}{}/", result.key)) { (badge(result.status)) }
                        @if let Some(step) = &result.failed_step { span.quiet { " in " } (step) }
                    }
                    td data-label="built" { (time_ago(result.received, now)) }
                    td data-label="host" { (result.host) }
                    td { (visible_tags(&result.tags)) }
                    td data-label="took" { @if let Some(took) = result.duration { (duration(took)) } }
                }
            } }
        }
        @if let Some(next) = list.next {
            nav.pages { a href=(here) { "first page" } a href=(format!("{here}?from={next}")) { "more builds" } }
        }
    };
    page(root, "Builds of one chain", &[("chain".to_owned(), here.clone())], &content)
}

fn as_json(chain: &str, list: &Page<ChainRow>) -> Value {
    let row = |row: &ChainRow| {
        let path = format!("p/{}/{}/", segment(&row.package), row.result.key);
        json!({"package": row.package, "path": path, "summary": summary::json(&row.result)})
    };
    json!({"chain": chain, "results": list.rows.iter().map(row).collect::<Vec<_>>(), "next": key_or_null(list.next)})
}
