//! Everything that happens in a run, as one owned enum: what is recorded, shown and printed as JSON. What a run's events say
//! together is its record ([`fold`](super::fold)).

use std::collections::BTreeMap;

use jiff::Timestamp;
use pony_contexts::ClientInfo;
use serde::{Deserialize, Serialize};

use super::{CheckoutRecord, Log, NeedRecord, Outcome, RunRecord, StepRecord, format::Format};

pub use crate::process::stream::Stream;
use crate::{
    clock::Moment,
    inputs::Ingredients,
    recipe::{EnvironmentFrom, StepKind},
};

/// A step as it is announced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepHead {
    /// As in the recipe, or `checkout`.
    pub name: String,
    /// `setup`, `build`, `test` or `package`.
    #[serde(rename = "type")]
    pub kind: StepKind,
    /// What will run, as one line.
    pub command: String,
    /// Seconds it took last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<f64>,
}

/// A build as it is announced among others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildHead {
    /// Of no other build: `zlib`, `app[3.13, sqlite]`.
    pub name: String,
    /// Names of the builds that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Seconds it took last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<f64>,
}

/// What became of files that follow a result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uploads {
    /// To which server, without credentials; `embedded` for this machine's own.
    pub server: String,
    /// How many are there now.
    pub files: usize,
    /// Bytes of these, as they were sent.
    pub bytes: u64,
    /// Those that the server will not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedFile>,
    /// How many wait.
    pub waiting: usize,
    /// Why they wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A file that a server will not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedFile {
    /// What it is called.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// One thing that happened. Steps are counted from 0, the checkout being one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A run begins; first of its events.
    RunStarted {
        /// The version of this file.
        #[serde(default)]
        format: Format,
        /// What writes it: `pony-run VERSION`.
        #[serde(default)]
        client: String,
        /// Unique; also the run folder's name.
        run_id: String,
        /// What servers file the result under.
        package: String,
        /// Tags of the slot.
        tags: Vec<String>,
        /// This machine's name.
        host: String,
        /// As Python's `distutils.util.get_platform()` says it.
        arch: String,
        /// The recipe's path as given.
        recipe: String,
        /// The folder that the recipe lies in, absolute.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recipe_folder: Option<String>,
        /// The recipe's variables, as they were set.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, String>,
        /// The run folder.
        folder: String,
        /// Where the context makes its tempdir, if it makes one.
        tempdir: String,
        /// Servers that shall have the result: URLs without credentials, or `embedded`.
        deliver_to: Vec<String>,
        /// What it is made from, besides the code.
        #[serde(default)]
        made_from: Box<Ingredients>,
        /// Carried by the results of all builds that were begun together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chain: Option<String>,
        /// Builds that it needs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        needs: Vec<NeedRecord>,
        /// Plain facts of the machine.
        #[serde(default)]
        facts: ClientInfo,
        /// What of the surrounding environment steps see.
        #[serde(default)]
        environment_from: EnvironmentFrom,
        /// What the recipe sets for every step.
        #[serde(default)]
        environment: BTreeMap<String, Option<String>>,
        /// Names of variables that steps see in any case, and whose values are nowhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<String>,
        /// Every step there is.
        steps: Vec<StepHead>,
    },
    /// Several builds begin; before all of their events.
    ChainStarted {
        /// Carried by all their results.
        chain: String,
        /// All of them, needs before those that need them.
        builds: Vec<BuildHead>,
    },
    /// A build is not run: what an earlier run of it made is still here and is what it would make.
    Reused {
        /// That run.
        run_id: String,
        /// When it had ended.
        ended: Timestamp,
    },
    /// A build was not begun, and is no result.
    NotBegun {
        /// Why.
        reason: String,
    },
    /// All builds are over and what could be delivered is; last of all events.
    ChainEnded {
        /// As at the start.
        chain: String,
    },
    /// Something that the person should know.
    Note {
        /// One line.
        text: String,
    },
    /// A step begins.
    StepStarted {
        /// Which.
        step: usize,
    },
    /// A context runs a command.
    CommandStarted {
        /// Of which step.
        step: usize,
        /// Key of its nested struct in the result.
        label: String,
        /// As one line, without credentials.
        command: String,
    },
    /// A process was started. Its group is named after it.
    Spawned {
        /// Of which step.
        step: usize,
        /// Process id, and id of its group.
        pid: i32,
    },
    /// A command of a context has ended.
    CommandEnded {
        /// Of which step.
        step: usize,
        /// Key of its nested struct in the result.
        label: String,
        /// As the protocol wants it.
        status: i64,
        /// What it printed on stdout; absent if nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out: Option<Log>,
        /// What it printed on stderr; absent if nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        err: Option<Log>,
    },
    /// The source is checked out.
    CheckedOut {
        /// What; absent if it is not under version control.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkout: Option<CheckoutRecord>,
        /// What upstream's tip was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tip: Option<String>,
    },
    /// The context is ready for the first step.
    Prepared {
        /// Where steps run.
        cwd: String,
        /// What the context sets (or removes) for every step.
        environment: BTreeMap<String, Option<String>>,
        /// Plain facts of the context.
        facts: ClientInfo,
    },
    /// What the build hands on is kept for those that need it.
    Outputs {
        /// Absolute paths by their names.
        outputs: BTreeMap<String, String>,
    },
    /// A step has ended, or was skipped.
    StepEnded {
        /// Which.
        step: usize,
        /// All about it.
        record: Box<StepRecord>,
    },
    /// The run is over; `result.json` is written.
    RunEnded {
        /// How it ended.
        outcome: Outcome,
        /// A sentence where the outcome alone does not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The signal that cancelled it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<u8>,
        /// The folder that the context made for the build.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tempdir: Option<String>,
        /// It is still there, to be looked at.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kept: bool,
        /// What all events say together: added by whoever reads them, never recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<Box<RunRecord>>,
    },
    /// The result is stored on a server.
    Delivered {
        /// Which, without credentials; `embedded` for this machine's own.
        server: String,
        /// Its key there, if the server says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result_key: Option<String>,
        /// Where it can be looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        page: Option<String>,
    },
    /// A file of a result is on its way to a server. Never recorded.
    Uploading {
        /// Which, without credentials; `embedded` for this machine's own.
        server: String,
        /// What the file is called.
        name: String,
        /// Bytes of it that are on their way.
        sent: u64,
        /// Its size.
        bytes: u64,
    },
    /// No more files of a result are sent for now. Never recorded.
    Uploaded(Box<Uploads>),
    /// The result is not stored on a server and waits in the run folder.
    NotDelivered {
        /// Which, without credentials.
        server: String,
        /// Why.
        reason: String,
    },
}

impl Event {
    /// The end of the run that this is the record of.
    pub fn run_ended(record: RunRecord) -> Self {
        Self::RunEnded {
            outcome: record.outcome,
            reason: record.reason.clone(),
            signal: record.signal,
            tempdir: record.tempdir.clone(),
            kept: record.kept,
            record: Some(Box::new(record)),
        }
    }
}

/// An event with its time: one line of `events.jsonl` and of `--message-format json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Wall clock, UTC.
    pub time: Timestamp,
    /// Seconds since pony-run started; never goes back.
    pub elapsed: f64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Stamped {
    /// The version of `events.jsonl` that this program writes.
    pub const FORMAT: Format = Format::new(2, 0);

    /// `event`, at this time.
    pub fn new(event: Event, time: Timestamp, elapsed: Moment) -> Self {
        Self { time, elapsed: (elapsed.as_secs_f64() * 1e6).round() / 1e6, event }
    }
}
