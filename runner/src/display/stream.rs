//! One stream of a build on its way to the screen: bytes as they are, or lines that go above a status area.

use pony_wire::text::{Controls, Filter, Line, Lines};

use super::{output, status_area::StatusArea};
use crate::record::event::Stream;

/// The screen's side of one stream.
#[derive(Debug)]
pub(super) struct BuildStream {
    stream: Stream,
    content: Content,
    at_line_start: bool,
}

#[derive(Debug)]
enum Content {
    Bytes(Filter),
    Lines(Lines),
}

impl BuildStream {
    /// One whose bytes are shown as they come; their sequences if `keep`.
    pub(super) fn bytes(stream: Stream, keep: bool) -> Self {
        Self { stream, content: Content::Bytes(Filter::new(keep)), at_line_start: true }
    }

    /// One of which complete lines are shown; their colours if `keep`.
    pub(super) fn lines(stream: Stream, keep: bool) -> Self {
        Self { stream, content: Content::Lines(Lines::new(keep, Controls::Hide)), at_line_start: true }
    }

    /// Shows what was printed, complete lines above `area`.
    pub(super) fn show(&mut self, bytes: &[u8], area: &StatusArea) {
        match &mut self.content {
            Content::Bytes(filter) => {
                let bytes = filter.push(bytes);
                if let Some(last) = bytes.last() {
                    self.at_line_start = *last == b'\n';
                    output::write(self.stream, &bytes);
                }
            }
            Content::Lines(lines) => {
                let mut complete = Vec::new();
                lines.push(bytes, |line| draw(&line, &mut complete));
                if lines.take_bell() {
                    output::write(self.stream, b"\x07");
                }
                if !complete.is_empty() {
                    area.above(|| output::write(self.stream, &complete));
                }
            }
        }
    }

    /// The line that is not complete yet, as it looks now, where it is not on the screen already.
    pub(super) fn open(&self) -> String {
        match &self.content {
            Content::Bytes(_) => String::new(),
            Content::Lines(lines) => String::from_utf8_lossy(&lines.open()).into_owned(),
        }
    }

    /// Shows what is open, and ends its line and its colours, so that our own words begin at the left; bytes that go elsewhere
    /// stay as they are, unless `ends_line`.
    pub(super) fn finish(&mut self, ends_line: bool) {
        let mut rest = Vec::new();
        match &mut self.content {
            Content::Bytes(filter) => {
                rest.extend_from_slice(filter.finish().as_bytes());
                if ends_line && !self.at_line_start {
                    rest.push(b'\n');
                    self.at_line_start = true;
                }
            }
            Content::Lines(lines) => lines.finish(|line| draw(&line, &mut rest)),
        }
        output::write(self.stream, &rest);
    }
}

/// Draws a line that goes above a status area, where each has rows of its own.
pub(super) fn draw(line: &Line<'_>, out: &mut Vec<u8>) {
    if line.is_ended() || !line.is_empty() {
        line.draw(out);
        out.push(b'\n');
    }
}
