//! The words people type: `pony-run RECIPE…` and its other verbs.

mod ask;

use std::{ffi::OsString, num::NonZeroU16, path::PathBuf};

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use pony_wire::Dialect;

pub use self::ask::{AskOptions, NotifyOptions, QueryOptions, Question, ReplayOptions};
use crate::{
    display::{Output, look::ColourChoice},
    graph::show::Format,
    run::Keep,
};

/// Runs builds from recipes, shows and records them, and submits one complete result to a pony-build server.
#[derive(Debug, Parser)]
#[command(name = "pony-run", version, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes: 0 passed or nothing to do; 1 a question answered with no; 2 usage; 10 a build failed; 11 recipe invalid; 12 context could \
not be prepared; 13 built but not delivered; 14 cannot record; 15 a server could not be asked; 128+n stopped by signal n.
Files: ~/.pony-build (PONY_HOME moves it) keeps run folders, mirrors and the embedded server's results.")]
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
    /// Build and record, but submit to nobody
    #[arg(short, long)]
    pub no_report: bool,
    /// Ask upstream and the server first, and do nothing where nothing is new (for cron)
    #[arg(long)]
    pub if_needed: bool,
    /// Build even where --if-needed would not
    #[arg(short, long)]
    pub force: bool,
    /// With --if-needed: say which rule decided, and go no further
    #[arg(long, requires = "if_needed")]
    pub explain: bool,
    /// Ask nobody for news: build what the cache holds
    #[arg(long)]
    pub offline: bool,
    /// Interpreter of the recipe's virtualenv: a name, a path or a version
    #[arg(short = 'e', long, value_name = "PYTHON")]
    pub python: Option<String>,
    /// Add a tag to those of the recipe
    #[arg(short, long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Builds at once; as many as there are processors if not given
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroU16>,
    /// Build what is needed anew, even where it is there: all of it, or the build of this name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub rebuild: Vec<String>,
    /// After a build that has not passed, begin no other
    #[arg(long, conflicts_with = "keep_going")]
    pub fail_fast: bool,
    /// Build all that can be built (the default)
    #[arg(long)]
    pub keep_going: bool,
    /// Of several builds, how their output is shown
    #[arg(long, value_name = "HOW", default_value = "interleaved")]
    pub output: Output,
    /// When the tempdir is kept
    #[arg(long, value_name = "WHEN", default_value = "failure")]
    pub keep: Keep,
    /// Keep the tempdir: the same as --keep always
    #[arg(short = 'N', long)]
    pub no_clean_temp: bool,
    /// Resolve the recipes, show what would be done, and do nothing
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
    /// Submit to this server instead of the embedded one: its address, with or without /xmlrpc, or its name in config.yaml; may be
    /// given several times (in `PONY_SERVER`, with blanks between)
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
    /// Trust the certificates in this file (PEM) besides those of the system
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
    /// With --list: as JSON
    #[arg(long, requires = "list")]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub to: ServerOptions,
}

/// Which builds.
#[derive(Debug, Clone, Args)]
pub struct WhichOptions {
    /// Recipes; what they need is found by itself
    #[arg(value_name = "RECIPE", required = true)]
    pub recipes: Vec<PathBuf>,
    /// Set a variable of the recipes
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, String)>,
    /// Of recipes with a matrix, only the cells with this value
    #[arg(long, value_name = "AXIS=VALUE", value_parser = parse_setting)]
    pub matrix: Vec<(String, String)>,
}

/// How a run is shown.
#[derive(Debug, Clone, Args)]
pub struct ShowOptions {
    /// Where colours are used
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColourChoice,
    /// No status line at the bottom
    #[arg(long)]
    pub no_progress: bool,
    /// What is printed: words for people, or one JSON object an event on stdout
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub message_format: MessageFormat,
    /// Show the commands of checkouts and where files are
    #[arg(short, long)]
    pub verbose: bool,
    /// Show what pony-run itself does, for a report of a fault in it
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
    Check {
        #[command(flatten)]
        #[expect(missing_docs, reason = "documented at its type")]
        which: WhichOptions,
        /// Where colours are used
        #[arg(long, value_name = "WHEN", default_value = "auto")]
        color: ColourChoice,
    },
    /// Show what would be built, what is there already, and why; ask upstream, and build nothing
    Graph {
        #[command(flatten)]
        #[expect(missing_docs, reason = "documented at its type")]
        run: Box<RunOptions>,
        /// As what
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Deliver results that wait in their run folders
    Submit(SubmitOptions),
    /// Ask a server what it knows
    #[command(after_help = ask::EXIT_CODES)]
    Query(QueryOptions),
    /// Send mail or webhooks when a package starts to fail, still fails, or passes again (for cron)
    Notify(Box<NotifyOptions>),
    /// Run again here what a result is of: its recipe, at its revision, with its variables
    Replay(Box<ReplayOptions>),
    /// Open a shell in the kept tree of a run, with the environment that its steps had
    Shell {
        /// Its id, its folder, or a package, whose last kept run it is; the last kept run of all if none is given
        #[arg(value_name = "RUN")]
        run: Option<String>,
        /// What to run instead of a shell
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Look after the cache of sources and of what builds hand on
    Cache {
        /// What to do; a list if nothing is said
        #[command(subcommand)]
        verb: Option<CacheVerb>,
    },
    /// Print the JSON Schema of recipes, for editors
    Schema,
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// `pony-run cache …`
#[derive(Debug, Clone, Subcommand)]
pub enum CacheVerb {
    /// Show every entry, the one that was not used for longest first
    List,
    /// Check that entries are whole; those that are not are made anew by the next run
    Verify {
        /// Which, as `list` calls them; all if none is given
        #[arg(value_name = "ENTRY")]
        entries: Vec<String>,
    },
    /// Remove what was not used for longest until the rest is no more than this
    Shrink {
        /// Such as 5GB; the size in config.yaml if not given
        #[arg(long, value_name = "SIZE")]
        to: Option<ByteSize>,
    },
    /// Remove entries
    Remove {
        /// Which, as `list` calls them
        #[arg(value_name = "ENTRY", required_unless_present = "all")]
        entries: Vec<String>,
        /// All of them
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
