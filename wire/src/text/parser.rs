//! The one parser of terminal control sequences: bytes in, tokens out, however the bytes are cut into chunks.
//!
//! ECMA-48: CSI is parameters `0`-`?`, intermediates ` `-`/`, one final `@`-`~`; OSC, DCS, SOS, PM and APC are strings
//! to ST or BEL; any other escape is intermediates and one final. A sequence that is broken off ends where it breaks off,
//! a string at the end of its line: it takes nothing else along. What this does not know as a sequence is text.

use memchr::memchr;

pub(super) const ESC: u8 = 0x1B;
const BEL: u8 = 0x07;
/// First byte of the characters U+0080 to U+00BF, of which those up to U+009F are control characters.
const C1: u8 = 0xC2;
/// Bytes of one sequence that are kept. A longer one still ends where it ends, but no token comes of it.
const LONGEST: usize = 64 * 1024;

/// What output is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Everything else, in pieces of any size. With [`Charset::Utf8`] no piece ends within a character.
    Text(&'a [u8]),
    /// A control character: C0, DEL or C1. Only with [`Charset::Utf8`]; otherwise it is text.
    Control(char),
    /// A complete sequence.
    Sequence(&'a [u8]),
}

/// How bytes from 0x80 are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// As UTF-8; U+009B begins a CSI sequence.
    Utf8,
    /// As whatever the reader of the output takes them for.
    Unknown,
}

/// Splits a stream into tokens.
#[derive(Debug)]
pub(super) struct Parser {
    charset: Charset,
    state: State,
    /// The beginning of a sequence or of a character.
    held: Vec<u8>,
    /// Nothing but sequences stands on this line so far.
    line_is_empty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// Within a character that is this long.
    Character(usize),
    Escape,
    EscapeIntermediate,
    Parameters,
    Intermediates,
    String,
    /// After ESC in a string.
    StringEscape,
    /// After the first byte of what may be U+009C in a string.
    StringC1,
}

/// What a byte is to the sequence that it stands in.
enum Step {
    Next(State),
    Last,
    /// It does not belong to it.
    Broken,
}

