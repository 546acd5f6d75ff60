//! `pony-run RECIPE…`: plans, inspects, decides, builds, delivers.

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
    config::Config,
    delivery::{deliverer::Deliverer, outbox},
    display::Console,
    executor::{ExecutorInput, FinishedRun, Resources, execute, prune, remember},
    exit::Exit,
    home::Home,
    inspect::{Inspector, inspect},
    plan::Plan,
    platform::Machine,
    process::{
        ask_briefly,
        signals::{Signals, open_many_files},
    },
    random,
    record::{folder, recovery::Recovered},
    server::{Server, registry::Servers},
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
    let home = setup::home()?;
    let config = setup::config(&home)?;
    let mut registry = setup::servers(&home, &config, &options.to);
    let servers = registry.give(&options.to.servers).map_err(|error| wrong_server(&error))?;
    let context = setup::context(&home, &config, &servers, options, machine);
    let mut plan = Plan::new(graph, context).map_err(|error| setup::cannot_plan(&error))?;
    if options.dry_run {
        let servers = if options.no_report { &[][..] } else { &servers };
        return Ok(print(&dry_run(&plan, servers, clock)));
    }
    let libc = ask_briefly(["getconf", "GNU_LIBC_VERSION"], &plan.context.environment).await;
    plan.context.machine.reported.extend(libc.map(|libc| ("libc".to_owned(), libc.into())));
    home.make().map_err(cannot_record)?;
    let work = Work { options, home, config, registry, servers, plan };
    let run = async |console, signals| work.run(console, signals).await;
    Box::pin(setup::with_console(&options.show, clock, run)).await
}

/// What is done, once all that the person wrote is known to be right.
struct Work<'w> {
    options: &'w RunOptions,
    home: Home,
    config: Config,
    registry: Servers,
    servers: Vec<Server>,
    plan: Plan,
}

impl Work<'_> {
    async fn run(self, console: Console, mut signals: Signals) -> Result<Exit, Failure> {
        let Self { options, home, config, registry, servers, plan } = self;
        // An explanation changes nothing.
        let crashed = if options.explain { Vec::new() } else { recover(&home, &console) };
        for crash in &crashed {
            if let Err(error) = remember(&home, &crash.record) {
                console.note(format!("cannot remember a crashed run for the next one: {error}"));
            }
        }
        // Each build of a graph may hold two files for as long as it lasts.
        if plan.graph.builds.len() > FEW_BUILDS {
            open_many_files();
        }
        let mut inspector = Inspector {
            home: &home,
            console: &console,
            signals: &mut signals,
            server: &servers[0],
            options: setup::inspect_options(options, &config, &plan.graph)?,
        };
        let inspection = inspect(&mut inspector, &plan).await.map_err(Failure::silent)?;
        if options.explain {
            return Ok(Exit::Ok);
        }
        let is_chain = !inspection.to_run().is_empty() && inspection.shown() > 1;
        if is_chain {
            console.screen.share(options.output);
        }
        let id = folder::new_run_id(console.clock.wall(), random::number());
        let wants_jobs = plan.graph.builds.iter().any(|node| node.recipe.jobserver == Some(true));
        let jobserver = (is_chain || wants_jobs).then_some(id.as_str());
        let resources = Resources::new(&plan.context, &home, options.jobs, jobserver).await;
        let resources =
            resources.map_err(|error| cannot_record(format!("cannot make a jobserver: {error}")))?;
        let limits = config.delivery.clone();
        let mut deliverer = Deliverer::new(home.clone(), limits, registry, console.clone(), signals.clone());
        let input = ExecutorInput {
            plan: &plan,
            inspection,
            resources,
            chain: is_chain.then(|| id.clone()),
            fail_fast: options.fail_fast,
            deliverer: deliverer.clone(),
            servers,
            earlier: earlier(crashed, options.no_report),
        };
        let exit = execute(input).await;
        if matches!(exit, Exit::Signal(_) | Exit::CannotRecord) {
            return Ok(exit);
        }
        // After what is new, and for a bounded time: what could not be delivered before.
        let exit = if options.no_report {
            exit
        } else {
            exit.worst(outbox::deliver_waiting(&mut deliverer, config.delivery.waiting).await)
        };
        if matches!(exit, Exit::Signal(_)) {
            return Ok(exit);
        }
        Ok(exit.worst(prune(&home, &config, &console, &mut signals).await.err().unwrap_or(Exit::Ok)))
    }
}

/// Crashed runs, to be delivered first. With `--no-report` those that go to a server wait.
fn earlier(crashed: Vec<Recovered>, no_report: bool) -> Vec<FinishedRun> {
    crashed
        .into_iter()
        .filter(|crash| !no_report || crash.record.deliver_to.is_empty())
        .map(|crash| FinishedRun {
            name: None,
            folder: crash.open.folder,
            active: crash.open.active,
            record: crash.record,
        })
        .collect()
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

fn dry_run(plan: &Plan, servers: &[Server], clock: Clock) -> String {
    let mut text = String::new();
    let count = plan.graph.builds.len();
    for index in 0..count {
        let build = plan.job(index, clock.wall());
        let job = build.job;
        let name = if count == 1 { &job.recipe.package } else { &job.name };
        let tags = if job.tags.is_empty() { String::new() } else { format!(" [{}]", job.tags.join(", ")) };
        let _ = writeln!(text, "{name} on {} ({}){tags}", job.facts.host, job.facts.arch);
        for (index, head) in job.heads().iter().enumerate() {
            let _ = writeln!(text, "  {}. {} ({})", index + 1, head.name, head.kind);
            for line in build.redactor.text(&head.command).trim_end().lines() {
                let _ = writeln!(text, "       {line}");
            }
        }
    }
    let name = |server: &Server| {
        if server.is_embedded() { "the embedded server on this machine".to_owned() } else { server.name() }
    };
    let names: Vec<String> = servers.iter().map(name).collect();
    let names = if names.is_empty() { "nobody".to_owned() } else { names.join(" and ") };
    let _ = writeln!(text, "would be submitted to {names}");
    text
}
