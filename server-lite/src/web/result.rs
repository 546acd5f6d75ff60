//! One result: its steps with their output, what changed, and every key of every bag. Pure.

use std::borrow::Cow;

use maud::{Markup, html};
use pony_wire::{StepResult, StoredResult, Struct, Value};

use super::files;
use super::layout::{date, exit_status, moment, outcome, page, size, took};
use super::links::{query, segment};
use super::lists::tags;
use super::terminal::{clip, drawn};
use crate::clock::{Time, duration_from_seconds};
use crate::status::Status;
use crate::store::{FileRow, Summary};
use crate::submission::{chain, failed};

/// Steps on one page; a result may have any number.
const STEPS: usize = 400;
/// Output on one page, shared by its steps.
const OUTPUT: usize = 1024 * 1024;
/// The most and the least that is shown of one output.
const SHOWN: std::ops::RangeInclusive<usize> = 2 * 1024..=64 * 1024;
/// Keys that are shown in a place of their own.
const SHOWN_APART: [&str; 11] = [
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
/// Keys that tell of the machine more than of the build: they are folded away. So are those of tools, `tool NAME`.
const OF_THE_MACHINE: [&str; 12] = [
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

/// Everything that a result's page shows.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) root: &'a str,
    pub(super) package: &'a str,
    pub(super) summary: &'a Summary,
    pub(super) bags: &'a StoredResult,
    pub(super) files: &'a [FileRow],
    pub(super) requested: bool,
    pub(super) previous: Option<i64>,
    pub(super) next: Option<i64>,
    /// The first step on this page, from 1.
    pub(super) from_step: usize,
    pub(super) now: Time,
}

impl View<'_> {
    fn key(&self) -> i64 {
        self.summary.key
    }

    fn trail(&self) -> Vec<(String, String)> {
        vec![
            (self.package.to_owned(), "../".to_owned()),
            (format!("result {}", self.key()), format!("../{}/", self.key())),
        ]
    }

    pub(super) fn page(&self) -> Markup {
        let content = html! {
            h1 { (self.package) " " (outcome(self.summary.status)) }
            @if self.requested { p.notice { "A build of this slot was requested; the next client that asks will do it." } }
            (self.facts())
            (self.needs())
            (changes(&self.bags.client_info.extra))
            (files::list(self.key(), self.files))
            (self.steps())
            (self.machine())
            (self.around())
            form method="post" action=(format!("../{}/request_build", self.key())) {
                button { "Request a build of this slot" }
            }
        };
        page(self.root, &format!("{} result {}", self.package, self.key()), &self.trail(), &content)
    }

    fn facts(&self) -> Markup {
        let Summary { host, arch, tags: slot_tags, received, status, duration, failed_step, .. } =
            self.summary;
        html! { dl.facts {
            @if let Some(step) = failed_step {
                @let first = self.bags.results.iter().position(failed).map_or(0, |index| index + 1);
                dt { "failed in" } dd { a href=(format!("#step-{first}")) { (step) } }
            }
            dt { "received" } dd { (date(*received)) " (" (moment(*received, self.now)) ")" }
            @if let Some(duration) = duration { dt { "took" } dd { (took(*duration)) } }
            dt { "host" } dd { (host) }
            dt { "architecture" } dd { (arch) }
            @if slot_tags.iter().any(|tag| !tag.starts_with("__")) { dt { "tags" } dd { (tags(slot_tags)) } }
            @for (key, value) in plain(&self.bags.client_info.extra) {
                @if key != "duration" && !is_of_the_machine(key) && !(key == "outcome" && value == status.word()) { dt { (key) } dd { (value) } }
            }
        } }
    }

    /// What it was built with: `needs`, an array of structs with `name`, `package`, `revision`, `result_key`, `outcome` and
    /// `reused`; and `chain`, the client's name for all builds that were made together.
    fn needs(&self) -> Markup {
        /// More are in `inspect` and in the JSON.
        const NEEDS: usize = 100;
        let extra = &self.bags.client_info.extra;
        let needs = extra.get("needs").and_then(Value::as_array).unwrap_or_default();
        let needs: Vec<_> = needs.iter().filter_map(Value::as_struct).collect();
        let chain = extra.get("chain").and_then(Value::as_str).and_then(chain);
        html! {
            @if !needs.is_empty() {
                h2 { "Needs" }
                ul.changes { @for need in needs.iter().take(NEEDS) { li { (self.need(need)) } } }
                @if needs.len() > NEEDS { p.quiet { "and " (needs.len() - NEEDS) " more" } }
            }
            @if let Some(chain) = chain {
                nav.pages { a href=(format!("{}chain/{}", self.root, segment(chain))) { "all builds of this chain" } }
            }
        }
    }

    fn need(&self, need: &Struct) -> Markup {
        let text = |key: &str| -> String {
            need.get(key).and_then(Value::as_str).unwrap_or_default().chars().take(200).collect()
        };
        let (name, package, revision, word) =
            (text("name"), text("package"), text("revision"), text("outcome"));
        let name = if name.is_empty() { &package } else { &name };
        let key = match need.get("result_key") {
            Some(Value::Int(key)) => Some(*key),
            Some(Value::String(key)) => key.parse::<i64>().ok(),
            _ => None,
        };
        let status = Status::of_word(&word);
        html! {
            span class=(format!("badge {}", status.word())) { @if word.is_empty() { (status.word()) } @else { (word) } }
            " "
            @match key.filter(|_| !package.is_empty()) {
                Some(key) => { a href=(format!("{}p/{}/{key}/", self.root, segment(&package))) { (name) } }
                None => { (name) }
            }
            @if !revision.is_empty() { " " code title=(revision) { (revision.chars().take(12).collect::<String>()) } }
            @if need.get("reused") == Some(&Value::Bool(true)) { " " span.quiet { "reused" } }
        }
    }

    fn machine(&self) -> Markup {
        let extra = &self.bags.client_info.extra;
        let facts: Vec<_> = extra.iter().filter(|(key, _)| is_of_the_machine(key)).collect();
        html! { @if !facts.is_empty() {
            h2 { "Machine" }
            details {
                summary { "what it was built on and with" }
                div { dl.facts { @for (key, value) in facts { dt { (key) } dd { (folded(value)) } } } }
            }
        } }
    }

    fn around(&self) -> Markup {
        let key = self.key();
        html! { nav.pages {
            @if let Some(previous) = self.previous { a rel="prev" href=(format!("../{previous}/")) { "← previous of this slot" } }
            @if let Some(next) = self.next { a rel="next" href=(format!("../{next}/")) { "next of this slot →" } }
            a href=(format!("../show_all?slot={}", self.summary.slot)) { "history of this slot" }
            a href=(format!("../{key}/inspect")) { "every key" }
        } }
    }

    fn steps(&self) -> Markup {
        let steps = &self.bags.results;
        let first = self.from_step.saturating_sub(1).min(steps.len());
        let shown = &steps[first..steps.len().min(first + STEPS)];
        let each = (OUTPUT / shown.len().max(1) / 2).clamp(*SHOWN.start(), *SHOWN.end());
        let page_from = |from: usize| format!("../{}/?step={from}", self.key());
        html! {
            h2 { "Steps" }
            @if steps.is_empty() { p.quiet { "This result has no steps." } }
            @if first > 0 { nav.pages { a href=(page_from(first.saturating_sub(STEPS) + 1)) { "earlier steps" } } }
            @for (index, step) in shown.iter().enumerate() { (self.step(first + index + 1, step, each)) }
            @if first + shown.len() < steps.len() {
                nav.pages { a href=(page_from(first + shown.len() + 1)) {
                    "steps " (first + shown.len() + 1) " to " (steps.len()) } }
            }
        }
    }

    fn step(&self, number: usize, step: &StepResult, each: usize) -> Markup {
        let raw = |stream: &str| format!("../{}/{stream}/{number}", self.key());
        html! {
            details id=(format!("step-{number}")) open[failed(step)] {
                summary { (status_line(&format!("{number}. {}", step_name(step, number)), step)) }
                div {
                    @if let Some(command) = &step.command { p.caption { "command" } pre { (clipped(command, each)) } }
                    @let version: Vec<_> = ["version_type", "version_info"].iter()
                        .filter_map(|key| step.extra.get(*key)?.as_str()).collect();
                    @if !version.is_empty() { p { span.quiet { "version " } (version.join(" ")) } }
                    (changes(&step.extra))
                    (stream("output", "output", step.shown_output(), each, &raw("output")))
                    (stream("error output", "errout", step.errout.as_deref().unwrap_or_default(), each, &raw("errout")))
                    @for (name, part) in parts(step) {
                        @let raw = |stream: &str| format!("{}?of={}", raw(stream), query(name));
                        details open[failed(&part)] {
                            summary { (status_line(name, &part)) }
                            div {
                                @if let Some(command) = &part.command { p.caption { "command" } pre { (clipped(command, each)) } }
                                (stream("output", "output", part.shown_output(), each, &raw("output")))
                                (stream("error output", "errout", part.errout.as_deref().unwrap_or_default(), each, &raw("errout")))
                            }
                        }
                    }
                    @let others: Vec<_> = plain(&step.extra).filter(|(key, _)| *key != "outcome").collect();
                    @if !others.is_empty() {
                        dl.facts { @for (key, value) in others { dt { (key) } dd { (value) } } }
                    }
                }
            }
        }
    }

    /// Every key of every bag.
    pub(super) fn inspect(&self) -> Markup {
        let StoredResult { receipt, client_info, results } = self.bags;
        // Half for what is counted too late: a value is cut where it stands, not where the page would be full.
        let mut room = OUTPUT * 2;
        let content = html! {
            h1 { (self.package) ": every key of result " (self.key()) }
            p.quiet { "As the client sent it. Long texts are cut here; the whole is in the "
                a href=(format!("../{}/?format=json", self.key())) { "JSON" } "." }
            h2 { "receipt" } (tree(&receipt.to_value(), &mut room))
            h2 { "client_info" } (tree(&client_info.to_value(), &mut room))
            @for (index, step) in results.iter().enumerate() {
                @if room > 0 { h2 { "results[" (index) "]" } (tree(&step.to_value(), &mut room)) }
            }
            @if room == 0 { p.notice { "There is more than a page can show; the JSON has all of it." } }
        };
        let mut trail = self.trail();
        trail.push(("every key".to_owned(), format!("../{}/inspect", self.key())));
        page(self.root, &format!("{} result {}: every key", self.package, self.key()), &trail, &content)
    }

    /// Asks before it changes something: what a link to `request_build` shows.
    pub(super) fn confirm_request(&self) -> Markup {
        let content = html! {
            h1 { "Request a build of " (self.package) "?" }
            p { "The next client that asks for this slot (" (self.summary.host) ", " (self.summary.arch) ") will be told to build." }
            form method="post" action=(format!("../{}/request_build", self.key())) { button { "Request a build" } }
        };
        page(self.root, &format!("Request a build of {}", self.package), &self.trail(), &content)
    }
}

