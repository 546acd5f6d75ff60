//! What a recipe names in a Subversion repository: an address, the revision to look it up in, and which revision of it.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::xml::Element;
use crate::{
    error::Error,
    source::context::SourceContext,
    url::{Url, decoded},
};

/// A revision as svn takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Revision {
    /// The newest.
    Head,
    /// By its number.
    Number(u64),
    /// The last one before a time, in braces.
    Date(String),
}

impl Revision {
    fn read(text: &str) -> Option<Self> {
        let date = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || " :.+-".contains(c));
        match text.strip_prefix('{').map(|rest| rest.strip_suffix('}')) {
            Some(Some(inner)) if !inner.is_empty() && date(inner) => Some(Self::Date(text.to_owned())),
            Some(_) => None,
            None if text.eq_ignore_ascii_case("head") => Some(Self::Head),
            None => {
                let digits = text.strip_prefix('r').unwrap_or(text);
                let number = digits.bytes().all(|byte| byte.is_ascii_digit());
                // As large as svn can count.
                digits.parse().ok().filter(|count| number && *count <= 0x7fff_ffff).map(Self::Number)
            }
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => formatter.write_str("HEAD"),
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Date(date) => formatter.write_str(date),
        }
    }
}

/// A folder of a repository in a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SvnTarget {
    /// The address as it was written, without the peg revision.
    pub(super) url: Url,
    /// As svn takes it, without a login: always a URL.
    pub(super) address: String,
    /// In which revision the address is looked up.
    peg: Option<Revision>,
    /// Which revision of what is found there.
    revision: Option<Revision>,
    /// The person's home, where svn's configuration is.
    pub(super) home: Option<PathBuf>,
}

impl SvnTarget {
    pub(super) fn read(
        url: &Url,
        revision: Option<&str>,
        context: &SourceContext<'_>,
    ) -> Result<Self, Error> {
        let (url, peg) = url.split_revision(|text| text.is_empty() || is_peg(text));
        let peg = peg.and_then(Revision::read);
        let revision = match revision {
            None => None,
            Some(text) => Some(Revision::read(text).ok_or_else(|| Error::NotAnSvnRevision(text.to_owned()))?),
        };
        let text = url.to_string();
        let address = if text.contains("://") {
            text.trim_end_matches('/').to_owned()
        } else if url.is_local() {
            file_url(Path::new(&context.address(&url)))
        } else {
            return Err(Error::NotAnSvnAddress(url));
        };
        Ok(Self { url, address, peg, revision, home: context.home.map(Path::to_owned) })
    }

    /// The address with the revision to look it up in. Never without the `@`, as there may be another in it.
    pub(super) fn pegged_url(&self) -> String {
        let peg = self.peg.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{}@{peg}", self.address)
    }

    /// Which revision is to be built.
    pub(super) fn revision(&self) -> &Revision {
        self.revision.as_ref().or(self.peg.as_ref()).unwrap_or(&Revision::Head)
    }

    /// Whether upstream would give this working copy, as far as can be told without asking it.
    pub(super) fn is_met_by(&self, current: &Info) -> bool {
        let unchanged = |revision: &Revision| match revision {
            // There is no newer one to be had.
            Revision::Head => true,
            Revision::Number(number) => (current.changed..=current.revision).contains(number),
            Revision::Date(_) => false,
        };
        same(&self.address, &current.url)
            && unchanged(self.revision())
            && self.peg.as_ref().is_none_or(unchanged)
    }
}

fn is_peg(text: &str) -> bool {
    !text.starts_with('r') && Revision::read(text).is_some()
}

fn same(one: &str, other: &str) -> bool {
    let plain = |url: &str| decoded(url.trim_end_matches('/'));
    let (one, other) = (plain(one), plain(other));
    match (one.split_once("://"), other.split_once("://")) {
        (Some((_, a)), Some((_, b))) => {
            let host = |text: &str| text.find('/').unwrap_or(text.len());
            a[..host(a)].eq_ignore_ascii_case(&b[..host(b)]) && a[host(a)..] == b[host(b)..]
        }
        _ => one == other,
    }
}

/// All but what svn leaves unescaped in its canonical addresses.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'-')
    .remove(b'.')
    .remove(b'/')
    .remove(b':')
    .remove(b'=')
    .remove(b'@')
    .remove(b'_')
    .remove(b'~');

/// `file://` and the absolute `path`, without `.` and `..`, which svn refuses.
fn file_url(path: &Path) -> String {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    format!("file://{}", percent_encode(plain.as_os_str().as_encoded_bytes(), ESCAPED))
}

