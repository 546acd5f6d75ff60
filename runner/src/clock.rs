//! The only file that reads a clock. Everything else is handed the time.
#![expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]

use std::time::Duration;

use jiff::Timestamp;

/// Time since the program's clock was made: what deadlines are counted in. Never goes back.
pub type Moment = Duration;

/// The wall clock and the monotonic clock, read together.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    /// A clock whose [`Moment`] zero is now.
    pub fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    /// Monotonic time since the start.
    pub fn now(&self) -> Moment {
        self.origin.elapsed()
    }

    /// The wall clock, UTC.
    pub fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Completes at `moment`; never without one.
    pub async fn until(&self, moment: Option<Moment>) {
        match moment {
            Some(moment) => tokio::time::sleep_until(self.origin + moment).await,
            None => std::future::pending().await,
        }
    }
}
