//! Answers for people. Pure.

use std::fmt::Write as _;

use jiff::{Timestamp, Unit};
use pony_wire::{
    Slot,
    text::{self, Colours},
};
use serde_json::Value as Json;

use super::table::{Canvas, Cell, Table};
use crate::{
    server::reported::{FullResult, PackageSummary, Status, Step, Summary},
    words,
};

/// Lines of a failing step that are shown.
const TAIL: usize = 20;
/// No line of them is longer.
const LONGEST_LINE: usize = 300;

/// How long ago something was.
pub(crate) fn ago(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map_or_else(|| "?".to_owned(), |then| words::ago(then, now))
}

fn tags(tags: &[String]) -> String {
    tags.join(", ")
}

/// A slot as one line: `builder1 (linux-x86_64) [fast, unit]`.
pub(crate) fn slot(slot: &Slot) -> String {
    let arch = if slot.arch.is_empty() { String::new() } else { format!(" ({})", slot.arch) };
    let tags = if slot.tags.is_empty() { String::new() } else { format!(" [{}]", tags(&slot.tags)) };
    words::plain(&format!("{}{arch}{tags}", slot.host))
}

/// Why a server advises to build or not: reasons of pony-build's servers in plain words, others as they are.
pub(crate) fn advice(reason: &str) -> String {
    let text = match reason {
        "build up to date" => "up to date",
        "build requested" => "requested",
        "may be in build now" => "may be building now",
        "last build was unsuccessful; go!" => "the last build failed",
        _ if reason.starts_with("no build recorded for ") => "the server has no result of this slot",
        other => {
            let age = other.strip_suffix("; do build!").and_then(|text| text.strip_prefix("last build was "));
            return age.map_or_else(|| other.to_owned(), |age| format!("the last build was {age}"));
        }
    };
    text.to_owned()
}

pub(crate) fn packages(packages: &[PackageSummary], now: Timestamp, canvas: Canvas) -> String {
    let mut table = Table::new(&["", "PACKAGE", "SLOTS", "LAST"]);
    for package in packages {
        let slots = match package.slots {
            None => String::new(),
            Some((slots, 0)) => slots.to_string(),
            Some((slots, failing)) => format!("{slots}, {failing} failing"),
        };
        let latest = package.latest.map(|latest| ago(Some(latest), now)).unwrap_or_default();
        let status = package.status.map_or_else(|| Cell::plain(""), Cell::status);
        table.row([status, Cell::plain(&package.name), Cell::plain(slots), Cell::plain(latest)]);
    }
    table.draw(canvas)
}

pub(crate) fn slots(slots: &[Slot], canvas: Canvas) -> String {
    let mut table = Table::new(&["HOST", "ARCH", "TAGS"]);
    for slot in slots {
        table.row([Cell::plain(&slot.host), Cell::plain(&slot.arch), Cell::plain(tags(&slot.tags))]);
    }
    table.draw(canvas)
}

pub(crate) fn results(results: &[Summary], now: Timestamp, canvas: Canvas) -> String {
    let mut table = Table::new(&["", "WHEN", "HOST", "ARCH", "TAGS", "FAILED AT", "KEY"]);
    for row in results {
        table.row([
            Cell::status(row.status),
            Cell::plain(ago(row.received, now)),
            Cell::plain(&row.slot.host),
            Cell::dim(&row.slot.arch),
            Cell::plain(tags(&row.slot.tags)),
            Cell::plain(row.failed_step.as_deref().unwrap_or_default()),
            Cell::plain(row.key.as_deref().unwrap_or_default()),
        ]);
    }
    table.draw(canvas)
}

/// A whole result: its head, its steps, and the last lines of the one that failed.
pub(crate) fn full(full: &FullResult, now: Timestamp, canvas: Canvas) -> String {
    let FullResult { summary: row, steps, client_info } = full;
    let member = |key: &str| client_info.get(key).and_then(Json::as_str).unwrap_or_default();
    let mut head = Table::new(&["", ""]);
    let mut line = |name: &str, value: Cell| head.row([Cell::dim(name), value]);
    line("result", Cell::status(row.status));
    line("package", Cell::plain(&row.slot.package));
    line("built on", Cell::plain(slot(&Slot { package: String::new(), ..row.slot.clone() })));
    if let Some(received) = row.received {
        let exact = received.round(Unit::Second).unwrap_or(received).strftime("%Y-%m-%d %H:%M:%S UTC");
        line("received", Cell::plain(format!("{exact} ({})", ago(Some(received), now))));
    }
    let took = row.duration.map(words::duration).unwrap_or_default();
    for (name, value) in [
        ("took", took.as_str()),
        ("revision", member("revision")),
        ("reason", member("reason")),
        ("run", member("run_id")),
    ] {
        line(name, Cell::plain(value));
    }
    line("page", Cell::plain(row.page.as_deref().unwrap_or_default()));
    // Without lines that have no value.
    let mut out = head
        .draw(Canvas { width: None, ..canvas })
        .lines()
        .filter(|line| console::strip_ansi_codes(line).split_whitespace().count() > 1)
        .fold(String::new(), |text, line| text + line + "\n");
    let mut table = Table::new(&["", "STEP", "TOOK", "STATUS", "COMMAND"]);
    for step in steps {
        let status = match (step.failed, step.allowed_to_fail) {
            (false, _) => Status::Passed,
            (true, true) => Status::Unknown,
            (true, false) => Status::Failed,
        };
        let code =
            step.status.filter(|status| *status != 0).map(|status| status.to_string()).unwrap_or_default();
        table.row([
            if step.failed && step.allowed_to_fail { Cell::plain("allowed") } else { Cell::status(status) },
            Cell::plain(&step.name),
            Cell::plain(step.duration.map(words::duration).unwrap_or_default()),
            Cell::plain(code),
            Cell::plain(words::one_line(&step.command, 100)),
        ]);
    }
    out.push('\n');
    out.push_str(&table.draw(canvas));
    if let Some(step) = full.culprit() {
        let tail = tail(step, TAIL);
        if !tail.is_empty() {
            let _ = writeln!(out, "\nlast lines of {}:", words::plain(&step.name));
            for line in tail {
                let _ = writeln!(out, "  {line}");
            }
        }
    }
    out
}

