//! That a result waits for a server, and why: `waiting-<server>.json` in the run folder.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DeliverError;
use crate::server::known::Trouble;

/// What came of the tries so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The server's name in receipts.
    pub server: String,
    /// How often it was tried and why it failed last.
    #[serde(flatten)]
    pub trouble: Trouble,
    /// What the last try ended with will not pass by itself: it is not tried again unless somebody asks for it.
    #[serde(default, rename = "final", skip_serializing_if = "std::ops::Not::not")]
    pub is_final: bool,
    /// It was not let in: with another login it may be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_login: bool,
    /// Nobody wants it there any more: `pony-run submit --drop`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped: bool,
}

impl Waiting {
    /// After one more try. Pure.
    pub(super) fn after(
        before: Option<&Self>,
        server: &str,
        error: &DeliverError,
        now: Timestamp,
        random: u32,
    ) -> Self {
        let reason = error.to_string();
        let trouble = before.map(|before| &before.trouble);
        let trouble = match error {
            DeliverError::Call(error) => Trouble::after(trouble, error, now, random),
            _ => Trouble::of(trouble, reason.clone(), None, now, random),
        };
        Self {
            server: server.to_owned(),
            trouble: Trouble { reason, ..trouble },
            is_final: error.is_final(),
            of_login: error.is_of_the_login(),
            dropped: false,
        }
    }

    /// Given up at `now`, whatever came of the tries before. Pure.
    pub fn dropped(before: Option<Self>, server: &str, now: Timestamp) -> Self {
        let none = || Trouble { failures: 0, reason: String::new(), last: now, next: now, asked: false };
        let (trouble, is_final, of_login) = match before {
            Some(before) => (before.trouble, before.is_final, before.of_login),
            None => (none(), false, false),
        };
        Self { server: server.to_owned(), trouble, is_final, of_login, dropped: true }
    }

    /// Whether it is to be tried without being asked for by name. Pure.
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.dropped && !self.is_final && self.trouble.is_over(now)
    }
}
