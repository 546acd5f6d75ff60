//! Messages to people when a slot starts to fail, still fails, or passes again. This file decides whether to send one; `message`
//! writes it, `mail` sends it (webhooks: [`crate::server::webhook`]), `memory` keeps what was sent. Notifications are sent at
//! least once: they are noted after they were sent.

pub(crate) mod mail;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod settings;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{query::Health, server::reported::Status};

/// A slot that keeps failing is reported again after this time.
const REMINDER: Duration = Duration::from_hours(24);

/// How the last result of a slot that says something of the code went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Light {
    #[serde(rename = "green")]
    Passing,
    #[serde(rename = "red")]
    Failing,
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum News {
    /// It fails, and did not before, or is looked at first.
    #[serde(rename = "turned-red")]
    Failing,
    #[serde(rename = "still-red")]
    StillFailing,
    #[serde(rename = "turned-green")]
    PassingAgain,
}

/// What is remembered of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotState {
    pub(crate) light: Light,
    /// When it was first seen so.
    pub(crate) since: Timestamp,
    /// When the last message was sent, if any was.
    #[serde(default, rename = "told", skip_serializing_if = "Option::is_none")]
    pub(crate) notified: Option<Timestamp>,
}

impl Light {
    /// None for a result that says nothing of the code: it changes nothing.
    pub(crate) fn of(status: Status) -> Option<Self> {
        match Health::of(status) {
            Health::Passing => Some(Self::Passing),
            Health::Failing => Some(Self::Failing),
            Health::Unknown => None,
        }
    }
}

/// What to send about a slot that is seen so now, and what to remember once it is sent. Pure.
pub(crate) fn decide(before: Option<&SlotState>, light: Light, now: Timestamp) -> (Option<News>, SlotState) {
    let changed = |notified| SlotState { light, since: now, notified };
    match (before, light) {
        (None | Some(SlotState { light: Light::Passing, .. }), Light::Failing) => {
            (Some(News::Failing), changed(Some(now)))
        }
        (Some(SlotState { light: Light::Failing, .. }), Light::Passing) => {
            (Some(News::PassingAgain), changed(Some(now)))
        }
        (None, Light::Passing) => (None, changed(None)),
        (Some(before), Light::Passing) => (None, before.clone()),
        (Some(before), Light::Failing) => {
            // Where the clock was set back by more than that, one message too many is better than none.
            let is_due = before
                .notified
                .is_none_or(|notified| now.duration_since(notified).unsigned_abs() >= REMINDER);
            let notified = if is_due { Some(now) } else { before.notified };
            (is_due.then_some(News::StillFailing), SlotState { notified, ..before.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn state(light: Light, since: i64, notified: Option<i64>) -> SlotState {
        SlotState { light, since: at(since), notified: notified.map(at) }
    }

    #[test]
    fn the_truth_table_of_what_is_sent() {
        use Light::{Failing, Passing};
        use News::{Failing as StartsFailing, PassingAgain, StillFailing};
        let now = 100;
        for (before, light, news, after) in [
            (None, Passing, None, state(Passing, now, None)),
            (None, Failing, Some(StartsFailing), state(Failing, now, Some(now))),
            (Some(state(Passing, 1, None)), Passing, None, state(Passing, 1, None)),
            (Some(state(Passing, 1, Some(1))), Failing, Some(StartsFailing), state(Failing, now, Some(now))),
            (Some(state(Failing, 90, Some(90))), Passing, Some(PassingAgain), state(Passing, now, Some(now))),
            (Some(state(Failing, 77, Some(77))), Failing, None, state(Failing, 77, Some(77))),
            (Some(state(Failing, 1, Some(76))), Failing, Some(StillFailing), state(Failing, 1, Some(now))),
            (Some(state(Failing, 1, None)), Failing, Some(StillFailing), state(Failing, 1, Some(now))),
            // The clock was set.
            (Some(state(Failing, 200, Some(110))), Failing, None, state(Failing, 200, Some(110))),
            (
                Some(state(Failing, 200, Some(200))),
                Failing,
                Some(StillFailing),
                state(Failing, 200, Some(now)),
            ),
        ] {
            assert_eq!(decide(before.as_ref(), light, at(now)), (news, after), "{before:?} {light:?}");
        }
        assert_eq!(Light::of(Status::Cancelled), None);
    }
}
