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
/// characters that XML 1.0 forbids become U+FFFD, CRLF becomes LF. Of a line that was written over (CR, as progress
/// meters do) the last text stays.
///
/// A backspace takes back the character before it on its line, and what a terminal never draws (BEL, SO, SI) is left
/// out. A sequence that is broken off is left out as far as it goes. Time is linear in the length.
pub fn clean(bytes: &[u8], colours: Colours) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    // How far back a backspace may reach: to the line's begin, and not into a colour sequence.
    let mut fixed = 0;
    let mut line = 0;
    let mut rest = text.as_ref();
    while !rest.is_empty() {
        let (plain, after) = rest.split_at(rest.find(|c| !is_plain(c)).unwrap_or(rest.len()));
        if !plain.is_empty() {
            fixed = fixed.min(write_over(&mut out, line));
        }
        out.push_str(plain);
        rest = after;
        let Some(c) = rest.chars().next() else { break };
        if matches!(c, ESC | CSI) {
            let (sequence, after) = rest.split_at(escape_sequence(rest));
            if let Some(parameters) = sgr(sequence).filter(|_| colours == Colours::Symbol) {
                write_over(&mut out, line);
                out.push_str("␛[");
                out.push_str(parameters);
                out.push('m');
                fixed = out.len();
            }
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {
                // Also after the several CRs that a terminal's line discipline adds to CRLF.
                out.truncate(out.trim_end_matches('\r').len());
                out.push('\n');
                fixed = out.len();
                line = out.len();
            }
            '\u{8}' => {
                let kept = out[fixed..].char_indices().next_back().map_or(0, |(at, _)| at);
                out.truncate(fixed + kept);
            }
            '\u{7}' | '\u{E}' | '\u{F}' => {}
            '\r' => out.push('\r'),
            c => {
                fixed = fixed.min(write_over(&mut out, line));
                out.push(if is_legal(c) { c } else { char::REPLACEMENT_CHARACTER });
            }
        }
    }
    out
}

/// After a carriage return what comes next is drawn from the begin of the line on: what stood there goes. The length
/// of `out` afterwards.
fn write_over(out: &mut String, line: usize) -> usize {
    if out.ends_with('\r') {
        out.truncate(line);
    }
    out.len()
}

/// What is neither a control character nor forbidden, and so kept without a closer look.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{A0}'..='\u{FFFD}' | '\u{10000}'..)
}

const ESC: char = '\u{1B}';
/// The one-character form of `ESC [`.
const CSI: char = '\u{9B}';
/// The one-character form of `ESC \`, which ends a string.
const ST: char = '\u{9C}';
/// What xterm and its kin also take for the end of a string.
const BEL: char = '\u{7}';

/// The parameters of a sequence that sets colours: `ESC [ 1;31 m`. With `<`, `=`, `>` or `?` it sets something else.
fn sgr(sequence: &str) -> Option<&str> {
    let parameters =
        sequence.strip_prefix("\u{1B}[").or_else(|| sequence.strip_prefix(CSI))?.strip_suffix('m')?;
    parameters.chars().all(|c| matches!(c, '0'..=';')).then_some(parameters)
}

/// The length in bytes of the escape sequence that `text` begins with.
///
/// ECMA-48: CSI is parameters `0`-`?`, intermediates ` `-`/`, one final `@`-`~`; OSC, DCS, SOS, PM and APC are strings to
/// ST or BEL; any other escape is intermediates and one final. One that is broken off ends where it breaks off, a
/// string at the end of its line.
fn escape_sequence(text: &str) -> usize {
    let intermediate = |c| matches!(c, ' '..='/');
    let body = text.strip_prefix([ESC, CSI]).unwrap_or(text);
    let control = if text.starts_with(CSI) { Some(body) } else { body.strip_prefix('[') };
    let rest = if let Some(parameters) = control {
        let end = parameters.trim_start_matches(|c| matches!(c, '0'..='?')).trim_start_matches(intermediate);
        end.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(end)
    } else if let Some(string) = body.strip_prefix([']', 'P', 'X', '^', '_']) {
        let end = &string[string.find([BEL, ST, ESC, '\n']).unwrap_or(string.len())..];
        end.strip_prefix([BEL, ST]).or_else(|| end.strip_prefix("\u{1B}\\")).unwrap_or(end)
    } else {
        let end = body.trim_start_matches(intermediate);
        end.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(end)
    };
    text.len() - rest.len()
}