/// What a step is called: its name, or its place.
fn step_name(step: &StepResult, number: usize) -> Cow<'_, str> {
    step.name.as_deref().map_or_else(|| Cow::Owned(format!("step {number}")), Cow::Borrowed)
}

/// The one-line verdict of a step.
fn status_line(name: &str, step: &StepResult) -> Markup {
    let class = match step.status {
        Some(0) => "badge passed",
        Some(_) if failed(step) => "badge failed",
        Some(_) | None => "badge unknown",
    };
    // What the status does not say: `timed-out`, `cancelled`.
    let outcome = step.extra.get("outcome").and_then(Value::as_str);
    let outcome = outcome.filter(|word| !matches!(*word, "passed" | "failed"));
    html! {
        span class=(class) { (step.status.map_or_else(|| "no status".to_owned(), exit_status)) }
        " " (name)
        @if let Some(outcome) = outcome { ", " (outcome) }
        @if step.status.is_some_and(|status| status != 0) && !failed(step) { ", allowed to fail" }
        @if let Some(kind) = &step.kind { " " span.quiet { "(" (kind) ")" } }
        @if let Some(duration) = step.duration.and_then(duration_from_seconds) { " " span.quiet { (took(duration)) } }
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
            @if clip.left_out > 0 { ", " (size(text.len())) ": " a href=(raw) { "the whole as text" } }
            @else { " (" a href=(raw) { "as text" } ")" }
        }
        // Scrolled to its end, where failures show: the style sheet turns the outer box around.
        div.scroll tabindex="0" { div {
            pre class=(class) { "\n" (drawn(clip.head)) }
            @if clip.left_out > 0 {
                p.caption { "… " (size(clip.left_out)) " left out: " a href=(raw) { "the whole as text" } " …" }
                pre class=(class) { "\n" (drawn(clip.tail)) }
            }
        } }
    }
}

