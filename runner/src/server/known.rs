//! What is remembered of each server between runs: which dialect it speaks, since when it is in trouble, and results of which nobody
//! knows whether it has them. One small file a server, and a lock for whoever delivers to it.

use std::{collections::BTreeMap, fs, io};

use jiff::Timestamp;
use pony_wire::Dialect;
use serde::{Deserialize, Serialize};

use super::error::CallError;
use crate::{
    delivery::receipt::Trouble,
    disk::{self, Lock},
    home::Home,
    record::folder::slug,
};

/// What is remembered of one server. But for `unsure` it can be lost without harm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Its name in receipts.
    pub server: String,
    /// What it was last found to speak, as [`Dialect::word`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dialect: Option<String>,
    /// Since the last failure; nothing once it has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Of each slot the run (`PACKAGE/RUN-ID` in the home's runs) that was sent last and not answered for: before anything else of
    /// the slot is sent, the server is asked whether it has it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsure: BTreeMap<String, String>,
}

/// After one more failure of a call. Pure.
pub fn after(before: Option<&Trouble>, error: &CallError, now: Timestamp, random: u32) -> Trouble {
    Trouble::of(before, error.to_string(), error.retry_after(), now, random)
}

impl Known {
    /// What is remembered of the server of this name.
    pub fn load(home: &Home, server: &str) -> Self {
        let known = fs::read(file(home, server, "json")).ok();
        let known: Option<Self> = known.and_then(|text| serde_json::from_slice(&text).ok());
        known.unwrap_or_default()
    }

    /// Keeps it: on disk when this returns.
    pub fn save(&self, home: &Home, server: &str) -> io::Result<()> {
        let known = Self { server: server.to_owned(), ..self.clone() };
        disk::write_json(&file(home, server, "json"), &known)
    }

    /// What it speaks.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect.as_deref()?.parse().ok()
    }

    /// It speaks this.
    pub fn speaks(&mut self, dialect: Dialect) {
        self.dialect = Some(dialect.word().to_owned());
    }
}

/// Held by whoever delivers to a server: results of one slot must not overtake each other, and no server is called twice at once
/// from one machine. None if another pony-run holds it.
pub fn turn(home: &Home, server: &str) -> io::Result<Option<Lock>> {
    Lock::try_take(&file(home, server, "lock"))
}

fn file(home: &Home, server: &str, ending: &str) -> std::path::PathBuf {
    home.servers().join(format!("{}.{ending}", slug(server)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn a_servers_wish_is_heeded_where_it_is_longer() {
        let asked = |seconds| CallError::Status {
            status: reqwest::StatusCode::SERVICE_UNAVAILABLE,
            text: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let trouble = after(None, &asked(7200), at(0), 0);
        assert_eq!((trouble.next, trouble.asked, trouble.failures), (at(7200), true, 1));
        let trouble = after(Some(&Trouble { failures: 7, ..trouble }), &asked(1), at(0), 0);
        assert_eq!((trouble.next, trouble.failures), (at(45 * 60), 8));
    }

    #[test]
    fn what_is_remembered_comes_back_and_rubbish_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path()), None).unwrap();
        home.make().unwrap();
        let mut known = Known::default();
        known.speaks(Dialect::V2010);
        known.unsure.insert("[\"a\"]".to_owned(), "p/r1".to_owned());
        known.save(&home, "http://a/").unwrap();
        let again = Known::load(&home, "http://a/");
        assert_eq!(
            (again.dialect(), &again.unsure, again.server.as_str()),
            (Some(Dialect::V2010), &known.unsure, "http://a/")
        );
        fs::write(file(&home, "http://a/", "json"), "{").unwrap();
        assert_eq!(Known::load(&home, "http://a/"), Known::default());
        let held = turn(&home, "http://a/").unwrap();
        assert!(held.is_some() && turn(&home, "http://a/").unwrap().is_none());
    }
}
