//! `pony-run RECIPE…`: plan everything, then run one build after another and deliver each.

use std::{
    fmt::Write as _,
    fs,
    io::{self, IsTerminal},
    path::Path,
};

use super::{
    Failure, load,
    needed::{Slot, is_needed},
    print,
    session::{self, Session, cannot_record},
    tidy::{bounds, clear},
};
use crate::{
    cli::RunOptions,
    clock::Clock,
    config::Config,
    exit::Exit,
    folder::{Active, RunFolder},
    plan::{self, Build},
    record::RunRecord,
    report::{Reporter, Spool},
    run,
    slots::{self, Memory},
    submit::{self, EMBEDDED, Target},
};

/// Runs what the command line asks for.
pub(super) async fn run(options: &RunOptions) -> Result<Exit, Failure> {
    if options.show.debug {
        log_to_stderr();
    }
    let clock = Clock::start();
    let recipes = load(&options.recipes, &options.set, options.show.color)?;
    let mut session = Session::new(&options.show, clock)?;
    let config = session::config(&session.home)?;
    let target = session.target(options.server.as_deref())?;
    let environment = std::env::vars_os().collect();
    let temp_root = std::env::temp_dir();
    let temp_root = std::path::absolute(&temp_root).unwrap_or(temp_root);
    let surroundings = plan::Surroundings {
        home: &session.home,
        config: &config,
        target: &target,
        environment: &environment,
        temp_root: &temp_root,
    };
    let builds = recipes.into_iter().map(|recipe| plan::plan(recipe, options, &surroundings, clock.wall()));
    let builds = builds.collect::<Result<Vec<Build>, _>>();
    let builds = builds.map_err(|error| Failure::new(error.exit(), format!("pony-run: {error}")))?;
    if options.dry_run {
        let server = if options.no_report { "nobody".to_owned() } else { target.name() };
        return Ok(print(&dry_run(&builds, &server)));
    }
    session.home.make().map_err(cannot_record)?;
    // An explanation changes nothing.
    let crashed = if options.explain { Vec::new() } else { session.recover() };
    let mut exit = Exit::Ok;
    for crash in &crashed {
        if let Err(error) = remember(&session, &crash.record) {
            session.note(format!("cannot remember a crashed run for the next one: {error}"));
        }
    }
    for mut build in builds {
        // Others see from here on that a run of the slot is under way; without the lock it runs all the same.
        let held = slots::hold(&session.home, &build.job.slot());
        // Only now: until the slot is ours, another run may leave something new to remember.
        let slot = build.job.slot();
        let memory = Memory::load(&session.home, &slot.package, &slot.host, &slot.arch, &slot.tags);
        build.job.recall(&memory);
        let needed = if options.if_needed {
            let slot = Slot { memory: &memory, under_way: matches!(held, Ok(None)) };
            is_needed(&mut session, &build, &slot, &target, options, &config).await
        } else {
            Ok(true)
        };
        let ended = match needed {
            Ok(true) => one(&mut session, &build, &target, &config).await,
            Ok(false) => Exit::Ok,
            Err(stopped) => stopped,
        };
        drop(held);
        exit = exit.worst(ended);
        if matches!(ended, Exit::Signal(_) | Exit::CannotRecord) {
            return Ok(exit);
        }
    }
    // With -n they wait too: nothing is submitted to anybody.
    for crash in crashed.into_iter().filter(|crash| !options.no_report || crash.record.deliver_to.is_empty())
    {
        hand_over(&mut session, &crash.open.folder, crash.open.active, &crash.record, &target).await;
    }
    Ok(exit)
}

fn log_to_stderr() {
    let ansi = io::stderr().is_terminal();
    // Refused only if there is a log already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter("pony_runner=debug,pony_server_lite=debug,info")
        .with_ansi(ansi)
        .with_writer(io::stderr)
        .try_init();
}

/// One build, from its run folder to its receipt.
async fn one(session: &mut Session, build: &Build, target: &Target, config: &Config) -> Exit {
    let Build { job, mask, .. } = build;
    let cannot = |session: &mut Session, what: &Path, error: io::Error| {
        session.note(format!("cannot record into {}: {error}", what.display()));
        Exit::CannotRecord
    };
    let (folder, active) = match RunFolder::create(&session.home, &job.recipe.package, &job.run_id) {
        Ok(created) => created,
        Err(error) => {
            let runs = session.home.runs();
            return cannot(session, &runs, error);
        }
    };
    let recorded = fs::write(folder.recipe(), mask.text(&job.recipe.resolved_yaml()).as_bytes())
        .and_then(|()| Spool::create(folder.clone()));
    let spool = match recorded {
        Ok(spool) => spool,
        Err(error) => return cannot(session, folder.path(), error),
    };
    let mut reporter = Reporter::new(session.clock, mask.clone(), spool, &mut session.display);
    let finished = run::run(job, &folder, session.clock, mask, &mut reporter, &mut session.signals).await;
    let record = finished.record;
    let cleared = clear(session, &record).await;
    if let Some(error) = finished.not_recorded {
        return cannot(session, folder.path(), error);
    }
    if let Err(error) = remember(session, &record) {
        session.note(format!("cannot remember this run for the next one: {error}"));
    }
    let exit = finished.signal.map_or_else(|| Exit::of(record.outcome, record.signal), Exit::Signal);
    if let Err(stopped) = cleared {
        return exit.worst(stopped);
    }
    let exit = exit.worst(hand_over(session, &folder, active, &record, target).await);
    exit.worst(bounds(session, config).await.err().unwrap_or(Exit::Ok))
}

fn remember(session: &Session, record: &RunRecord) -> io::Result<()> {
    let RunRecord { package, host, arch, tags, .. } = record;
    Memory::load(&session.home, package, host, arch, tags).after(record).save(&session.home, record)
}

/// Delivers a run to `target` if it is to be there, and closes it when nothing is left to do.
async fn hand_over(
    session: &mut Session,
    folder: &RunFolder,
    active: Active,
    record: &RunRecord,
    target: &Target,
) -> Exit {
    let wanted = submit::is_wanted(record.outcome, target);
    if wanted && record.deliver_to.contains(&target.name()) {
        let ended = session.deliver(folder, record, target).await;
        if ended == Exit::Ok {
            session.close(active);
        }
        return ended;
    }
    // Wanted by another server it waits; wanted by nobody it is done.
    if record.deliver_to.is_empty() || !wanted {
        session.close(active);
    }
    Exit::Ok
}

fn dry_run(builds: &[Build], server: &str) -> String {
    let mut text = String::new();
    for Build { job, mask, .. } in builds {
        let tags = if job.tags.is_empty() { String::new() } else { format!(" [{}]", job.tags.join(", ")) };
        let _ = writeln!(text, "{} on {} ({}){tags}", job.recipe.package, job.facts.host, job.facts.arch);
        for (index, head) in job.heads().iter().enumerate() {
            let _ = writeln!(text, "  {}. {} ({})", index + 1, head.name, head.kind);
            for line in mask.text(&head.command).trim_end().lines() {
                let _ = writeln!(text, "       {line}");
            }
        }
    }
    let server = if server == EMBEDDED { "the embedded server on this machine" } else { server };
    let _ = writeln!(text, "would be submitted to {server}");
    text
}
