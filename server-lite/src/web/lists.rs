//! The lists: packages, the slots of a package, the history of a package or a slot. Pure.

use maud::{Markup, html};

use super::layout::{moment, outcome, page, took};
use super::links::{query, segment};
use crate::clock::Time;
use crate::status::Status;
use crate::store::{ChainRow, PackageRow, Page, SlotRow, Summary};

pub(super) fn packages(root: &str, list: &Page<PackageRow, String>, now: Time) -> Markup {
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
                        td { (outcome(package_status(row)))
                            @if row.failing > 0 && row.slots > 1 { span.quiet { " " (row.failing) " of " (row.slots) } } }
                        td data-label="slots" { (row.slots) }
                        td data-label="latest" { a href=(format!("{link}{}/", row.latest)) { (moment(Time(row.received), now)) } }
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

/// The worst of its slots.
pub(super) fn package_status(row: &PackageRow) -> Status {
    match (row.failing, row.unknown) {
        (0, 0) => Status::Passed,
        (0, _) => Status::Unknown,
        _ => Status::Failed,
    }
}

pub(super) fn slots(root: &str, package: &str, list: &Page<SlotRow>, now: Time) -> Markup {
    let content = html! {
        h1 { (package) }
        nav.pages { a href="latest/" { "latest result" } a href="show_all" { "all results" } }
        table {
            thead { tr { th { "status" } th { "built" } th { "host" } th { "architecture" } th { "tags" } th { "took" } th {} } }
            tbody { @for SlotRow { latest, requested } in &list.rows { tr {
                td { (result_link(latest)) @if *requested { br; span.quiet { "build requested" } } }
                td data-label="built" { (moment(latest.received, now)) }
                td data-label="host" { (latest.host) }
                td data-label="arch" { (latest.arch) }
                td { (tags(&latest.tags)) }
                td data-label="took" { @if let Some(duration) = latest.duration { (took(duration)) } }
                td { a href=(format!("show_all?slot={}", latest.slot)) { "history" } }
            } } }
        }
        @if let Some(next) = list.next {
            nav.pages { a href="./" { "first page" } a href=(format!("?from={next}")) { "slots built earlier" } }
        }
    };
    page(root, package, &[(package.to_owned(), "./".to_owned())], &content)
}

pub(super) fn history(
    root: &str,
    package: &str,
    slot: Option<i64>,
    list: &Page<Summary>,
    now: Time,
) -> Markup {
    let here = slot.map_or_else(|| "show_all?".to_owned(), |slot| format!("show_all?slot={slot}&"));
    let content = html! {
        h1 { (package) ": " @if slot.is_some() { "results of one slot" } @else { "all results" } }
        @if let (Some(_), Some(row)) = (slot, list.rows.first()) {
            p { (row.host) " · " (row.arch) " " (tags(&row.tags)) }
            nav.pages { a href="show_all" { "results of all slots" } }
        }
        table {
            thead { tr { th { "key" } th { "status" } th { "built" } th { "host" } th { "architecture" } th { "tags" } th { "took" } } }
            tbody { @for row in &list.rows { tr {
                td data-label="key" { (row.key) }
                td { (result_link(row)) }
                td data-label="built" { (moment(row.received, now)) }
                td data-label="host" { (row.host) }
                td data-label="arch" { (row.arch) }
                td { (tags(&row.tags)) }
                td data-label="took" { @if let Some(duration) = row.duration { (took(duration)) } }
            } } }
        }
        @if let Some(next) = list.next {
            nav.pages { a href=(here.trim_end_matches(['?', '&'])) { "newest" } a href=(format!("{here}from={next}")) { "older results" } }
        }
    };
    let trail = [(package.to_owned(), "./".to_owned()), ("results".to_owned(), "show_all".to_owned())];
    page(root, &format!("{package}: results"), &trail, &content)
}

/// Builds that were made together, needs before those that need them.
pub(super) fn chain(root: &str, chain: &str, list: &Page<ChainRow>, now: Time) -> Markup {
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
                        a href=(format!("{link}{}/", result.key)) { (outcome(result.status)) }
                        @if let Some(step) = &result.failed_step { span.quiet { " in " } (step) }
                    }
                    td data-label="built" { (moment(result.received, now)) }
                    td data-label="host" { (result.host) }
                    td { (tags(&result.tags)) }
                    td data-label="took" { @if let Some(duration) = result.duration { (took(duration)) } }
                }
            } }
        }
        @if let Some(next) = list.next {
            nav.pages { a href=(here) { "first page" } a href=(format!("{here}?from={next}")) { "more builds" } }
        }
    };
    page(root, "Builds of one chain", &[("chain".to_owned(), here.clone())], &content)
}

/// The outcome as a link to the result, and where it failed.
fn result_link(result: &Summary) -> Markup {
    html! {
        a href=(format!("{}/", result.key)) { (outcome(result.status)) }
        @if let Some(step) = &result.failed_step { span.quiet { " in " } (step) }
    }
}

/// The tags that are meant for people.
pub(super) fn tags(tags: &[String]) -> Markup {
    html! { @for tag in tags.iter().filter(|tag| !tag.starts_with("__")) { span.tag { (tag) } } }
}
