//! Names and ids of commits: which are possible.

/// True for an object id in full (SHA-1 or SHA-256).
pub(crate) fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_revision(text)
}

/// True for an object id, in full or its first digits.
pub(super) fn is_revision(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// True if git could have a branch or tag of this name (git-check-ref-format); all else would be read as an expression.
pub(super) fn is_legal(name: &str) -> bool {
    !name.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c))
        && !["..", "@{"].iter().any(|part| name.contains(part))
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.rsplit('.').next() != Some("lock"))
        && !name.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert!(is_id(&"a".repeat(40)) && is_id(&"0".repeat(64)));
        assert!(!is_id("abcd") && is_revision("abcd") && is_revision("ABCD12"));
        assert!(!is_revision("abc") && !is_revision("main") && !is_revision(&"a".repeat(65)));
    }

    #[test]
    fn legal_names() {
        for name in ["main", "a/b", "-x", "fix#1", "\u{e4}\u{f6}", "a@b", "v1.0"] {
            assert!(is_legal(name), "{name}");
        }
        for name in
            ["", "main~1", "a..b", "a:b", "@{u}", "a//b", "/a", "a/", "a b", "x.lock", ".a", "a.", "a\n"]
        {
            assert!(!is_legal(name), "{name}");
        }
    }
}
