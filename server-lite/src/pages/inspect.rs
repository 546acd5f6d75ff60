//! `/p/PACKAGE/KEY/inspect`: every key of every bag.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use pony_wire::StoredResult;

use super::error::PageError;
use super::layout::page;
use super::links;
use super::page_request::PageRequest;
use super::value_tree::value_tree;
use super::view::{self, ResultView};
use crate::store::Store;

/// Bytes on the page, roughly: what is cut inside a value counts before it is drawn.
const HTML_BUDGET: usize = 2 * 1024 * 1024;

pub(crate) async fn inspect(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    request: PageRequest,
) -> Result<Response, PageError> {
    view::show(&store, links::package(&segment), &key, request, as_html).await
}

fn as_html(view: &ResultView) -> Markup {
    let StoredResult { receipt, client_info, results } = &view.bags;
    let mut html_budget = HTML_BUDGET;
    let content = html! {
        h1 { (view.row.package) ": every key of result " (view.key()) }
        p.quiet { "As the client sent it. Long texts are cut here; all of it is in the "
            a href=(format!("../{}/?format=json", view.key())) { "JSON" } "." }
        h2 { "receipt" } (value_tree(&receipt.to_value(), &mut html_budget))
        h2 { "client_info" } (value_tree(&client_info.to_value(), &mut html_budget))
        @for (index, step) in results.iter().enumerate() {
            @if html_budget > 0 { h2 { "results[" (index) "]" } (value_tree(&step.to_value(), &mut html_budget)) }
        }
        @if html_budget == 0 { p.notice { "There is more than a page can show; the JSON has all of it." } }
    };
    let mut trail = view.trail();
    trail.push(("every key".to_owned(), format!("../{}/inspect", view.key())));
    page(&view.root, &format!("{} result {}: every key", view.row.package, view.key()), &trail, &content)
}
