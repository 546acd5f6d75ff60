//! How a build or a step of it went. Pure.

use pony_wire::{ClientInfo, StepResult, Value};

/// How a build went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Passed,
    Failed,
    /// It did not run, because a build that it needs did not pass. Says nothing about the code.
    Skipped,
    /// Somebody stopped it. Says nothing about the code.
    Cancelled,
    /// The client did not say.
    Unknown,
}

impl Status {
    /// From `success`, and `outcome` for a build without success.
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

    /// From the outcome that a client reports for a dependency.
    pub(crate) fn from_outcome(outcome: &str) -> Self {
        match outcome {
            "passed" => Self::Passed,
            "failed" | "timed-out" | "quiet" | "infra-error" | "crashed" => Self::Failed,
            other => Self::new(None, Some(other)),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// The column that tells builds without success from failed ones.
    pub(crate) fn outcome(self) -> Option<&'static str> {
        matches!(self, Self::Skipped | Self::Cancelled).then(|| self.name())
    }
}

/// Whether a step failed the build: its status is not 0, and the client does not allow that (`allow_failure`).
pub(crate) fn failed(step: &StepResult) -> bool {
    step.status.is_some_and(|status| status != 0)
        && step.extra.get("allow_failure") != Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_was_not_tried_has_not_failed() {
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
            ["passed", "quiet", "skipped", "<b>"].map(Status::from_outcome).map(Status::name),
            ["passed", "failed", "skipped", "unknown"]
        );
    }
}
