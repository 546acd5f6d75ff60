//! How to deal with what lies beyond this machine.

use std::{slice, time::Duration};

use crate::{error::Error, shell::Shell};

/// How much patience there is with the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Use only the cache.
    pub offline: bool,
    /// Delays before each retry after a network error.
    pub retry_delays: Vec<Duration>,
    /// How long a command that speaks to another machine may print nothing.
    pub quiet_timeout: Duration,
}

/// Tells the person that the cache is used, and why.
pub(crate) fn fall_back_to_cache(error: &Error, shell: &mut impl Shell) {
    shell.note(&format!("using the cached copy: {error}"));
}

/// Waits before a retry after `error`; returns it where a retry is of no use, or was the last.
pub(crate) async fn retry_after(
    error: Error,
    delays: &mut slice::Iter<'_, Duration>,
    shell: &mut impl Shell,
) -> Result<(), Error> {
    let Some(delay) = delays.next().filter(|_| error.is_network_error()) else { return Err(error) };
    let message = error.to_string();
    shell.note(&format!("{}; retrying in {} s", message.lines().next().unwrap_or_default(), delay.as_secs()));
    shell.pause(*delay).await;
    Ok(())
}