fn clipped(text: &str, limit: usize) -> Markup {
    let clip = clip(text, limit);
    html! { "\n" (drawn(clip.head)) @if clip.left_out > 0 { "\n… " (size(clip.left_out)) " left out …\n" (drawn(clip.tail)) } }
}

/// The commands inside a step: a checkout has one nested struct for each that it ran.
pub(super) fn parts(step: &StepResult) -> impl Iterator<Item = (&str, StepResult)> {
    step.extra.iter().filter_map(|(name, value)| {
        let members = value.as_struct()?;
        let is_command =
            ["status", "output", "out", "errout", "command"].iter().any(|key| members.contains_key(*key));
        let part = is_command.then(|| StepResult::from_value(value.clone()).ok()).flatten()?;
        Some((name.as_str(), part))
    })
}

/// The output that an address such as `output/2?of=clone` names.
pub(super) fn raw_stream(
    bags: &StoredResult,
    number: usize,
    part: Option<&str>,
    errout: bool,
) -> Option<String> {
    let step = bags.results.get(number.checked_sub(1)?)?;
    let of = |step: &StepResult| {
        if errout { step.errout.clone().unwrap_or_default() } else { step.shown_output().to_owned() }
    };
    match part {
        None => Some(of(step)),
        Some(name) => parts(step).find(|(part, _)| *part == name).map(|(_, part)| of(&part)),
    }
}