/// The last lines that a step printed on stderr, filled up with those on stdout; without control characters.
pub(crate) fn tail(step: &Step, most: usize) -> Vec<String> {
    let lines = |text: &str| -> Vec<String> {
        // pony-serve is sent colours with a symbol in the place of ESC.
        let text = text::clean(text.replace("␛[", "\x1b[").as_bytes(), Colours::Strip);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(most));
        last.map(|line| words::plain(line).chars().take(LONGEST_LINE).collect()).collect()
    };
    let (err, out) = (lines(&step.errout), lines(&step.output));
    let skipped = out.len().saturating_sub(most.saturating_sub(err.len()));
    out.into_iter().skip(skipped).chain(err).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn failed() -> FullResult {
        let slot = Slot {
            package: "p".into(),
            host: "builder1".into(),
            arch: "linux-x86_64".into(),
            tags: vec!["fast".into()],
        };
        let step = |name: &str, status, errout: &str| Step {
            name: name.into(),
            command: "make\nmore".into(),
            status: Some(status),
            failed: status != 0,
            duration: Some(1.5),
            output: "one\n\x1b[31mtwo\x1b[0m\n\nthree\n".into(),
            errout: errout.into(),
            ..Step::default()
        };
        FullResult {
            summary: Summary {
                key: Some("7".into()),
                slot,
                status: Status::Failed,
                failed_step: Some("test".into()),
                received: Some(at(0)),
                duration: Some(61.0),
                page: Some("http://x/p/p/7/".into()),
            },
            steps: vec![step("make", 0, ""), step("test", 2, "error: ␛[1mno␛[0m\n")],
            client_info: json!({"revision": "abc"}).as_object().cloned().unwrap_or_default(),
        }
    }

    #[test]
    fn times_are_relative_up_to_two_weeks() {
        for (seconds, expected) in [
            (0, "just now"),
            (-30, "just now"),
            (300, "5 min ago"),
            (7_300, "2 h ago"),
            (3 * 86_400, "3 days ago"),
            (40 * 86_400, "2027-01-15"),
            (-7_200, "2027-01-15"),
        ] {
            assert_eq!(ago(Some(at(0)), at(seconds)), expected);
        }
        assert_eq!(ago(None, at(0)), "?");
    }

    #[test]
    fn a_result_is_shown_with_its_steps_and_the_last_lines_of_the_failing_one() {
        let text = full(&failed(), at(600), Canvas::default());
        let expected = "\
result    failed
package   p
built on  builder1 (linux-x86_64) [fast]
received  2027-01-15 08:00:00 UTC (10 min ago)
took      1 min 01 s
revision  abc
page      http://x/p/p/7/

        STEP  TOOK   STATUS  COMMAND
passed  make  1.5 s          make …
failed  test  1.5 s  2       make …

last lines of test:
  one
  two
  three
  error: no
";
        assert_eq!(text, expected);
    }

    #[test]
    fn advice_of_old_servers_is_put_plainly() {
        for (reason, expected) in [
            ("build up to date", "up to date"),
            (
                "no build recorded for frozenset(['__arch=a']); build!",
                "the server has no result of this slot",
            ),
            ("last build was 1 day, 2:03:04 ago; do build!", "the last build was 1 day, 2:03:04 ago"),
            ("last build was unsuccessful; go!", "the last build failed"),
            ("We always build, now!", "We always build, now!"),
        ] {
            assert_eq!(advice(reason), expected);
        }
    }

    #[test]
    fn a_tail_prefers_stderr() {
        let step = &failed().steps[1];
        assert_eq!(tail(step, 2), ["three", "error: no"]);
        assert_eq!(tail(step, 0), Vec::<String>::new());
        let long = Step { output: "x".repeat(5000), ..Step::default() };
        assert_eq!(tail(&long, 5)[0].len(), LONGEST_LINE);
    }
}
