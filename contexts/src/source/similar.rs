//! Names that look alike, to offer one in place of another that does not exist.

/// How alike two names must be to be offered in each other's place.
const MIN_SIMILARITY: f64 = 0.8;

/// How many names are offered.
const MAX_OFFERED: usize = 3;

/// What may have been meant by `name`, which is no `kind`: as `branch: x` or `tag: x`, best first, from a list of full reference
/// names.
pub(crate) fn similar_names(kind: &str, name: &str, listed: &str) -> Vec<String> {
    let mut found: Vec<(f64, String)> = listed
        .lines()
        .filter_map(|line| {
            let (other, candidate) = match line.strip_prefix("refs/heads/") {
                Some(candidate) => ("branch", candidate),
                None => ("tag", line.strip_prefix("refs/tags/")?),
            };
            let short = name.strip_prefix("refs/heads/").or(name.strip_prefix("refs/tags/")).unwrap_or(name);
            let remote = short.strip_prefix("origin/").unwrap_or(short);
            let mut similarity = strsim::jaro_winkler(candidate, remote);
            // Of two that are equally similarity, the one of the kind that was asked for.
            if other != kind {
                similarity -= 0.001;
            }
            (similarity > MIN_SIMILARITY).then(|| (similarity, format!("{other}: {candidate}")))
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    found.into_iter().take(MAX_OFFERED).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_names_are_offered() {
        let listed = "refs/heads/main\nrefs/heads/3.13\nrefs/heads/3.14\nrefs/tags/v3.14.0\nrefs/heads/v1\nrefs/tags/v2\nbroken";
        assert_eq!(similar_names("branch", "mian", listed), ["branch: main"]);
        assert_eq!(similar_names("branch", "origin/main", listed), ["branch: main"]);
        assert_eq!(similar_names("branch", "3.15", listed), ["branch: 3.13", "branch: 3.14"]);
        assert_eq!(similar_names("branch", "v2", listed)[0], "tag: v2");
        assert_eq!(similar_names("tag", "refs/heads/v1", listed)[0], "branch: v1");
        assert_eq!(similar_names("branch", "zzz", listed), [""; 0]);
    }
}
