//! What is noted of a result on its way: that a server has it, what becomes of its files, why it waits, and when it is tried again.
//! Types, and what follows from them; `folder` writes them down.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Name of this machine's own server in receipts.
pub const EMBEDDED: &str = "embedded";

/// The first wait after a failure.
const SHORTEST: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST: Duration = Duration::from_hours(1);
/// Nothing waits for longer, whoever asked for it: what lies further ahead was written under a clock that was wrong.
const HORIZON: Duration = Duration::from_hours(25);

/// A server's word that it has a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Which server, without credentials; `embedded` for this machine's own.
    pub server: String,
    /// The result's key there, if the server says.
    pub result_key: Option<String>,
    /// What uploads to that result are allowed with, if the server says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_key: Option<String>,
    /// What the server speaks, as it was found then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// When it was delivered, by our clock.
    pub time: Timestamp,
    /// Files that follow the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploads: Vec<Upload>,
    /// Why some of them wait, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
}

/// One file, and what became of it: a part of the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Where it is, below the run folder.
    pub file: String,
    /// What the server calls it.
    pub name: String,
    /// What the server shows beside it.
    pub description: String,
    /// Whether the server lists it.
    pub visible: bool,
    /// It is packed on its way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub packed: bool,
    /// What became of it.
    #[serde(flatten)]
    pub state: State,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
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
    pub fn has_waiting(&self) -> bool {
        self.waiting() > 0
    }

    /// How many files wait.
    pub fn waiting(&self) -> usize {
        self.uploads.iter().filter(|upload| upload.is_waiting()).count()
    }

    /// Whether it is time to try those that wait. Pure.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.trouble.as_ref().is_none_or(|trouble| trouble.is_over(now))
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
    pub fn reopen(&mut self) {
        let refused = |upload: &&mut Upload| matches!(upload.state, State::Refused { .. });
        for upload in self.uploads.iter_mut().filter(|_| self.auth_key.is_some()).filter(refused) {
            upload.state = State::Waiting { tries: 0, reason: None };
        }
    }

    /// None of its files goes to the server any more, for this reason. Pure.
    pub fn refuse_waiting(&mut self, reason: &str) {
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
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }
}

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

/// That something did not go well, and when it is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// How often in a row.
    pub failures: u32,
    /// Why, the last time.
    pub reason: String,
    /// When that was.
    pub last: Timestamp,
    /// Not before this.
    pub next: Timestamp,
    /// The server itself asked for that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
}

impl Trouble {
    /// After one more failure for this reason; `wish`: how long the server asks to be left alone; `random` spreads those who wait for
    /// the same server. Pure.
    pub fn of(
        before: Option<&Self>,
        reason: String,
        wish: Option<Duration>,
        now: Timestamp,
        random: u32,
    ) -> Self {
        let failures = before.map_or(0, |trouble| trouble.failures).saturating_add(1);
        let wait = wish.unwrap_or_default().max(backoff(failures, random));
        Self {
            failures,
            reason,
            last: now,
            next: now.saturating_add(wait).unwrap_or(now),
            asked: wish.is_some_and(|wish| !wish.is_zero()),
        }
    }

    /// Whether it is time to try again. Where the clock was set, it is. Pure.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let ahead = self.next.duration_since(now);
        ahead.is_negative() || ahead.is_zero() || ahead.unsigned_abs() > HORIZON
    }
}

/// How long to wait after so many failures in a row: twice as long each time, up to an hour, by a quarter more or less. Pure.
pub fn backoff(failures: u32, random: u32) -> Duration {
    let doubled = SHORTEST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let spread = 0.75 + 0.5 * f64::from(random) / f64::from(u32::MAX);
    doubled.mul_f64(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn waits_grow_up_to_an_hour_and_are_spread() {
        let minutes = |failures| backoff(failures, u32::MAX / 2).as_secs_f64() / 60.0;
        assert!((minutes(1) - 0.5).abs() < 0.01 && (minutes(3) - 2.0).abs() < 0.01, "{}", minutes(3));
        for failures in [8, 9, 1000, u32::MAX] {
            assert!((minutes(failures) - 60.0).abs() < 0.1, "{failures}: {}", minutes(failures));
        }
        assert_eq!(backoff(8, 0), Duration::from_mins(45));
        assert_eq!(backoff(8, u32::MAX), Duration::from_mins(75));
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_hold_anything_up() {
        let trouble = Trouble::of(None, "x".to_owned(), None, at(0), 0);
        assert!(!trouble.is_over(at(1)) && trouble.is_over(at(23)) && trouble.is_over(at(1_000_000)));
        // The clock stood years ahead when that was written.
        assert!(trouble.is_over(at(-100_000_000)));
    }
}