/// What `svn info` says of a folder, upstream or in a working copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info {
    /// Where it is in that revision; percent-encoded.
    pub(super) url: String,
    /// Where its repository is.
    pub(super) root: String,
    /// Which repository that is.
    pub(super) uuid: String,
    /// The revision that was looked at.
    pub(super) revision: u64,
    /// The last in which anything in it changed.
    pub(super) changed: u64,
    /// When that was, ISO 8601; empty where the repository does not tell.
    pub(super) date: String,
    /// `dir` or `file`.
    pub(super) kind: String,
}

impl Info {
    pub(super) fn read(output: &[u8]) -> Option<Self> {
        Self::of(Element::read(&String::from_utf8_lossy(output))?.child("entry")?)
    }

    pub(super) fn of(entry: &Element) -> Option<Self> {
        let number = |element: &Element| element.attribute("revision")?.parse().ok();
        let (repository, commit) = (entry.child("repository")?, entry.child("commit")?);
        Some(Self {
            url: entry.text_of("url")?.to_owned(),
            root: repository.text_of("root")?.to_owned(),
            uuid: repository.text_of("uuid")?.to_owned(),
            revision: number(entry)?,
            changed: number(commit)?,
            date: commit.text_of("date").unwrap_or_default().to_owned(),
            kind: entry.attribute("kind")?.to_owned(),
        })
    }

    /// The exact place, for svn.
    pub(super) fn target(&self) -> String {
        format!("{}@{}", self.url, self.revision)
    }

    /// Whether `upstream`, the state of the revision `target`, is not of the repository that this came from, or its history was
    /// rewritten.
    pub(super) fn is_of_another_than(&self, upstream: &Self, target: &Revision) -> bool {
        let rewritten = self.url == upstream.url
            && self.changed == upstream.changed
            && !self.date.is_empty()
            && self.date != upstream.date;
        let shorter = *target == Revision::Head && upstream.revision < self.revision;
        self.uuid != upstream.uuid || self.root != upstream.root || rewritten || shorter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_what_is_none() {
        for (text, revision) in [
            ("12", Some(Revision::Number(12))),
            ("r12", Some(Revision::Number(12))),
            ("head", Some(Revision::Head)),
            ("{2026-01-31T10:00:00+01:00}", Some(Revision::Date("{2026-01-31T10:00:00+01:00}".to_owned()))),
            ("", None),
            ("r", None),
            ("-1", None),
            ("+1", None),
            ("1:2", None),
            ("BASE", None),
            ("{}", None),
            ("{2026", None),
            ("{a}{b}", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Revision::read(text), revision, "{text}");
        }
    }

    #[test]
    fn paths_become_addresses() {
        for (path, url) in [
            ("/srv/x", "file:///srv/x"),
            ("/recipes/../srv/./x/", "file:///srv/x"),
            ("/srv/a b@2/zo\u{eb}%", "file:///srv/a%20b@2/zo%C3%AB%25"),
        ] {
            assert_eq!(file_url(Path::new(path)), url);
        }
    }

    #[test]
    fn what_the_cache_can_stand_for() {
        let target = |address: &str, peg: Option<u64>, revision: Option<Revision>| SvnTarget {
            url: "svn://host/x".parse().unwrap(),
            address: address.to_owned(),
            peg: peg.map(Revision::Number),
            revision,
            home: None,
        };
        let held = Info {
            url: "svn://host/x/a%20b".to_owned(),
            root: "svn://host/x".to_owned(),
            uuid: "u".to_owned(),
            revision: 9,
            changed: 5,
            date: "d".to_owned(),
            kind: "dir".to_owned(),
        };
        let here = "svn://HOST/x/a b";
        for (target, met) in [
            (target(here, None, None), true),
            (target("svn://host/x/A b", None, None), false),
            (target(here, None, Some(Revision::Number(4))), false),
            (target(here, None, Some(Revision::Number(5))), true),
            (target(here, None, Some(Revision::Number(9))), true),
            (target(here, None, Some(Revision::Number(10))), false),
            (target(here, Some(7), None), true),
            (target(here, Some(4), Some(Revision::Number(6))), false),
            (target(here, None, Some(Revision::Date("{2026-01-01}".to_owned()))), false),
        ] {
            assert_eq!(target.is_met_by(&held), met, "{target:?}");
        }
        for (other, is_another) in [
            (Info { revision: 20, changed: 20, date: "later".to_owned(), ..held.clone() }, false),
            (Info { revision: 20, ..held.clone() }, false),
            (Info { revision: 8, ..held.clone() }, true),
            (Info { date: "other".to_owned(), ..held.clone() }, true),
            (Info { uuid: "v".to_owned(), ..held.clone() }, true),
            (Info { root: "svn://host".to_owned(), ..held.clone() }, true),
        ] {
            assert_eq!(held.is_of_another_than(&other, &Revision::Head), is_another, "{other:?}");
        }
        let earlier = Info { revision: 8, ..held.clone() };
        assert!(!held.is_of_another_than(&earlier, &Revision::Number(8)));
    }
}
