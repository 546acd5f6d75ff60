//! How the ending of a step is told, and where its tree is kept.

use std::fmt::Write as _;

use anstyle::AnsiColor;

use super::look::Look;
use crate::{
    record::{Outcome, RunRecord, StepRecord},
    words,
};

/// It did not do what it was to do, and that counts.
pub(super) fn is_bad(step: &StepRecord) -> bool {
    !matches!(step.outcome, Outcome::Passed | Outcome::Skipped) && !step.allowed_to_fail
}

/// The word for it, and blanks up to `width` columns.
pub(super) fn word(step: &StepRecord, look: Look, width: usize) -> String {
    let allowed = step.allowed_to_fail && !matches!(step.outcome, Outcome::Passed | Outcome::Skipped);
    let bare = format!("{}{}", step.outcome.word(), if allowed { " (allowed)" } else { "" });
    let style = look.outcome(step.outcome, step.allowed_to_fail);
    // Colour codes have no width; the padding is counted on the bare word.
    let pad = " ".repeat(width.saturating_sub(bare.chars().count()));
    format!("{style}{bare}{style:#}{pad}")
}

/// `[2/5] make failed in 3.2 s: why`, and a line of what it left running.
pub(super) fn sentence(step: usize, steps: usize, record: &StepRecord, look: Look) -> String {
    let why = record.reason.as_ref().map(|reason| format!(": {}", words::plain(reason))).unwrap_or_default();
    let time = record.started.map(|_| format!(" in {}", words::duration(record.duration)));
    let time = time.unwrap_or_default();
    let mut text = format!("[{}/{steps}] {} {}{time}{why}", step + 1, record.name, word(record, look, 0));
    if !record.leaked.is_empty() {
        let style = look.style(AnsiColor::Yellow.on_default());
        let names = words::plain(&record.leaked.join(", "));
        let _ = write!(text, "\n  {style}it left processes running, now killed{style:#}: {names}");
    }
    text
}

/// Where the tree of a run is, if it is kept to be looked at.
pub(super) fn kept(record: &RunRecord) -> Option<String> {
    let tempdir = record.tempdir.as_ref().filter(|_| record.kept)?;
    let run_id = &record.run_id;
    Some(format!("tree     {tempdir} (kept; `pony-run shell {run_id}` opens a shell in it)"))
}
