//! The steps of a result, with their commands and output.

use std::borrow::Cow;

use maud::{Markup, html};
use pony_wire::{StepResult, Value};

use super::changes::changes;
use super::details::one_line_keys;
use super::format::{duration, exit_status, size};
use super::links::query;
use super::terminal::{clip, clipped, drawn};
use super::view::ResultView;
use crate::clock::duration_from_seconds;
use crate::status::failed;

/// Steps on one page; a result may have any number.
const STEPS: usize = 400;
/// Bytes of output on one page, shared by its steps.
const OUTPUT: usize = 1024 * 1024;
/// Bytes that are shown of one output.
const STREAM: std::ops::RangeInclusive<usize> = 2 * 1024..=64 * 1024;

pub(super) fn steps(view: &ResultView) -> Markup {
    let all = &view.bags.results;
    let first = view.first_step.saturating_sub(1).min(all.len());
    let shown = &all[first..all.len().min(first + STEPS)];
    let limit = (OUTPUT / shown.len().max(1) / 2).clamp(*STREAM.start(), *STREAM.end());
    let page_from = |from: usize| format!("../{}/?step={from}", view.key());
    html! {
        h2 { "Steps" }
        @if all.is_empty() { p.quiet { "This result has no steps." } }
        @if first > 0 { nav.pages { a href=(page_from(first.saturating_sub(STEPS) + 1)) { "earlier steps" } } }
        @for (index, step) in shown.iter().enumerate() { (step_details(view.key(), first + index + 1, step, limit)) }
        @if first + shown.len() < all.len() {
            nav.pages { a href=(page_from(first + shown.len() + 1)) {
                "steps " (first + shown.len() + 1) " to " (all.len()) } }
        }
    }
}

/// `limit` is the number of bytes that are shown of each output.
fn step_details(key: i64, number: usize, step: &StepResult, limit: usize) -> Markup {
    let raw = |stream: &str| format!("../{key}/{stream}/{number}");
    html! {
        details id=(format!("step-{number}")) open[failed(step)] {
            summary { (status_line(&format!("{number}. {}", step_name(step, number)), step)) }
            div {
                @if let Some(command) = &step.command { p.caption { "command" } pre { (clipped(command, limit)) } }
                @let version: Vec<_> = ["version_type", "version_info"].iter()
                    .filter_map(|key| step.extra.get(*key)?.as_str()).collect();
                @if !version.is_empty() { p { span.quiet { "version " } (version.join(" ")) } }
                (changes(&step.extra))
                (stream("output", "output", step.shown_output(), limit, &raw("output")))
                (stream("error output", "errout", step.errout.as_deref().unwrap_or_default(), limit, &raw("errout")))
                @for (name, part) in parts(step) {
                    @let raw = |stream: &str| format!("{}?of={}", raw(stream), query(name));
                    details open[failed(&part)] {
                        summary { (status_line(name, &part)) }
                        div {
                            @if let Some(command) = &part.command { p.caption { "command" } pre { (clipped(command, limit)) } }
                            (stream("output", "output", part.shown_output(), limit, &raw("output")))
                            (stream("error output", "errout", part.errout.as_deref().unwrap_or_default(), limit, &raw("errout")))
                        }
                    }
                }
                @let others: Vec<_> = one_line_keys(&step.extra).filter(|(key, _)| *key != "outcome").collect();
                @if !others.is_empty() {
                    dl.facts { @for (key, value) in others { dt { (key) } dd { (value) } } }
                }
            }
        }
    }
}

/// The name of a step, or its number.
fn step_name(step: &StepResult, number: usize) -> Cow<'_, str> {
    step.name.as_deref().map_or_else(|| Cow::Owned(format!("step {number}")), Cow::Borrowed)
}

/// How a step went, on one line.
fn status_line(name: &str, step: &StepResult) -> Markup {
    let class = match step.status {
        Some(0) => "badge passed",
        Some(_) if failed(step) => "badge failed",
        Some(_) | None => "badge unknown",
    };
    // More than the status tells: `timed-out`, `cancelled`.
    let outcome = step.extra.get("outcome").and_then(Value::as_str);
    let outcome = outcome.filter(|outcome| !matches!(*outcome, "passed" | "failed"));
    html! {
        span class=(class) { (step.status.map_or_else(|| "no status".to_owned(), exit_status)) }
        " " (name)
        @if let Some(outcome) = outcome { ", " (outcome) }
        @if step.status.is_some_and(|status| status != 0) && !failed(step) { ", allowed to fail" }
        @if let Some(kind) = &step.kind { " " span.quiet { "(" (kind) ")" } }
        @if let Some(took) = step.duration.and_then(duration_from_seconds) { " " span.quiet { (duration(took)) } }
    }
}

/// One output of a step, its middle left out if it is long.
fn stream(caption: &str, class: &str, text: &str, limit: usize, raw: &str) -> Markup {
    if text.is_empty() {
        return html! {};
    }
    let clip = clip(text, limit);
    html! {
        p.caption { (caption)
            @if clip.left_out > 0 { ", " (size(text.len() as u64)) ": " a href=(raw) { "full text" } }
            @else { " (" a href=(raw) { "as text" } ")" }
        }
        // Scrolled to its end, where failures show: the style sheet turns the outer box around.
        div.scroll tabindex="0" { div {
            pre class=(class) { "\n" (drawn(clip.head)) }
            @if clip.left_out > 0 {
                p.caption { "… " (size(clip.left_out as u64)) " left out: " a href=(raw) { "full text" } " …" }
                pre class=(class) { "\n" (drawn(clip.tail)) }
            }
        } }
    }
}

/// The commands inside a step: a checkout has a nested struct for each command that it ran.
pub(super) fn parts(step: &StepResult) -> impl Iterator<Item = (&str, StepResult)> {
    step.extra.iter().filter_map(|(name, value)| {
        let members = value.as_struct()?;
        let is_command =
            ["status", "output", "out", "errout", "command"].iter().any(|key| members.contains_key(*key));
        let part = is_command.then(|| StepResult::from_value(value.clone()).ok()).flatten()?;
        Some((name.as_str(), part))
    })
}
