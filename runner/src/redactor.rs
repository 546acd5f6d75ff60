//! Keeps secrets out of every sink: the values of the recipe's `secrets` and the passwords in URLs.
//!
//! Build output is redacted as it streams, before it is recorded ([`StreamRedactor`]); everything else string by string,
//! before it is written, shown or sent ([`Redactor::text`], [`Redactor::data`]). Both are one function: every byte of
//! every occurrence goes, also where occurrences overlap, and each stretch of such bytes becomes [`STARS`].

use std::{borrow::Cow, sync::Arc};

use aho_corasick::{AhoCorasick, BuildError};
use serde::{Serialize, de::DeserializeOwned};

/// What is shown in place of a secret.
pub const STARS: &str = "***";
/// A shorter value would be found all over every log, and stars would garble them.
pub const SHORTEST: usize = 4;

/// Members of our records that hold words of the format and times, never text: there `test` is no secret, and has to be
/// read again.
const WORDS_OF_OURS: [&str; 10] =
    ["event", "type", "outcome", "stream", "time", "started", "ended", "run_id", "deliver_to", "tempdir"];

/// Finds secrets.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    finder: Option<Arc<Finder>>,
}

#[derive(Debug)]
struct Finder {
    automaton: AhoCorasick,
    secrets: Vec<Vec<u8>>,
}

impl Redactor {
    /// One for these values. Of a value of several lines each line goes too, as tools print them one by one.
    /// Values shorter than [`SHORTEST`] are left alone; callers refuse them.
    ///
    /// # Errors
    /// When there is more to look for than the search can hold (gigabytes).
    pub fn new<I: IntoIterator<Item = String>>(values: I) -> Result<Self, BuildError> {
        let mut secrets: Vec<Vec<u8>> = Vec::new();
        for value in values {
            let lines = value.lines().map(str::trim);
            for part in std::iter::once(value.trim()).chain(lines) {
                if part.len() >= SHORTEST && !secrets.iter().any(|known| known == part.as_bytes()) {
                    secrets.push(part.as_bytes().to_vec());
                }
            }
        }
        if secrets.is_empty() {
            return Ok(Self::default());
        }
        let automaton = AhoCorasick::new(&secrets)?;
        Ok(Self { finder: Some(Arc::new(Finder { automaton, secrets })) })
    }

    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.finder.is_none()
    }

    /// `text` with secrets replaced.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(text) };
        let mut out = Vec::new();
        if finder.redact(text.as_bytes(), text.len(), 0, &mut out).is_none() {
            return Cow::Borrowed(text);
        }
        // Secrets are text, so that what is left of text is text.
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }

    /// Every string in `value` with secrets replaced.
    pub fn json(&self, value: &mut serde_json::Value) {
        use serde_json::Value;
        if self.is_empty() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Cow::Owned(redacted) = self.text(text) {
                    *text = redacted;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::Object(members) => members
                .iter_mut()
                .filter(|(name, _)| !WORDS_OF_OURS.contains(&name.as_str()))
                .for_each(|(_, value)| self.json(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// `data` with secrets replaced in every string of it, for plain data that survives the way through JSON.
    pub fn data<T: Serialize + DeserializeOwned>(&self, data: T) -> serde_json::Result<T> {
        if self.is_empty() {
            return Ok(data);
        }
        let mut json = serde_json::to_value(&data)?;
        self.json(&mut json);
        serde_json::from_value(json)
    }

    /// One for a stream of bytes.
    pub fn stream(&self) -> StreamRedactor {
        StreamRedactor { finder: self.finder.clone(), held: Vec::new(), covered: 0 }
    }
}

/// Redacts one stream, chunk by chunk. A secret that is split over chunks is found all the same: the end of a chunk that
/// may be the beginning of a secret is held back until the next chunk or [`finish`](Self::finish).
#[derive(Debug, Clone)]
pub struct StreamRedactor {
    finder: Option<Arc<Finder>>,
    held: Vec<u8>,
    /// Bytes of `held` that belong to a secret whose stars are out.
    covered: usize,
}

impl StreamRedactor {
    /// What of `chunk` (and of what was held back before) can go out now. Without secrets: the chunk, not copied.
    pub fn push<'c>(&mut self, chunk: &'c [u8]) -> Cow<'c, [u8]> {
        let Some(finder) = self.finder.clone() else { return Cow::Borrowed(chunk) };
        let text = if self.held.is_empty() {
            Cow::Borrowed(chunk)
        } else {
            self.held.extend_from_slice(chunk);
            Cow::Owned(std::mem::take(&mut self.held))
        };
        // No secret that begins before it goes on in the next chunk.
        let open = finder.first_beginning(&text);
        self.held.extend_from_slice(&text[open..]);
        self.redact(&finder, text, open)
    }

    /// What was held back, when nothing more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        let Some(finder) = self.finder.clone() else { return Vec::new() };
        let text = std::mem::take(&mut self.held);
        let end = text.len();
        self.redact(&finder, Cow::Owned(text), end).into_owned()
    }

    fn redact<'c>(&mut self, finder: &Finder, text: Cow<'c, [u8]>, end: usize) -> Cow<'c, [u8]> {
        let mut out = Vec::new();
        if let Some(covered) = finder.redact(&text, end, self.covered, &mut out) {
            self.covered = covered.saturating_sub(end);
            return Cow::Owned(out);
        }
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
            Cow::Owned(mut text) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        }
    }
}

