//! `pony-run graph`: what would be built, reused or skipped, and why. Asks upstream; builds nothing.

use super::{
    Failure, load, print,
    setup::{self, wrong_server},
};
use crate::{
    cli::RunOptions,
    clock::Clock,
    display::Console,
    exit::Exit,
    graph::show::{self, Format, show},
    inspect::{Inspector, inspect},
    plan::{Plan, decision::Decision},
    platform::Machine,
    process::signals::Signals,
};

/// Prints the graph of what the command line asks for.
pub(super) async fn graph(options: &RunOptions, format: Format) -> Result<Exit, Failure> {
    let machine = Machine::look();
    // No server is told that something will be built.
    let options = &RunOptions { explain: true, ..options.clone() };
    let graph = load(&options.which, &machine.facts)?;
    let home = setup::home()?;
    let config = setup::config(&home)?;
    let mut registry = setup::servers(&home, &config, &options.to);
    let servers = registry.give(&options.to.servers).map_err(|error| wrong_server(&error))?;
    let context = setup::context(&home, &config, &servers, options, machine);
    let plan = Plan::new(graph, context).map_err(|error| setup::cannot_plan(&error))?;
    let inspect_options = setup::inspect_options(options, &config, &plan.graph)?;
    let work = async |console: Console, mut signals: Signals| {
        let mut inspector = Inspector {
            home: &home,
            console: &console,
            signals: &mut signals,
            server: &servers[0],
            options: inspect_options,
        };
        let inspection = inspect(&mut inspector, &plan).await.map_err(Failure::silent)?;
        Ok(print(&show(&plan.graph, &shown(&inspection.decisions), format)))
    };
    setup::with_console(&options.show, Clock::start(), work).await
}

fn shown(decisions: &[Decision]) -> Vec<show::Decision> {
    let shown = |decision: &Decision| match decision {
        Decision::Build(_) => show::Decision::Build(decision.why()),
        Decision::Reuse(_) => show::Decision::Reuse(decision.why()),
        Decision::Skip(_) => show::Decision::Skip(decision.why()),
    };
    decisions.iter().map(shown).collect()
}
