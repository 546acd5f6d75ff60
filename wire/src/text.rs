//! Text as every server takes it: legal XML 1.0, UTF-8, shortened head and tail.

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

/// Makes bytes legal XML 1.0 text: escape sequences as `colours` says, bytes that are not UTF-8 and
/// characters that XML 1.0 forbids become U+FFFD, CRLF becomes LF.
///
/// A sequence that ends before its last byte goes with the text to which it belongs: it was never shown either.
pub fn clean(bytes: &[u8], colours: Colours) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(c) = rest.chars().next() {
        if c == ESC || c == CSI {
            let (length, is_sgr) = escape_sequence(rest);
            let (sequence, after) = rest.split_at(length);
            if is_sgr && colours == Colours::Symbol {
                out.push('␛');
                out.push('[');
                out.push_str(sequence.trim_start_matches([ESC, CSI, '[']));
            }
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' if rest.starts_with('\n') => {}
            c if is_legal(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    out
}

const ESC: char = '\u{1B}';
/// The one-character form of `ESC [`.
const CSI: char = '\u{9B}';

/// The length in bytes of the escape sequence that `text` begins with, and whether it is an SGR (`ESC [ … m`).
///
/// ECMA-48: CSI is parameters `0`-`?`, intermediates ` `-`/`, one final `@`-`~`; OSC, DCS, SOS, PM and APC are strings to
/// ST or BEL; any other escape is intermediates and one final. One that is broken off ends where it breaks off.
fn escape_sequence(text: &str) -> (usize, bool) {
    let body = &text[text.chars().next().map_or(0, char::len_utf8)..];
    let taken = |rest: &str| text.len() - rest.len();
    let control = if text.starts_with(CSI) { Some(body) } else { body.strip_prefix('[') };
    if let Some(parameters) = control {
        let rest = parameters.trim_start_matches(|c| matches!(c, '0'..='?'));
        let last = rest.trim_start_matches(|c| matches!(c, ' '..='/'));
        return match last.chars().next() {
            Some(end @ '@'..='~') => (taken(&last[1..]), end == 'm' && last.len() == rest.len()),
            _ => (taken(last), false),
        };
    }
    if let Some(string) = body.strip_prefix([']', 'P', 'X', '^', '_']) {
        let end = string.find(['\u{7}', '\u{9C}', ESC, '\n']);
        let rest = end.map_or("", |end| &string[end..]);
        let rest =
            rest.strip_prefix(['\u{7}', '\u{9C}']).or_else(|| rest.strip_prefix("\u{1B}\\")).unwrap_or(rest);
        return (taken(rest), false);
    }
    let last = body.trim_start_matches(|c| matches!(c, ' '..='/'));
    match last.chars().next() {
        Some('0'..='~') => (taken(&last[1..]), false),
        _ => (taken(last), false),
    }
}

/// Keeps about `limit` bytes of `text`: its head and its tail, cut at line ends where there are some near, with a
/// line between them that says how many bytes were left out and where the whole is (`whole`).
pub fn shorten(text: &str, limit: usize, whole: &str) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let longest = marker(text.len(), whole).len();
    let room = limit.saturating_sub(longest + 2);
    // What failed is told at the end more often than at the beginning.
    let head = cut_head(text, room / 3);
    let tail = cut_tail(&text[head.len()..], room - room / 3);
    let newline = |missing: bool| if missing { "\n" } else { "" };
    let before = newline(!head.is_empty() && !head.ends_with('\n'));
    let left_out = text.len() - head.len() - tail.len();
    format!("{head}{before}{}\n{tail}", marker(left_out, whole))
}

fn marker(left_out: usize, whole: &str) -> String {
    format!("[… {left_out} bytes left out; the whole is in {whole} …]")
}

/// How far, as a part of the piece, a line end may be from where the cut would fall.
const NEAR: usize = 4;

fn cut_head(text: &str, room: usize) -> &str {
    let head = &text[..text.floor_char_boundary(room)];
    match head.rfind('\n') {
        Some(newline) if newline + 1 >= head.len() - head.len() / NEAR => &head[..=newline],
        _ => head,
    }
}

fn cut_tail(text: &str, room: usize) -> &str {
    let tail = &text[text.ceil_char_boundary(text.len().saturating_sub(room))..];
    match tail.find('\n') {
        Some(newline) if newline < tail.len() / NEAR => &tail[newline + 1..],
        _ => tail,
    }
}
