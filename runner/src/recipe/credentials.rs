//! Finds credentials in URLs, so that neither messages nor run folders show them.

use std::ops::Range;

/// `text` with each credential in a URL replaced by `*`, byte for byte, so that positions stay valid.
pub(super) fn redacted(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut done = 0;
    for secret in find(text) {
        redacted.push_str(text.get(done..secret.start).unwrap_or_default());
        redacted.extend(std::iter::repeat_n('*', secret.len()));
        done = secret.end;
    }
    redacted.push_str(text.get(done..).unwrap_or_default());
    redacted
}

/// A URL without user and password; ssh needs the user, so only the password goes.
pub(super) fn without_credentials(url: &str) -> String {
    let Some(secret) = find(url).into_iter().next() else { return url.to_owned() };
    let (before, after) =
        (url.get(..secret.start).unwrap_or_default(), url.get(secret.end..).unwrap_or_default());
    match before.strip_suffix(':') {
        Some(user) => format!("{user}{after}"),
        None => format!("{before}{}", after.trim_start_matches('@')),
    }
}

/// The secret part of each `scheme://login@host`: the whole login, or for ssh what follows the user.
fn find(text: &str) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    for (at, colon_slashes) in text.match_indices("://") {
        let start = at + colon_slashes.len();
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(rest.len());
        let Some((login, _)) = rest.get(..end).and_then(|authority| authority.rsplit_once('@')) else {
            continue;
        };
        let before = text.get(..at).unwrap_or_default();
        let scheme =
            before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next().unwrap_or_default();
        if !scheme.contains("ssh") {
            secrets.push(start..start + login.len());
        } else if let Some((user, _)) = login.split_once(':') {
            secrets.push(start + user.len() + 1..start + login.len());
        }
    }
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_redacted_in_place_and_left_out_of_urls() {
        for (url, mask, bare) in [
            ("https://me:pw@example.org/x", "https://*****@example.org/x", "https://example.org/x"),
            ("https://token@example.org/x", "https://*****@example.org/x", "https://example.org/x"),
            ("https://me:p@w@example.org", "https://******@example.org", "https://example.org"),
            ("ssh://git@example.org/x", "ssh://git@example.org/x", "ssh://git@example.org/x"),
            (
                "git+ssh://git:pw@example.org/x",
                "git+ssh://git:**@example.org/x",
                "git+ssh://git@example.org/x",
            ),
            ("git@example.org:x", "git@example.org:x", "git@example.org:x"),
            ("https://example.org/a@b", "https://example.org/a@b", "https://example.org/a@b"),
            ("https://grüße@example.org", "https://*******@example.org", "https://example.org"),
        ] {
            assert_eq!(redacted(url), mask);
            assert_eq!(without_credentials(url), bare);
            assert_eq!(
                redacted(&format!("source: {{git: '{url}'}} # {url}")),
                format!("source: {{git: '{mask}'}} # {mask}")
            );
        }
    }
}
