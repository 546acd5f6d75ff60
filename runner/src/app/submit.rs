//! `pony-run submit`: delivers results that wait in their run folders.

use std::path::PathBuf;

use super::{
    Failure, say,
    session::{Session, cannot_record},
};
use crate::{
    cli::{MessageFormat, ShowOptions},
    clock::Clock,
    exit::Exit,
    folder::{Active, RunFolder, open_runs},
    record::RunRecord,
    report::look::ColourChoice,
    submit::{self, EMBEDDED, Target},
};

/// Delivers these run folders, or all that wait.
pub(super) async fn submit(runs: &[PathBuf], server: Option<&str>) -> Result<Exit, Failure> {
    let show = ShowOptions {
        color: ColourChoice::Auto,
        no_progress: true,
        message_format: MessageFormat::Human,
        verbose: false,
        debug: false,
    };
    let mut session = Session::new(&show, Clock::start())?;
    let server = server.map(|server| session.target(Some(server))).transpose()?;
    session.home.make().map_err(cannot_record)?;
    // Runs that crashed become results first; their locks are let go, to be taken again below.
    drop(session.recover());
    let waiting = open_runs(&session.home)
        .map_err(|error| cannot_record(format!("cannot look for waiting results: {error}")))?;
    let mut waiting: Vec<(RunFolder, Option<Active>)> =
        waiting.into_iter().map(|open| (open.folder, Some(open.active))).collect();
    let wanted = if runs.is_empty() {
        waiting
    } else {
        let pick = |run: &PathBuf| {
            let folder = RunFolder::at(&std::path::absolute(run).unwrap_or_else(|_| run.clone()));
            match waiting.iter().position(|(open, _)| *open == folder) {
                Some(index) => waiting.swap_remove(index),
                None => (folder, None),
            }
        };
        runs.iter().map(pick).collect()
    };
    if wanted.is_empty() {
        say("nothing waits");
    }
    let mut exit = Exit::Ok;
    for (folder, active) in wanted {
        let ended = match folder.read_result() {
            // One that cannot be sent does not keep the others back.
            Ok(record) => {
                match one(&mut session, &folder, active, &record, server.as_ref(), !runs.is_empty()).await {
                    Ok(exit) => exit,
                    Err(failure) => {
                        say(&failure.message);
                        failure.exit
                    }
                }
            }
            Err(error) => {
                say(&format!("pony-run: {error}"));
                Exit::Usage
            }
        };
        exit = exit.worst(ended);
        if matches!(ended, Exit::Signal(_)) {
            break;
        }
    }
    Ok(exit)
}

/// Delivers one run to `server`, or to every server that it is still to go to; `by_name`: somebody asked for this very run.
async fn one(
    session: &mut Session,
    folder: &RunFolder,
    active: Option<Active>,
    record: &RunRecord,
    server: Option<&Target>,
    by_name: bool,
) -> Result<Exit, Failure> {
    let targets = if let Some(server) = server {
        vec![server.clone()]
    } else {
        let names = record.deliver_to.iter().map(|name| (name != EMBEDDED).then_some(name.as_str()));
        names.map(|name| session.target(name)).collect::<Result<Vec<_>, _>>()?
    };
    // Asked for by name, even a cancelled run is sent.
    let by_name = by_name || server.is_some();
    let mut exit = Exit::Ok;
    for target in targets {
        if folder.is_delivered_to(&target.name()) {
            if by_name {
                session.note(format!("{} is on {} already", folder.path().display(), target.name()));
            }
        } else if by_name || submit::is_wanted(record.outcome, &target) {
            exit = exit.worst(session.deliver(None, folder, record, &target).await);
        }
        if matches!(exit, Exit::Signal(_)) {
            return Ok(exit);
        }
    }
    let everywhere = record.deliver_to.iter().all(|name| folder.is_delivered_to(name));
    if let Some(active) = active.filter(|_| exit == Exit::Ok && everywhere) {
        session.close(active);
    }
    Ok(exit)
}
