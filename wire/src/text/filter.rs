//! Output on its way to where bytes go: a pipe, a file, a terminal without status lines.

use std::borrow::Cow;

use super::{
    parser::{Charset, Parser, Token, csi},
    pen::Pen,
};

/// Passes one stream on, with its complete sequences or without any. No other byte is lost, whatever its encoding.
#[derive(Debug)]
pub struct Filter {
    parser: Parser,
    keep: bool,
    pen: Pen,
}

impl Filter {
    /// `keep`: sequences are kept. One that is broken off never is, for a terminal would take what follows for a part of it.
    pub fn new(keep: bool) -> Self {
        Self { parser: Parser::new(Charset::Unknown), keep, pen: Pen::default() }
    }

    /// What goes out of `bytes`, and of a sequence that was begun before.
    pub fn push<'b>(&mut self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if self.parser.pass(bytes) {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len());
        let Self { parser, keep, pen } = self;
        parser.push(bytes, |token| match token {
            Token::Text(text) => out.extend_from_slice(text),
            Token::Sequence(sequence) if *keep => {
                if let Some((parameters, b'm')) = csi(sequence) {
                    pen.apply(parameters);
                }
                out.extend_from_slice(sequence);
            }
            Token::Sequence(_) | Token::Control(_) => {}
        });
        Cow::Owned(out)
    }

    /// Nothing more comes: what puts out the colours that were left on.
    pub fn finish(&mut self) -> String {
        self.parser.finish(|_| {});
        std::mem::take(&mut self.pen).change_to(Pen::default()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::tests::{chunks, output};

    fn passed<'c>(keep: bool, chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<u8> {
        let mut filter = Filter::new(keep);
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&filter.push(chunk));
        }
        out.extend_from_slice(filter.finish().as_bytes());
        out
    }

    #[test]
    fn bytes_of_any_encoding_pass() {
        for text in [
            &b"Datei f\x81r Pr\x81fung"[..],
            b"\x83G\x83\x89\x81[",
            b"\x93quoted\x94",
            b"f\0u\x0b\x0c\x7f\x08\x07\r\t",
            b"\xc2\x9b1m",
        ] {
            let coloured = [b"\x1b[32m", text, b"\x1b[0m"].concat();
            assert_eq!(passed(false, [&coloured[..]]), text);
            assert_eq!(passed(true, [&coloured[..]]), coloured);
        }
    }

    #[test]
    fn a_sequence_that_is_broken_off_takes_no_more_than_its_line() {
        for (output, left) in [
            ("building\n\x1b]0;make: all\nimportant\n", "building\nimportant\n"),
            ("a\x1b]0;make: all\nb\n", "a\nb\n"),
            ("a\x1bPq\x18b", "a\x18b"),
            ("a\x1b[3\nb", "a\nb"),
            ("a\x1b[3", "a"),
            ("a\x1b", "a"),
        ] {
            for keep in [false, true] {
                assert_eq!(passed(keep, [output.as_bytes()]), left.as_bytes(), "{output:?}");
            }
        }
    }

    #[test]
    fn nothing_goes_on_after_the_end() {
        let mut filter = Filter::new(true);
        for unfinished in ["\x1b[3", "\x1b]0;title", "\x1b"] {
            assert_eq!(*filter.push(unfinished.as_bytes()), *b"");
            assert_eq!(filter.finish(), "");
            assert_eq!(*filter.push(b"more lines"), *b"more lines");
        }
        assert_eq!(*filter.push(b"\x1b[1;31mred"), *b"\x1b[1;31mred");
        assert_eq!(filter.finish(), "\x1b[0m");
        assert_eq!(filter.finish(), "");
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_comes_out(output in output(), cuts in prop::collection::vec(0_usize..200, 0..8)) {
            for keep in [false, true] {
                prop_assert_eq!(passed(keep, chunks(&output, &cuts)), passed(keep, [&output[..]]));
            }
        }

        #[test]
        fn a_pipe_gets_everything_but_sequences(bytes in prop::collection::vec(any::<u8>().prop_filter("ESC", |byte| *byte != 0x1b), 0..60)) {
            prop_assert_eq!(&passed(false, [&bytes[..]]), &bytes);
        }

        #[test]
        fn no_sequence_comes_out(output in output()) {
            prop_assert!(!passed(false, [&output[..]]).contains(&0x1b));
        }
    }
}
