//! How a build went, as the pages say it. Pure.

use pony_wire::{ClientInfo, Value};

/// How a build went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Passed,
    Failed,
    /// It did not run, since a build that it needs did not pass. Says nothing of the code.
    Skipped,
    /// Somebody stopped it. Says nothing of the code.
    Cancelled,
    /// The client did not say.
    Unknown,
}

impl Status {
    /// Of what a client says: `success`, and `outcome` where there was none.
    pub(crate) fn of(client_info: &ClientInfo) -> Self {
        let outcome = client_info.extra.get("outcome").and_then(Value::as_str);
        Self::new(client_info.success, outcome)
    }

    pub(crate) fn new(success: Option<bool>, outcome: Option<&str>) -> Self {
        match (success, outcome) {
            (Some(true), _) => Self::Passed,
            (_, Some("skipped")) => Self::Skipped,
            (_, Some("cancelled")) => Self::Cancelled,
            (Some(false), _) => Self::Failed,
            (None, _) => Self::Unknown,
        }
    }

    /// Of a word of a client.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "passed" => Self::Passed,
            "failed" | "timed-out" | "quiet" | "infra-error" | "crashed" => Self::Failed,
            other => Self::new(None, Some(other)),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// What the results file keeps of it besides the success.
    pub(crate) fn outcome(self) -> Option<&'static str> {
        matches!(self, Self::Skipped | Self::Cancelled).then(|| self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_tried_has_not_failed() {
        for (success, outcome, status) in [
            (Some(true), Some("skipped"), Status::Passed),
            (Some(false), None, Status::Failed),
            (Some(false), Some("timed-out"), Status::Failed),
            (Some(false), Some("skipped"), Status::Skipped),
            (None, Some("cancelled"), Status::Cancelled),
            (None, Some("passed"), Status::Unknown),
        ] {
            assert_eq!(Status::new(success, outcome), status);
            assert_eq!(
                Status::new(success, status.outcome()),
                status.outcome().map_or(Status::new(success, None), |_| status)
            );
        }
        assert_eq!(
            ["passed", "quiet", "skipped", "<b>"].map(Status::of_word).map(Status::word),
            ["passed", "failed", "skipped", "unknown"]
        );
    }
}
