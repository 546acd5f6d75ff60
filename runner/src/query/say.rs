//! Answers in words and as JSON. Pure.

use std::fmt::Write as _;

use jiff::{Timestamp, Unit};
use pony_wire::{
    Slot,
    text::{self, Colours},
};
use serde_json::{Value as Json, json};

use super::{
    Full, Package, Row,
    table::{Canvas, Cell, Table},
};
use crate::words;

/// Lines of a failing step that are shown.
pub const TAIL: usize = 20;
/// No line of them is longer.
const LONGEST_LINE: usize = 300;

/// How long ago something was: `5 m ago`; what is older than two weeks, or lies ahead, by its date.
pub fn ago(then: Option<Timestamp>, now: Timestamp) -> String {
    let Some(then) = then else { return "?".to_owned() };
    let seconds = now.duration_since(then).as_secs();
    match seconds {
        -60..60 => "just now".to_owned(),
        60..3_600 => format!("{} m ago", seconds / 60),
        3_600..172_800 => format!("{} h ago", seconds / 3_600),
        172_800..1_209_600 => format!("{} d ago", seconds / 86_400),
        _ => then.strftime("%Y-%m-%d").to_string(),
    }
}

fn tags(tags: &[String]) -> String {
    tags.join(", ")
}

/// A slot as one line: `builder1 (linux-x86_64) [fast, unit]`.
pub fn slot(slot: &Slot) -> String {
    let arch = if slot.arch.is_empty() { String::new() } else { format!(" ({})", slot.arch) };
    let tags = if slot.tags.is_empty() { String::new() } else { format!(" [{}]", tags(&slot.tags)) };
    words::plain(&format!("{}{arch}{tags}", slot.host))
}

/// A table of packages.
pub fn packages(packages: &[Package], now: Timestamp, canvas: Canvas) -> String {
    let mut table = Table::new(&["", "PACKAGE", "TAGSETS", "LAST"]);
    for package in packages {
        let slots = match package.slots {
            None => String::new(),
            Some((slots, 0)) => slots.to_string(),
            Some((slots, failing)) => format!("{slots}, {failing} red"),
        };
        let latest = package.latest.map(|latest| ago(Some(latest), now)).unwrap_or_default();
        let status = package.status.map_or_else(|| Cell::plain(""), Cell::status);
        table.row([status, Cell::plain(&package.name), Cell::plain(slots), Cell::plain(latest)]);
    }
    table.draw(canvas)
}

/// The same as JSON.
pub fn packages_json(packages: &[Package]) -> Json {
    let package = |package: &Package| {
        json!({
            "package": package.name,
            "status": package.status.map(super::Status::word),
            "verdict": package.status.map(|status| status.verdict().word()),
            "slots": package.slots.map(|(slots, _)| slots),
            "failing": package.slots.map(|(_, failing)| failing),
            "latest": package.latest,
        })
    };
    packages.iter().map(package).collect()
}

/// A table of slots.
pub fn tagsets(slots: &[Slot], canvas: Canvas) -> String {
    let mut table = Table::new(&["HOST", "ARCH", "TAGS"]);
    for slot in slots {
        table.row([Cell::plain(&slot.host), Cell::plain(&slot.arch), Cell::plain(tags(&slot.tags))]);
    }
    table.draw(canvas)
}

/// The same as JSON.
pub fn tagsets_json(slots: &[Slot]) -> Json {
    let slot = |slot: &Slot| json!({"host": slot.host, "arch": slot.arch, "tags": slot.tags, "tagset": slot.tagset()});
    slots.iter().map(slot).collect()
}

