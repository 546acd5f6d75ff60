//! Exit codes of `pony-run`: public, one meaning each. `docs/src/reference/exit-codes.md` lists them.

use std::process::ExitCode;

use crate::record::Outcome;

/// How `pony-run` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: the build passed, or there was nothing to do; a question: yes, or green.
    Ok,
    /// 1: a question was answered, and the answer is no, or that nobody knows.
    No,
    /// 2: the command line cannot be used as it is.
    Usage,
    /// 10: a build failed, ran out of time or fell silent; a question: red.
    BuildFailed,
    /// 11: a recipe is invalid; nothing has run.
    RecipeInvalid,
    /// 12: the context could not be prepared (checkout, working directory, missing program).
    ContextFailed,
    /// 13: built, but not delivered; the result waits in its run folder. A notification: not sent, and tried again by the next one.
    NotDelivered,
    /// 14: the run cannot be recorded on this machine.
    CannotRecord,
    /// 15: a server could not be asked, or is of a kind that does not answer this question.
    NotAnswered,
    /// 128 + n: stopped by signal n.
    Signal(u8),
}

impl Exit {
    /// The number that the parent process sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::BuildFailed => 10,
            Self::RecipeInvalid => 11,
            Self::ContextFailed => 12,
            Self::NotDelivered => 13,
            Self::CannotRecord => 14,
            Self::NotAnswered => 15,
            Self::Signal(signal) => 128u8.saturating_add(signal),
        }
    }

    /// What a run of this outcome ends with. `signal` is the one that cancelled it.
    pub fn of(outcome: Outcome, signal: Option<u8>) -> Self {
        match outcome {
            Outcome::Passed | Outcome::Skipped => Self::Ok,
            Outcome::Failed | Outcome::TimedOut | Outcome::Quiet | Outcome::Crashed => Self::BuildFailed,
            Outcome::InfraError => Self::ContextFailed,
            // SIGINT where the signal is not known: a person's Ctrl-C is by far the most common one.
            Outcome::Cancelled => Self::Signal(signal.unwrap_or(2)),
        }
    }

    /// The exit of several runs: the one that most needs attention. A signal wins, then not being able to record,
    /// then what is about the code, then what is about the machine, then delivery.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if self.weight() >= other.weight() { self } else { other }
    }

    fn weight(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::No => 1,
            Self::NotDelivered => 2,
            Self::ContextFailed => 3,
            Self::BuildFailed => 4,
            Self::NotAnswered => 5,
            Self::RecipeInvalid => 6,
            Self::Usage => 7,
            Self::CannotRecord => 8,
            Self::Signal(_) => 9,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_exits_the_one_that_most_needs_attention_counts() {
        let ascending = [
            Exit::Ok,
            Exit::No,
            Exit::NotDelivered,
            Exit::ContextFailed,
            Exit::BuildFailed,
            Exit::NotAnswered,
            Exit::RecipeInvalid,
            Exit::Usage,
            Exit::CannotRecord,
            Exit::Signal(2),
        ];
        for (index, worse) in ascending.iter().enumerate() {
            for better in &ascending[..=index] {
                assert_eq!((worse.worst(*better), better.worst(*worse)), (*worse, *worse));
            }
        }
        // The first signal is the one that ended it.
        assert_eq!(Exit::Signal(15).worst(Exit::Signal(2)), Exit::Signal(15));
    }

    #[test]
    fn how_a_run_of_each_outcome_ends() {
        for (outcome, signal, code) in [
            (Outcome::Passed, None, 0),
            (Outcome::Skipped, None, 0),
            (Outcome::Failed, None, 10),
            (Outcome::TimedOut, None, 10),
            (Outcome::Quiet, None, 10),
            (Outcome::Crashed, None, 10),
            (Outcome::InfraError, None, 12),
            (Outcome::Cancelled, Some(15), 143),
            (Outcome::Cancelled, None, 130),
        ] {
            assert_eq!(Exit::of(outcome, signal).code(), code, "{outcome:?}");
        }
    }
}
