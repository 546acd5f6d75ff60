//! One stream of build output on its way to the screen: passed on byte by byte, or cut into lines above a status line.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicU64, Ordering},
};

use anstream::adapter::StripBytes;

use crate::record::event::Stream;

/// A line that is longer than this is shown before it ends.
const LONGEST: usize = 64 * 1024;

/// The screen's side of one stream.
#[derive(Debug)]
pub(super) struct Lines {
    stream: Stream,
    keep: bool,
    /// Set at the first control sequence that has to go; before it, output passes untouched.
    strip: Option<StripBytes>,
    open: Vec<u8>,
    at_line_start: bool,
}

impl Lines {
    /// `keep`: control sequences are kept.
    pub(super) fn new(stream: Stream, keep: bool) -> Self {
        Self { stream, keep, strip: None, open: Vec::new(), at_line_start: true }
    }

    /// Shows `bytes` as they are (or without control sequences).
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        if self.keep || (self.strip.is_none() && !bytes.contains(&ESC)) {
            self.write(bytes);
            return;
        }
        let mut strip = self.strip.take().unwrap_or_default();
        let plain: Vec<u8> = strip.strip_next(bytes).flatten().copied().collect();
        self.strip = Some(strip);
        self.write(&plain);
    }

    /// Of `bytes` and what was open before, the lines that are complete now. The rest stays [`open`](Self::open).
    pub(super) fn whole(&mut self, bytes: &[u8]) -> Vec<u8> {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map(|end| end + 1);
        let mut whole = Vec::new();
        if let Some(end) = end {
            whole.append(&mut self.open);
            whole.extend_from_slice(&bytes[..end]);
        }
        self.open.extend_from_slice(&bytes[end.unwrap_or(0)..]);
        if self.open.len() > LONGEST {
            whole.append(&mut self.open);
        }
        if whole.contains(&ESC) { filter(&whole, self.keep) } else { whole }
    }

    /// The line that is not complete yet, as it would look now: what follows its last carriage return.
    pub(super) fn open(&self) -> String {
        let text = filter(last_state(&self.open), self.keep);
        String::from_utf8_lossy(&text).replace('\t', "    ")
    }

    /// Shows `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.at_line_start = *last == b'\n';
        write(self.stream, bytes);
    }

    /// What is open, as the last that [`whole`](Self::whole) has to show.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        filter(&std::mem::take(&mut self.open), self.keep)
    }

    /// Shows what is open, and ends the line if `end`.
    pub(super) fn finish(&mut self, end: bool) {
        let rest = self.rest();
        self.write(&rest);
        if end && !self.at_line_start {
            self.write(b"\n");
        }
    }
}

/// Bytes that readers of stdout and stderr have taken, or that nobody will take any more.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// How many bytes were taken so far: where it stands still, nobody reads.
pub(super) fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}

/// So many at once, so that it shows how slowly they are taken.
const AT_ONCE: usize = 4096;

/// Shows `bytes` at once. A screen that is gone is no reason to stop a build.
pub(super) fn write(stream: Stream, bytes: &[u8]) {
    for part in bytes.chunks(AT_ONCE) {
        let _ = match stream {
            Stream::Out => {
                let mut out = io::stdout().lock();
                out.write_all(part).and_then(|()| out.flush())
            }
            Stream::Err => io::stderr().lock().write_all(part),
        };
        TAKEN.fetch_add(part.len() as u64, Ordering::Relaxed);
    }
}

const ESC: u8 = 0x1b;

/// Takes out control sequences, except colours if `colours`: what moves the cursor or clears the screen would tear the
/// status line. Carriage returns, tabs and backspaces stay.
fn filter(bytes: &[u8], colours: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == ESC) {
        out.extend_from_slice(&rest[..at]);
        let sequence = sequence_length(&rest[at..]);
        let (escape, after) = rest[at..].split_at(sequence);
        if colours && escape.starts_with(b"\x1b[") && escape.ends_with(b"m") {
            out.extend_from_slice(escape);
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// Each line of `text` after `prefix`: as it stands after its last carriage return, its colours put out at its end, and ended.
pub(super) fn prefixed(prefix: &str, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + prefix.len() * (text.len() / 40 + 1));
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = last_state(line.strip_suffix(b"\n").unwrap_or(line));
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(line);
        if line.contains(&ESC) {
            out.extend_from_slice(b"\x1b[0m");
        }
        out.push(b'\n');
    }
    out
}

/// What a line looks like after its carriage returns.
fn last_state(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_suffix(b"\r") {
        line = rest;
    }
    let start = line.iter().rposition(|byte| *byte == b'\r').map_or(0, |at| at + 1);
    &line[start..]
}

/// How long the control sequence is that `bytes` begins with (ECMA-48: CSI, OSC and its like, or two bytes).
fn sequence_length(bytes: &[u8]) -> usize {
    let end = |from: usize, ends: &dyn Fn(&u8) -> bool| {
        bytes[from..].iter().position(ends).map_or(bytes.len(), |at| from + at + 1)
    };
    match bytes.get(1) {
        Some(b'[') => end(2, &|byte| (0x40..=0x7e).contains(byte) || *byte < 0x20),
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let bell = end(2, &|byte| *byte == 7 || *byte == ESC || *byte == b'\n');
            if bytes.get(bell - 1) == Some(&ESC) && bytes.get(bell) == Some(&b'\\') { bell + 1 } else { bell }
        }
        Some(0x20..=0x2f) => 3.min(bytes.len()),
        Some(_) => 2,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines::new(Stream::Out, true)
    }

    #[test]
    fn only_whole_lines_go_above_the_status_line() {
        let mut lines = lines();
        assert_eq!(lines.whole(b"compiling a"), b"");
        assert_eq!(lines.open(), "compiling a");
        assert_eq!(lines.whole(b".c\ncompiling b"), b"compiling a.c\n");
        assert_eq!(lines.open(), "compiling b");
    }

    #[test]
    fn a_progress_line_is_shown_as_it_stands_now() {
        let mut lines = lines();
        lines.whole(b" 10 %\r 20 %\r");
        assert_eq!(lines.open(), " 20 %");
        lines.whole(b" 30");
        assert_eq!(lines.open(), " 30");
    }

    #[test]
    fn a_line_without_end_does_not_fill_memory() {
        let mut lines = lines();
        assert_eq!(lines.whole(&vec![b'x'; LONGEST + 1]).len(), LONGEST + 1);
        assert!(lines.open().is_empty());
    }

    #[test]
    fn each_line_has_the_prefix_and_ends_by_itself() {
        let text = b"one\r\n10 %\r 90 %\r100 %\n\n\x1b[31mred\nopen";
        let lines = ["a | one", "a | 100 %", "a | ", "a | \x1b[31mred\x1b[0m", "a | open", ""];
        assert_eq!(prefixed("a | ", text), lines.join("\n").as_bytes());
        assert!(prefixed("a | ", b"").is_empty());
    }

    #[test]
    fn colours_stay_and_what_moves_the_cursor_goes() {
        let text = b"\x1b[31mred\x1b[0m\x1b[2J\x1b[10;3Hx\x1b]0;title\x07y\x1b(Bz\x1bcw";
        assert_eq!(filter(text, true), b"\x1b[31mred\x1b[0mxyzw");
        assert_eq!(filter(text, false), b"redxyzw");
        assert_eq!(filter(b"cut \x1b[3", true), b"cut ");
    }
}
