//! Whether to build a slot, the answer to `check_should_build`: a pure function of the slot's state.
//!
//! The order of the rules, the times and the reasons are those of the 2010 server: clients show the reasons, and old ones
//! evaluate them.

use std::time::Duration;

use crate::clock::Time;
use crate::python;

const DAY: Duration = Duration::from_hours(24);
/// How long a reservation holds if neither the builder's allowance nor the last build's duration is known.
const DEFAULT_BUILD: Duration = Duration::from_hours(1);

/// What the decision depends on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct SlotState {
    /// A person requested a build.
    pub(crate) requested: bool,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) last: Option<LastBuild>,
}

/// A builder asked, got a yes and reserved the slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reservation {
    pub(crate) at: Time,
    /// How long the builder expects to need.
    pub(crate) allowance: Option<Duration>,
}

/// The newest result of a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LastBuild {
    pub(crate) received: Time,
    /// A result without `success` counts as failed.
    pub(crate) success: bool,
    pub(crate) duration: Option<Duration>,
}

/// Whether to build, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BuildDecision {
    /// Yes: a person requested it. This answer consumes the request.
    Requested,
    /// Yes: the last build is older than a day.
    Stale { age: Duration },
    /// Yes: the last build failed.
    Failed,
    /// Yes: there is no build yet.
    NeverBuilt,
    /// No: another builder has reserved it.
    InBuild,
    /// No: the last build passed within a day.
    UpToDate,
}

impl BuildDecision {
    /// Whether to build.
    pub(crate) fn build(self) -> bool {
        !matches!(self, Self::InBuild | Self::UpToDate)
    }

    /// The reason in the words that clients know. `tagset` is the slot's.
    pub(crate) fn reason<'a>(self, tagset: impl IntoIterator<Item = &'a str>) -> String {
        match self {
            Self::Requested => "build requested".to_owned(),
            Self::Stale { age } => format!("last build was {} ago; do build!", python::timedelta(age)),
            Self::Failed => "last build was unsuccessful; go!".to_owned(),
            Self::NeverBuilt => {
                let tags: Vec<_> = tagset.into_iter().map(python::repr).collect();
                format!("no build recorded for frozenset([{}]); build!", tags.join(", "))
            }
            Self::InBuild => "may be in build now".to_owned(),
            Self::UpToDate => "build up to date".to_owned(),
        }
    }
}

/// Decides, by the first rule that applies: requested, reserved, older than a day, failed, never built.
pub(crate) fn should_build(state: &SlotState, now: Time) -> BuildDecision {
    if state.requested {
        return BuildDecision::Requested;
    }
    if let Some(reservation) = state.reservation {
        let time = reservation
            .allowance
            .or_else(|| state.last.and_then(|last| last.duration))
            .unwrap_or(DEFAULT_BUILD);
        if now.since(reservation.at) < time {
            return BuildDecision::InBuild;
        }
    }
    let Some(last) = state.last else { return BuildDecision::NeverBuilt };
    let age = now.since(last.received);
    if age >= DAY {
        BuildDecision::Stale { age }
    } else if last.success {
        BuildDecision::UpToDate
    } else {
        BuildDecision::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_800_000_000_000_000);

    fn ago(seconds: i64) -> Time {
        Time(NOW.0 - seconds * 1_000_000)
    }

    fn built(seconds_ago: i64, success: bool, duration: Option<u64>) -> LastBuild {
        LastBuild { received: ago(seconds_ago), success, duration: duration.map(Duration::from_secs) }
    }

    fn reserved(seconds_ago: i64, allowance: Option<u64>) -> Reservation {
        Reservation { at: ago(seconds_ago), allowance: allowance.map(Duration::from_secs) }
    }

    #[test]
    fn every_row_of_the_table() {
        let rows = [
            // requested, reservation, last build → decision
            (true, None, None, BuildDecision::Requested),
            (true, Some(reserved(1, Some(60))), Some(built(60, true, None)), BuildDecision::Requested),
            (false, None, None, BuildDecision::NeverBuilt),
            (false, Some(reserved(59, Some(60))), None, BuildDecision::InBuild),
            (false, Some(reserved(60, Some(60))), None, BuildDecision::NeverBuilt),
            (
                false,
                Some(reserved(59, Some(60))),
                Some(built(2 * 86_400, false, Some(5))),
                BuildDecision::InBuild,
            ),
            // No allowance: as long as the last build took, else one hour.
            (false, Some(reserved(4, None)), Some(built(30, true, Some(5))), BuildDecision::InBuild),
            (false, Some(reserved(5, None)), Some(built(30, true, Some(5))), BuildDecision::UpToDate),
            (false, Some(reserved(3_599, None)), None, BuildDecision::InBuild),
            (false, Some(reserved(3_600, None)), None, BuildDecision::NeverBuilt),
            (false, Some(reserved(3_599, None)), Some(built(30, true, None)), BuildDecision::InBuild),
            // A result does not end a reservation; only its time does.
            (false, Some(reserved(30, Some(3_600))), Some(built(10, true, Some(20))), BuildDecision::InBuild),
            (false, None, Some(built(86_399, true, None)), BuildDecision::UpToDate),
            (false, None, Some(built(86_400, true, None)), BuildDecision::Stale { age: DAY }),
            // Older than a day comes before failed.
            (false, None, Some(built(86_400, false, None)), BuildDecision::Stale { age: DAY }),
            (false, None, Some(built(86_399, false, None)), BuildDecision::Failed),
            // A clock that was set back is not a reason to build, nor to panic.
            (false, None, Some(built(-100, true, None)), BuildDecision::UpToDate),
            (false, Some(reserved(-100, Some(60))), None, BuildDecision::InBuild),
        ];
        for (requested, reservation, last, expected) in rows {
            let state = SlotState { requested, reservation, last };
            assert_eq!(should_build(&state, NOW), expected, "{state:?}");
        }
    }

    #[test]
    fn reasons_are_the_words_clients_know() {
        let tagset = ["__arch=a", "it's", "t"];
        let rows = [
            (BuildDecision::Requested, true, "build requested"),
            (BuildDecision::InBuild, false, "may be in build now"),
            (BuildDecision::Failed, true, "last build was unsuccessful; go!"),
            (BuildDecision::UpToDate, false, "build up to date"),
            (
                BuildDecision::NeverBuilt,
                true,
                "no build recorded for frozenset(['__arch=a', \"it's\", 't']); build!",
            ),
            (
                BuildDecision::Stale { age: Duration::from_secs(86_400 + 2 * 3_600 + 3 * 60 + 4) },
                true,
                "last build was 1 day, 2:03:04 ago; do build!",
            ),
            (BuildDecision::Stale { age: DAY * 3 }, true, "last build was 3 days, 0:00:00 ago; do build!"),
        ];
        for (decision, build, reason) in rows {
            assert_eq!(decision.build(), build);
            assert_eq!(decision.reason(tagset), reason);
        }
    }
}
