//! The keys of a bag that a page shows as they are: short ones on a line each, those about the machine folded away.

use maud::{Markup, html};
use pony_wire::{Struct, Value};

use super::value_tree::value_tree;

/// Keys that the page shows in another place.
const SHOWN_ELSEWHERE: [&str; 11] = [
    "allow_failure",
    "chain",
    "changed_files",
    "changed_files_since_success",
    "changes",
    "changes_since_success",
    "needs",
    "out",
    "run_id",
    "version_info",
    "version_type",
];
/// Keys about the machine rather than the build, which the page folds away like those of tools, `tool NAME`.
const ABOUT_THE_MACHINE: [&str; 12] = [
    "cpu",
    "cpus",
    "distribution",
    "environment",
    "environment_values",
    "installed",
    "installer",
    "kernel",
    "libc",
    "memory",
    "os",
    "tempdir",
];

/// Keys about the machine, folded away.
pub(super) fn machine(extra: &Struct) -> Markup {
    let keys: Vec<_> = extra.iter().filter(|(key, _)| is_about_the_machine(key)).collect();
    html! { @if !keys.is_empty() {
        h2 { "Machine" }
        details {
            summary { "hardware, system and tools" }
            div { dl.facts { @for (key, value) in keys { dt { (key) } dd { (lines(value)) } } } }
        }
    } }
}

/// The keys that fit on a line and that the page does not show elsewhere.
pub(super) fn one_line_keys(extra: &Struct) -> impl Iterator<Item = (&str, String)> {
    extra.iter().filter(|(key, _)| !SHOWN_ELSEWHERE.contains(&key.as_str())).filter_map(|(key, value)| {
        let text = match value {
            Value::String(text) | Value::DateTime(text) if text.len() <= 500 => text.clone(),
            Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
            Value::Int(int) => int.to_string(),
            Value::Double(double) => double.to_string(),
            Value::Array(items) if items.len() <= 20 => {
                items.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join(", ")
            }
            _ => return None,
        };
        (!text.trim().is_empty() && text.len() <= 500).then_some((key.as_str(), text))
    })
}

pub(super) fn is_about_the_machine(key: &str) -> bool {
    ABOUT_THE_MACHINE.contains(&key) || key.starts_with("tool ")
}

/// A value that may be long, a list with an entry a line.
fn lines(value: &Value) -> Markup {
    const LINES: usize = 500;
    match value {
        Value::Array(items) if items.iter().all(|item| item.as_str().is_some()) => html! {
            @for item in items.iter().filter_map(Value::as_str).take(LINES) { div { (item) } }
            @if items.len() > LINES { div.quiet { "and " (items.len() - LINES) " more" } }
        },
        Value::String(text) => html! { (text.chars().take(2_000).collect::<String>()) },
        other => value_tree(other, &mut (64 * 1024)),
    }
}
