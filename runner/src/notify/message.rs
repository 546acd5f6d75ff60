//! What people are told, in words and for programs. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::{Kind, State};
use crate::{
    delivery::receipt::EMBEDDED,
    query::{Full, Row, say},
    words,
};

/// Commits that are told of.
const COMMITS: usize = 20;
/// Lines of the step that failed.
const LINES: usize = 40;

/// A message to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// The same for programs; `text` is what chats show.
    pub json: Json,
}

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// What there is to tell.
    pub kind: Kind,
    /// The last result.
    pub row: &'a Row,
    /// All of it, where the server gives it.
    pub full: Option<&'a Full>,
    /// The server's name.
    pub server: &'a str,
    /// What was told before.
    pub before: Option<&'a State>,
}

impl Message {
    /// The words for it.
    pub fn new(about: About<'_>, now: Timestamp) -> Self {
        let subject = format!("[pony] {}", headline(about));
        let body = body(about, now);
        let text =
            about.row.page.as_ref().map_or_else(|| subject.clone(), |page| format!("{subject}\n{page}"));
        let mut json = say::row_json(about.row);
        json["text"] = text.into();
        json["kind"] = json!(about.kind);
        json["server"] = about.server.into();
        json["since"] =
            json!(about.before.filter(|_| about.kind == Kind::StillRed).map(|before| before.since));
        json["changes"] = changes(about.full).into();
        json["tail"] = tail(about.full).join("\n").into();
        Self { subject, body, json }
    }
}

fn headline(about: About<'_>) -> String {
    let About { kind, row, .. } = about;
    let package = words::plain(&row.slot.package);
    let place = say::slot(&row.slot);
    match (kind, &row.failed_step) {
        (Kind::TurnedGreen, _) => format!("{package} is green again on {place}"),
        (_, Some(step)) => {
            let still = if kind == Kind::StillRed { "still " } else { "" };
            format!("{package} is {still}red: {} failed on {place}", words::plain(step))
        }
        (Kind::StillRed, None) => format!("{package} is still red on {place}"),
        (Kind::TurnedRed, None) => format!("{package} is red on {place}"),
    }
}

fn body(about: About<'_>, now: Timestamp) -> String {
    let About { kind, row, full, server, before } = about;
    let mut text = format!("{}\n\n", headline(about));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<10}{}", words::plain(value));
        }
    };
    let said = |key: &str| full.and_then(|full| full.client_info.get(key)?.as_str()).unwrap_or_default();
    let place = if server == EMBEDDED { "the machine that sends this" } else { server };
    let exact = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    line("page", row.page.as_deref().unwrap_or_default());
    line("result", &row.key.as_ref().map_or_else(|| place.to_owned(), |key| format!("{key} on {place}")));
    if let Some(received) = row.received {
        line("received", &format!("{} ({})", exact(received), say::ago(Some(received), now)));
    }
    if let Some(before) = before.filter(|_| kind != Kind::TurnedRed) {
        let name = if kind == Kind::StillRed { "red since" } else { "was red" };
        let since = if kind == Kind::StillRed {
            exact(before.since)
        } else {
            format!("since {}", exact(before.since))
        };
        line(name, &since);
    }
    line("revision", said("revision"));
    line("reason", said("reason"));
    let (changes, more) = (changes(full), more_changes(full));
    if !changes.is_empty() {
        text.push_str("\nCommits since the last build there:\n");
        for change in changes {
            let words = |key: &str| words::plain(change[key].as_str().unwrap_or_default());
            let _ = writeln!(
                text,
                "  {}  {}  {}",
                words("id").chars().take(12).collect::<String>(),
                words("author"),
                words("subject")
            );
        }
        if more {
            text.push_str("  and more\n");
        }
    }
    let tail = tail(full);
    if let (Some(step), false) = (row.failed_step.as_ref(), tail.is_empty()) {
        let _ = writeln!(text, "\nLast lines of {}:\n", words::plain(step));
        for line in tail {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn changes(full: Option<&Full>) -> Vec<Json> {
    let changes = full.and_then(|full| full.client_info.get("changes")?.as_array());
    changes.into_iter().flatten().filter(|change| change.is_object()).take(COMMITS).cloned().collect()
}

fn more_changes(full: Option<&Full>) -> bool {
    full.and_then(|full| full.client_info.get("changes")?.as_array()).is_some_and(|all| all.len() > COMMITS)
}

fn tail(full: Option<&Full>) -> Vec<String> {
    full.and_then(Full::culprit).map(|step| say::tail(step, LINES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pony_wire::Slot;

    use super::*;
    use crate::{
        notify::Light,
        query::{Status, Step},
    };

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn failed() -> Full {
        let slot = Slot {
            package: "demo".into(),
            host: "builder1".into(),
            arch: "linux-x86_64".into(),
            tags: vec!["fast".into(), "unit".into()],
        };
        let client_info = json!({
            "revision": "0123456789abcdef",
            "changes": [{"id": "0123456789abcdef", "author": "Ann", "date": "", "subject": "Add\u{7} one"}, "odd"],
        });
        Full {
            row: Row {
                key: Some("41".into()),
                slot,
                status: Status::Failed,
                failed_step: Some("test".into()),
                received: Some(at(0)),
                duration: None,
                page: Some("http://pb/p/demo/41/".into()),
            },
            steps: vec![Step {
                name: "test".into(),
                failed: true,
                errout: "no\x1b[2J\n".into(),
                ..Step::default()
            }],
            client_info: client_info.as_object().cloned().unwrap(),
        }
    }

    fn told(kind: Kind, full: Option<&Full>, before: Option<&State>) -> Message {
        let whole = failed();
        Message::new(About { kind, row: &whole.row, full, server: "http://pb/", before }, at(1))
    }

    #[test]
    fn a_failure_is_told_with_what_led_to_it() {
        let message = told(Kind::TurnedRed, Some(&failed()), None);
        assert_eq!(
            message.subject,
            "[pony] demo is red: test failed on builder1 (linux-x86_64) [fast, unit]"
        );
        let expected = "\
demo is red: test failed on builder1 (linux-x86_64) [fast, unit]

page      http://pb/p/demo/41/
result    41 on http://pb/
received  2027-01-15 08:00 UTC (1 h ago)
revision  0123456789abcdef

Commits since the last build there:
  0123456789ab  Ann  Add  one

Last lines of test:

  no
";
        assert_eq!(message.body, expected);
        assert_eq!(
            message.json["text"],
            "[pony] demo is red: test failed on builder1 (linux-x86_64) [fast, unit]\nhttp://pb/p/demo/41/"
        );
        assert_eq!((&message.json["kind"], &message.json["tail"]), (&json!("turned-red"), &json!("no")));
    }

    #[test]
    fn what_stays_and_what_turns_is_told_with_since_when() {
        let before = State { light: Light::Red, since: at(-48), told: None };
        let message = told(Kind::StillRed, None, Some(&before));
        assert!(message.subject.contains("is still red: test failed on"), "{}", message.subject);
        assert!(message.body.contains("red since 2027-01-13 08:00 UTC\n"), "{}", message.body);
        let message = told(Kind::TurnedGreen, None, Some(&before));
        assert_eq!(message.subject, "[pony] demo is green again on builder1 (linux-x86_64) [fast, unit]");
        assert!(message.body.contains("was red   since 2027-01-13 08:00 UTC\n"), "{}", message.body);
    }
}
