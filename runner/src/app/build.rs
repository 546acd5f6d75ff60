//! One build, from its run folder to its result on this machine; or the record that it was skipped.

use std::{fs, io, path::Path};

use pony_contexts::chain::Found;

use super::{session::Session, tidy::clear};
use crate::{
    display::{Reporter, Spool},
    exit::Exit,
    plan::Build,
    record::{
        RunRecord,
        folder::{Active, RunFolder},
    },
    run,
    slots::Memory,
};

/// A result that is recorded, and perhaps to be delivered.
#[derive(Debug)]
pub(super) struct Parcel {
    /// The build's name, where it is one of those that are shown.
    pub(super) name: Option<String>,
    pub(super) folder: RunFolder,
    pub(super) active: Active,
    pub(super) record: RunRecord,
}

/// A build that is over.
#[derive(Debug)]
pub(super) struct Over {
    /// How pony-run would end if it were the only one.
    pub(super) exit: Exit,
    /// There is a run of it.
    pub(super) begun: bool,
    /// Its result, if it could be recorded.
    pub(super) parcel: Option<Parcel>,
    /// What it hands on. Stays as long as this does.
    pub(super) kept: Option<Found>,
}

/// Runs it.
pub(super) async fn build(session: &mut Session, build: &Build) -> Over {
    let Build { job, mask, .. } = build;
    let Recording { folder, active, mut reporter } = match record(session, build) {
        Ok(recording) => recording,
        Err(exit) => return Over { exit, begun: false, parcel: None, kept: None },
    };
    let finished = run::run(job, &folder, session.clock, mask, &mut reporter, &mut session.signals).await;
    let record = finished.record;
    let cleared = clear(session, &record).await;
    if let Some(error) = finished.not_recorded {
        let exit = cannot(session, folder.path(), &error);
        return Over { exit, begun: true, parcel: None, kept: None };
    }
    if let Err(error) = remember(session, &record) {
        session.note(format!("cannot remember this run for the next one: {error}"));
    }
    let exit = finished.signal.map_or_else(|| Exit::of(record.outcome, record.signal), Exit::Signal);
    match cleared {
        Ok(()) => {
            let name = Some(job.name.clone());
            let parcel = Some(Parcel { name, folder, active, record });
            Over { exit, begun: true, parcel, kept: finished.kept }
        }
        // What is left of its tree, the next pony-run clears away.
        Err(stopped) => {
            session.not_delivered(Some(&job.name), &record, "stopped");
            Over { exit: exit.worst(stopped), begun: true, parcel: None, kept: finished.kept }
        }
    }
}

/// Records that it does not run, for this reason.
pub(super) fn skip(session: &Session, build: &Build, reason: String) -> Result<Parcel, Exit> {
    let Build { job, mask, .. } = build;
    let Recording { folder, active, mut reporter } = record(session, build)?;
    let finished = run::skip(job, &folder, session.clock, mask, &mut reporter, reason);
    match finished.not_recorded {
        None => Ok(Parcel { name: Some(job.name.clone()), folder, active, record: finished.record }),
        Some(error) => Err(cannot(session, folder.path(), &error)),
    }
}

/// What is to be known of the last run of its slot.
pub(super) fn remember(session: &Session, record: &RunRecord) -> io::Result<()> {
    let RunRecord { package, host, arch, tags, .. } = record;
    Memory::load(&session.home, package, host, arch, tags).after(record).save(&session.home, record)
}

struct Recording {
    folder: RunFolder,
    active: Active,
    reporter: Reporter,
}

fn record(session: &Session, build: &Build) -> Result<Recording, Exit> {
    let Build { job, mask, .. } = build;
    let created = RunFolder::create(&session.home, &job.recipe.package, &job.run_id);
    let (folder, active) = created.map_err(|error| cannot(session, &session.home.runs(), &error))?;
    let spool = fs::write(folder.recipe(), mask.text(&job.planned).as_bytes())
        .and_then(|()| Spool::create(folder.clone()))
        .map_err(|error| cannot(session, folder.path(), &error))?;
    let reporter =
        Reporter::new(job.name.clone(), session.clock, mask.clone(), spool, session.screen.clone());
    Ok(Recording { folder, active, reporter })
}

fn cannot(session: &Session, what: &Path, error: &io::Error) -> Exit {
    session.note(format!("cannot record into {}: {error}", what.display()));
    Exit::CannotRecord
}
