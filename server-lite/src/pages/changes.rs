//! The commits and files that changed before a build.

use maud::{Markup, html};
use pony_wire::{Struct, Value};

/// What changed since the last run, and since the last success: `changes` and `changes_since_success`, arrays of structs
/// with `id`, `author`, `date` and `subject`; `changed_files` and `changed_files_since_success`, arrays of paths.
pub(super) fn changes(extra: &Struct) -> Markup {
    let of = |commits: &str, files: &str| {
        let list = |key: &str| extra.get(key).and_then(Value::as_array).unwrap_or_default();
        (list(commits), list(files))
    };
    let since_last = of("changes", "changed_files");
    let since_success = of("changes_since_success", "changed_files_since_success");
    html! {
        (changed("Changes", since_last))
        @if since_success != since_last { (changed("Changes since the last success", since_success)) }
    }
}

fn changed(title: &str, (commits, files): (&[Value], &[Value])) -> Markup {
    /// All are in `inspect` and in the JSON.
    const COMMITS: usize = 100;
    const FILES: usize = 500;
    let text =
        |commit: &Struct, key: &str| commit.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    html! { @if !commits.is_empty() || !files.is_empty() {
        h2 { (title) }
        @if !commits.is_empty() { ul.changes { @for commit in commits.iter().filter_map(Value::as_struct).take(COMMITS) { li {
            @let id = text(commit, "id");
            code title=(id) { (id.chars().take(12).collect::<String>()) }
            " " (text(commit, "subject")) " "
            span.quiet { (text(commit, "author")) " " (text(commit, "date")) }
        } } } }
        @if commits.len() > COMMITS { p.quiet { "and " (commits.len() - COMMITS) " more" } }
        @if !files.is_empty() { details {
            @let more = files.last().and_then(Value::as_str) == Some("…");
            @let count = files.len() - usize::from(more);
            summary { @if more { "more than " } (count) @if count == 1 { " file" } @else { " files" } }
            div { ul.files { @for file in files.iter().filter_map(Value::as_str).take(FILES) { li { code { (file) } } } } }
        } }
    } }
}
