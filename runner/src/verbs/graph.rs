//! `pony-run graph`: what would be built, what is there already, and why. Asks upstream; builds nothing.

use super::{
    Failure, load, print,
    setup::{self, wrong_server},
};
use crate::{
    cli::RunOptions,
    clock::Clock,
    display::Console,
    exit::Exit,
    graph::{
        Graph,
        show::{self, Format, show},
    },
    inspect::{Inspector, Survey, Verdict, survey},
    plan::plan_all,
    platform::Machine,
    process::signals::Signals,
};

/// Prints the graph of what the command line asks for.
pub(super) async fn graph(options: &RunOptions, format: Format) -> Result<Exit, Failure> {
    let machine = Machine::look();
    // Nobody is told that something will be built.
    let options = &RunOptions { explain: true, ..options.clone() };
    let graph = load(&options.which, &machine.facts)?;
    let work = async |console, signals| inspected(options, machine, graph, format, &console, signals).await;
    setup::with_console(&options.show, Clock::start(), work).await
}

async fn inspected(
    options: &RunOptions,
    machine: Machine,
    mut graph: Graph,
    format: Format,
    console: &Console,
    mut signals: Signals,
) -> Result<Exit, Failure> {
    let home = setup::home()?;
    let config = setup::config(&home)?;
    let mut registry = setup::servers(&home, &config, &options.to);
    let servers = registry.give(&options.to.servers).map_err(|error| wrong_server(&error))?;
    let context = setup::context(&home, &config, servers, options, machine);
    plan_all(&mut graph, &context, console.clock.wall())?;
    let mut inspector = Inspector { home: &home, console, signals: &mut signals };
    let Survey { verdicts, .. } = survey(&mut inspector, &graph, &context).await?;
    let verdicts: Vec<show::Decision> = verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Build(why) => show::Decision::Build(why),
            Verdict::Reuse(found) => show::Decision::Reuse(format!("built by run {}", found.manifest.run_id)),
            Verdict::Leave(why) => show::Decision::Skip(why),
        })
        .collect();
    Ok(print(&show(&graph, &verdicts, format)))
}
