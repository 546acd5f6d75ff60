//! Text as every server takes it: legal XML 1.0, UTF-8, shortened head and tail.

/// What to do with terminal colour sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Every escape sequence is taken out.
    Strip,
    /// SGR sequences (`ESC [ … m`) are kept, with ESC written as U+241B `␛`; for pony-serve, whose pages draw them.
    Symbol,
}

/// Makes bytes legal XML 1.0 text: escape sequences as `colours` says, bytes that are not UTF-8 and
/// characters that XML 1.0 forbids become U+FFFD, CRLF becomes LF.
pub fn clean(bytes: &[u8], colours: Colours) -> String {
    let _ = (bytes, colours);
    todo!()
}

/// Keeps about `limit` bytes of `text`: its head and its tail, cut at line ends where there are some near, with a
/// line between them that says how many bytes were left out and where the whole is (`whole`).
pub fn shorten(text: &str, limit: usize, whole: &str) -> String {
    let _ = (text, limit, whole);
    todo!()
}
