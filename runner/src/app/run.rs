//! `pony-run RECIPE…`: everything is planned and checked, then builds run, and each is delivered.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
};

use super::{
    Failure,
    build::{Parcel, remember},
    conduct::{Shares, Work, conduct},
    load, outbox, print,
    session::{Session, cannot_record},
    survey::{plan_all, plan_node, planned, survey},
    tidy::bounds,
};
use crate::{
    cli::RunOptions,
    clock::Clock,
    exit::Exit,
    jobserver::Jobserver,
    plan::{self, Build, Surroundings},
    platform::Machine,
    process::{ask_briefly, os::open_many_files},
    record::{folder, recovery::Recovered},
    run::Among,
    server::Server,
};

/// So many builds do with the files that a process may have open anywhere.
const FEW_BUILDS: usize = 50;

/// Runs what the command line asks for.
pub(super) async fn run(options: &RunOptions) -> Result<Exit, Failure> {
    if options.show.debug {
        log_to_stderr();
    }
    let clock = Clock::start();
    let machine = Machine::look();
    let mut graph = load(&options.which, &machine.facts, options.show.color)?;
    let mut session = Session::new(&options.show, clock)?;
    session.name_servers(&options.to);
    let mut surroundings = session.surroundings(options, machine)?;
    plan_all(&mut graph, &surroundings, clock.wall())?;
    if options.dry_run {
        let plan = |node| plan_node(node, Among::default(), &surroundings, clock.wall());
        let builds = graph.builds.iter().map(plan).collect::<Result<Vec<Build>, _>>();
        let servers = if options.no_report { &[][..] } else { &surroundings.servers };
        return Ok(print(&dry_run(&builds.map_err(|error| planned(&error))?, servers)));
    }
    let libc = ask_briefly(["getconf", "GNU_LIBC_VERSION"], &surroundings.environment).await;
    surroundings.machine.reported.extend(libc.map(|libc| ("libc".to_owned(), libc.into())));
    session.home.make().map_err(cannot_record)?;
    // An explanation changes nothing.
    let crashed = if options.explain { Vec::new() } else { session.recover() };
    for crash in &crashed {
        if let Err(error) = remember(&session, &crash.record) {
            session.note(format!("cannot remember a crashed run for the next one: {error}"));
        }
    }
    // Each build of a graph may hold two files for as long as it lasts.
    if graph.builds.len() > FEW_BUILDS {
        open_many_files();
    }
    let survey = survey(&mut session, &graph, &surroundings).await?;
    if options.explain {
        return Ok(Exit::Ok);
    }
    let several = survey.runs() > 0 && survey.count() > 1;
    if several {
        session.screen.share(options.output);
    }
    let id = folder::new_run_id(clock.wall(), plan::random());
    let chain = several.then(|| id.clone());
    let wants_jobs = graph.builds.iter().any(|node| node.recipe.jobserver == Some(true));
    let shares = shares(&surroundings, &id, several || wants_jobs).await?;
    // With -n they wait too: nothing is submitted to anybody.
    let crashed =
        crashed.into_iter().filter(|crash| !options.no_report || crash.record.deliver_to.is_empty());
    let parcel = |crash: Recovered| Parcel {
        name: None,
        folder: crash.open.folder,
        active: crash.open.active,
        record: crash.record,
    };
    let work = Work {
        surroundings: &surroundings,
        graph: &graph,
        shares,
        chain,
        survey,
        before: crashed.map(parcel).collect(),
    };
    let (screen, clock) = (session.screen.clone(), session.clock);
    let exit = tokio::select! {
        exit = conduct(&mut session, work) => exit,
        never = screen.keep_time(clock) => match never {},
    };
    if matches!(exit, Exit::Signal(_) | Exit::CannotRecord) {
        return Ok(exit);
    }
    // After what is new, and for a bounded time: what could not be delivered before.
    if !options.no_report {
        let limit = session.config.delivery.waiting;
        let exit = exit.worst(outbox::deliver_waiting(&mut session, limit).await);
        if matches!(exit, Exit::Signal(_)) {
            return Ok(exit);
        }
    }
    Ok(exit.worst(bounds(&mut session).await.err().unwrap_or(Exit::Ok)))
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

/// What builds share of this machine.
async fn shares(surroundings: &Surroundings<'_>, id: &str, wants_jobs: bool) -> Result<Shares, Failure> {
    let Surroundings { options, machine, environment, .. } = surroundings;
    let cpus = machine.facts.cpus;
    let slots = options.jobs.map_or(cpus, |jobs| usize::from(jobs.get()));
    let memory = machine.memory.unwrap_or(u64::MAX);
    if !wants_jobs {
        return Ok(Shares { slots, memory, jobserver: None, make: String::new() });
    }
    let jobserver = Jobserver::new(cpus.max(slots), id, &surroundings.home.jobs());
    let jobserver = jobserver.map_err(|error| cannot_record(format!("cannot make a jobserver: {error}")))?;
    let make = ask_briefly(["make", "--version"], environment).await.unwrap_or_default();
    Ok(Shares { slots, memory, jobserver: Some(jobserver), make })
}

fn dry_run(builds: &[Build], servers: &[Server]) -> String {
    let mut text = String::new();
    for Build { job, mask, .. } in builds {
        let name = if builds.len() == 1 { &job.recipe.package } else { &job.name };
        let tags = if job.tags.is_empty() { String::new() } else { format!(" [{}]", job.tags.join(", ")) };
        let _ = writeln!(text, "{name} on {} ({}){tags}", job.facts.host, job.facts.arch);
        for (index, head) in job.heads().iter().enumerate() {
            let _ = writeln!(text, "  {}. {} ({})", index + 1, head.name, head.kind);
            for line in mask.text(&head.command).trim_end().lines() {
                let _ = writeln!(text, "       {line}");
            }
        }
    }
    let place = |server: &Server| {
        if server.is_embedded() { "the embedded server on this machine".to_owned() } else { server.name() }
    };
    let places: Vec<String> = servers.iter().map(place).collect();
    let places = if places.is_empty() { "nobody".to_owned() } else { places.join(" and ") };
    let _ = writeln!(text, "would be submitted to {places}");
    text
}
