//! Who is told that a package has turned red, is still red, or has turned green: whether there is something to tell (this file), in
//! which words (`message`), by what (`mail`, webhooks through [`crate::server`]), and what was told before (`memory`).

pub mod mail;
pub mod memory;
pub mod message;
pub mod settings;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::query::Verdict;

/// Who stays red is told of again after so long.
pub const AGAIN: Duration = Duration::from_hours(24);

/// The colours that are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// All right.
    Green,
    /// Not so.
    Red,
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It is red, and was not, or was not known.
    TurnedRed,
    /// It is still red.
    StillRed,
    /// It is green again.
    TurnedGreen,
}

/// What was told last of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How it was.
    pub light: Light,
    /// Since when, as far as was seen.
    pub since: Timestamp,
    /// When it was told last, if ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
}

impl Light {
    /// Of the last result; one that says nothing of the code changes nothing.
    pub fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Green => Some(Self::Green),
            Verdict::Red => Some(Self::Red),
            Verdict::Unknown => None,
        }
    }
}

/// What there is to tell of a slot that is seen like this now, and what is to be remembered once it is told. Pure.
pub fn decide(before: Option<&State>, seen: Light, now: Timestamp) -> (Option<Kind>, State) {
    let turned = |told| State { light: seen, since: now, told };
    match (before, seen) {
        (None | Some(State { light: Light::Green, .. }), Light::Red) => {
            (Some(Kind::TurnedRed), turned(Some(now)))
        }
        (Some(State { light: Light::Red, .. }), Light::Green) => (Some(Kind::TurnedGreen), turned(Some(now))),
        (None, Light::Green) => (None, turned(None)),
        (Some(before @ State { light: Light::Green, .. }), Light::Green) => (None, before.clone()),
        (Some(before @ State { light: Light::Red, .. }), Light::Red) => {
            // Where the clock was set back by more than that, it is told once too often rather than never.
            let is_due = before.told.is_none_or(|told| now.duration_since(told).unsigned_abs() >= AGAIN);
            let told = if is_due { Some(now) } else { before.told };
            (is_due.then_some(Kind::StillRed), State { told, ..before.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hours * 3600).unwrap()
    }

    fn state(light: Light, since: i64, told: Option<i64>) -> State {
        State { light, since: at(since), told: told.map(at) }
    }

    #[test]
    fn the_truth_table_of_what_is_told() {
        use Kind::{StillRed, TurnedGreen, TurnedRed};
        use Light::{Green, Red};
        let now = 100;
        for (before, seen, kind, after) in [
            (None, Green, None, state(Green, now, None)),
            (None, Red, Some(TurnedRed), state(Red, now, Some(now))),
            (Some(state(Green, 1, None)), Green, None, state(Green, 1, None)),
            (Some(state(Green, 1, Some(1))), Red, Some(TurnedRed), state(Red, now, Some(now))),
            (Some(state(Red, 90, Some(90))), Green, Some(TurnedGreen), state(Green, now, Some(now))),
            (Some(state(Red, 77, Some(77))), Red, None, state(Red, 77, Some(77))),
            (Some(state(Red, 1, Some(76))), Red, Some(StillRed), state(Red, 1, Some(now))),
            (Some(state(Red, 1, None)), Red, Some(StillRed), state(Red, 1, Some(now))),
            // The clock was set.
            (Some(state(Red, 200, Some(110))), Red, None, state(Red, 200, Some(110))),
            (Some(state(Red, 200, Some(200))), Red, Some(StillRed), state(Red, 200, Some(now))),
        ] {
            assert_eq!(decide(before.as_ref(), seen, at(now)), (kind, after), "{before:?} {seen:?}");
        }
        assert_eq!(Light::of(Verdict::Unknown), None);
    }
}
