//! Time as pony-serve counts it, and the one place where the clock is read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, UTC. Everything that decides takes it as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i64);

impl Time {
    /// The server's clock, now.
    #[expect(clippy::disallowed_methods, reason = "the one place where the server's clock is read")]
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// Unix seconds, as a receipt carries them.
    #[expect(clippy::cast_precision_loss, reason = "exact to the microsecond until the year 2255")]
    pub(crate) fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Seconds as clients send them (a double, or an int), if they make sense as a duration.
pub(crate) fn duration_from_seconds(seconds: f64) -> Option<Duration> {
    // More than a century is a mistake, and would overflow later.
    (0.0..=3.2e9).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}
