//! How runs and steps ended, in words, and where a tree is kept.

use std::fmt::Write as _;

use anstyle::AnsiColor;

use super::settings::DisplaySettings;
use crate::{
    record::{Outcome, RunRecord, StepRecord},
    server::EMBEDDED,
    words,
};

/// Below what says that a result was not delivered.
pub(super) const SAVED: &str =
    "  The result is saved. The next run will send it, or run \"pony-run submit\" now.";

/// The word for it on screen, as a cell of a table or after a name.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::TimedOut => "timed out",
        Outcome::Quiet => "stopped",
        Outcome::InfraError => "setup error",
        other => other.word(),
    }
}

/// The step did not do what it was to do, and that counts.
pub(super) fn is_bad(step: &StepRecord) -> bool {
    !matches!(step.outcome, Outcome::Passed | Outcome::Skipped) && !step.allowed_to_fail
}

/// How the step ended, in its colour.
pub(super) fn word(step: &StepRecord, settings: DisplaySettings) -> String {
    let allowed = step.allowed_to_fail && !matches!(step.outcome, Outcome::Passed | Outcome::Skipped);
    let style = settings.outcome(step.outcome, step.allowed_to_fail);
    format!("{style}{}{}{style:#}", outcome(step.outcome), if allowed { " (allowed)" } else { "" })
}

/// Why a step ended as it did, where its outcome alone does not say it.
pub(super) fn step_reason(step: &StepRecord) -> Option<String> {
    let reason = step.reason.as_deref().map(words::plain);
    reason.filter(|reason| step.outcome != Outcome::Cancelled || reason != "stopped")
}

/// `[2/5] make failed in 3.2 s: exit status 2`, and a line of what it left running.
pub(super) fn step(at: usize, steps: usize, record: &StepRecord, settings: DisplaySettings) -> String {
    let why = step_reason(record).map(|reason| because(&reason)).unwrap_or_default();
    // How long it took is the reason itself.
    let says_time = matches!(record.outcome, Outcome::TimedOut | Outcome::Quiet);
    let time =
        record.started.filter(|_| !says_time).map(|_| format!(" in {}", words::duration(record.duration)));
    let time = time.unwrap_or_default();
    let mut text = format!("[{}/{steps}] {} {}{time}{why}", at + 1, record.name, word(record, settings));
    if !record.leaked.is_empty() {
        let style = settings.style(AnsiColor::Yellow.on_default());
        let names = words::plain(&record.leaked.join(", "));
        let _ = write!(text, "\n  {style}left processes running (killed){style:#}: {names}");
    }
    text
}

/// A line of the summary.
pub(super) struct Row {
    pub(super) name: String,
    /// In its colour.
    pub(super) ending: String,
    pub(super) time: String,
    pub(super) notes: String,
}