/// The other keys of a bag that fit on a line.
fn plain(extra: &Struct) -> impl Iterator<Item = (&str, String)> {
    extra.iter().filter(|(key, _)| !SHOWN_APART.contains(&key.as_str())).filter_map(|(key, value)| {
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

fn is_of_the_machine(key: &str) -> bool {
    OF_THE_MACHINE.contains(&key) || key.starts_with("tool ")
}

/// A fact that may be long: of lists each entry on its line.
fn folded(value: &Value) -> Markup {
    const LINES: usize = 500;
    match value {
        Value::Array(items) if items.iter().all(|item| item.as_str().is_some()) => html! {
            @for item in items.iter().filter_map(Value::as_str).take(LINES) { div { (item) } }
            @if items.len() > LINES { div.quiet { "and " (items.len() - LINES) " more" } }
        },
        Value::String(text) => html! { (text.chars().take(2_000).collect::<String>()) },
        // Of another client's making.
        other => tree(other, &mut (64 * 1024)),
    }
}

/// What came since the last run, and since the last success: `changes` and `changes_since_success`, arrays of structs
/// with `id`, `author`, `date` and `subject`; `changed_files` and `changed_files_since_success`, arrays of paths.
fn changes(extra: &Struct) -> Markup {
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
    /// More than that nobody reads; all are in `inspect` and in the JSON.
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

/// A value with everything in it, as long as there is room.
fn tree(value: &Value, room: &mut usize) -> Markup {
    const TEXT: usize = 4_000;
    *room = room.saturating_sub(100);
    if *room == 0 {
        return html! { "…" };
    }
    match value {
        Value::Struct(members) if !members.is_empty() => html! {
            dl.facts { @for (key, member) in members { @if *room > 0 {
                dt { (clipped(key, TEXT)) } dd { (tree(member, room)) }
            } } }
        },
        Value::Array(items) if !items.is_empty() => html! {
            dl.facts { @for (index, item) in items.iter().enumerate() { @if *room > 0 {
                dt { (index) } dd { (tree(item, room)) }
            } } }
        },
        Value::String(text) => {
            *room = room.saturating_sub(text.len().min(TEXT));
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
        Value::Base64(bytes) => html! { span.quiet { (size(bytes.len())) " of binary data" } },
        Value::Array(_) | Value::Struct(_) => html! { span.quiet { "empty" } },
    }
}
