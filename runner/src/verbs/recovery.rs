//! Runs that were cut short before, recorded by the next pony-run.

use crate::{
    display::Console,
    home::Home,
    record::{
        RunRecord,
        recovery::{self, Recovered},
    },
};

/// Looks after earlier runs that were cut short, and tells of them.
pub(super) fn recover(home: &Home, console: &Console) -> Vec<Recovered> {
    let recovered = match recovery::recover(home) {
        Ok(recovered) => recovered,
        Err(error) => {
            console.note(format!("earlier runs that were cut short cannot be looked after: {error}"));
            return Vec::new();
        }
    };
    let mut crashed = Vec::new();
    for run in recovered {
        match run {
            Ok(run) => crashed.push(run),
            Err((folder, error)) => {
                console.note(format!("the crashed run in {} cannot be recorded: {error}", folder.display()));
            }
        }
    }
    for crash in &crashed {
        let RunRecord { package, started, reason, .. } = &crash.record;
        let when = started.strftime("%Y-%m-%d %H:%M UTC");
        let why = reason.as_deref().unwrap_or_default();
        let killed = match crash.killed.as_slice() {
            [] => String::new(),
            killed => format!(", and what it left running is killed: {}", killed.join(", ")),
        };
        console
            .note(format!("the run of {package} of {when} had crashed ({why}); it is recorded now{killed}"));
    }
    crashed
}
