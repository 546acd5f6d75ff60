//! `/p/PACKAGE/KEY/` and `/p/PACKAGE/latest/`: one result, with its files, changes and steps.

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use pony_wire::{Struct, Value};

use super::changes::changes;
use super::details::{is_about_the_machine, machine, one_line_keys};
use super::error::PageError;
use super::format::{date, duration, size};
use super::layout::{badge, page, time_ago, visible_tags};
use super::links::{self, file_path, segment};
use super::page_request::PageRequest;
use super::steps::steps;
use super::view::{self, FILES_ON_PAGE, ResultView};
use crate::status::{Status, failed};
use crate::store::{Store, Summary};

pub(crate) async fn result(
    State(store): State<Store>,
    Path((segment, key)): Path<(String, String)>,
    request: PageRequest,
) -> Result<Response, PageError> {
    view::show(&store, links::package(&segment), &key, request, as_html).await
}

pub(crate) async fn latest_result(
    State(store): State<Store>,
    Path(segment): Path<String>,
    request: PageRequest,
) -> Result<Response, PageError> {
    let package = links::package(&segment);
    let key = store.newest(package).await?.ok_or_else(|| PageError::no_package(&request, package))?;
    view::show(&store, package, &key.to_string(), request, as_html).await
}

fn as_html(view: &ResultView) -> Markup {
    let package = &view.row.package;
    let content = html! {
        h1 { (package) " " (badge(view.row.summary.status)) }
        @if view.row.requested { p.notice { "A build of this slot was requested; the next client that asks will do it." } }
        (details(view))
        (needs(view))
        (changes(&view.bags.client_info.extra))
        (files(view))
        (steps(view))
        (machine(&view.bags.client_info.extra))
        (navigation(view))
        form method="post" action=(format!("../{}/request_build", view.key())) {
            button { "Request a build of this slot" }
        }
    };
    page(&view.root, &format!("{package} result {}", view.key()), &view.trail(), &content)
}

fn details(view: &ResultView) -> Markup {
    let Summary { host, arch, tags: slot_tags, received, status, duration: took, failed_step, .. } =
        &view.row.summary;
    html! { dl.facts {
        @if let Some(step) = failed_step {
            @let first = view.bags.results.iter().position(failed).map_or(0, |index| index + 1);
            dt { "failed in" } dd { a href=(format!("#step-{first}")) { (step) } }
        }
        dt { "received" } dd { (date(*received)) " (" (time_ago(*received, view.now)) ")" }
        @if let Some(took) = took { dt { "took" } dd { (duration(*took)) } }
        dt { "host" } dd { (host) }
        dt { "architecture" } dd { (arch) }
        @if slot_tags.iter().any(|tag| !tag.starts_with("__")) { dt { "tags" } dd { (visible_tags(slot_tags)) } }
        @for (key, value) in one_line_keys(&view.bags.client_info.extra) {
            @if key != "duration" && !is_about_the_machine(key) && !(key == "outcome" && value == status.name()) { dt { (key) } dd { (value) } }
        }
    } }
}

/// The builds that it depends on: `needs`, an array of structs with `name`, `package`, `revision`, `result_key`, `outcome`
/// and `reused`.
fn needs(view: &ResultView) -> Markup {
    /// More are in `inspect` and in the JSON.
    const NEEDS: usize = 100;
    let extra = &view.bags.client_info.extra;
    let needs = extra.get("needs").and_then(Value::as_array).unwrap_or_default();
    let needs: Vec<_> = needs.iter().filter_map(Value::as_struct).collect();
    html! {
        @if !needs.is_empty() {
            h2 { "Needs" }
            ul.changes { @for need in needs.iter().take(NEEDS) { li { (need_item(&view.root, need)) } } }
            @if needs.len() > NEEDS { p.quiet { "and " (needs.len() - NEEDS) " more" } }
        }
        @if let Some(chain) = &view.row.chain {
            nav.pages { a href=(format!("{}chain/{}", view.root, segment(chain))) { "all builds of this chain" } }
        }
    }
}

fn need_item(root: &str, need: &Struct) -> Markup {
    let text = |key: &str| -> String {
        need.get(key).and_then(Value::as_str).unwrap_or_default().chars().take(200).collect()
    };
    let (name, package, revision, outcome) =
        (text("name"), text("package"), text("revision"), text("outcome"));
    let name = if name.is_empty() { &package } else { &name };
    let key = match need.get("result_key") {
        Some(Value::Int(key)) => Some(*key),
        Some(Value::String(key)) => key.parse::<i64>().ok(),
        _ => None,
    };
    let status = Status::from_outcome(&outcome);
    html! {
        span class=(format!("badge {}", status.name())) { @if outcome.is_empty() { (status.name()) } @else { (outcome) } }
        " "
        @match key.filter(|_| !package.is_empty()) {
            Some(key) => { a href=(format!("{root}p/{}/{key}/", segment(&package))) { (name) } }
            None => { (name) }
        }
        @if !revision.is_empty() { " " code title=(revision) { (revision.chars().take(12).collect::<String>()) } }
        @if need.get("reused") == Some(&Value::Bool(true)) { " " span.quiet { "reused" } }
    }
}

fn files(view: &ResultView) -> Markup {
    let (key, files) = (view.key(), &view.files);
    let shown = &files[..files.len().min(usize::from(FILES_ON_PAGE))];
    html! { @if !files.is_empty() {
        h2 { "Files" }
        table {
            thead { tr { th { "name" } th.number { "size" } th { "description" } } }
            tbody { @for file in shown { tr {
                td { a href=(format!("../{key}/files/{}", file_path(&file.info.name))) { (file.info.name) } }
                td.number data-label="size" { (size(file.size)) }
                td { (file.info.description) }
            } } }
        }
        @if files.len() > shown.len() { p.quiet { "There are more; the " a href=(format!("../{key}/?format=json")) { "JSON" } " has all of them." } }
    } }
}

fn navigation(view: &ResultView) -> Markup {
    let key = view.key();
    html! { nav.pages {
        @if let Some(previous) = view.previous { a rel="prev" href=(format!("../{previous}/")) { "← previous of this slot" } }
        @if let Some(next) = view.next { a rel="next" href=(format!("../{next}/")) { "next of this slot →" } }
        a href=(format!("../show_all?slot={}", view.row.summary.slot)) { "history of this slot" }
        a href=(format!("../{key}/inspect")) { "every key" }
    } }
}
