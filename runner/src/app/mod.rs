//! The outermost layer: from the command line to an exit code. One file for each verb that does work.

mod build;
mod cache;
mod conduct;
mod deliver;
mod graph;
mod needed;
mod notify;
mod outbox;
mod query;
mod replay;
mod run;
mod session;
mod shell;
mod submit;
mod survey;
mod tidy;
mod upload;

use std::{
    io::{self, Write},
    path::Path,
};

use clap::{CommandFactory, Parser};
use indexmap::IndexMap;

use crate::{
    cli::{CacheVerb, Cli, Verb, WhichOptions},
    display::look::ColourChoice,
    exit::Exit,
    graph::{Asked, Disk, Graph, resolve},
    platform, recipe,
};

/// What ends the program without a run: its exit and, for the person, why and the way out.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: String) -> Self {
        Self { exit, message }
    }
}

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
            // A signal needs no words.
            if !failure.message.is_empty() {
                say(&failure.message);
            }
            failure.exit
        }
    }
}

fn verb(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.verb {
        None => with_runtime(run::run(&cli.run)),
        Some(Verb::Submit(options)) => with_runtime(submit::submit(options)),
        Some(Verb::Check { which, color }) => {
            Ok(print(&checked(&load(which, &platform::of_this_machine(), *color)?)))
        }
        Some(Verb::Graph { run, format }) => with_runtime(graph::graph(run, *format)),
        Some(Verb::Query(options)) => with_runtime(query::query(&options.question)),
        Some(Verb::Notify(options)) => with_runtime(notify::notify(options)),
        Some(Verb::Replay(options)) => with_runtime(replay::replay(options)),
        Some(Verb::Shell { run, command }) => shell::shell(run.as_deref(), command),
        Some(Verb::Cache { verb }) => with_runtime(cache::cache(verb.clone().unwrap_or(CacheVerb::List))),
        Some(Verb::Schema) => Ok(print(&format!("{:#}", recipe::schema()))),
        Some(Verb::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "pony-run", &mut text);
            Ok(print(&String::from_utf8_lossy(&text)))
        }
        Some(Verb::Man) => {
            let mut text = Vec::new();
            let rendered = clap_mangen::Man::new(Cli::command()).render(&mut text);
            rendered.map_err(|error| Failure::new(Exit::CannotRecord, format!("pony-run: {error}")))?;
            Ok(print(&String::from_utf8_lossy(&text)))
        }
    }
}

/// Reads and resolves recipes and all that they need; all errors of all of them in one go.
fn load(which: &WhichOptions, facts: &recipe::Facts, colour: ColourChoice) -> Result<Graph, Failure> {
    let asked = Asked { recipes: &which.recipes, set: &which.set, cells: &which.matrix };
    let colour = session::look(colour, true).colour;
    resolve(asked, facts, colour, &mut Disk)
        .map_err(|wrong| Failure { exit: Exit::RecipeInvalid, message: wrong.errors.join("\n") })
}

/// A line for each recipe that was asked for.
fn checked(graph: &Graph) -> String {
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let mut cells: IndexMap<&Path, Vec<usize>> = IndexMap::new();
    for (index, build) in graph.builds.iter().enumerate().filter(|(_, build)| build.asked) {
        cells.entry(&build.recipe.path).or_default().push(index);
    }
    let line = |(path, cells): (&&Path, &Vec<usize>)| {
        let recipe = cells.first().map(|cell| &graph.builds[*cell].recipe);
        let package = recipe.map(|recipe| recipe.package.clone()).unwrap_or_default();
        let mut words = vec![package, counted(recipe.map_or(0, |recipe| recipe.steps.len()), "step")];
        if cells.len() > 1 {
            words.push(counted(cells.len(), "build"));
        }
        match graph.needed_by(cells) {
            0 => {}
            needed => words.push(format!("after {}", counted(needed, "other"))),
        }
        format!("{}: ok ({})", path.display(), words.join(", "))
    };
    cells.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn with_runtime(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    // More than there are processors: each build writes its own record, and waits for the disk.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime
        .map_err(|error| Failure::new(Exit::CannotRecord, format!("pony-run: cannot start: {error}")))?;
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
