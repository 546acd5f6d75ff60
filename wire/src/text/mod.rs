//! Build output: what of it is text, and what a terminal would make of the rest.
//!
//! One parser finds control sequences (`parser`), and every place that shows output stands on it:
//!
//! | place | by | text | sequences | control characters |
//! |---|---|---|---|---|
//! | pipe, file | [`Filter`] | every byte, in any encoding | left out | kept |
//! | terminal without status lines; colours forced | [`Filter`], `keep` | every byte | kept if complete; colours that are still on are put out at the end | kept |
//! | terminal with status lines | [`Lines`], [`Controls::Hide`] | complete lines, and the open line as it looks now | colours, and what moves or erases within the line | applied within the line; a bell rings once; a page feed is a blank; others left out |
//! | several builds | [`Lines`], on a terminal [`Controls::Hide`], elsewhere [`Controls::Keep`] | complete lines; 8-bit bytes stay | the same; colours where they are wanted | the same; elsewhere others are kept |
//! | servers, tails | [`clean`] | UTF-8, what XML forbids as U+FFFD | the same; colours with `␛` in the place of ESC where the server draws them | the same; forbidden ones as U+FFFD, never drawn ones left out |
//!
//! In all of them: chunks may be cut anywhere; a sequence that is broken off takes along no more than itself, a string
//! (a title, say) no more than its line; nothing goes on after the end of a step; what is not known as a sequence is text.

mod cells;
mod clean;
mod filter;
mod lines;
mod parser;
mod pen;
mod row;
mod shorten;

pub use clean::{Colours, clean, encoded_len, is_legal};
pub use filter::Filter;
pub use lines::{Line, Lines};
pub use row::Controls;
pub use shorten::{shorten, shorten_ends};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Output with everything in it that a build may print, complete and cut.
    pub(super) fn output() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[a-z ]{1,6}".prop_map(String::into_bytes),
            Just("é日本🦄e\u{301}\u{9b}3mx\u{85}".into()),
            prop::sample::select(vec!["\n", "\r", "\r\n", "\t", "\x08", "\x07", "\x0c", "\0"])
                .prop_map(Into::into),
            "\x1b\\[[0-9;:?]{0,2}[ -/]?[@-~]".prop_map(String::into_bytes),
            "\x1b\\[[0-9;]{0,2}[mKCDGXP@]".prop_map(String::into_bytes),
            "\x1b[\\]PX^_][a-z;é]{0,6}(\x07|\x1b\\\\|\u{9c}|\n|)".prop_map(String::into_bytes),
            "\x1b[ -/]?[0-~]".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    /// The bytes, cut at these places.
    pub(super) fn chunks<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
        let mut cuts: Vec<usize> =
            cuts.iter().map(|cut| (*cut).min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }
}
