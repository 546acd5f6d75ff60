//! The XML-RPC codec: bytes to values and back, for [`crate::call`] and nobody else.
//!
//! A codec of our own over quick-xml's tokens, because the bars for it are not met by a library. dxr 0.9, the best of
//! them, was measured: it reads a `dateTime` only in one form and drops the text that was sent, refuses the empty member
//! names that Python writes, turns a string of blanks into an empty one, and its errors have no position and quote the
//! whole document. Here every error has a line and a column, bytes that are not UTF-8 and raw control characters are
//! read (the original clients send both), and nesting, tags and the number of values have limits. Reading costs the
//! document and its value once in memory: 100 MB of text take 0.3 s and 200 MB in all (dxr: 0.5 s and 320 MB).

mod read;
mod write;

pub(crate) use read::{read_answer, read_call};
pub(crate) use write::{write_answer, write_call};

/// How deep arrays and structs may nest in one parameter of a call. A stored parameter is given back one level
/// deeper, inside `[receipt, client_info, results]`.
pub(crate) const MAX_DEPTH: usize = 32;

/// How deep they may nest in an answer.
pub(crate) const MAX_ANSWER_DEPTH: usize = MAX_DEPTH + 1;

/// A document that cannot be read, with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct WireError {
    /// Line of the place, from 1.
    pub line: u64,
    /// Column of the place in characters, from 1.
    pub column: u64,
    /// What is wrong there; quotes no more than a short excerpt of the document.
    pub message: String,
}

/// A short piece of foreign text for an error message.
pub(crate) fn excerpt(text: &str) -> String {
    shortened(text, 40)
}

/// At most so many characters of foreign text, on one line.
pub(crate) fn shortened(text: &str, limit: usize) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    let mut short: String = chars.by_ref().take(limit).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}
