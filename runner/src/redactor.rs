//! Keeps secrets out of every sink: the values of the recipe's `secrets` and the passwords in URLs.
//!
//! Build output is masked as it streams, before it is recorded ([`StreamMask`]); everything else is masked string by
//! string, before it is written, shown or sent ([`Mask::text`], [`Mask::data`]).

use std::{borrow::Cow, sync::Arc};

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use serde::{Serialize, de::DeserializeOwned};

/// What is shown in place of a secret.
pub const STARS: &str = "***";
/// A shorter value would be found all over every log, and masking it would garble them.
pub const SHORTEST: usize = 4;

/// Members of our records that hold words of the format and times, never text: there `test` is no secret, and has to be
/// read again.
const WORDS_OF_OURS: [&str; 10] =
    ["event", "type", "outcome", "stream", "time", "started", "ended", "run_id", "deliver_to", "tempdir"];

/// Finds secrets.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    inner: Option<Arc<Finder>>,
}

#[derive(Debug)]
struct Finder {
    automaton: AhoCorasick,
    secrets: Vec<Vec<u8>>,
}

impl Mask {
    /// A mask for these values. Of a value of several lines each line is masked too, as tools print them one by one.
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
        // Leftmost-longest: of `pass` and `password` the whole word goes.
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&secrets)?;
        Ok(Self { inner: Some(Arc::new(Finder { automaton, secrets })) })
    }

    /// Whether there is nothing to mask.
    pub fn is_empty(&self) -> bool {
        self.inner.is_none()
    }

    /// `text` with secrets replaced.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(finder) = &self.inner else { return Cow::Borrowed(text) };
        if !finder.automaton.is_match(text) {
            return Cow::Borrowed(text);
        }
        let stars = vec![STARS; finder.secrets.len()];
        Cow::Owned(finder.automaton.replace_all(text, &stars))
    }

    /// Every string in `value` with secrets replaced.
    pub fn json(&self, value: &mut serde_json::Value) {
        use serde_json::Value;
        if self.inner.is_none() {
            return;
        }
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.text(text) {
                    *text = masked;
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

    /// A mask for one stream of bytes.
    pub fn stream(&self) -> StreamMask {
        StreamMask { finder: self.inner.clone(), held: Vec::new() }
    }
}

/// Masks one stream, chunk by chunk. A secret that is split over chunks is found all the same: the end of a chunk that
/// may be the beginning of a secret is held back until the next chunk or [`finish`](Self::finish).
#[derive(Debug, Clone)]
pub struct StreamMask {
    finder: Option<Arc<Finder>>,
    held: Vec<u8>,
}

impl StreamMask {
    /// What of `chunk` (and of what was held back before) can go out now. Without secrets: the chunk, not copied.
    pub fn push<'c>(&mut self, chunk: &'c [u8]) -> Cow<'c, [u8]> {
        let Some(finder) = &self.finder else { return Cow::Borrowed(chunk) };
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(chunk);
        // From here on a secret may go on in the next chunk; what is found in there may be a part of it.
        let open = finder.first_beginning(&text);
        let mut out = Vec::with_capacity(text.len());
        let mut done = 0;
        for found in finder.automaton.find_iter(&text).take_while(|found| found.start() < open) {
            out.extend_from_slice(&text[done..found.start()]);
            out.extend_from_slice(STARS.as_bytes());
            done = found.end();
        }
        let keep = if done <= open { open } else { finder.first_beginning(&text[done..]) + done };
        out.extend_from_slice(&text[done..keep]);
        self.held = text.split_off(keep);
        Cow::Owned(out)
    }

    /// What was held back, when nothing more comes.
    pub fn finish(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let Some(finder) = &self.finder else { return held };
        let stars = vec![STARS.as_bytes(); finder.secrets.len()];
        finder.automaton.replace_all_bytes(&held, &stars)
    }
}

impl Finder {
    /// Whether all of `text` is the beginning of a secret that is longer.
    fn begins_at_end(&self, text: &[u8]) -> bool {
        self.secrets.iter().any(|secret| secret.len() > text.len() && secret.starts_with(text))
    }

    /// Where in `text` the first end piece starts that could be the beginning of a secret; its length if there is none.
    fn first_beginning(&self, text: &[u8]) -> usize {
        let longest = self.secrets.iter().map(Vec::len).max().unwrap_or(0);
        let from = text.len().saturating_sub(longest.saturating_sub(1));
        (from..text.len()).find(|&start| self.begins_at_end(&text[start..])).unwrap_or(text.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(secrets: &[&str]) -> Mask {
        Mask::new(secrets.iter().map(ToString::to_string)).unwrap()
    }

    fn stream(mask: &Mask, chunks: &[&[u8]]) -> Vec<u8> {
        let mut stream = mask.stream();
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&stream.push(chunk));
        }
        out.extend_from_slice(&stream.finish());
        out
    }

    #[test]
    fn a_secret_split_over_chunks_is_masked() {
        let mask = mask(&["hunter2secret"]);
        assert_eq!(stream(&mask, &[b"token=hun", b"ter2sec", b"ret\n"]), b"token=***\n");
        assert_eq!(stream(&mask, &[b"token=hun", b"dred\n"]), b"token=hundred\n");
    }

    #[test]
    fn only_what_may_be_a_beginning_is_held_back() {
        let mask = mask(&["hunter2secret"]);
        let mut stream = mask.stream();
        assert_eq!(&stream.push(b"line\n")[..], b"line\n");
        assert_eq!(&stream.push(b"prompt hunt")[..], b"prompt ");
    }

    #[test]
    fn of_two_secrets_with_one_beginning_the_longer_goes_whole() {
        let mask = mask(&["password", "password-and-more"]);
        assert_eq!(stream(&mask, &[b"x password", b"-and-more y"]), b"x *** y");
        assert_eq!(stream(&mask, &[b"x password", b"-and-less y"]), b"x ***-and-less y");
        assert_eq!(mask.text("password-and-more"), "***");
    }

    #[test]
    fn each_line_of_a_secret_of_several_lines_is_masked() {
        let mask = mask(&["BEGIN KEY\nabcdef\nEND KEY\n"]);
        assert_eq!(mask.text("  abcdef"), "  ***");
    }

    #[test]
    fn json_is_masked_inside_its_strings() {
        let mask = mask(&["a\"b\"c"]);
        let mut value = serde_json::json!({"x": ["say a\"b\"c"], "n": 1});
        mask.json(&mut value);
        assert_eq!(value, serde_json::json!({"x": ["say ***"], "n": 1}));
    }

    proptest! {
        #[test]
        fn no_secret_ever_comes_out_however_it_is_cut(
            text in "[ab]{0,40}", cuts in proptest::collection::vec(0_usize..40, 0..6),
            secrets in proptest::collection::vec("[ab]{4,7}", 1..4),
        ) {
            let mask = Mask::new(secrets).unwrap();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
            let out = String::from_utf8(stream(&mask, &chunks)).unwrap();
            prop_assert_eq!(out, mask.text(&text));
        }
    }
}
