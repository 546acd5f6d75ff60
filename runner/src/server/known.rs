//! What is remembered of each server between runs: which dialect it speaks, since when it is in trouble, and results of which nobody
//! knows whether it has them. One small file a server, and a lock for whoever delivers to it.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    time::Duration,
};

use jiff::Timestamp;
use pony_wire::Dialect;
use serde::{Deserialize, Serialize};

use super::error::CallError;
use crate::{
    folder::{slug, write_whole},
    home::Home,
};

/// The first wait after a failure.
const SHORTEST: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST: Duration = Duration::from_hours(1);
/// Nothing waits for longer, whoever asked for it: what lies further ahead was written under a clock that was wrong.
const HORIZON: Duration = Duration::from_hours(25);

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
    /// After one more failure of a call; `random` spreads those who wait for the same server. Pure.
    pub fn after(before: Option<&Self>, error: &CallError, now: Timestamp, random: u32) -> Self {
        Self::of(before, error.to_string(), error.retry_after(), now, random)
    }

    /// After one more failure for this reason. Pure.
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
        let json = serde_json::to_value(known).map_err(io::Error::other)?;
        write_whole(&file(home, server, "json"), &json)
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
pub fn turn(home: &Home, server: &str) -> io::Result<Option<File>> {
    let lock = File::options().create(true).truncate(false).write(true).open(file(home, server, "lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn file(home: &Home, server: &str, ending: &str) -> std::path::PathBuf {
    home.servers().join(format!("{}.{ending}", slug(server)))
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
    fn a_servers_wish_is_heeded_where_it_is_longer() {
        let asked = |seconds| CallError::Status {
            status: reqwest::StatusCode::SERVICE_UNAVAILABLE,
            text: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        let trouble = Trouble::after(None, &asked(7200), at(0), 0);
        assert_eq!((trouble.next, trouble.asked, trouble.failures), (at(7200), true, 1));
        let trouble = Trouble::after(Some(&Trouble { failures: 7, ..trouble }), &asked(1), at(0), 0);
        assert_eq!((trouble.next, trouble.failures), (at(45 * 60), 8));
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_hold_anything_up() {
        let trouble = Trouble::after(None, &CallError::Broken("x".into()), at(0), 0);
        assert!(!trouble.is_over(at(1)) && trouble.is_over(at(23)) && trouble.is_over(at(1_000_000)));
        // The clock stood years ahead when that was written.
        assert!(trouble.is_over(at(-100_000_000)));
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
