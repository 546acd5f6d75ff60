//! The words people type: `pony-run RECIPE…` and its other verbs.

mod ask;

use std::{ffi::OsString, num::NonZeroU16, path::PathBuf};

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use pony_wire::Dialect;

pub use self::ask::{AskOptions, NotifyOptions, QueryOptions, Question, ReplayOptions};
use crate::{
    display::{Output, settings::ColourChoice},
    graph::show::Format,
    run::Keep,
};

/// Runs builds from recipes, shows and records them, and submits one complete result to a pony-build server.
#[derive(Debug, Parser)]
#[command(name = "pony-run", version, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes: 0 passed or nothing to do; 1 a query answered no; 2 usage; 10 a build failed; 11 recipe invalid; 12 context could \
not be prepared; 13 built but not delivered; 14 cannot record; 15 a server could not be asked; 128+n stopped by signal n.
Files: ~/.pony-build (or $PONY_HOME) has run folders, the cache and the embedded server's results.")]
pub struct Cli {
    /// Another verb than running recipes.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// What to run.
    #[command(flatten)]
    pub run: RunOptions,
}

/// `pony-run RECIPE…`
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the command line")]
pub struct RunOptions {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub which: WhichOptions,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub to: ServerOptions,
    /// Build and record, but send nothing
    #[arg(short, long)]
    pub no_report: bool,
    /// Build only if something changed or a build was requested (for cron)
    #[arg(long)]
    pub if_needed: bool,
    /// Build even if --if-needed would not
    #[arg(short, long)]
    pub force: bool,
    /// With --if-needed: say which rule decides, and build nothing
    #[arg(long, requires = "if_needed")]
    pub explain: bool,
    /// Build from cached sources without contacting upstream
    #[arg(long)]
    pub offline: bool,
    /// Interpreter of the recipe's virtualenv: a name, a path or a version
    #[arg(short = 'e', long, value_name = "PYTHON")]
    pub python: Option<String>,
    /// Add a tag to those of the recipe
    #[arg(short, long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Number of concurrent builds [default: number of processors]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroU16>,
    /// Rebuild all dependencies, or the build called NAME and everything that depends on it
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub rebuild: Vec<String>,
    /// Start no more builds after the first failure
    #[arg(long, conflicts_with = "keep_going")]
    pub fail_fast: bool,
    /// Build everything that can be built (the default)
    #[arg(long)]
    pub keep_going: bool,
    /// How to show the output of several builds
    #[arg(long, value_name = "HOW", default_value = "interleaved")]
    pub output: Output,
    /// When to keep the build folder
    #[arg(long, value_name = "WHEN", default_value = "failure")]
    pub keep: Keep,
    /// Keep the build folder: same as --keep always
    #[arg(short = 'N', long)]
    pub no_clean_temp: bool,
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub show: ShowOptions,
}

impl RunOptions {
    /// These recipes for these servers, and all else as it is where nothing is said.
    pub fn new(which: WhichOptions, to: ServerOptions, show: ShowOptions) -> Self {
        Self {
            which,
            to,
            show,
            no_report: false,
            if_needed: false,
            force: false,
            explain: false,
            offline: false,
            python: None,
            tags: Vec::new(),
            jobs: None,
            rebuild: Vec::new(),
            fail_fast: false,
            keep_going: false,
            output: Output::default(),
            keep: Keep::default(),
            no_clean_temp: false,
            dry_run: false,
        }
    }
}

/// Which servers, and how they are spoken to.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerOptions {
    /// Send results to this server instead of the embedded one: its URL or its name in config.yaml; can be repeated (in
    /// `PONY_SERVER`, separated by spaces)
    #[arg(
        short,
        long = "server",
        value_name = "SERVER",
        env = "PONY_SERVER",
        hide_env_values = true,
        value_delimiter = ' '
    )]
    pub servers: Vec<String>,
    /// Server protocol: 2009, 2010, pony-serve, devmason or devmason-rest [default: detected]
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Option<Dialect>,
    /// Also trust the certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
}

/// `pony-run submit`
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the command line")]
pub struct SubmitOptions {
    /// Runs, by id or folder [default: every waiting result]
    #[arg(value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Also results that the server has rejected
    #[arg(long, conflicts_with = "runs")]
    pub all: bool,
    /// List waiting results, why they wait, and when each is tried next
    #[arg(long, conflicts_with = "drop")]
    pub list: bool,
    /// Give up these results (with --all: every waiting one); their folders stay
    #[arg(long)]
    pub drop: bool,
    /// With --list: print JSON
    #[arg(long, requires = "list")]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub to: ServerOptions,
}

