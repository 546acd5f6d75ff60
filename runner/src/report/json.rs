//! `--message-format json`: one JSON object an event on stdout. The format is in `docs/events.md`.

use std::io::{self, Write};

use serde_json::json;

use crate::event::{Event, Stamped, Stream};

/// Prints events for a program to read.
#[derive(Debug, Default)]
pub struct Json {
    /// Of each stream the beginning of a character whose rest has not come yet.
    carried: [Vec<u8>; 2],
}

impl Json {
    pub(super) fn on(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::Output { step, stream, bytes } => {
                let text = self.decode(*stream, bytes);
                if !text.is_empty() {
                    self.output(stamped, *step, *stream, &text);
                }
            }
            Event::StepEnded { step, .. } | Event::CommandEnded { step, .. } => {
                for stream in [Stream::Out, Stream::Err] {
                    let rest = std::mem::take(&mut self.carried[stream.index()]);
                    if !rest.is_empty() {
                        self.output(stamped, *step, stream, &String::from_utf8_lossy(&rest));
                    }
                }
                print(&serde_json::to_value(stamped));
            }
            _ => print(&serde_json::to_value(stamped)),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as what it is: this display printing")]
    fn output(&self, stamped: &Stamped, step: usize, stream: Stream, text: &str) {
        let line = json!({
            "time": stamped.time, "elapsed": stamped.elapsed,
            "event": "output", "step": step, "stream": stream, "text": text,
        });
        print(&Ok(line));
    }

    /// Bytes as text; a character that is cut by the end of the chunk waits for the next.
    fn decode(&mut self, stream: Stream, bytes: &[u8]) -> String {
        let carried = &mut self.carried[stream.index()];
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

/// How many bytes at the end of `bytes` are the beginning of a character that is not complete.
fn cut_at_end(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|&count| {
            let end = &bytes[bytes.len() - count..];
            matches!(std::str::from_utf8(end), Err(error) if error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}

fn print(line: &serde_json::Result<serde_json::Value>) {
    let Ok(line) = line else { return };
    // A reader that has gone away stops the messages, not the build.
    let mut text = line.to_string();
    text.push('\n');
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_in_two_comes_whole() {
        let mut json = Json::default();
        assert_eq!(json.decode(Stream::Out, b"h\xc3"), "h");
        assert_eq!(json.decode(Stream::Err, b"x"), "x");
        assert_eq!(json.decode(Stream::Out, b"\xa9!"), "\u{e9}!");
    }

    #[test]
    fn wrong_bytes_do_not_wait_for_ever() {
        let mut json = Json::default();
        assert_eq!(json.decode(Stream::Out, b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(json.decode(Stream::Out, b"\xac"), "\u{20ac}");
        assert_eq!(json.decode(Stream::Out, b"\xff\xff"), "\u{fffd}\u{fffd}");
    }
}
