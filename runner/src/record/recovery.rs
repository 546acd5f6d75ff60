//! Runs that were cut short (power, `kill -9`, a full disk): found by the next run, recorded as crashed, cleaned up after.
#![expect(clippy::disallowed_methods, reason = "what a crash left is removed here")]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pony_contexts::{cache::outputs, disk_usage};

use super::{
    Outcome, RunRecord,
    fold::Fold,
    folder::{Open, RunFolder, open_runs},
};
use crate::{
    home::Home,
    jobserver::Jobserver,
    process::group::{self, MARK},
    retained::{self, Kept},
};

/// A run that had been cut short and is recorded now.
#[derive(Debug)]
pub struct Recovered {
    /// Its folder, not closed yet: it may be delivered.
    pub open: Open,
    /// What is known of it.
    pub record: RunRecord,
    /// Processes it had left running, now killed.
    pub killed: Vec<String>,
}

/// Finds the runs that crashed, kills what they left running, removes their tempdirs, writes their results. Each by itself:
/// of one that cannot be recorded its folder and why.
pub fn recover(home: &Home) -> io::Result<Vec<Result<Recovered, (PathBuf, io::Error)>>> {
    Jobserver::sweep(&home.jobs());
    let mut recovered = Vec::new();
    for open in open_runs(home)? {
        if open.folder.result().exists() {
            // Over and waiting for delivery; it may have been cut short while it tidied up.
            if let Ok(record) = open.folder.read_result() {
                tidy_up(home, &record);
                if record.deliver_to.is_empty() {
                    // Nobody waits for it.
                    let _ = open.active.close();
                }
            }
            continue;
        }
        let killed = group::kill_marked(&format!("{MARK}={}", open.folder.run_id()));
        let path = open.folder.path().to_path_buf();
        match record(home, open, killed) {
            Ok(run) => recovered.extend(run.map(Ok)),
            // One that cannot be recorded does not keep the others from it.
            Err(error) => recovered.push(Err((path, error))),
        }
    }
    Ok(recovered)
}

/// What a run does with its tree at its end.
fn tidy_up(home: &Home, record: &RunRecord) {
    let Some(tempdir) = record.tempdir.as_ref().map(PathBuf::from) else { return };
    if !record.kept && !outputs::is_stored(&tempdir) {
        remove(&tempdir, &record.run_id);
    } else if record.kept && tempdir.is_dir() && !retained::is_noted(home, &record.run_id) {
        let (run_id, since) = (record.run_id.clone(), record.ended);
        let _ = retained::note(home, &Kept { run_id, bytes: disk_usage(&tempdir), tempdir, since });
    }
}

/// Writes the result of a run that crashed. None where it was cut short before its first event: nothing had begun.
fn record(home: &Home, open: Open, killed: Vec<String>) -> io::Result<Option<Recovered>> {
    let Some(record) = folded(&open.folder)? else {
        fs::remove_dir_all(open.folder.path())?;
        open.active.close()?;
        return Ok(None);
    };
    if record.outcome == Outcome::Crashed {
        if let Some(tempdir) = &record.tempdir {
            remove(Path::new(tempdir), &record.run_id);
        }
        // It may have been kept in its very last moment.
        let _ = outputs::discard_run(&home.cache(), &record.run_id);
    } else {
        // Over, but for its result.
        tidy_up(home, &record);
    }
    open.folder.write_result(&record)?;
    Ok(Some(Recovered { open, record, killed }))
}

/// Removes a tempdir, if it is that run's: its name carries the run's id.
fn remove(tempdir: &Path, run_id: &str) {
    let own = tempdir.file_name().is_some_and(|name| name.to_string_lossy().ends_with(run_id));
    if own {
        let _ = outputs::discard(tempdir);
    }
}

fn folded(folder: &RunFolder) -> io::Result<Option<RunRecord>> {
    let events = fs::read(folder.events()).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(Vec::new()),
        _ => Err(error),
    })?;
    let fold = Fold::of_lines(&events).map_err(io::Error::other)?;
    Ok(fold.record(|name| fs::metadata(folder.path().join(name)).ok().map(|data| data.len())))
}
