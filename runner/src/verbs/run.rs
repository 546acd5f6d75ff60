//! `pony-run RECIPE…`: everything is planned and checked, then builds run, and each is delivered.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal},
};

use super::{
    Failure, load, print,
    recovery::recover,
    setup::{self, cannot_record, wrong_server},
};
use crate::{
    cli::RunOptions,
    clock::Clock,
    delivery::{deliverer::Deliverer, outbox},
    display::Console,
    executor::{Parcel, Shares, Work, bounds, execute, remember},
    exit::Exit,
    graph::Graph,
    inspect::{Inspector, survey},
    jobserver::Jobserver,
    plan::{Build, PlanContext, plan_all, plan_node, planned},
    platform::Machine,
    process::{
        ask_briefly,
        signals::{Signals, open_many_files},
    },
    random,
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
    let graph = load(&options.which, &machine.facts)?;
    let work = async |console, signals| run_all(options, machine, graph, console, signals).await;
    setup::with_console(&options.show, clock, work).await
}

async fn run_all(
    options: &RunOptions,
    machine: Machine,
    mut graph: Graph,
    console: Console,
    mut signals: Signals,
) -> Result<Exit, Failure> {
    let clock = console.clock;
    let home = setup::home()?;
    let config = setup::config(&home)?;
    let mut registry = setup::servers(&home, &config, &options.to);
    let servers = registry.give(&options.to.servers).map_err(|error| wrong_server(&error))?;
    let mut context = setup::context(&home, &config, servers, options, machine);
    plan_all(&mut graph, &context, clock.wall())?;
    if options.dry_run {
        let plan = |node| plan_node(node, Among::default(), &context, clock.wall());
        let builds = graph.builds.iter().map(plan).collect::<Result<Vec<Build>, _>>();
        let servers = if options.no_report { &[][..] } else { &context.servers };
        return Ok(print(&dry_run(&builds.map_err(|error| planned(&error))?, servers)));
    }
    let libc = ask_briefly(["getconf", "GNU_LIBC_VERSION"], &context.environment).await;
    context.machine.reported.extend(libc.map(|libc| ("libc".to_owned(), libc.into())));
    home.make().map_err(cannot_record)?;
    // An explanation changes nothing.
    let crashed = if options.explain { Vec::new() } else { recover(&home, &console) };
    for crash in &crashed {
        if let Err(error) = remember(&home, &crash.record) {
            console.note(format!("cannot remember a crashed run for the next one: {error}"));
        }
    }
    // Each build of a graph may hold two files for as long as it lasts.
    if graph.builds.len() > FEW_BUILDS {
        open_many_files();
    }
    let mut inspector = Inspector { home: &home, console: &console, signals: &mut signals };
    let survey = survey(&mut inspector, &graph, &context).await?;
    if options.explain {
        return Ok(Exit::Ok);
    }
    let several = survey.runs() > 0 && survey.count() > 1;
    if several {
        console.screen.share(options.output);
    }
    let id = folder::new_run_id(clock.wall(), random::number());
    let chain = several.then(|| id.clone());
    let wants_jobs = graph.builds.iter().any(|node| node.recipe.jobserver == Some(true));
    let shares = shares(&context, &id, several || wants_jobs).await?;
    // With -n they wait too: nothing is submitted to anybody.
    let crashed =
        crashed.into_iter().filter(|crash| !options.no_report || crash.record.deliver_to.is_empty());
    let parcel = |crash: Recovered| Parcel {
        name: None,
        folder: crash.open.folder,
        active: crash.open.active,
        record: crash.record,
    };
    let mut deliverer =
        Deliverer::new(home.clone(), config.delivery.clone(), registry, console.clone(), signals.clone());
    let work = Work {
        deliverer: deliverer.clone(),
        context: &context,
        graph: &graph,
        shares,
        chain,
        survey,
        before: crashed.map(parcel).collect(),
    };
    let exit = execute(work).await;
    if matches!(exit, Exit::Signal(_) | Exit::CannotRecord) {
        return Ok(exit);
    }
    // After what is new, and for a bounded time: what could not be delivered before.
    if !options.no_report {
        let limit = config.delivery.waiting;
        let exit = exit.worst(outbox::deliver_waiting(&mut deliverer, limit).await);
        if matches!(exit, Exit::Signal(_)) {
            return Ok(exit);
        }
    }
    Ok(exit.worst(bounds(&home, &config, &console, &mut signals).await.err().unwrap_or(Exit::Ok)))
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
async fn shares(context: &PlanContext<'_>, id: &str, wants_jobs: bool) -> Result<Shares, Failure> {
    let PlanContext { options, machine, environment, .. } = context;
    let cpus = machine.facts.cpus;
    let slots = options.jobs.map_or(cpus, |jobs| usize::from(jobs.get()));
    let memory = machine.memory.unwrap_or(u64::MAX);
    if !wants_jobs {
        return Ok(Shares { slots, memory, jobserver: None, make: String::new() });
    }
    let jobserver = Jobserver::new(cpus.max(slots), id, &context.home.jobs());
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
