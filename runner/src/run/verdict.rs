//! What is said of a child that has ended, or that could not be started. Pure.

use std::{io, time::Duration};

use super::supervisor::{Ending, Limits, Stop};
use crate::{process::spawn::Exit, record::Outcome, words};

/// Outcome of a step, and a sentence where the outcome alone does not say it. `doubt`: the program that the script begins
/// with and that was not there before the first step.
pub(super) fn of(
    ending: Ending,
    limits: Limits,
    run_limit: Duration,
    doubt: Option<&str>,
) -> (Outcome, Option<String>) {
    let time = |limit: Option<Duration>| words::limit(limit.unwrap_or_default());
    if let Some(stop) = ending.stopped {
        let reason = match stop {
            Stop::Timeout => format!("after {}", time(limits.total)),
            Stop::Quiet => format!("no output for {}", time(limits.quiet)),
            Stop::RunTimeout => format!("the run took longer than {}", time(Some(run_limit))),
            Stop::Cancelled => "stopped".to_owned(),
        };
        return (stop.outcome(), Some(reason));
    }
    match (ending.exit, doubt) {
        (Exit::Status(0), _) => (Outcome::Passed, None),
        (Exit::Status(NOT_FOUND), Some(program)) => {
            (Outcome::InfraError, Some(format!("`{program}` is not on PATH; install it")))
        }
        (Exit::Status(status), _) => (Outcome::Failed, Some(format!("exit status {status}"))),
        (Exit::Signal(signal), _) => (Outcome::Failed, Some(format!("killed by {}", signal_name(signal)))),
    }
}

/// Status as the protocol wants it. What was told to stop and then ended with 0 did not succeed: it counts as ended by the
/// signal that it was sent.
pub(super) fn status(ending: Ending) -> i64 {
    const TERM: i64 = -15;
    match ending.exit.protocol_status() {
        0 if ending.stopped.is_some() => TERM,
        status => status,
    }
}

/// What `sh` ends with when it finds no such program.
const NOT_FOUND: i32 = 127;

/// Whose fault it is that a program cannot be started: what the tree should hold is the code's, the rest the machine's.
pub(super) fn outcome_of_start(error: &io::Error) -> Outcome {
    const EXEC_FORMAT: i32 = 8;
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory => {
            Outcome::Failed
        }
        _ if error.raw_os_error() == Some(EXEC_FORMAT) => Outcome::Failed,
        io::ErrorKind::ArgumentListTooLong => Outcome::Failed,
        _ => Outcome::InfraError,
    }
}

fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(exit: Exit, stopped: Option<Stop>) -> Ending {
        Ending { exit, stopped, leaked: false }
    }

    fn said(ending: Ending, doubt: Option<&str>) -> (Outcome, Option<String>) {
        let limits = Limits { total: Some(Duration::from_secs(90)), quiet: Some(Duration::from_secs(20)) };
        of(ending, limits, Duration::from_hours(4), doubt)
    }

    #[test]
    fn every_way_to_end_has_its_words() {
        let rows = [
            (ending(Exit::Status(0), None), None, Outcome::Passed, None),
            (ending(Exit::Status(2), None), None, Outcome::Failed, Some("exit status 2")),
            (ending(Exit::Signal(11), None), None, Outcome::Failed, Some("killed by SIGSEGV")),
            (ending(Exit::Signal(40), None), None, Outcome::Failed, Some("killed by signal 40")),
            (
                ending(Exit::Signal(15), Some(Stop::Timeout)),
                None,
                Outcome::TimedOut,
                Some("after 1 min 30 s"),
            ),
            (ending(Exit::Status(0), Some(Stop::Quiet)), None, Outcome::Quiet, Some("no output for 20 s")),
            (ending(Exit::Signal(9), Some(Stop::Cancelled)), None, Outcome::Cancelled, Some("stopped")),
            (
                ending(Exit::Signal(9), Some(Stop::RunTimeout)),
                None,
                Outcome::TimedOut,
                Some("the run took longer than 4 h"),
            ),
            (ending(Exit::Status(127), None), None, Outcome::Failed, Some("exit status 127")),
            (
                ending(Exit::Status(127), None),
                Some("tox"),
                Outcome::InfraError,
                Some("`tox` is not on PATH; install it"),
            ),
            (ending(Exit::Status(1), None), Some("tox"), Outcome::Failed, Some("exit status 1")),
        ];
        for (ending, doubt, outcome, reason) in rows {
            assert_eq!(said(ending, doubt), (outcome, reason.map(str::to_owned)), "{ending:?}");
        }
    }

    #[test]
    fn a_tree_without_its_program_is_the_codes_fault() {
        assert_eq!(outcome_of_start(&io::Error::from_raw_os_error(2)), Outcome::Failed);
        assert_eq!(outcome_of_start(&io::Error::from_raw_os_error(8)), Outcome::Failed);
        assert_eq!(outcome_of_start(&io::Error::from_raw_os_error(11)), Outcome::InfraError);
    }
}
