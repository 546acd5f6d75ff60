//! How long to wait after failures: kept for each server, each result and each result's files.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The first wait after a failure.
const SHORTEST: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST: Duration = Duration::from_hours(1);
/// No `Retry-After` is longer: what lies further ahead was written under a clock that was wrong.
const HORIZON: Duration = Duration::from_hours(25);

/// Failures in a row, and when to try again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    pub(crate) failures: u32,
    /// Of the last failure.
    pub(crate) reason: String,
    pub(crate) last: Timestamp,
    /// Not before this.
    pub(crate) next: Timestamp,
    /// The server itself asked for that wait.
    #[serde(default, rename = "asked", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_requested: bool,
}

impl Backoff {
    /// After one more failure. `random` spreads those that wait for the same server. Pure.
    pub(crate) fn after(
        before: Option<&Self>,
        reason: String,
        retry_after: Option<Duration>,
        now: Timestamp,
        random: u32,
    ) -> Self {
        let failures = before.map_or(0, |before| before.failures).saturating_add(1);
        let wait = retry_after.unwrap_or_default().max(delay(failures, random));
        Self {
            failures,
            reason,
            last: now,
            next: now.saturating_add(wait).unwrap_or(now),
            is_requested: retry_after.is_some_and(|wait| !wait.is_zero()),
        }
    }

    /// Whether it is time to try again; it is where the clock was set back. Pure.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let ahead = self.next.duration_since(now);
        ahead.is_negative() || ahead.is_zero() || ahead.unsigned_abs() > HORIZON
    }
}

/// Twice as long after each failure, up to an hour, by a quarter more or less. Pure.
fn delay(failures: u32, random: u32) -> Duration {
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
    fn delays_grow_up_to_an_hour_and_are_spread() {
        let minutes = |failures| delay(failures, u32::MAX / 2).as_secs_f64() / 60.0;
        assert!((minutes(1) - 0.5).abs() < 0.01 && (minutes(3) - 2.0).abs() < 0.01, "{}", minutes(3));
        for failures in [8, 9, 1000, u32::MAX] {
            assert!((minutes(failures) - 60.0).abs() < 0.1, "{failures}: {}", minutes(failures));
        }
        assert_eq!(delay(8, 0), Duration::from_mins(45));
        assert_eq!(delay(8, u32::MAX), Duration::from_mins(75));
    }

    #[test]
    fn a_longer_retry_after_is_honoured() {
        let after = |before: Option<&Backoff>, seconds| {
            Backoff::after(before, "x".to_owned(), Some(Duration::from_secs(seconds)), at(0), 0)
        };
        let backoff = after(None, 7200);
        assert_eq!((backoff.next, backoff.is_requested, backoff.failures), (at(7200), true, 1));
        let backoff = after(Some(&Backoff { failures: 7, ..backoff }), 1);
        assert_eq!((backoff.next, backoff.failures), (at(45 * 60), 8));
    }

    #[test]
    fn a_clock_that_was_wrong_does_not_hold_anything_up() {
        let backoff = Backoff::after(None, "x".to_owned(), None, at(0), 0);
        assert!(!backoff.is_over(at(1)) && backoff.is_over(at(23)) && backoff.is_over(at(1_000_000)));
        // The clock stood years ahead when that was written.
        assert!(backoff.is_over(at(-100_000_000)));
    }
}
