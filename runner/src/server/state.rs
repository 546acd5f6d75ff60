//! What is kept of each server between runs: its dialect, failures, and results in doubt. One small file a server, and a lock for
//! whoever delivers to it.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use pony_wire::Dialect;
use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use crate::{
    disk::{self, Lock},
    home::Home,
    record::folder::slug,
};

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
    /// Of the server with this name in receipts.
    pub(crate) fn load(home: &Home, server: &str) -> Self {
        let state = fs::read(file(home, server, "json")).ok();
        let state: Option<Self> = state.and_then(|text| serde_json::from_slice(&text).ok());
        Self { server: server.to_owned(), ..state.unwrap_or_default() }
    }

    /// On disk when this returns.
    pub(crate) fn save(&self, home: &Home) -> io::Result<()> {
        disk::write_json(&file(home, &self.server, "json"), self)
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
        let mut state = ServerState::load(&home, "http://a/");
        state.set_dialect(Dialect::V2010);
        state.in_doubt.insert("[\"a\"]".to_owned(), "p/r1".to_owned());
        state.save(&home).unwrap();
        let again = ServerState::load(&home, "http://a/");
        assert_eq!((again.dialect(), &again), (Some(Dialect::V2010), &state));
        fs::write(file(&home, "http://a/", "json"), "{").unwrap();
        assert_eq!(ServerState::load(&home, "http://a/").in_doubt, BTreeMap::new());
        let held = lock(&home, "http://a/").unwrap();
        assert!(held.is_some() && lock(&home, "http://a/").unwrap().is_none());
    }
}
