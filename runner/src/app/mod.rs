//! The outermost layer: from the command line to an exit code. One file for each verb that does work.

mod cache;
mod needed;
mod run;
mod session;
mod shell;
mod submit;
mod tidy;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{CommandFactory, Parser};

use crate::{
    cli::{CacheVerb, Cli, Verb},
    exit::Exit,
    facts,
    recipe::{self, Recipe},
    report::look::ColourChoice,
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
            say(&failure.message);
            failure.exit
        }
    }
}

fn verb(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.verb {
        None => with_runtime(run::run(&cli.run)),
        Some(Verb::Submit { runs, server }) => with_runtime(submit::submit(runs, server.as_deref())),
        Some(Verb::Check { recipes, set, color }) => {
            let lines = load(recipes, set, *color)?.into_iter().map(|recipe| {
                let count = match recipe.steps.len() {
                    1 => "1 step".to_owned(),
                    steps => format!("{steps} steps"),
                };
                format!("{}: ok ({}, {count})", recipe.path.display(), recipe.package)
            });
            Ok(print(&lines.collect::<Vec<_>>().join("\n")))
        }
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

/// Reads and resolves recipes; all errors of all of them in one go.
fn load(paths: &[PathBuf], set: &[(String, String)], colour: ColourChoice) -> Result<Vec<Recipe>, Failure> {
    let facts = facts::of_this_machine();
    let mut recipes = Vec::new();
    let mut wrong = Vec::new();
    for path in paths {
        match recipe::read(path) {
            Err(error) => wrong.push(format!("pony-run: {error}")),
            Ok(bytes) => match recipe::load(path, &bytes, set, &facts) {
                Ok(recipe) => recipes.push(recipe),
                Err(diagnostics) => wrong.push(diagnostics.render(session::look(colour, true).colour)),
            },
        }
    }
    if wrong.is_empty() {
        Ok(recipes)
    } else {
        Err(Failure { exit: Exit::RecipeInvalid, message: wrong.join("\n") })
    }
}

fn with_runtime(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
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