/// The summary, its columns as narrow as they can be.
pub(super) fn table(rows: &[Row]) -> String {
    const WIDEST_NAME: usize = 40;
    let width =
        |cell: fn(&Row) -> &String| rows.iter().map(|row| words::columns(cell(row))).max().unwrap_or(0);
    let name_width = width(|row| &row.name).min(WIDEST_NAME);
    let (ending_width, time_width) = (width(|row| &row.ending), width(|row| &row.time));
    let mut text = String::new();
    for Row { name, ending, time, notes } in rows {
        let (name, ending) = (words::pad(name, name_width), words::pad(ending, ending_width));
        let line = format!("  {name}  {ending}  {time:>time_width$}  {notes}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// How a run ended after its package's name, and why.
pub(super) fn run(record: &RunRecord) -> (&'static str, String) {
    let ending = match record.outcome {
        Outcome::InfraError => "could not be built (not the code's fault)",
        Outcome::Quiet => "stopped: no output",
        other => outcome(other),
    };
    (ending, run_reason(record).map(|reason| because(&reason)).unwrap_or_default())
}

/// Why a run ended as it did, where its outcome alone does not say it.
pub(super) fn run_reason(record: &RunRecord) -> Option<String> {
    match record.signal {
        Some(signal) if record.outcome == Outcome::Cancelled => Some(format!("by {}", signal_name(signal))),
        _ => record.reason.as_deref().map(words::plain),
    }
}

/// What sends it, for a person.
fn signal_name(signal: u8) -> String {
    match nix::sys::signal::Signal::try_from(i32::from(signal)) {
        Ok(nix::sys::signal::Signal::SIGINT) => "Ctrl-C".to_owned(),
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

/// What follows the word for an ending: ` at step …`, ` after …`, ` by …`, or `: ` and a sentence.
fn because(reason: &str) -> String {
    let goes_on = ["at step ", "after ", "by "].iter().any(|word| reason.starts_with(word));
    format!("{}{reason}", if goes_on { " " } else { ": " })
}

/// Where a result is now; `server` as its target is named.
pub(super) fn stored(server: &str, key: Option<&str>, page: Option<&str>) -> String {
    let key = key.map(|key| format!(" as result {}", words::plain(key))).unwrap_or_default();
    match page {
        Some(page) if server == EMBEDDED => {
            format!("stored{key} on this machine; `pony-serve` shows it at {page}")
        }
        Some(page) => format!("stored{key}: {page}"),
        None => format!("stored{key} on {server}"),
    }
}

/// Where the tree of a run is, if it is kept to be looked at.
pub(super) fn kept(record: &RunRecord) -> Option<String> {
    let tempdir = record.tempdir.as_ref().filter(|_| record.kept)?;
    let run_id = &record.run_id;
    Some(format!("tree     {tempdir} (kept; `pony-run shell {run_id}` opens a shell in it)"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        display::settings::{ColourChoice, Environment},
        recipe::StepKind,
    };

    fn settings() -> DisplaySettings {
        DisplaySettings::resolve(Environment::default(), ColourChoice::Never, false)
    }

    #[test]
    fn every_ending_of_a_step_has_its_sentence() {
        for (outcome, reason, text) in [
            (Outcome::Passed, None, "[2/5] make passed in 2.0 s"),
            (Outcome::Failed, Some("exit status 2"), "[2/5] make failed in 2.0 s: exit status 2"),
            (Outcome::TimedOut, Some("after 2 s"), "[2/5] make timed out after 2 s"),
            (
                Outcome::TimedOut,
                Some("the run took longer than 4 h"),
                "[2/5] make timed out: the run took longer than 4 h",
            ),
            (Outcome::Quiet, Some("no output for 3 s"), "[2/5] make stopped: no output for 3 s"),
            (Outcome::Cancelled, Some("stopped"), "[2/5] make cancelled in 2.0 s"),
            (Outcome::InfraError, Some("no branch `x`"), "[2/5] make setup error in 2.0 s: no branch `x`"),
        ] {
            let mut record = StepRecord::of("make", StepKind::Build, "make".to_owned(), outcome, 0);
            record.reason = reason.map(str::to_owned);
            record.started = Some(Timestamp::UNIX_EPOCH);
            record.duration = 2.0;
            assert_eq!(step(1, 5, &record, settings()), text);
        }
    }

    #[test]
    fn what_it_left_running_is_named() {
        let mut record = StepRecord::of("make", StepKind::Build, "make".to_owned(), Outcome::Passed, 0);
        record.leaked = vec!["7 sleep".to_owned(), "8 sh".to_owned()];
        assert_eq!(
            step(0, 1, &record, settings()),
            "[1/1] make passed\n  left processes running (killed): 7 sleep, 8 sh"
        );
    }

    #[test]
    fn signals_have_the_names_that_people_know() {
        assert_eq!([2, 15, 99].map(signal_name), ["Ctrl-C", "SIGTERM", "signal 99"]);
    }
}
