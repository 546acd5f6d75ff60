//! The mark of a result in the outbox: why a server does not have it yet, and when it is tried again. One file a server in the
//! run folder; a result that was never tried has none.
#![expect(clippy::disallowed_methods, reason = "a mark is removed here")]

use std::{fs, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    record::{
        folder::{RunFolder, slug},
        format::Format,
    },
    server::backoff::Backoff,
    versioned::{self, FileError},
};

const FORMAT: Format = Format::new(1, 1);

/// What came of the tries so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutboxMark {
    /// The server's name in receipts.
    pub(crate) server: String,
    #[serde(flatten)]
    pub(crate) backoff: Backoff,
    /// The last failure is permanent: the result is not tried again unless somebody asks for it.
    #[serde(default, rename = "final", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_permanent: bool,
    /// The login was refused; another one may not be.
    #[serde(default, rename = "of_login", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_login: bool,
    /// `pony-run submit --drop`
    #[serde(default, rename = "dropped", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_given_up: bool,
}

fn path(folder: &RunFolder, server: &str) -> PathBuf {
    folder.path().join(format!("waiting-{}.json", slug(server)))
}

impl OutboxMark {
    /// None if that server was not tried yet.
    pub(crate) fn load(folder: &RunFolder, server: &str) -> Result<Option<Self>, FileError> {
        match versioned::read(&path(folder, server), FORMAT) {
            // A damaged one only costs a try.
            Err(error) if !error.is_too_new() => Ok(None),
            loaded => loaded,
        }
    }

    /// Where it cannot be written, the result is only tried more often.
    pub(crate) fn save(&self, folder: &RunFolder) {
        if let Err(error) = versioned::write(&path(folder, &self.server), FORMAT, self) {
            tracing::warn!("cannot note why a result waits: {error}");
        }
    }

    pub(super) fn remove(folder: &RunFolder, server: &str) {
        let _ = fs::remove_file(path(folder, server));
    }

    /// Given up at `now`, whatever came of the tries before. Pure.
    pub(crate) fn given_up(before: Option<Self>, server: &str, now: Timestamp) -> Self {
        let never_tried =
            || Backoff { failures: 0, reason: String::new(), last: now, next: now, is_requested: false };
        match before {
            Some(before) => Self { is_given_up: true, ..before },
            None => Self {
                server: server.to_owned(),
                backoff: never_tried(),
                is_permanent: false,
                is_login: false,
                is_given_up: true,
            },
        }
    }

    /// Whether it is tried without anybody asking for it. Pure.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        !self.is_given_up && !self.is_permanent && self.backoff.is_over(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_first_format_and_of_a_newer_minor_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(dir.path());
        let rest = r#""server": "s", "failures": 2, "reason": "x", "last": "2026-01-01T00:00:00Z", "next": "2026-01-01T00:01:00Z", "final": true}"#;
        for (head, is_read) in
            [("{", true), (r#"{"format": "1.9", "new": 1, "#, true), (r#"{"format": "2.0", "#, false)]
        {
            fs::write(path(&folder, "s"), format!("{head}{rest}")).unwrap();
            match OutboxMark::load(&folder, "s") {
                Ok(mark) => assert!(is_read && mark.is_some_and(|mark| mark.is_permanent), "{head}"),
                Err(error) => assert!(!is_read && error.to_string().contains("format is 2.0"), "{error}"),
            }
        }
        fs::write(path(&folder, "s"), "{").unwrap();
        assert_eq!(OutboxMark::load(&folder, "s").unwrap(), None);
    }

    #[test]
    fn giving_up_keeps_what_came_of_the_tries() {
        let mark = OutboxMark::given_up(None, "s", Timestamp::UNIX_EPOCH);
        assert!(mark.is_given_up && !mark.is_due(Timestamp::MAX));
        let before = OutboxMark { is_permanent: true, is_given_up: false, ..mark };
        let mark = OutboxMark::given_up(Some(before), "s", Timestamp::MAX);
        assert!(mark.is_given_up && mark.is_permanent && mark.backoff.last == Timestamp::UNIX_EPOCH);
    }
}
