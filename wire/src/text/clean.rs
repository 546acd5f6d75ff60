//! Output as every server takes it: legal XML 1.0, UTF-8, lines as a terminal showed them in the end.

use super::{
    lines::{Line, Lines},
    row::Controls,
};

/// What to do with terminal colour sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Every escape sequence is taken out.
    Strip,
    /// SGR sequences (`ESC [ … m`) are kept, with ESC written as U+241B `␛`; for pony-serve, whose pages draw them.
    Symbol,
}

/// Whether XML 1.0 allows the character (section 2.2, `Char`).
pub fn is_legal(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Bytes that `text` takes in a document: escapes counted, what XML forbids as the U+FFFD it becomes.
pub fn encoded_len(text: &str) -> usize {
    let encoded = |c| match c {
        '&' | '\r' => 5,
        '<' | '>' => 4,
        c if is_legal(c) => c.len_utf8(),
        _ => char::REPLACEMENT_CHARACTER.len_utf8(),
    };
    text.chars().map(encoded).sum()
}

/// Makes bytes legal XML 1.0 text: sequences go, but for colours if `colours` says so; bytes that are not UTF-8 and characters
/// that XML 1.0 forbids become U+FFFD; CRLF becomes LF; of a line that was written over (as progress meters do) its last
/// state stays. What is never drawn (BEL, SO, SI) goes. Time is linear in the length.
pub fn clean(bytes: &[u8], colours: Colours) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mut lines = Lines::new(colours == Colours::Symbol, Controls::Keep);
    let mut text = Vec::new();
    let mut each = |line: Line<'_>| {
        text.clear();
        line.draw_next(&mut text);
        legal(&mut out, &text);
        if line.is_ended() {
            out.push('\n');
        }
    };
    lines.push(bytes, &mut each);
    lines.finish(each);
    out
}

fn legal(out: &mut String, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let is_plain = |c| matches!(c, '\t' | ' '..='\u{FFFD}' | '\u{10000}'..);
    let mut rest = text.as_ref();
    while let Some(at) = rest.find(|c| !is_plain(c)) {
        out.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some('\u{7}' | '\u{E}' | '\u{F}') | None => {}
            Some('\u{1B}') => out.push('␛'),
            Some(_) => out.push(char::REPLACEMENT_CHARACTER),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(text: &str) -> String {
        clean(text.as_bytes(), Colours::Strip)
    }

    fn symbol(text: &str) -> String {
        clean(text.as_bytes(), Colours::Symbol)
    }

    #[test]
    fn every_kind_of_sequence_is_taken_out() {
        for sequence in [
            "\x1b[31m",
            "\x1b[m",
            "\x1b[38;2;1;2;3m",
            "\x1b[4:3m",
            "\x1b[?25l",
            "\x1b[2J",
            "\x1b[0 q",
            "\x1b[>4;2m",
            "\u{9b}1m",
            "\x1b]0;title\x07",
            "\x1b]8;;http://x/\x1b\\",
            "\x1b]0;title\u{9c}",
            "\x1bPq#0;2\x1b\\",
            "\x1b(B",
            "\x1b#8",
            "\x1b=",
            "\x1b7",
            "\x1bc",
            "\x07",
            "\x0e\x0f",
        ] {
            assert_eq!(strip(&format!("a{sequence}b")), "ab", "{sequence:?}");
        }
    }

    #[test]
    fn a_sequence_that_is_broken_off_takes_nothing_else_along() {
        assert_eq!(strip("a\x1b"), "a");
        assert_eq!(strip("a\x1b[31"), "a");
        assert_eq!(strip("a\x1b[31\nb"), "a\nb");
        assert_eq!(strip("a\x1b[31\u{e9}"), "a\u{e9}");
        assert_eq!(strip("a\x1b]0;title\nb"), "a\nb");
        assert_eq!(strip("a\x1b]0;title\x1b[1mb"), "ab");
        assert_eq!(strip("\x1b\x1b[31mx"), "x");
    }

    #[test]
    fn only_colours_become_symbols() {
        assert_eq!(symbol("\x1b[1;31mred\x1b[m\x1b[K \u{9b}4:3mx"), "␛[1;31mred␛[m ␛[4:3mx");
        assert_eq!(symbol("\x1b[?1mx\x1b[>4;2mx\x1b[1 mx"), "xxx");
        assert_eq!(symbol("a\x1b[31m\x08b"), "␛[31mb");
        assert_eq!(symbol("\x1b[31ma\nb\x1b[m"), "␛[31ma\nb␛[m");
        assert_eq!(symbol("\x1b[31mabc\r\x1b[32mx\n"), "␛[32mx\n");
    }

    #[test]
    fn what_is_not_text_is_replaced() {
        assert_eq!(clean(b"caf\xe9 \0 \xff", Colours::Strip), "caf\u{FFFD} \u{FFFD} \u{FFFD}");
        assert_eq!(strip("\u{fffe}\u{ffff}\u{1f984}\t"), "\u{FFFD}\u{FFFD}\u{1f984}\t");
    }

    #[test]
    fn line_ends_and_backspaces_read_as_they_were_shown() {
        assert_eq!(strip("a\r\nb\r\r\nc\r\x1b[Kd\ne\x1b[K\n"), "a\nb\nd\ne\n");
        assert_eq!(strip("one\n10%\r20%\r"), "one\n20%");
        assert_eq!(strip("10%\r100%, done\nnext"), "100%, done\nnext");
        assert_eq!(strip("N\x08NA_\x08A\n\x08y\x08\x08z"), "NAA\nz");
    }

    #[test]
    fn encoded_length_is_that_of_the_document() {
        let text = "a<b>&\r\n\u{1b}\u{e9}\"'";
        let document = |text: &str| crate::encode_answer(&Ok(text.into())).len();
        assert_eq!(encoded_len(text), document(text) - document(""));
    }
}