/// Keeps about `limit` bytes of `text`, never more: its head and its tail, cut at line ends where there are some near,
/// with a line between them that says how many bytes were left out and where the whole is (`whole`).
///
/// With a limit that is too small for that line, as much of the line as fits.
pub fn shorten(text: &str, limit: usize, whole: &str) -> String {
    if text.len() <= limit { text.to_owned() } else { shorten_ends(text, "", 0, limit, whole) }
}

/// The same of a text of which only the two ends are at hand: `between` bytes lie between `head` and `tail`.
pub fn shorten_ends(head: &str, tail: &str, between: u64, limit: usize, whole: &str) -> String {
    let ends = (head.len() + tail.len()) as u64;
    let room = limit.saturating_sub(marker(ends.saturating_add(between), whole).len() + 2);
    // What failed is told at the end more often than at the beginning.
    let start = cut_head(head, room / 3);
    let rest = if between == 0 && tail.is_empty() { &head[start.len()..] } else { tail };
    let end = cut_tail(rest, room - room / 3);
    let newline = if start.is_empty() || start.ends_with('\n') { "" } else { "\n" };
    let left_out = ends.saturating_sub((start.len() + end.len()) as u64).saturating_add(between);
    let mut short = format!("{start}{newline}{}\n{end}", marker(left_out, whole));
    short.truncate(short.floor_char_boundary(limit));
    short
}

fn marker(left_out: u64, whole: &str) -> String {
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
            "\x1b[2K",
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
        assert_eq!(symbol("a\x1b[31m\x08b"), "a␛[31mb");
    }

    #[test]
    fn what_is_not_text_is_replaced() {
        assert_eq!(clean(b"caf\xe9 \0 \xff", Colours::Strip), "caf\u{FFFD} \u{FFFD} \u{FFFD}");
        assert_eq!(strip("\u{fffe}\u{ffff}\u{1f984}\t"), "\u{FFFD}\u{FFFD}\u{1f984}\t");
    }

    #[test]
    fn line_ends_and_backspaces_read_as_they_were_shown() {
        assert_eq!(strip("a\r\nb\r\r\nc\r\x1b[K\nd"), "a\nb\nc\nd");
        assert_eq!(strip("one\n10%\r20%\r"), "one\n20%\r");
        assert_eq!(strip("10%\r100%, done\nnext"), "100%, done\nnext");
        assert_eq!(strip("N\x08NA_\x08A\x08\x08\x08\x08x\n\x08y"), "x\ny");
    }

    #[test]
    fn encoded_length_is_that_of_the_document() {
        let text = "a<b>&\r\n\u{1b}\u{e9}\"'";
        let document = |text: &str| crate::encode_answer(&Ok(text.into())).len();
        assert_eq!(encoded_len(text), document(text) - document(""));
    }

    #[test]
    fn head_and_tail_are_kept_at_line_ends() {
        let text = (1..=1000).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n") + "\n";
        let short = shorten(&text, 400, "runs/7/make.out");
        assert!(short.len() <= 400 && short.len() > 300, "{}", short.len());
        assert!(
            short.starts_with("line 1\nline 2\n") && short.ends_with("\nline 999\nline 1000\n"),
            "{short}"
        );
        let marker = short.lines().find(|line| line.starts_with('[')).unwrap();
        let kept: usize =
            short.lines().filter(|line| line.starts_with("line ")).map(|line| line.len() + 1).sum();
        let left_out = text.len() - kept;
        assert_eq!(marker, format!("[… {left_out} bytes left out; the whole is in runs/7/make.out …]"));
    }

    #[test]
    fn text_without_lines_is_cut_between_characters() {
        let short = shorten(&"é".repeat(1000), 301, "x");
        assert!(short.len() <= 301 && short.contains("é\n[… "), "{short}");
        assert_eq!(shorten("abc", 3, "x"), "abc");
        assert_eq!(shorten(&"é".repeat(1000), 2, "x"), "[");
        assert_eq!(shorten("é", 0, "x"), "");
    }
}
