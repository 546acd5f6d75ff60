//! What is noted of a result on its way: that a server has it, what becomes of its files, why it waits, and when it is tried again.
//! Types, and what follows from them; `folder` writes them down.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::server::backoff::Backoff;

/// A server's word that it has a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// Which server, without credentials; `embedded` for this machine's own.
    pub(crate) server: String,
    /// The result's key there, if the server says.
    pub(crate) result_key: Option<String>,
    /// What uploads to that result are allowed with, if the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) auth_key: Option<String>,
    /// What the server speaks, as it was found then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dialect: Option<String>,
    /// When it was delivered, by our clock.
    pub(crate) time: Timestamp,
    /// Files that follow the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) uploads: Vec<Upload>,
    /// Why some of them wait, and until when.
    #[serde(default, rename = "trouble", skip_serializing_if = "Option::is_none")]
    pub(crate) backoff: Option<Backoff>,
}

/// One file, and what became of it: a part of the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// Where it is, below the run folder.
    pub(crate) file: String,
    /// What the server calls it.
    pub(crate) name: String,
    /// What the server shows beside it.
    pub(crate) description: String,
    /// Whether the server lists it.
    pub(crate) visible: bool,
    /// It is packed on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) packed: bool,
    /// What became of it.
    #[serde(flatten)]
    pub(crate) state: State,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub(crate) enum State {
    /// It is to be sent.
    Waiting {
        /// How often it was tried.
        tries: u32,
        /// Why the last try failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The server has it.
    Done {
        /// As many as were sent.
        bytes: u64,
    },
    /// The server will not have it, or it was tried often enough.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Receipt {
    /// Whether files wait.
    pub(crate) fn has_waiting(&self) -> bool {
        self.waiting() > 0
    }

    /// How many files wait.
    pub(crate) fn waiting(&self) -> usize {
        self.uploads.iter().filter(|upload| upload.is_waiting()).count()
    }

    /// Whether it is time to try those that wait. Pure.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.backoff.as_ref().is_none_or(|backoff| backoff.is_over(now))
    }

    /// Places of the files that wait, those first that were tried least: one that never gets through holds up no other. Pure.
    pub(crate) fn queue(&self) -> Vec<usize> {
        let tries = |upload: &Upload| match upload.state {
            State::Waiting { tries, .. } => Some(tries),
            State::Done { .. } | State::Refused { .. } => None,
        };
        let places = self.uploads.iter().enumerate();
        let mut queue: Vec<_> = places.filter_map(|(place, upload)| Some((tries(upload)?, place))).collect();
        queue.sort_unstable();
        queue.into_iter().map(|(_, place)| place).collect()
    }

    /// Files that were refused wait again, if there is a key for them: somebody asks for it. Pure.
    pub(crate) fn reopen(&mut self) {
        let refused = |upload: &&mut Upload| matches!(upload.state, State::Refused { .. });
        for upload in self.uploads.iter_mut().filter(|_| self.auth_key.is_some()).filter(refused) {
            upload.state = State::Waiting { tries: 0, reason: None };
        }
    }

    /// None of its files goes to the server any more, for this reason. Pure.
    pub(crate) fn refuse_waiting(&mut self, reason: &str) {
        for upload in self.uploads.iter_mut().filter(|upload| upload.is_waiting()) {
            upload.state = State::Refused { reason: reason.to_owned() };
        }
    }

    /// Bytes of its files that are on the server.
    pub(crate) fn sent(&self) -> u64 {
        let bytes = |upload: &Upload| if let State::Done { bytes } = upload.state { bytes } else { 0 };
        self.uploads.iter().map(bytes).sum()
    }
}

impl Upload {
    /// Whether it is to be sent.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }
}

/// What came of the tries so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// The server's name in receipts.
    pub(crate) server: String,
    /// How often it was tried and why it failed last.
    #[serde(flatten)]
    pub(crate) backoff: Backoff,
    /// What the last try ended with will not pass by itself: it is not tried again unless somebody asks for it.
    #[serde(default, rename = "final", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_final: bool,
    /// It was not let in: with another login it may be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) of_login: bool,
    /// Nobody wants it there any more: `pony-run submit --drop`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dropped: bool,
}

impl Waiting {
    /// Given up at `now`, whatever came of the tries before. Pure.
    pub(crate) fn dropped(before: Option<Self>, server: &str, now: Timestamp) -> Self {
        let none =
            || Backoff { failures: 0, reason: String::new(), last: now, next: now, is_requested: false };
        let (backoff, is_final, of_login) = match before {
            Some(before) => (before.backoff, before.is_final, before.of_login),
            None => (none(), false, false),
        };
        Self { server: server.to_owned(), backoff, is_final, of_login, dropped: true }
    }

    /// Whether it is to be tried without being asked for by name. Pure.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        !self.dropped && !self.is_final && self.backoff.is_over(now)
    }
}
