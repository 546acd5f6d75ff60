//! What servers know, for people (`text`, `table`), for programs (`json`), and what follows from it (this file). Servers are asked in
//! [`crate::server::api`]. Pure.

pub(crate) mod capabilities;
pub(crate) mod json;
pub(crate) mod table;
pub(crate) mod text;

use crate::server::reported::{Status, Summary};

/// What a result says of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Passing,
    Failing,
    /// Nothing: the build was cancelled or skipped, or the result does not say.
    Unknown,
}

impl Health {
    pub(crate) fn of(status: Status) -> Self {
        match status {
            Status::Passed => Self::Passing,
            Status::Failed => Self::Failing,
            Status::Skipped | Status::Cancelled | Status::Unknown => Self::Unknown,
        }
    }

    /// Of several results: failing if any is, else unknown if any is, or if there are none.
    pub(crate) fn of_all(results: &[Summary]) -> Self {
        let has = |health| results.iter().any(|result| Self::of(result.status) == health);
        if has(Self::Failing) {
            Self::Failing
        } else if results.is_empty() || has(Self::Unknown) {
            Self::Unknown
        } else {
            Self::Passing
        }
    }

    /// The word in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passing => "green",
            Self::Failing => "red",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use pony_wire::Slot;

    use super::*;

    #[test]
    fn a_failing_slot_wins_and_nothing_is_not_passing() {
        use Status::{Cancelled, Failed, Passed};
        let slot = Slot { package: "p".into(), host: "h".into(), arch: "a".into(), tags: vec![] };
        for (all, health) in [
            (vec![], Health::Unknown),
            (vec![Passed], Health::Passing),
            (vec![Passed, Cancelled], Health::Unknown),
            (vec![Cancelled, Failed, Passed], Health::Failing),
        ] {
            let summary = |status| Summary {
                key: None,
                slot: slot.clone(),
                status,
                failed_step: None,
                received: None,
                duration: None,
                page: None,
            };
            assert_eq!(Health::of_all(&all.into_iter().map(summary).collect::<Vec<_>>()), health);
        }
    }
}
