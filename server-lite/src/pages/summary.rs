//! A result in a list, and in the JSON of one.

use maud::{Markup, html};
use serde_json::{Value as Json, json};

use super::format::rfc3339;
use super::layout::badge;
use crate::store::Summary;

/// The status as a link to the result, and the step that failed.
pub(super) fn result_link(result: &Summary) -> Markup {
    html! {
        a href=(format!("{}/", result.key)) { (badge(result.status)) }
        @if let Some(step) = &result.failed_step { span.quiet { " in " } (step) }
    }
}

pub(super) fn json(result: &Summary) -> Json {
    json!({
        "key": result.key.to_string(),
        "slot": result.slot.to_string(),
        "status": result.status.name(),
        "failed_step": result.failed_step,
        "received": rfc3339(result.received),
        "duration": result.duration.map(|duration| duration.as_secs_f64()),
        "host": result.host,
        "arch": result.arch,
        "tags": result.tags,
    })
}

/// A result key. Keys are strings, as in the calls.
pub(super) fn key_or_null(key: Option<i64>) -> Json {
    key.map_or(Json::Null, |key| Json::String(key.to_string()))
}
