//! A document that cannot be read, and how messages quote foreign text.

/// A document that cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct WireError {
    /// From 1.
    pub line: u64,
    /// In characters, from 1.
    pub column: u64,
    /// Quotes no more than a short excerpt of the document.
    pub message: String,
}

/// A short excerpt of foreign text for an error message.
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
