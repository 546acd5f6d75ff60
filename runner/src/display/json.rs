//! `--message-format json`: one JSON object an event on stdout. The format is in `docs/src/reference/events.md`.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::output::write;
use crate::record::{
    event::{Event, Stream},
    follow::{Item, Output},
};

/// Prints events for a program to read.
#[derive(Debug, Default)]
pub struct Json {
    /// Of the streams of each build that prints the beginning of a character whose rest has not come yet.
    carried: HashMap<String, [Vec<u8>; 2]>,
}

impl Json {
    pub(super) fn on(&mut self, build: Option<&str>, item: &Item<'_>) {
        for line in self.lines(build, item) {
            print(&line);
        }
    }

    /// One or more, or none as long as there is no whole character.
    fn lines(&mut self, build: Option<&str>, item: &Item<'_>) -> Vec<Value> {
        let name = build.unwrap_or_default();
        let mut lines = Vec::new();
        match item {
            Item::Output(Output { step, stream, time, elapsed, bytes, .. }) => {
                let text = self.decode(name, *stream, bytes);
                if !text.is_empty() {
                    lines.push(output(*time, *elapsed, *step, *stream, &text));
                }
            }
            Item::Event(stamped) => {
                if let Event::StepEnded { step, .. } | Event::CommandEnded { step, .. } = &stamped.event {
                    let carried = self.carried.remove(name).unwrap_or_default();
                    for (stream, rest) in [Stream::Out, Stream::Err].into_iter().zip(carried) {
                        if !rest.is_empty() {
                            let text = String::from_utf8_lossy(&rest);
                            lines.push(output(stamped.time, stamped.elapsed, *step, stream, &text));
                        }
                    }
                }
                lines.extend(serde_json::to_value(stamped));
            }
            // Whoever reads these is told everything.
            Item::Gap(_) => {}
        }
        if let Some(build) = build {
            for line in &mut lines {
                line["build"] = build.into();
            }
        }
        lines
    }

    /// Bytes as text; a character that is cut by the end of the chunk waits for the next.
    fn decode(&mut self, build: &str, stream: Stream, bytes: &[u8]) -> String {
        if !self.carried.contains_key(build) {
            self.carried.insert(build.to_owned(), Default::default());
        }
        let Some(carried) = self.carried.get_mut(build) else { return String::new() };
        let carried = &mut carried[stream.index()];
        carried.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(carried) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            // A wrong byte before a cut character: look only at the end.
            Err(_) => carried.len() - cut_at_end(carried),
            Ok(_) => carried.len(),
        };
        let rest = carried.split_off(whole);
        let text = String::from_utf8_lossy(carried).into_owned();
        *carried = rest;
        text
    }
}

fn output(time: Timestamp, elapsed: f64, step: usize, stream: Stream, text: &str) -> Value {
    let elapsed = (elapsed * 1e6).round() / 1e6;
    json!({
        "time": time, "elapsed": elapsed, "event": "output", "step": step, "stream": stream, "text": text,
    })
}

/// How many bytes at the end of `bytes` are the beginning of a character that is not complete.
fn cut_at_end(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|&count| {
            let end = &bytes[bytes.len() - count..];
            matches!(std::str::from_utf8(end), Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

fn print(line: &Value) {
    // A reader that has gone away stops the messages, not the build.
    let mut text = line.to_string();
    text.push('\n');
    write(Stream::Out, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::event::Stamped;

    #[test]
    fn a_character_cut_in_two_comes_whole() {
        let mut json = Json::default();
        assert_eq!(json.decode("a", Stream::Out, b"h\xc3"), "h");
        assert_eq!(json.decode("a", Stream::Err, b"x"), "x");
        assert_eq!(json.decode("a", Stream::Out, b"\xa9!"), "\u{e9}!");
    }

    #[test]
    fn wrong_bytes_do_not_wait_for_ever() {
        let mut json = Json::default();
        assert_eq!(json.decode("a", Stream::Out, b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(json.decode("a", Stream::Out, b"\xac"), "\u{20ac}");
        assert_eq!(json.decode("a", Stream::Out, b"\xff\xff"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn characters_of_two_builds_are_not_made_one() {
        let mut json = Json::default();
        let event = |event| Stamped { time: Timestamp::UNIX_EPOCH, elapsed: 1.0, event };
        let output = |bytes: &'static [u8]| {
            let (time, stream) = (Timestamp::UNIX_EPOCH, Stream::Out);
            Item::Output(Output { step: 0, in_context: false, stream, time, elapsed: 1.0, offset: 0, bytes })
        };
        let said = |lines: &[Value]| -> Vec<String> {
            let word = |line: &Value, key| line[key].as_str().unwrap_or("-").to_owned();
            lines.iter().map(|line| ["build", "event", "text"].map(|key| word(line, key)).join(" ")).collect()
        };
        assert!(json.lines(Some("a"), &output(b"\xc3")).is_empty());
        assert_eq!(said(&json.lines(Some("b"), &output(b"\xa9"))), ["b output \u{fffd}"]);
        let ended =
            event(Event::CommandEnded { step: 0, label: "x".to_owned(), status: 0, out: None, err: None });
        let ended = json.lines(Some("a"), &Item::Event(&ended));
        assert_eq!(said(&ended), ["a output \u{fffd}", "a command-ended -"]);
        let note = json.lines(None, &Item::Event(&event(Event::Note { text: "n".to_owned() })));
        assert_eq!(said(&note), ["- note n"]);
    }
}
