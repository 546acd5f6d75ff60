//! Names in addresses. A package's name is any text; in a link it is one segment of a path.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what RFC 3986 calls unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The segment for a package. Browsers resolve `.` and `..`, also percent-encoded, so that those names (and names that
/// begin with the mark itself) get a `~` in front.
pub(super) fn segment(package: &str) -> String {
    let mark = if matches!(package, "." | ".." | "") || package.starts_with('~') { "~" } else { "" };
    format!("{mark}{}", utf8_percent_encode(package, ENCODED))
}

/// The package of a decoded segment.
pub(super) fn package(segment: &str) -> &str {
    segment.strip_prefix('~').unwrap_or(segment)
}

/// The path for a file's name: a segment for each part between slashes, since proxies do not like encoded slashes.
pub(super) fn file_path(name: &str) -> String {
    name.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The file of a decoded path.
pub(super) fn file(path: &str) -> String {
    path.split('/').map(package).collect::<Vec<_>>().join("/")
}

/// A value in the query of an address.
pub(super) fn query(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

/// The link from a page to the root of the server. Relative, so that the server can be mounted below any path.
pub(super) fn root(path: &str) -> String {
    match path.matches('/').count() {
        0 | 1 => "./".to_owned(),
        deep => "../".repeat(deep - 1),
    }
}

/// Redirects to the page with a slash at its end. Pages are folders, so that links from them are short.
pub(crate) async fn add_slash(uri: Uri) -> Response {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, format!("./{last}/{query}"))]).into_response()
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_names_are_one_segment() {
        for (name, expected) in [
            ("hello-git", "hello-git"),
            ("a/b", "a%2Fb"),
            ("..", "~.."),
            (".", "~."),
            ("~x", "~~x"),
            ("...", "..."),
            ("a b?#", "a%20b%3F%23"),
            ("ü<", "%C3%BC%3C"),
        ] {
            assert_eq!(segment(name), expected);
        }
        assert_eq!(file_path("logs/02 make.gz"), "logs/02%20make.gz");
        assert_eq!(file_path("../../etc/passwd"), "~../~../etc/passwd");
        assert_eq!(file_path("/a//"), "~/a/~/~");
    }

    #[test]
    fn the_root_is_found_from_everywhere() {
        for (path, expected) in [
            ("/", "./"),
            ("/p/x", "../"),
            ("/p/x/", "../../"),
            ("/p/x/1/", "../../../"),
            ("/p/x/1/inspect", "../../../"),
        ] {
            assert_eq!(root(path), expected);
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "\\PC*") {
            let segment = segment(&name);
            prop_assert!(!segment.contains(['/', '?', '#', '%']) || segment.contains('%'));
            prop_assert!(!segment.contains(['/', '?', '#']) && !matches!(segment.as_str(), "" | "." | ".."));
            let decoded = percent_decode_str(&segment).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(package(&decoded), name);
        }

        #[test]
        fn every_file_comes_back_and_stays_below_its_folder(name in "([~./]|\\PC){0,9}") {
            let path = file_path(&name);
            prop_assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", path);
            let decoded = percent_decode_str(&path).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(file(&decoded), name);
        }
    }
}