/// A table of results.
pub fn rows(rows: &[Row], now: Timestamp, canvas: Canvas) -> String {
    let mut table = Table::new(&["", "WHEN", "HOST", "ARCH", "TAGS", "FAILED AT", "KEY"]);
    for row in rows {
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

/// A result as JSON, without its steps.
pub fn row_json(row: &Row) -> Json {
    json!({
        "key": row.key,
        "package": row.slot.package,
        "host": row.slot.host,
        "arch": row.slot.arch,
        "tags": row.slot.tags,
        "status": row.status.word(),
        "verdict": row.status.verdict().word(),
        "failed_step": row.failed_step,
        "received": row.received,
        "duration": row.duration,
        "page": row.page,
    })
}

/// A whole result: what it is of, its steps, and what the step that failed printed last.
pub fn full(full: &Full, now: Timestamp, canvas: Canvas) -> String {
    let Full { row, steps, client_info } = full;
    let said = |key: &str| client_info.get(key).and_then(Json::as_str).unwrap_or_default();
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
        ("revision", said("revision")),
        ("reason", said("reason")),
        ("run", said("run_id")),
    ] {
        line(name, Cell::plain(value));
    }
    line("page", Cell::plain(row.page.as_deref().unwrap_or_default()));
    // Lines with nothing to say are left out.
    let mut out = head
        .draw(Canvas { width: None, ..canvas })
        .lines()
        .filter(|line| console::strip_ansi_codes(line).split_whitespace().count() > 1)
        .fold(String::new(), |text, line| text + line + "\n");
    let mut table = Table::new(&["", "STEP", "TOOK", "STATUS", "COMMAND"]);
    for step in steps {
        let status = match (step.failed, step.allowed) {
            (false, _) => super::Status::Passed,
            (true, true) => super::Status::Unknown,
            (true, false) => super::Status::Failed,
        };
        let code =
            step.status.filter(|status| *status != 0).map(|status| status.to_string()).unwrap_or_default();
        table.row([
            if step.failed && step.allowed { Cell::plain("allowed") } else { Cell::status(status) },
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

/// The same as JSON.
pub fn full_json(full: &Full) -> Json {
    let step = |step: &super::Step| {
        json!({
            "name": step.name, "type": step.kind, "command": step.command, "status": step.status, "failed": step.failed,
            "allowed_to_fail": step.allowed, "duration": step.duration, "output": step.output, "errout": step.errout,
        })
    };
    let mut json = row_json(&full.row);
    json["steps"] = full.steps.iter().map(step).collect();
    json["client_info"] = Json::Object(full.client_info.clone());
    json
}

/// The last lines of what a step printed on stderr, or, where that is next to nothing, on stdout; without control characters.
pub fn tail(step: &super::Step, most: usize) -> Vec<String> {
    let lines = |text: &str| -> Vec<String> {
        // pony-serve is sent colours with a symbol in the place of ESC.
        let text = text::clean(text.replace("␛[", "\x1b[").as_bytes(), Colours::Strip);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(most));
        last.map(|line| words::plain(line).chars().take(LONGEST_LINE).collect()).collect()
    };
    let (err, out) = (lines(&step.errout), lines(&step.output));
    let room = most.saturating_sub(err.len());
    let skipped = out.len().saturating_sub(room);
    out.into_iter().skip(skipped).chain(err).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Status, Step};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn failed() -> Full {
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
        Full {
            row: Row {
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
    fn times_are_said_as_people_say_them() {
        for (seconds, said) in [
            (0, "just now"),
            (-30, "just now"),
            (300, "5 m ago"),
            (7_300, "2 h ago"),
            (3 * 86_400, "3 d ago"),
            (40 * 86_400, "2027-01-15"),
            (-7_200, "2027-01-15"),
        ] {
            assert_eq!(ago(Some(at(0)), at(seconds)), said);
        }
        assert_eq!(ago(None, at(0)), "?");
    }

    #[test]
    fn a_result_is_told_with_its_steps_and_the_end_of_what_failed() {
        let told = full(&failed(), at(600), Canvas::default());
        let expected = "\
result    red
package   p
built on  builder1 (linux-x86_64) [fast]
received  2027-01-15 08:00:00 UTC (10 m ago)
took      1 m 01 s
revision  abc
page      http://x/p/p/7/

       STEP  TOOK   STATUS  COMMAND
green  make  1.5 s          make …
red    test  1.5 s  2       make …

last lines of test:
  one
  two
  three
  error: no
";
        assert_eq!(told, expected);
    }

    #[test]
    fn a_tail_prefers_what_stands_on_stderr() {
        let step = &failed().steps[1];
        assert_eq!(tail(step, 2), ["three", "error: no"]);
        assert_eq!(tail(step, 0), Vec::<String>::new());
        let long = Step { output: "x".repeat(5000), ..Step::default() };
        assert_eq!(tail(&long, 5)[0].len(), LONGEST_LINE);
    }
}