/// Which builds.
#[derive(Debug, Clone, Args)]
pub struct WhichOptions {
    /// Recipe files; those they depend on are found automatically
    #[arg(value_name = "RECIPE", required = true)]
    pub recipes: Vec<PathBuf>,
    /// Set a variable of the recipes
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Build only the cells of a matrix with this value
    #[arg(long, value_name = "AXIS=VALUE", value_parser = parse_setting)]
    pub matrix: Vec<(String, String)>,
}

/// How a run is shown.
#[derive(Debug, Clone, Args)]
pub struct ShowOptions {
    /// When to use colors
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColourChoice,
    /// Show no status line
    #[arg(long)]
    pub no_progress: bool,
    /// Print messages for people, or one JSON object for each event
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub message_format: MessageFormat,
    /// Also show commands of checkouts, and where files are
    #[arg(short, long)]
    pub verbose: bool,
    /// Print debugging output, for bug reports
    #[arg(long)]
    pub debug: bool,
}

impl ShowOptions {
    /// Of a verb that runs nothing.
    pub fn plain(color: ColourChoice) -> Self {
        Self { color, no_progress: true, message_format: MessageFormat::Human, verbose: false, debug: false }
    }
}

/// `--message-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// For a person.
    Human,
    /// For a program.
    Json,
}

/// The other verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Check recipes without running anything
    #[command(after_long_help = "Example: pony-run check recipes/*.yaml")]
    Check {
        #[command(flatten)]
        #[expect(missing_docs, reason = "documented at its type")]
        which: WhichOptions,
        /// When to use colors
        #[arg(long, value_name = "WHEN", default_value = "auto")]
        color: ColourChoice,
    },
    /// Show what would be built or reused, and why
    #[command(after_long_help = "Example: pony-run graph --format mermaid app.yaml")]
    Graph {
        #[command(flatten)]
        #[expect(missing_docs, reason = "documented at its type")]
        run: Box<RunOptions>,
        /// Output format
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Print the JSON Schema of recipes, for editors
    #[command(after_long_help = "Example: pony-run schema > recipe.schema.json")]
    Schema,
    /// Send waiting results
    #[command(after_long_help = "Example: pony-run submit --list")]
    Submit(SubmitOptions),
    /// Ask a server about its results
    #[command(after_help = ask::EXIT_CODES)]
    Query(QueryOptions),
    /// Send mail or webhooks when a package starts to fail, still fails, or passes again (for cron)
    Notify(Box<NotifyOptions>),
    /// Re-run a result on this machine, with the same recipe, revision and variables
    Replay(Box<ReplayOptions>),
    /// Open a shell in the build folder of a run, with the environment of its steps
    #[command(after_long_help = "Example: pony-run shell cpython -- ls")]
    Shell {
        /// Run id, run folder or package name [default: the most recent kept run]
        #[arg(value_name = "RUN")]
        run: Option<String>,
        /// Command to run instead of a shell
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// List, verify and shrink the cache of sources and outputs
    #[command(after_long_help = "Example: pony-run cache shrink --to 5GB")]
    Cache {
        /// What to do [default: list]
        #[command(subcommand)]
        verb: Option<CacheVerb>,
    },
    /// Print completions for a shell
    #[command(after_long_help = "Example: pony-run completions bash > /etc/bash_completion.d/pony-run")]
    Completions {
        /// Shell to print completions for
        shell: clap_complete::Shell,
    },
    /// Print the man page
    #[command(after_long_help = "Example: pony-run man | man -l -")]
    Man,
}

/// `pony-run cache …`
#[derive(Debug, Clone, Subcommand)]
pub enum CacheVerb {
    /// List entries, least recently used first
    List,
    /// Check entries; damaged ones are created again by the next run
    Verify {
        /// Names as in `list` [default: all]
        #[arg(value_name = "ENTRY")]
        entries: Vec<String>,
    },
    /// Remove least recently used entries until the cache fits SIZE
    Shrink {
        /// Size such as 5GB [default: the one in config.yaml]
        #[arg(long, value_name = "SIZE")]
        to: Option<ByteSize>,
    },
    /// Remove entries
    Remove {
        /// Names as in `list`
        #[arg(value_name = "ENTRY", required_unless_present = "all")]
        entries: Vec<String>,
        /// Remove all entries
        #[arg(long, conflicts_with = "entries")]
        all: bool,
    },
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_may_hold_anything_after_its_first_equals_sign() {
        assert_eq!(parse_setting("flags=-O2 -DX=1"), Ok(("flags".into(), "-O2 -DX=1".into())));
        assert!(parse_setting("=x").is_err() && parse_setting("x").is_err());
    }
}
