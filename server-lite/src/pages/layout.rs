//! The frame of every page, its style sheet, and the elements that many pages have.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::format::{age, rfc3339};
use crate::clock::Time;
use crate::status::Status;

/// A whole page. `root` is the link to the first page; `trail` are the pages above this one, with their links.
pub(super) fn page(root: &str, title: &str, trail: &[(String, String)], content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                link rel="stylesheet" href=(format!("{root}style.css"));
            }
            body {
                header {
                    a href=(root) { "packages" }
                    @for (name, link) in trail { " / " a href=(link) { (name) } }
                }
                main { (content) }
                footer { "pony-serve " (env!("CARGO_PKG_VERSION")) " · every page is also JSON: add " code { "?format=json" } }
            }
        }
    }
}

/// A status as a coloured word.
pub(super) fn badge(status: Status) -> Markup {
    let name = status.name();
    html! { span class=(format!("badge {name}")) { (name) } }
}

/// How long ago something was, with the exact time for the pointer and for machines.
pub(super) fn time_ago(time: Time, now: Time) -> Markup {
    let exact = rfc3339(time);
    html! { time datetime=(exact) title=(exact) { (age(now.since(time))) } }
}

/// The tags that are meant for people.
pub(super) fn visible_tags(tags: &[String]) -> Markup {
    html! { @for tag in tags.iter().filter(|tag| !tag.starts_with("__")) { span.tag { (tag) } } }
}

pub(crate) async fn style_sheet() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600")),
    ];
    (headers, include_str!("style.css")).into_response()
}
