//! A message: its subject and body for people, the same as JSON for programs. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value as Json, json as value};

use super::{News, SlotState};
use crate::{
    query::{json, text},
    server::{
        EMBEDDED,
        reported::{FullResult, Summary},
    },
    words,
};

/// Commits that are listed.
const COMMITS: usize = 20;
/// Last lines of the step that failed.
const LINES: usize = 40;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// One line.
    pub(crate) subject: String,
    /// Plain text.
    pub(crate) body: String,
    /// `text` is what chats show.
    pub(crate) json: Json,
}

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) news: News,
    /// The last result.
    pub(crate) result: &'a Summary,
    /// All of it, where the server gives it.
    pub(crate) full: Option<&'a FullResult>,
    /// The server's name.
    pub(crate) server: &'a str,
    pub(crate) before: Option<&'a SlotState>,
}

impl Message {
    pub(crate) fn new(about: About<'_>, now: Timestamp) -> Self {
        let subject = format!("[pony] {}", headline(about));
        let body = body(about, now);
        let text =
            about.result.page.as_ref().map_or_else(|| subject.clone(), |page| format!("{subject}\n{page}"));
        let mut json = json::summary(about.result);
        json["text"] = text.into();
        json["kind"] = value!(about.news);
        json["server"] = about.server.into();
        json["since"] =
            value!(about.before.filter(|_| about.news == News::StillFailing).map(|before| before.since));
        json["changes"] = changes(about.full).into();
        json["tail"] = tail(about.full).join("\n").into();
        Self { subject, body, json }
    }
}

fn headline(about: About<'_>) -> String {
    let About { news, result, .. } = about;
    let package = words::plain(&result.slot.package);
    let slot = text::slot(&result.slot);
    let fails = match news {
        News::PassingAgain => return format!("{package} passes again on {slot}"),
        News::Failing => "fails",
        News::StillFailing => "still fails",
    };
    let step = result.failed_step.as_ref().map(|step| format!(" at {}", words::plain(step)));
    format!("{package} {fails}{} on {slot}", step.unwrap_or_default())
}

fn body(about: About<'_>, now: Timestamp) -> String {
    let About { news, result, full, server, before } = about;
    let mut text = format!("{}\n\n", headline(about));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<10}{}", words::plain(value));
        }
    };
    let member = |key: &str| full.and_then(|full| full.client_info.get(key)?.as_str()).unwrap_or_default();
    let place = if server == EMBEDDED { "the machine that sent this message" } else { server };
    let exact = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    line("page", result.page.as_deref().unwrap_or_default());
    line("result", &result.key.as_ref().map_or_else(|| place.to_owned(), |key| format!("{key} on {place}")));
    if let Some(received) = result.received {
        line("received", &format!("{} ({})", exact(received), text::ago(Some(received), now)));
    }
    match (news, before) {
        (News::StillFailing, Some(before)) => line("failing", &format!("since {}", exact(before.since))),
        (News::PassingAgain, Some(before)) => line("failed", &format!("since {}", exact(before.since))),
        _ => {}
    }
    line("revision", member("revision"));
    line("reason", member("reason"));
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
    if let (Some(step), false) = (result.failed_step.as_ref(), tail.is_empty()) {
        let _ = writeln!(text, "\nLast lines of {}:\n", words::plain(step));
        for line in tail {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn changes(full: Option<&FullResult>) -> Vec<Json> {
    let changes = full.and_then(|full| full.client_info.get("changes")?.as_array());
    changes.into_iter().flatten().filter(|change| change.is_object()).take(COMMITS).cloned().collect()
}

fn more_changes(full: Option<&FullResult>) -> bool {
    full.and_then(|full| full.client_info.get("changes")?.as_array()).is_some_and(|all| all.len() > COMMITS)
}

fn tail(full: Option<&FullResult>) -> Vec<String> {
    full.and_then(FullResult::culprit).map(|step| text::tail(step, LINES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pony_wire::Slot;

    use super::*;
    use crate::{
        notify::Light,
        server::reported::{Status, Step},
    };

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn failed() -> FullResult {
        let slot = Slot {
            package: "demo".into(),
            host: "builder1".into(),
            arch: "linux-x86_64".into(),
            tags: vec!["fast".into(), "unit".into()],
        };
        let client_info = value!({
            "revision": "0123456789abcdef",
            "changes": [{"id": "0123456789abcdef", "author": "Ann", "date": "", "subject": "Add\u{7} one"}, "odd"],
        });
        FullResult {
            summary: Summary {
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

    fn compose(news: News, full: Option<&FullResult>, before: Option<&SlotState>) -> Message {
        let result = &failed().summary;
        Message::new(About { news, result, full, server: "http://pb/", before }, at(1))
    }

    #[test]
    fn a_failure_comes_with_its_commits_and_last_lines() {
        let message = compose(News::Failing, Some(&failed()), None);
        assert_eq!(message.subject, "[pony] demo fails at test on builder1 (linux-x86_64) [fast, unit]");
        let expected = "\
demo fails at test on builder1 (linux-x86_64) [fast, unit]

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
            "[pony] demo fails at test on builder1 (linux-x86_64) [fast, unit]\nhttp://pb/p/demo/41/"
        );
        assert_eq!((&message.json["kind"], &message.json["tail"]), (&value!("turned-red"), &value!("no")));
    }

    #[test]
    fn later_messages_say_since_when() {
        let before = SlotState { light: Light::Failing, since: at(-48), notified: None };
        let message = compose(News::StillFailing, None, Some(&before));
        assert!(message.subject.contains("demo still fails at test on"), "{}", message.subject);
        assert!(message.body.contains("failing   since 2027-01-13 08:00 UTC\n"), "{}", message.body);
        let message = compose(News::PassingAgain, None, Some(&before));
        assert_eq!(message.subject, "[pony] demo passes again on builder1 (linux-x86_64) [fast, unit]");
        assert!(message.body.contains("failed    since 2027-01-13 08:00 UTC\n"), "{}", message.body);
    }
}
