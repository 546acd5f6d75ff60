//! Build output as HTML: colours drawn, everything else shown as text. Pure.
//!
//! Text may hold raw escape sequences (from old clients) or colours with `␛` instead of ESC (from ours, because XML cannot
//! carry ESC). Both are drawn.

use ansi_to_html::Converter;
use maud::{Markup, PreEscaped, Render, html};
use pony_wire::text::{Colours, clean};

use super::format::size;

/// Stands for ESC.
const ESC_SYMBOL: char = '␛';
/// Drawn output may be this many times longer than its text. Beyond that, the colours are an attack.
const LARGEST_GROWTH: usize = 40;

/// The text as the content of a `<pre>`: colours as spans, everything escaped.
pub(super) fn drawn(text: &str) -> Markup {
    let cleaned = clean(text.as_bytes(), Colours::Symbol);
    let (coloured, plain) = split_colours(&cleaned);
    if coloured.len() == plain.len() {
        return html! { (plain) };
    }
    // The converter escapes what it does not draw, and fails on parameters that it does not know.
    match Converter::new().convert(&coloured) {
        Ok(drawn) if drawn.len() <= LARGEST_GROWTH * plain.len() + 1_000 => PreEscaped(drawn),
        _ => plain.render(),
    }
}

/// The text with real colour sequences, and the text without any.
fn split_colours(text: &str) -> (String, String) {
    let (mut coloured, mut plain) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(start) = rest.find(ESC_SYMBOL) {
        let (before, from) = rest.split_at(start);
        let after = &from[ESC_SYMBOL.len_utf8()..];
        coloured.push_str(before);
        plain.push_str(before);
        if let Some(parameters) = colour(after) {
            coloured.push_str("\u{1B}[");
            coloured.push_str(parameters);
            coloured.push('m');
            rest = &after[parameters.len() + 2..];
        } else {
            coloured.push(ESC_SYMBOL);
            plain.push(ESC_SYMBOL);
            rest = after;
        }
    }
    coloured.push_str(rest);
    plain.push_str(rest);
    (coloured, plain)
}

/// The parameters of `[…m` at the start of a text.
fn colour(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix('[')?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    parameters[end..].starts_with('m').then(|| &parameters[..end])
}

/// The beginning and the end of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clip<'a> {
    pub(super) head: &'a str,
    /// Bytes between the two; if zero, `head` is the whole text.
    pub(super) left_out: usize,
    pub(super) tail: &'a str,
}

/// Keeps about `limit` bytes, cut at line ends where lines are not too long; more of the end, where failures show.
pub(super) fn clip(text: &str, limit: usize) -> Clip<'_> {
    if text.len() <= limit {
        return Clip { head: text, left_out: 0, tail: "" };
    }
    let head = &text[..text.floor_char_boundary(limit / 4)];
    let head = head.rfind('\n').map_or(head, |newline| &head[..=newline]);
    let tail = &text[text.ceil_char_boundary(text.len() - limit * 3 / 4)..];
    let tail = tail
        .find('\n')
        .filter(|newline| *newline < tail.len() / 2)
        .map_or(tail, |newline| &tail[newline + 1..]);
    Clip { head, left_out: text.len() - head.len() - tail.len(), tail }
}

/// A text as the content of a `<pre>`, its middle left out if it is long.
pub(super) fn clipped(text: &str, limit: usize) -> Markup {
    let clip = clip(text, limit);
    html! { "\n" (drawn(clip.head)) @if clip.left_out > 0 { "\n… " (size(clip.left_out as u64)) " left out …\n" (drawn(clip.tail)) } }
}

#[cfg(test)]
mod tests {
    use html5gum::{Token, Tokenizer};
    use proptest::prelude::*;

    use super::*;

