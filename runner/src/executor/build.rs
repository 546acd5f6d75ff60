//! One build, from its run folder to its result on this machine; or the record that it was skipped.
#![expect(clippy::disallowed_methods, reason = "the recipe of a run is recorded here")]

use std::{fs, io, path::Path};

use pony_contexts::cache::outputs::StoredOutputs;

use super::cleanup::clear;
use crate::{
    delivery::deliverer::not_delivered,
    display::Console,
    exit::Exit,
    home::Home,
    plan::ReadyBuild,
    process::signals::Signals,
    record::{
        RunRecord,
        event::Event,
        folder::{Active, RunFolder},
        recorder::Recorder,
    },
    run,
    slots::Memory,
};

/// A run that is recorded, and may have to be delivered.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    /// The build's name, where it is one of those that are shown.
    pub(crate) name: Option<String>,
    pub(crate) folder: RunFolder,
    pub(crate) active: Active,
    pub(crate) record: RunRecord,
}

/// A build that has ended.
#[derive(Debug)]
pub(super) struct Finished {
    /// How pony-run would end if it were the only one.
    pub(super) exit: Exit,
    /// There is a run of it.
    pub(super) begun: bool,
    /// Its result, if it could be recorded.
    pub(super) run: Option<FinishedRun>,
    /// Its outputs. Nobody removes them as long as this lives.
    pub(super) kept: Option<StoredOutputs>,
}

impl Finished {
    /// One that was never started.
    pub(super) fn not_begun(exit: Exit) -> Self {
        Self { exit, begun: false, run: None, kept: None }
    }
}

/// Runs it.
pub(super) async fn build(
    home: &Home,
    console: &Console,
    signals: &mut Signals,
    build: &ReadyBuild,
) -> Finished {
    let ReadyBuild { job, redactor } = build;
    let Recording { folder, active, recorder } = match record(home, console, build) {
        Ok(recording) => recording,
        Err(exit) => return Finished::not_begun(exit),
    };
    let finished = run::run(job, &folder, console.clock, redactor, recorder, signals).await;
    let record = finished.record;
    let cleared = clear(home, console, signals, &record).await;
    if let Some(error) = finished.not_recorded {
        // What the folder does not hold, it cannot show.
        console.show(Some(&job.name), Event::run_ended(record));
        let exit = cannot(console, folder.path(), &error);
        return Finished { exit, begun: true, run: None, kept: None };
    }
    if let Err(error) = remember(home, &record) {
        console.note(format!("cannot remember this run for the next one: {error}"));
    }
    let exit = finished.signal.map_or_else(|| Exit::of(record.outcome, record.signal), Exit::Signal);
    match cleared {
        Ok(()) => {
            let name = Some(job.name.clone());
            let run = Some(FinishedRun { name, folder, active, record });
            Finished { exit, begun: true, run, kept: finished.kept }
        }
        // What is left of its tree, the next pony-run clears away.
        Err(stopped) => {
            not_delivered(console, Some(&job.name), &record, "stopped");
            Finished { exit: exit.worst(stopped), begun: true, run: None, kept: finished.kept }
        }
    }
}

/// Records that it does not run, for this reason.
pub(super) fn skip(
    home: &Home,
    console: &Console,
    build: &ReadyBuild,
    reason: String,
) -> Result<FinishedRun, Exit> {
    let ReadyBuild { job, redactor } = build;
    let Recording { folder, active, recorder } = record(home, console, build)?;
    let finished = run::skip(job, &folder, console.clock, redactor, recorder, reason);
    match finished.not_recorded {
        None => Ok(FinishedRun { name: Some(job.name.clone()), folder, active, record: finished.record }),
        Some(error) => Err(cannot(console, folder.path(), &error)),
    }
}

/// What is to be known of the last run of its slot.
pub(crate) fn remember(home: &Home, record: &RunRecord) -> io::Result<()> {
    let RunRecord { package, host, arch, tags, .. } = record;
    Memory::load(home, package, host, arch, tags).after(record).save(home, record)
}

struct Recording {
    folder: RunFolder,
    active: Active,
    recorder: Recorder,
}

fn record(home: &Home, console: &Console, build: &ReadyBuild) -> Result<Recording, Exit> {
    let ReadyBuild { job, redactor } = build;
    let created = RunFolder::create(home, &job.recipe.package, &job.run_id);
    let (folder, active) = created.map_err(|error| cannot(console, &home.runs(), &error))?;
    let pulse = console.screen.pulse();
    let recorder = fs::write(folder.recipe(), redactor.text(&job.planned).as_bytes())
        .and_then(|()| Recorder::create(folder.clone(), console.clock, redactor.clone(), pulse))
        .map_err(|error| cannot(console, folder.path(), &error))?;
    console.screen.follow(&job.name, &folder, recorder.live());
    Ok(Recording { folder, active, recorder })
}

fn cannot(console: &Console, what: &Path, error: &io::Error) -> Exit {
    console.note(format!("cannot record into {}: {error}", what.display()));
    Exit::CannotRecord
}
