//! `check_should_build`, decided: a pure function over a few facts about a slot.
//!
//! The order of the rules, the times and the reasons are those of the 2010 server, because clients show the
//! reasons and old ones look at them.

use std::time::Duration;

use crate::clock::Time;

const DAY: Duration = Duration::from_hours(24);
/// How long a reservation holds when neither the builder nor the last build says how long a build takes.
const DEFAULT_BUILD: Duration = Duration::from_hours(1);

/// What is known of a slot when somebody asks whether to build it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Facts {
    /// Somebody asked for a build by hand.
    pub(crate) requested: bool,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) last: Option<LastBuild>,
}

/// Somebody was told to build and said it would.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reservation {
    pub(crate) at: Time,
    /// The time the builder asked for.
    pub(crate) allowance: Option<Duration>,
}

/// The newest result of a slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LastBuild {
    pub(crate) received: Time,
    /// A result that does not say so counts as failed.
    pub(crate) success: bool,
    pub(crate) duration: Option<Duration>,
}

/// The answer to "should this slot be built?", and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Decision {
    /// Yes: asked for by hand. The request is used up by this answer.
    Requested,
    /// Yes: the last build is older than a day.
    Stale { age: Duration },
    /// Yes: the last build failed.
    Failed,
    /// Yes: there is no build yet.
    NeverBuilt,
    /// No: another builder has it.
    InBuild,
    /// No: built today, and well.
    UpToDate,
}

impl Decision {
    /// Whether to build.
    pub(crate) fn build(self) -> bool {
        !matches!(self, Self::InBuild | Self::UpToDate)
    }

    /// The reason in the words clients know; `tagset` is the slot that was asked about.
    pub(crate) fn reason<'a>(self, tagset: impl IntoIterator<Item = &'a str>) -> String {
        match self {
            Self::Requested => "build requested".to_owned(),
            Self::Stale { age } => format!("last build was {} ago; do build!", days_and_clock(age)),
            Self::Failed => "last build was unsuccessful; go!".to_owned(),
            Self::NeverBuilt => {
                let tags: Vec<_> = tagset.into_iter().map(python_repr).collect();
                format!("no build recorded for frozenset([{}]); build!", tags.join(", "))
            }
            Self::InBuild => "may be in build now".to_owned(),
            Self::UpToDate => "build up to date".to_owned(),
        }
    }
}

/// Decides, by the first rule that applies: requested, reserved, older than a day, failed, never built.
pub(crate) fn should_build(facts: &Facts, now: Time) -> Decision {
    if facts.requested {
        return Decision::Requested;
    }
    if let Some(reservation) = facts.reservation {
        let holds = reservation
            .allowance
            .or_else(|| facts.last.and_then(|last| last.duration))
            .unwrap_or(DEFAULT_BUILD);
        if now.since(reservation.at) < holds {
            return Decision::InBuild;
        }
    }
    let Some(last) = facts.last else { return Decision::NeverBuilt };
    let age = now.since(last.received);
    if age >= DAY {
        Decision::Stale { age }
    } else if last.success {
        Decision::UpToDate
    } else {
        Decision::Failed
    }
}

/// `1 day, 2:03:04`, as Python writes a time difference.
fn days_and_clock(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let plural = if days == 1 { "" } else { "s" };
    format!("{days} day{plural}, {hours}:{minutes:02}:{:02}", seconds % 60)
}

/// Text between quotes as Python 2 shows it: what faults and reasons have always carried.
pub(crate) fn python_repr(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    if escaped.contains('\'') && !escaped.contains('"') {
        format!("\"{escaped}\"")
    } else {
        format!("'{}'", escaped.replace('\'', "\\'"))
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
            (true, None, None, Decision::Requested),
            (true, Some(reserved(1, Some(60))), Some(built(60, true, None)), Decision::Requested),
            (false, None, None, Decision::NeverBuilt),
            (false, Some(reserved(59, Some(60))), None, Decision::InBuild),
            (false, Some(reserved(60, Some(60))), None, Decision::NeverBuilt),
            (false, Some(reserved(59, Some(60))), Some(built(2 * 86_400, false, Some(5))), Decision::InBuild),
            // No allowance: as long as the last build took, else one hour.
            (false, Some(reserved(4, None)), Some(built(30, true, Some(5))), Decision::InBuild),
            (false, Some(reserved(5, None)), Some(built(30, true, Some(5))), Decision::UpToDate),
            (false, Some(reserved(3_599, None)), None, Decision::InBuild),
            (false, Some(reserved(3_600, None)), None, Decision::NeverBuilt),
            (false, Some(reserved(3_599, None)), Some(built(30, true, None)), Decision::InBuild),
            // A reservation stands after the result has come, until its time has passed.
            (false, Some(reserved(30, Some(3_600))), Some(built(10, true, Some(20))), Decision::InBuild),
            (false, None, Some(built(86_399, true, None)), Decision::UpToDate),
            (false, None, Some(built(86_400, true, None)), Decision::Stale { age: DAY }),
            // Older than a day comes before failed.
            (false, None, Some(built(86_400, false, None)), Decision::Stale { age: DAY }),
            (false, None, Some(built(86_399, false, None)), Decision::Failed),
            // A clock that was set back is no reason to build, nor to panic.
            (false, None, Some(built(-100, true, None)), Decision::UpToDate),
            (false, Some(reserved(-100, Some(60))), None, Decision::InBuild),
        ];
        for (requested, reservation, last, expected) in rows {
            let facts = Facts { requested, reservation, last };
            assert_eq!(should_build(&facts, NOW), expected, "{facts:?}");
        }
    }

    #[test]
    fn reasons_are_the_words_clients_know() {
        let tagset = ["__arch=a", "it's", "t"];
        let rows = [
            (Decision::Requested, true, "build requested"),
            (Decision::InBuild, false, "may be in build now"),
            (Decision::Failed, true, "last build was unsuccessful; go!"),
            (Decision::UpToDate, false, "build up to date"),
            (
                Decision::NeverBuilt,
                true,
                "no build recorded for frozenset(['__arch=a', \"it's\", 't']); build!",
            ),
            (
                Decision::Stale { age: Duration::from_secs(86_400 + 2 * 3_600 + 3 * 60 + 4) },
                true,
                "last build was 1 day, 2:03:04 ago; do build!",
            ),
            (Decision::Stale { age: DAY * 3 }, true, "last build was 3 days, 0:00:00 ago; do build!"),
        ];
        for (decision, build, reason) in rows {
            assert_eq!(decision.build(), build);
            assert_eq!(decision.reason(tagset), reason);
        }
    }

    #[test]
    fn python_quotes() {
        assert_eq!(python_repr("999"), "'999'");
        assert_eq!(python_repr("it's"), "\"it's\"");
        assert_eq!(python_repr("'\"\n"), "'\\'\"\\n'");
    }
}
