//! What is kept of each server between runs: its dialect, failures, and results in doubt. One small file a server, and a lock for
//! whoever delivers to it.

use std::{collections::BTreeMap, io, path::PathBuf};

use pony_wire::Dialect;
use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use crate::{
    disk::Lock,
    home::Home,
    record::{folder::slug, format::Format},
    versioned::{self, FileError},
};

const FORMAT: Format = Format::new(1, 1);

/// The state of one server. All but `in_doubt` can be lost without harm.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServerState {
    /// Its name in receipts.
    pub(crate) server: String,
    /// As [`Dialect::word`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dialect: Option<String>,
    /// None once it has answered.
    #[serde(default, rename = "trouble", skip_serializing_if = "Option::is_none")]
    pub(crate) backoff: Option<Backoff>,
    /// For each slot the run (`PACKAGE/RUN-ID` in the home's runs) that was sent and not answered for. Before anything else of the
    /// slot is sent, the server is asked whether it has that run.
    #[serde(default, rename = "unsure", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) in_doubt: BTreeMap<String, String>,
}

impl ServerState {
    /// Of the server with this name in receipts. A damaged one is empty; one that a newer program wrote is an error.
    pub(crate) fn load(home: &Home, server: &str) -> Result<Self, FileError> {
        let state: Option<Self> = match versioned::read(&file(home, server, "json"), FORMAT) {
            Err(error) if !error.is_too_new() => None,
            loaded => loaded?,
        };
        Ok(Self { server: server.to_owned(), ..state.unwrap_or_default() })
    }

    /// On disk when this returns.
    pub(crate) fn save(&self, home: &Home) -> io::Result<()> {
        versioned::write(&file(home, &self.server, "json"), FORMAT, self)
    }

    pub(crate) fn dialect(&self) -> Option<Dialect> {
        self.dialect.as_deref()?.parse().ok()
    }

    pub(crate) fn set_dialect(&mut self, dialect: Dialect) {
        self.dialect = Some(dialect.word().to_owned());
    }
}

/// Held while results are delivered to a server: results of a slot must not overtake each other. None if another pony-run holds it.
pub(crate) fn lock(home: &Home, server: &str) -> io::Result<Option<Lock>> {
    Lock::try_take(&file(home, server, "lock"))
}

fn file(home: &Home, server: &str, extension: &str) -> PathBuf {
    home.servers().join(format!("{}.{extension}", slug(server)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_and_a_damaged_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path()), None).unwrap();
        home.make().unwrap();
        let load = || ServerState::load(&home, "http://a/");
        let mut state = load().unwrap();
        state.set_dialect(Dialect::V2010);
        state.in_doubt.insert("[\"a\"]".to_owned(), "p/r1".to_owned());
        state.save(&home).unwrap();
        let again = load().unwrap();
        assert_eq!((again.dialect(), &again), (Some(Dialect::V2010), &state));
        let write = |text: &str| std::fs::write(file(&home, "http://a/", "json"), text).unwrap();
        write("{");
        assert_eq!(load().unwrap().in_doubt, BTreeMap::new());
        // As the first format has it, and as a newer minor may.
        for head in ["{", r#"{"format": "1.8", "more": 1, "#] {
            write(&format!(
                r#"{head}"server": "http://a/", "dialect": "2009", "unsure": {{"[]": "p/r2"}}}}"#
            ));
            let old = load().unwrap();
            assert_eq!((old.dialect(), &*old.in_doubt["[]"]), (Some(Dialect::V2009), "p/r2"));
        }
        write(r#"{"format": "2.0"}"#);
        assert!(load().unwrap_err().to_string().contains("use a newer pony-run"));
        let held = lock(&home, "http://a/").unwrap();
        assert!(held.is_some() && lock(&home, "http://a/").unwrap().is_none());
    }
}
