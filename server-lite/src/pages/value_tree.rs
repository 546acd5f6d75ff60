//! Any value of a bag, with everything in it.

use maud::{Markup, html};
use pony_wire::Value;

use super::format::size;
use super::terminal::clipped;

/// Draws a value until about `html_budget` bytes are used up, and reduces the budget by what it has drawn.
pub(super) fn value_tree(value: &Value, html_budget: &mut usize) -> Markup {
    const TEXT: usize = 4_000;
    *html_budget = html_budget.saturating_sub(100);
    if *html_budget == 0 {
        return html! { "…" };
    }
    match value {
        Value::Struct(members) if !members.is_empty() => html! {
            dl.facts { @for (key, member) in members { @if *html_budget > 0 {
                dt { (clipped(key, TEXT)) } dd { (value_tree(member, html_budget)) }
            } } }
        },
        Value::Array(items) if !items.is_empty() => html! {
            dl.facts { @for (index, item) in items.iter().enumerate() { @if *html_budget > 0 {
                dt { (index) } dd { (value_tree(item, html_budget)) }
            } } }
        },
        Value::String(text) => {
            *html_budget = html_budget.saturating_sub(text.len().min(TEXT));
            if text.contains(['\n', '\u{1B}', '␛']) {
                html! { pre { (clipped(text, TEXT)) } }
            } else {
                html! { code { (clipped(text, TEXT)) } }
            }
        }
        Value::Nil => html! { span.quiet { "nothing" } },
        Value::Bool(yes) => html! { code { (yes) } },
        Value::Int(int) => html! { code { (int) } },
        Value::Double(double) => html! { code { (double) } },
        Value::DateTime(text) => html! { code { (clipped(text, TEXT)) } },
        Value::Base64(bytes) => html! { span.quiet { (size(bytes.len() as u64)) " of binary data" } },
        Value::Array(_) | Value::Struct(_) => html! { span.quiet { "empty" } },
    }
}
