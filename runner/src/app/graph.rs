//! `pony-run graph`: what would be built, what is there already, and why. Asks upstream; builds nothing.

use super::{
    Failure, load, print,
    session::Session,
    survey::{Survey, Verdict, plan_all, survey},
};
use crate::{
    cli::RunOptions,
    clock::Clock,
    exit::Exit,
    graph::show::{self, Format, show},
    platform::Machine,
};

/// Prints the graph of what the command line asks for.
pub(super) async fn graph(options: &RunOptions, format: Format) -> Result<Exit, Failure> {
    let machine = Machine::look();
    // Nobody is told that something will be built.
    let options = &RunOptions { explain: true, ..options.clone() };
    let mut graph = load(&options.which, &machine.facts, options.show.color)?;
    let mut session = Session::new(&options.show, Clock::start())?;
    session.name_servers(&options.to);
    let surroundings = session.surroundings(options, machine)?;
    plan_all(&mut graph, &surroundings, session.clock.wall())?;
    let Survey { verdicts, .. } = survey(&mut session, &graph, &surroundings).await?;
    let verdicts: Vec<show::Verdict> = verdicts
        .into_iter()
        .map(|verdict| match verdict {
            Verdict::Build(why) => show::Verdict::Build(why),
            Verdict::Reuse(found) => show::Verdict::Reuse(format!("built by run {}", found.card.run_id)),
            Verdict::Leave(why) => show::Verdict::Skip(why),
        })
        .collect();
    Ok(print(&show(&graph, &verdicts, format)))
}
