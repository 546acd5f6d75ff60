//! Names and ids of changesets: which are possible, and how they are given to hg so that they are taken for nothing else.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// True for a changeset's id in full. That of the null changeset and that of the working directory are none.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 40
        && is_revision(text)
        && !["0", "f", "F"].iter().any(|digit| text.replace(digit, "").is_empty())
}

/// True for a changeset's id, in full or its first digits.
pub(super) fn is_revision(text: &str) -> bool {
    (4..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// True if Mercurial lets a bookmark, branch or tag have this name. What it does not would be read as a revision's number or
/// as an expression.
pub(super) fn is_legal(name: &str) -> bool {
    !name.is_empty()
        && name.trim() == name
        && !["tip", ".", "null"].contains(&name)
        && !name.chars().any(|c| c == ':' || c.is_control())
        && !is_number(name)
}

/// What Python takes for an integer.
fn is_number(name: &str) -> bool {
    let digits = name.strip_prefix(['+', '-']).unwrap_or(name);
    digits.starts_with(|c: char| c.is_numeric()) && digits.chars().all(|c| c.is_numeric() || c == '_')
}

/// True if `hg update` takes this name for a name where it stands by itself.
pub(super) fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || "_@".contains(c))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._@/-".contains(c))
        && !name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `name` as a string of the language of revision sets, in which it stands for what it names.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `name` for the query of a URL.
pub(super) fn escaped(name: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    utf8_percent_encode(name, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert!(is_id(&"a1".repeat(20)) && is_revision("abcd") && is_revision("1234"));
        for text in ["abcd".to_owned(), "0".repeat(40), "f".repeat(40), "g".repeat(40), "a1".repeat(21)] {
            assert!(!is_id(&text), "{text}");
        }
        assert!(!is_revision("abc") && !is_revision("tip") && !is_revision(&"a1".repeat(21)));
    }

    #[test]
    fn legal_names() {
        for name in [
            "default",
            "a/b",
            "-x",
            "fix 1",
            "\u{e4}\u{f6}",
            "@",
            "v1.0",
            "beef",
            "max(all())",
            "a\"b",
            "1.0",
        ] {
            assert!(is_legal(name), "{name}");
        }
        for name in ["", "tip", "null", ".", "a:b", "0", "-1", "+5", "1_0", " x", "a\n", "\u{663}"] {
            assert!(!is_legal(name), "{name}");
        }
    }

    #[test]
    fn plain_names() {
        for name in ["@", "feature/x-1", "a.b"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["beef", "a b", "a+b", "max(all())", "-x", "1.0", "\u{e4}"] {
            assert!(!is_plain(name), "{name}");
        }
        assert_eq!(escaped("@ \u{e4}-1"), "%40%20%C3%A4-1");
        assert_eq!(quoted(r#"a"\b"#), r#""a\"\\b""#);
    }
}
