//! What a recipe asks of a Subversion repository, understood: an address, where to look for it, and which revision of it.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use super::{Wanted, xml::Element};
use crate::{
    Request,
    error::Error,
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

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
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

impl Asked {
    pub(super) fn read(wanted: &Wanted, request: &Request) -> Result<Self, Error> {
        let (url, peg) = wanted.url.split_revision(|text| text.is_empty() || is_peg(text));
        let peg = peg.and_then(Revision::read);
        let revision = match &wanted.revision {
            None => None,
            Some(text) => Some(Revision::read(text).ok_or_else(|| Error::NotAnSvnRevision(text.clone()))?),
        };
        let text = url.to_string();
        let address = if text.contains("://") {
            text.trim_end_matches('/').to_owned()
        } else if url.is_local() {
            file_url(Path::new(&request.address(&url)))
        } else {
            return Err(Error::NotAnSvnAddress(url));
        };
        Ok(Self { url, address, peg, revision, home: request.home.clone() })
    }

    /// The address with the revision to look it up in. Never without the `@`, as there may be another in it.
    pub(super) fn target(&self) -> String {
        let peg = self.peg.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{}@{peg}", self.address)
    }

    /// Which revision is to be built.
    pub(super) fn revision(&self) -> &Revision {
        self.revision.as_ref().or(self.peg.as_ref()).unwrap_or(&Revision::Head)
    }

    /// Whether a working copy that is like this is what upstream would give, as far as can be said without asking it.
    pub(super) fn is_met_by(&self, held: &Info) -> bool {
        let unchanged = |revision: &Revision| match revision {
            // No more can be had than what is here.
            Revision::Head => true,
            Revision::Number(number) => (held.changed..=held.revision).contains(number),
            Revision::Date(_) => false,
        };
        same(&self.address, &held.url)
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
    let mut url = "file://".to_owned();
    for byte in plain.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"!$&'()*+,-./:=@_~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            url.push('%');
            url.extend([byte >> 4, byte & 15].map(|half| char::from(b"0123456789ABCDEF"[usize::from(half)])));
        }
    }
    url
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

    /// Whether `upstream`, which is the answer to `asked`, is not the repository that this came from, or its history has been
    /// made again.
    pub(super) fn is_of_another_than(&self, upstream: &Self, asked: &Revision) -> bool {
        let rewritten = self.url == upstream.url
            && self.changed == upstream.changed
            && !self.date.is_empty()
            && self.date != upstream.date;
        let shorter = *asked == Revision::Head && upstream.revision < self.revision;
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
        let asked = |address: &str, peg: Option<u64>, revision: Option<Revision>| Asked {
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
        for (asked, met) in [
            (asked(here, None, None), true),
            (asked("svn://host/x/A b", None, None), false),
            (asked(here, None, Some(Revision::Number(4))), false),
            (asked(here, None, Some(Revision::Number(5))), true),
            (asked(here, None, Some(Revision::Number(9))), true),
            (asked(here, None, Some(Revision::Number(10))), false),
            (asked(here, Some(7), None), true),
            (asked(here, Some(4), Some(Revision::Number(6))), false),
            (asked(here, None, Some(Revision::Date("{2026-01-01}".to_owned()))), false),
        ] {
            assert_eq!(asked.is_met_by(&held), met, "{asked:?}");
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