    /// What a reader sees, and the elements that draw it.
    fn seen(text: &str) -> (String, Vec<String>) {
        let (mut shown, mut elements) = (Vec::new(), Vec::new());
        for Ok(token) in Tokenizer::new(&drawn(text).into_string()) {
            match token {
                Token::String(string) => shown.extend_from_slice(&string),
                Token::StartTag(tag) => elements.push(String::from_utf8(tag.name.0).unwrap()),
                Token::EndTag(_) | Token::Error(_) => {}
                other => panic!("{other:?} in {text:?}"),
            }
        }
        (String::from_utf8(shown).unwrap(), elements)
    }

    #[test]
    fn colours_of_both_spellings_are_drawn() {
        for text in ["\u{1B}[31mred\u{1B}[0m <b>", "␛[31mred␛[0m <b>"] {
            assert_eq!(
                drawn(text).into_string(),
                "<span style='color:var(--red,#a00)'>red</span> &lt;b&gt;",
                "{text}"
            );
        }
    }

    #[test]
    fn other_sequences_are_removed_or_shown_as_text() {
        let shown = |text| seen(text).0;
        assert_eq!(shown("a\u{1B}[?25lb"), "ab");
        // Erased text is not shown, as in a terminal.
        assert_eq!(shown("a\u{1B}[2Kb"), " b");
        assert_eq!(shown("a\u{1B}]0;title\u{7}b"), "ab");
        assert_eq!(shown("␛[2K ␛ ␛[31"), "␛[2K ␛ ␛[31");
        // Unknown parameters: the text without them.
        assert_eq!(shown("␛[999mx␛[38;2;999;1;1my␛[4:3mz"), "xyz");
    }

    #[test]
    fn output_cannot_become_markup() {
        for text in [
            "<script>alert(1)</script>",
            "␛[1m<script>alert(1)</script>",
            "</pre><img src=x onerror=alert(1)>",
            "␛[31'><img src=x>m",
            "␛[38;5;1m\"'><svg onload=alert(1)>",
            "␛[999m<script>alert(1)</script>",
        ] {
            let (_, elements) = seen(text);
            assert!(elements.iter().all(|name| ["span", "b"].contains(&name.as_str())), "{elements:?}");
        }
    }

    #[test]
    fn the_html_of_many_colours_is_bounded() {
        for sequence in ["␛[1m", "␛[1;3;4;9;31;42mx", "␛[31mx␛[1m", "␛[38;5;9m␛[48;5;3my"] {
            let text = sequence.repeat(64 * 1024 / sequence.len());
            let drawn = drawn(&text).into_string();
            assert!(drawn.len() < 4 * 1024 * 1024, "{sequence}: {}", drawn.len());
        }
    }

    #[test]
    fn a_clip_keeps_the_ends_and_counts_the_middle() {
        assert_eq!(clip("short", 5), Clip { head: "short", left_out: 0, tail: "" });
        let lines = (0..1_000).map(|line| format!("line {line}\n")).collect::<Vec<_>>().concat();
        let Clip { head, left_out, tail } = clip(&lines, 400);
        assert!(head.starts_with("line 0\n") && head.ends_with('\n'));
        assert!(tail.starts_with("line ") && tail.ends_with("line 999\n"));
        assert_eq!(head.len() + left_out + tail.len(), lines.len());
    }

    proptest! {
        #[test]
        fn clipping_never_loses_count(text in "\\PC{0,200}(\n|é|x){0,50}", limit in 0_usize..300) {
            let Clip { head, left_out, tail } = clip(&text, limit);
            prop_assert_eq!(head.len() + left_out + tail.len(), text.len());
            prop_assert!(text.starts_with(head) && text.ends_with(tail));
            prop_assert!(head.len() + tail.len() <= limit.max(text.len().min(limit)));
        }

        #[test]
        fn text_without_colours_is_shown_as_it_is(text in "[ -~é␛\n<>&\"']{0,80}") {
            prop_assume!(!text.contains("␛["));
            // A parser drops the newline right after `<pre>`.
            let text = format!("x{text}");
            prop_assert_eq!(seen(&text).0, text);
        }
    }
}
