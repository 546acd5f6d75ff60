//! Names and ids of commits: which are possible, and which look alike.

/// How alike two names must be to be offered in each other's place.
const ALIKE: f64 = 0.8;

/// How many names are offered.
const OFFERED: usize = 3;

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

/// What `name`, which is no `kind`, may have meant: as `branch: x` or `tag: x`, from a list of full reference names.
pub(crate) fn near(kind: &str, name: &str, listed: &str) -> Vec<String> {
    let mut found: Vec<(f64, String)> = listed
        .lines()
        .filter_map(|line| {
            let (other, candidate) = match line.strip_prefix("refs/heads/") {
                Some(candidate) => ("branch", candidate),
                None => ("tag", line.strip_prefix("refs/tags/")?),
            };
            let short = name.strip_prefix("refs/heads/").or(name.strip_prefix("refs/tags/")).unwrap_or(name);
            let remote = short.strip_prefix("origin/").unwrap_or(short);
            let mut alike = strsim::jaro_winkler(candidate, remote);
            // Of two that are equally alike, the one of the kind that was asked for.
            if other != kind {
                alike -= 0.001;
            }
            (alike > ALIKE).then(|| (alike, format!("{other}: {candidate}")))
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().take(OFFERED).map(|(_, text)| text).collect()
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

    #[test]
    fn alike_names_are_offered() {
        let listed = "refs/heads/main\nrefs/heads/3.13\nrefs/heads/3.14\nrefs/tags/v3.14.0\nrefs/heads/v1\nrefs/tags/v2\nbroken";
        assert_eq!(near("branch", "mian", listed), ["branch: main"]);
        assert_eq!(near("branch", "origin/main", listed), ["branch: main"]);
        assert_eq!(near("branch", "3.15", listed), ["branch: 3.13", "branch: 3.14"]);
        assert_eq!(near("branch", "v2", listed)[0], "tag: v2");
        assert_eq!(near("tag", "refs/heads/v1", listed)[0], "branch: v1");
        assert_eq!(near("branch", "zzz", listed), [""; 0]);
    }
}
