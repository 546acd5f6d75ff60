//! Names of uploaded files.

use pony_wire::text::is_legal;

/// The name as it is stored and shown: on one line, with every character that cannot be shown replaced.
pub(crate) fn visible(name: &str) -> String {
    let visible = |c: char| if c.is_control() || !is_legal(c) { char::REPLACEMENT_CHARACTER } else { c };
    name.chars().map(visible).collect()
}
