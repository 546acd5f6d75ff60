//! The words of the verbs that ask servers: `query`, `notify`, `replay`.

use std::{num::NonZeroU16, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use pony_wire::Dialect;

use super::{ServerOptions, ShowOptions, WhichOptions};
use crate::{display::settings::ColourChoice, recipe::duration, run::Keep};

/// What the exit codes of questions mean.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 passing, or there is an answer; 10 failing; 1 neither (no such result, or it says nothing; `check`: no build needed); \
2 usage; 11 recipe invalid; 15 the server could not be asked, or cannot answer this; 128+n stopped by signal n.
Example: pony-run query last python";

/// `pony-run query`
#[derive(Debug, Clone, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct QueryOptions {
    /// What is asked.
    #[command(subcommand)]
    pub question: Question,
}

/// Which server is asked, and how the answer is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct AskOptions {
    /// Ask this server instead of the embedded one: its URL or its name in config.yaml
    #[arg(short, long, value_name = "SERVER", env = "PONY_SERVER", hide_env_values = true)]
    pub server: Option<String>,
    /// Server protocol: 2009, 2010, pony-serve, devmason or devmason-rest [default: detected]
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Option<Dialect>,
    /// Also trust the certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// When to use colors
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColourChoice,
}

impl AskOptions {
    /// The same as for those who submit. `PONY_SERVER` may name several, with blanks between.
    pub fn servers(&self) -> ServerOptions {
        ServerOptions {
            servers: self.server.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect(),
            dialect: self.dialect,
            cacert: self.cacert.clone(),
        }
    }
}

/// The last results of which slots.
#[derive(Debug, Clone, Args)]
pub struct SlotOptions {
    /// Package name
    #[arg(value_name = "PACKAGE")]
    pub package: String,
    /// Only slots with all of these tags (also `__host=NAME`, `__arch=NAME`)
    #[arg(value_name = "TAG")]
    pub tags: Vec<String>,
}

/// `pony-run query …`
#[derive(Debug, Clone, Subcommand)]
#[expect(missing_docs, reason = "each option is documented at its type")]
pub enum Question {
    /// List the packages that have results
    Packages {
        #[command(flatten)]
        ask: AskOptions,
    },
    /// List the slots of a package: what is built where
    #[command(alias = "tagsets")]
    Slots {
        /// Package name
        #[arg(value_name = "PACKAGE")]
        package: String,
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Show the last result of each slot: how it went, when, where it failed
    Last {
        #[command(flatten)]
        slots: SlotOptions,
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Show one result, with its steps and the last lines of the one that failed
    Result {
        /// Key of the result on that server (devmason: PACKAGE/KEY)
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        ask: AskOptions,
    },
    /// List the slots of a package whose last result failed
    Failures {
        #[command(flatten)]
        slots: SlotOptions,
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Ask whether the server advises to build a recipe; reserves nothing
    Check {
        #[command(flatten)]
        which: WhichOptions,
        /// Add a tag to those of the recipe
        #[arg(short, long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Wait until the last results have passed
    Wait {
        #[command(flatten)]
        slots: SlotOptions,
        /// Until the last result of each of these slots has passed
        #[arg(long, required = true)]
        until_green: bool,
        /// Give up after this time, such as 1h
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        timeout: Option<Duration>,
        /// Ask the server again after this time
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
        every: Duration,
        #[command(flatten)]
        ask: AskOptions,
    },
    /// Show what a server is and can do, and what is remembered of it
    Server {
        /// URL, or name in config.yaml
        #[arg(value_name = "SERVER")]
        which: Option<String>,
        #[command(flatten)]
        ask: AskOptions,
    },
}

impl Question {
    /// Who is asked.
    pub fn ask(&self) -> &AskOptions {
        match self {
            Self::Packages { ask }
            | Self::Slots { ask, .. }
            | Self::Last { ask, .. }
            | Self::Result { ask, .. }
            | Self::Failures { ask, .. }
            | Self::Check { ask, .. }
            | Self::Wait { ask, .. }
            | Self::Server { ask, .. } => ask,
        }
    }
}

/// `pony-run notify`
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit codes: 0 every message that was due was sent; 1 there are no results; 2 usage; 13 a message was not sent, and will be by the \
next pony-run notify; 14 a sent message cannot be noted; 15 the server could not be asked; 128+n stopped by signal n.
Example: pony-run notify python --mail-to team@example.org")]
pub struct NotifyOptions {
    /// Of which slots.
    #[command(flatten)]
    pub slots: SlotOptions,
    /// Send mail to this address; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub mail_to: Vec<String>,
    /// Post JSON to this address
    #[arg(long, value_name = "URL", env = "PONY_WEBHOOK", hide_env_values = true)]
    pub webhook: Option<String>,
    /// Show what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which server is asked.
    #[command(flatten)]
    pub ask: AskOptions,
}

/// `pony-run replay`
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit codes are those of a run; in addition: 1 the result does not contain its recipe; 15 the server could not be asked.
Example: pony-run replay embedded 41"
)]
pub struct ReplayOptions {
    /// Run id, run folder or `result.json`; with a KEY, the server that has the result
    #[arg(value_name = "RESULT|SERVER")]
    pub from: String,
    /// Key of the result on that server (devmason: PACKAGE/KEY)
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// Send the new result, with the tag `replay`, to this server [default: to none]
    #[arg(short, long = "server", value_name = "SERVER")]
    pub servers: Vec<String>,
    /// Protocol of the server that has the result [default: detected]
    #[arg(long, value_name = "DIALECT")]
    pub dialect: Option<Dialect>,
    /// Also trust the certificates in this file (PEM)
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
    /// Add a tag
    #[arg(short, long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Build from cached sources without contacting upstream
    #[arg(long)]
    pub offline: bool,
    /// Number of concurrent builds [default: number of processors]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroU16>,
    /// When to keep the build folder
    #[arg(long, value_name = "WHEN", default_value = "failure")]
    pub keep: Keep,
    /// Write the recipe and show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented at its type")]
    pub show: ShowOptions,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|wrong| format!("it {wrong}; {}", duration::HINT))
}
