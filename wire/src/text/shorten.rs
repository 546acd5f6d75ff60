//! Text that is too long: its head and its tail.

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
