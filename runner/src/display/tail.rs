//! The end of what a step printed, for who wants to know why it failed.

use std::{collections::VecDeque, fmt::Write as _};

use anstyle::Style;

use super::settings::DisplaySettings;

/// Lines of a failed step that the summary repeats.
const TAIL_LINES: usize = 20;
/// Most bytes kept for them.
const TAIL_BYTES: usize = 64 * 1024;

/// Both streams as they came.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(TAIL_BYTES)..];
        let over = (self.bytes.len() + chunk.len()).saturating_sub(TAIL_BYTES);
        self.bytes.drain(..over);
        self.bytes.extend(chunk);
    }

    /// The last lines as plain text.
    pub(super) fn lines(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let text = pony_wire::text::clean(&bytes, pony_wire::text::Colours::Strip);
        let mut lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }
}

/// Lines of a build between our own.
pub(super) fn quoted(lines: &str, settings: DisplaySettings) -> String {
    let dim = settings.style(Style::new().dimmed());
    let mut text = String::new();
    for line in lines.lines() {
        let _ = writeln!(text, "  {dim}|{dim:#} {line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_twenty_lines_without_colours() {
        let mut tail = Tail::default();
        for line in 0..5000 {
            tail.push(format!("\x1b[31mline {line}\x1b[0m\n").as_bytes());
        }
        let lines = tail.lines();
        assert_eq!(lines.lines().count(), 20);
        assert!(lines.ends_with("line 4998\nline 4999"));
        assert!(tail.bytes.len() <= TAIL_BYTES);
    }
}