impl Finder {
    /// Writes what is left of `text` up to `end`, of which the first `covered` bytes belong to a secret before it; secrets count
    /// that begin before `end`. Gives up to where `text` is covered then; none if there is nothing to redact, and then
    /// nothing is written.
    fn redact(&self, text: &[u8], end: usize, covered: usize, out: &mut Vec<u8>) -> Option<usize> {
        let found = self.automaton.find_overlapping_iter(text).filter(|found| found.start() < end);
        let mut found: Vec<_> = found.map(|found| found.range()).collect();
        if found.is_empty() && covered == 0 {
            return None;
        }
        found.sort_unstable_by_key(|range| range.start);
        let mut done = covered;
        for range in found {
            if range.start >= done {
                out.extend_from_slice(&text[done..range.start]);
                out.extend_from_slice(STARS.as_bytes());
            }
            done = done.max(range.end);
        }
        out.extend_from_slice(&text[done.min(end)..end]);
        Some(done)
    }

    /// Whether all of `text` is the beginning of a secret that is longer.
    fn is_beginning(&self, text: &[u8]) -> bool {
        self.secrets.iter().any(|secret| secret.len() > text.len() && secret.starts_with(text))
    }

    /// Where in `text` the first end piece starts that could be the beginning of a secret; its length if there is none.
    fn first_beginning(&self, text: &[u8]) -> usize {
        let longest = self.secrets.iter().map(Vec::len).max().unwrap_or(0);
        let from = text.len().saturating_sub(longest.saturating_sub(1));
        (from..text.len()).find(|&start| self.is_beginning(&text[start..])).unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().map(ToString::to_string)).unwrap()
    }

    fn stream(redactor: &Redactor, chunks: &[&[u8]]) -> Vec<u8> {
        let mut stream = redactor.stream();
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&stream.push(chunk));
        }
        out.extend_from_slice(&stream.finish());
        out
    }

    #[test]
    fn a_secret_split_over_chunks_is_redacted() {
        let redactor = redactor(&["hunter2secret"]);
        assert_eq!(stream(&redactor, &[b"token=hun", b"ter2sec", b"ret\n"]), b"token=***\n");
        assert_eq!(stream(&redactor, &[b"token=hun", b"dred\n"]), b"token=hundred\n");
    }

    #[test]
    fn only_what_may_be_a_beginning_is_held_back() {
        let redactor = redactor(&["hunter2secret"]);
        let mut stream = redactor.stream();
        assert_eq!(&stream.push(b"line\n")[..], b"line\n");
        assert_eq!(&stream.push(b"prompt hunt")[..], b"prompt ");
    }

    #[test]
    fn of_two_secrets_with_one_beginning_the_longer_goes_whole() {
        let redactor = redactor(&["password", "password-and-more"]);
        assert_eq!(stream(&redactor, &[b"x password", b"-and-more y"]), b"x *** y");
        assert_eq!(stream(&redactor, &[b"x password", b"-and-less y"]), b"x ***-and-less y");
        assert_eq!(redactor.text("password-and-more"), "***");
    }

    #[test]
    fn each_line_of_a_secret_of_several_lines_is_redacted() {
        let redactor = redactor(&["BEGIN KEY\nabcdef\nEND KEY\n"]);
        assert_eq!(redactor.text("  abcdef"), "  ***");
    }

    #[test]
    fn json_is_redacted_inside_its_strings() {
        let redactor = redactor(&["a\"b\"c"]);
        let mut value = serde_json::json!({"x": ["say a\"b\"c"], "n": 1});
        redactor.json(&mut value);
        assert_eq!(value, serde_json::json!({"x": ["say ***"], "n": 1}));
    }

    #[test]
    fn secrets_that_overlap_go_whole() {
        for (secrets, text, left) in [
            (&["aaba", "aaaabaa"][..], "aabaaaaba", "***a***"),
            (&["abcd", "cdef"], "xabcdefx", "x***x"),
            (&["abcd", "efgh"], "abcdefgh", "******"),
            (&["abab"], "abababab", "***"),
        ] {
            let redactor = redactor(secrets);
            assert_eq!(redactor.text(text), left);
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(stream(&redactor, &bytes), left.as_bytes());
        }
    }

    #[test]
    fn what_follows_a_secret_is_not_held_back_for_long() {
        let redactor = redactor(&["abab"]);
        let mut stream = redactor.stream();
        for _ in 0..1000 {
            stream.push(b"ab");
            assert!(stream.held.len() < 4);
        }
        assert_eq!(&stream.push(b"x")[..], b"x");
    }

    /// Found by looking at every place for every secret.
    fn expected(text: &str, secrets: &[String]) -> String {
        let mut out = String::new();
        let mut covered = 0;
        for (at, c) in text.char_indices() {
            let here = secrets.iter().filter(|secret| text[at..].starts_with(*secret)).map(String::len).max();
            if let Some(length) = here {
                if at >= covered {
                    out.push_str(STARS);
                }
                covered = covered.max(at + length);
            }
            if at >= covered {
                out.push(c);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn no_secret_ever_comes_out_however_it_is_cut(
            text in "[ab]{0,40}", cuts in proptest::collection::vec(0_usize..40, 0..6),
            secrets in proptest::collection::vec("[ab]{4,7}", 1..4),
        ) {
            let redactor = Redactor::new(secrets.clone()).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let out = String::from_utf8(stream(&redactor, &chunks)).unwrap();
            prop_assert_eq!(redactor.text(&text), out.as_str());
            prop_assert!(!secrets.iter().any(|secret| out.contains(secret)), "{}", out);
            prop_assert_eq!(out, expected(&text, &secrets));
        }
    }
}
