//! From the command line to an exit code: one thin file a verb.

mod cache;
mod check;
mod completions;
mod graph;
mod man;
mod notify;
mod querier;
mod query;
mod recovery;
mod replay;
mod run;
mod schema;
mod setup;
mod shell;
mod submit;

use std::io::{self, Write};

use clap::Parser;

use crate::{
    cli::{CacheVerb, Cli, Verb, WhichOptions},
    display::settings::ColourChoice,
    error::Failure,
    exit::Exit,
    graph::{Disk, Graph, GraphRequest, resolve},
    recipe,
};

/// Runs `pony-run` as the process was called.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Ok };
        }
    };
    match verb(&cli) {
        Ok(exit) => exit,
        Err(failure) => {
            let text = failure.render(setup::display_settings(color(&cli), true).colour);
            let _ = io::stderr().lock().write_all(text.as_bytes());
            failure.exit
        }
    }
}

/// `--color` of whichever command it is.
fn color(cli: &Cli) -> ColourChoice {
    match &cli.verb {
        None => cli.run.show.color,
        Some(Verb::Check { color, .. }) => *color,
        Some(Verb::Graph { run, .. }) => run.show.color,
        Some(Verb::Query(options)) => options.question.ask().color,
        Some(Verb::Replay(options)) => options.show.color,
        Some(_) => ColourChoice::Auto,
    }
}

fn verb(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.verb {
        None => with_runtime(run::run(&cli.run)),
        Some(Verb::Submit(options)) => with_runtime(submit::submit(options)),
        Some(Verb::Check { which, .. }) => check::check(which),
        Some(Verb::Graph { run, format }) => with_runtime(graph::graph(run, *format)),
        Some(Verb::Query(options)) => with_runtime(query::query(&options.question)),
        Some(Verb::Notify(options)) => with_runtime(notify::notify(options)),
        Some(Verb::Replay(options)) => with_runtime(replay::replay(options)),
        Some(Verb::Shell { run, command }) => shell::shell(run.as_deref(), command),
        Some(Verb::Cache { verb }) => with_runtime(cache::cache(verb.clone().unwrap_or(CacheVerb::List))),
        Some(Verb::Schema) => Ok(schema::schema()),
        Some(Verb::Completions { shell }) => Ok(completions::completions(*shell)),
        Some(Verb::Man) => man::man(),
    }
}

/// Reads and resolves recipes and all that they need; reports all errors at once.
fn load(which: &WhichOptions, facts: &recipe::PlatformFacts) -> Result<Graph, Failure> {
    let request = GraphRequest { recipes: &which.recipes, settings: &which.set, cells: &which.matrix };
    Ok(resolve(request, facts, &mut Disk)?)
}

fn with_runtime(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    // More than there are processors: each build writes its own record, and waits for the disk.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Exit::CannotRecord, "cannot start threads").caused_by(&error))?;
    let ended = runtime.block_on(work);
    // What still runs on blocking threads (a resolver) must not hold the exit.
    runtime.shutdown_background();
    ended
}

fn print(text: &str) -> Exit {
    // `pony-run schema | head` is no error.
    let _ = writeln!(io::stdout().lock(), "{}", text.trim_end_matches('\n'));
    Exit::Ok
}

fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}