impl Parser {
    pub(super) fn new(charset: Charset) -> Self {
        Self { charset, state: State::Text, held: Vec::new(), line_is_empty: true }
    }

    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Token<'_>)) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            match self.state {
                State::Text => {
                    let (text, after) = rest.split_at(self.plain(rest));
                    if text.is_empty() {
                        rest = &rest[1..];
                        self.special(byte, &mut each);
                    } else {
                        rest = after;
                        self.text(text, &mut each);
                    }
                }
                State::Character(length) => {
                    if matches!(byte, 0x80..=0xBF) {
                        rest = &rest[1..];
                        self.held.push(byte);
                    }
                    if self.held.len() == length || !matches!(byte, 0x80..=0xBF) {
                        self.character(&mut each);
                    }
                }
                state => match step(state, byte) {
                    Step::Next(next) => {
                        rest = &rest[1..];
                        self.state = next;
                        if self.held.len() <= LONGEST {
                            self.held.push(byte);
                        }
                    }
                    Step::Last => {
                        rest = &rest[1..];
                        self.state = State::Text;
                        if self.held.len() <= LONGEST {
                            self.held.push(byte);
                            each(Token::Sequence(&self.held));
                        }
                        self.held.clear();
                    }
                    Step::Broken => {
                        self.held.clear();
                        match state {
                            State::StringEscape => self.begin(ESC),
                            // The line was nothing but the string, so the line is removed with it.
                            State::String | State::StringC1 if byte == b'\n' && self.line_is_empty => {
                                rest = &rest[1..];
                                self.state = State::Text;
                            }
                            _ => self.state = State::Text,
                        }
                    }
                },
            }
        }
    }

    /// The stream has ended: what is held of a character is text, what is held of a sequence is not.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Token<'_>)) {
        if matches!(self.state, State::Character(_)) {
            each(Token::Text(&self.held));
        }
        *self = Self::new(self.charset);
    }

    /// Takes `bytes` if all of them are text, which they are of most output. Only with [`Charset::Unknown`].
    pub(super) fn pass(&mut self, bytes: &[u8]) -> bool {
        let text =
            self.charset == Charset::Unknown && self.state == State::Text && memchr(ESC, bytes).is_none();
        if text {
            self.note(bytes);
        }
        text
    }

    fn note(&mut self, text: &[u8]) {
        if let Some(last) = text.last() {
            self.line_is_empty = *last == b'\n';
        }
    }

    /// How many bytes at the beginning of `bytes` are text.
    fn plain(&self, bytes: &[u8]) -> usize {
        match self.charset {
            Charset::Unknown => memchr(ESC, bytes),
            Charset::Utf8 => bytes.iter().position(|byte| matches!(*byte, 0..=0x1F | 0x7F | C1)),
        }
        .unwrap_or(bytes.len())
    }

    fn text(&mut self, text: &[u8], each: &mut impl FnMut(Token<'_>)) {
        self.note(text);
        let (text, cut) = match self.charset {
            Charset::Unknown => (text, 0),
            Charset::Utf8 => {
                let (at, length) = cut_character(text);
                self.held.extend_from_slice(&text[at..]);
                (&text[..at], length)
            }
        };
        if cut > 0 {
            self.state = State::Character(cut);
        }
        if !text.is_empty() {
            each(Token::Text(text));
        }
    }

    /// A byte that is not plain text.
    fn special(&mut self, byte: u8, each: &mut impl FnMut(Token<'_>)) {
        match byte {
            ESC => self.begin(ESC),
            C1 => {
                self.held.push(byte);
                self.state = State::Character(2);
            }
            _ => {
                self.line_is_empty = byte == b'\n';
                each(Token::Control(char::from(byte)));
            }
        }
    }

    /// All there is of the character that was begun.
    fn character(&mut self, each: &mut impl FnMut(Token<'_>)) {
        self.state = State::Text;
        match self.held[..] {
            [C1, 0x9B] => {
                self.state = State::Parameters;
                return;
            }
            [C1, second @ 0x80..=0x9F] => each(Token::Control(char::from(second))),
            _ => each(Token::Text(&self.held)),
        }
        self.line_is_empty = false;
        self.held.clear();
    }

    fn begin(&mut self, escape: u8) {
        self.held.push(escape);
        self.state = State::Escape;
    }
}

fn step(state: State, byte: u8) -> Step {
    use State::{Escape, EscapeIntermediate, Intermediates, Parameters, String, StringC1, StringEscape};
    match (state, byte) {
        (Escape, b'[') | (Parameters, b'0'..=b'?') => Step::Next(Parameters),
        (Escape, b']' | b'P' | b'X' | b'^' | b'_') => Step::Next(String),
        (Escape | EscapeIntermediate, b' '..=b'/') => Step::Next(EscapeIntermediate),
        (Parameters | Intermediates, b' '..=b'/') => Step::Next(Intermediates),
        (Escape | EscapeIntermediate, b'0'..=b'~')
        | (Parameters | Intermediates, b'@'..=b'~')
        | (String | StringC1, BEL)
        | (StringEscape, b'\\')
        | (StringC1, 0x9C) => Step::Last,
        // CAN and SUB are there to break off a sequence.
        (String | StringC1, b'\n' | 0x18 | 0x1A) => Step::Broken,
        (String | StringC1, ESC) => Step::Next(StringEscape),
        (String | StringC1, C1) => Step::Next(StringC1),
        (String | StringC1, _) => Step::Next(String),
        _ => Step::Broken,
    }
}

/// Where in `text` the character begins that goes on in the next chunk, and how long it is; the end and 0 if there is none.
fn cut_character(text: &[u8]) -> (usize, usize) {
    let from = text.len().saturating_sub(3);
    let lead = text[from..].iter().rposition(|byte| !matches!(byte, 0x80..=0xBF)).map(|at| from + at);
    if let Some(at) = lead {
        let length = match text[at] {
            0xC3..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 0,
        };
        if length > text.len() - at {
            return (at, length);
        }
    }
    (text.len(), 0)
}

/// The parameters and the final byte of a CSI sequence without a private marker and intermediates.
pub(super) fn csi(sequence: &[u8]) -> Option<(&[u8], u8)> {
    let body = sequence.strip_prefix(b"\x1B[").or_else(|| sequence.strip_prefix(&[C1, 0x9B]))?;
    let (last, parameters) = body.split_last()?;
    parameters.iter().all(|byte| matches!(byte, b'0'..=b';')).then_some((parameters, *last))
}
