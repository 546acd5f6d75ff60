//! What a run leaves behind: the types of `result.json`.
//!
//! The bytes that steps printed are not in here but in the files that it names, beside it in the run folder.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pony_contexts::{Changes, ClientInfo};
use serde::{Deserialize, Serialize};

use super::format::Format;
use crate::{
    inputs::Ingredients,
    recipe::{EnvironmentFrom, StepKind},
};

/// How a run or a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step that counts ended with status 0.
    Passed,
    /// A step ended with another status.
    Failed,
    /// Out of time: the step's or the run's.
    TimedOut,
    /// Printed nothing for longer than its quiet-timeout.
    Quiet,
    /// Somebody stopped it.
    Cancelled,
    /// The machine's fault, not the code's: checkout, context, missing program.
    InfraError,
    /// pony-run itself was killed or the machine went down.
    Crashed,
    /// Did not run; the reason says why.
    Skipped,
}

impl Outcome {
    /// The word in results and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Quiet => "quiet",
            Self::Cancelled => "cancelled",
            Self::InfraError => "infra-error",
            Self::Crashed => "crashed",
            Self::Skipped => "skipped",
        }
    }
}

/// A file in the run folder with what a stream printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Its name in the run folder.
    pub file: String,
    /// Its size.
    pub bytes: u64,
}

/// One command of a context (`git fetch`, …), in the order they ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// Key of its nested struct in the result.
    pub label: String,
    /// As one line, without credentials.
    pub command: String,
    /// As the protocol wants it.
    pub status: i64,
    /// What it printed on stdout; absent if nothing.
    pub out: Option<Log>,
    /// What it printed on stderr; absent if nothing.
    pub err: Option<Log>,
}

/// A file that an upload step collected, now in the run folder under `artifacts/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is called, in `artifacts/` and for others.
    pub name: String,
    /// Where it was, from the root of the tree, if that was another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its size.
    pub bytes: u64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// As in the recipe, or `checkout`.
    pub name: String,
    /// `setup`, `build`, `test` or `package`.
    #[serde(rename = "type")]
    pub kind: StepKind,
    /// What ran, as one line.
    pub command: String,
    /// How it ended.
    pub outcome: Outcome,
    /// A step whose failure does not fail the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allowed_to_fail: bool,
    /// Exit status, `-N` for signal N, `-1` if it did not start.
    pub status: i64,
    /// A sentence where the outcome alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it began; absent if it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Seconds.
    pub duration: f64,
    /// What it printed on stdout; absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<Log>,
    /// What it printed on stderr; absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err: Option<Log>,
    /// Processes it left running, which were killed, each `pid name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaked: Vec<String>,
    /// What the context ran, for `checkout`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandRecord>,
    /// What an upload step collected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// What an upload step says of its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Servers are not to list its files.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl StepRecord {
    /// A step of which nothing more is known.
    pub fn of(name: &str, kind: StepKind, command: String, outcome: Outcome, status: i64) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            command,
            outcome,
            allowed_to_fail: false,
            status,
            reason: None,
            started: None,
            duration: 0.0,
            out: None,
            err: None,
            leaked: Vec::new(),
            commands: Vec::new(),
            artifacts: Vec::new(),
            description: None,
            hidden: false,
        }
    }

    /// Files with what its commands and it printed.
    pub fn logs(&self) -> impl Iterator<Item = &Log> {
        let commands = self.commands.iter().flat_map(|command| [&command.out, &command.err]);
        commands.chain([&self.out, &self.err]).flatten()
    }
}

/// A build that another one needs, as that one found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedRecord {
    /// The build's name.
    pub name: String,
    /// What servers file it under.
    pub package: String,
    /// The run that made what was used.
    pub run_id: String,
    /// What that had built, if it is under version control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How it had ended.
    pub outcome: Outcome,
    /// It is an earlier run's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
}

/// What was checked out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckoutRecord {
    /// `git`, `hg`, `svn` or `archive`.
    pub version_type: String,
    /// As that program says it: `git log -1 --pretty=oneline`, `hg id -nib`, `svnversion`.
    pub version_info: String,
    /// The full revision.
    pub revision: String,
    /// ISO 8601.
    pub commit_date: String,
    /// The tree had changes that are in no commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// Why upstream was not asked, if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<String>,
    /// Commits since the last run of this slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_since_last: Option<Changes>,
    /// Commits since the last run of this slot that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_since_success: Option<Changes>,
}

/// A whole run: `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of this format.
    pub format: Format,
    /// Unique; also the run folder's name.
    pub run_id: String,
    /// What servers file the result under.
    pub package: String,
    /// Tags of the slot.
    pub tags: Vec<String>,
    /// This machine's name.
    pub host: String,
    /// As Python's `distutils.util.get_platform()` says it.
    pub arch: String,
    /// How it ended.
    pub outcome: Outcome,
    /// A sentence where the outcome alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The signal that cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<u8>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Seconds.
    pub duration: f64,
    /// The recipe's path as given.
    pub recipe: String,
    /// The folder that the recipe lies in, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe_folder: Option<String>,
    /// The recipe's variables, as they were set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// What was checked out; absent without a source or if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<CheckoutRecord>,
    /// What it was made from, besides the code.
    #[serde(default)]
    pub made_from: Ingredients,
    /// What upstream's tip was, to be compared with when it is asked whether something is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<String>,
    /// What it shares with all builds that were begun together; absent for one by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// Builds that it needs, in the recipe's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<NeedRecord>,
    /// What it hands on: absolute paths.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Plain facts of the machine and the context (`kernel`, `tempdir`, …), for `client_info`.
    #[serde(default)]
    pub facts: ClientInfo,
    /// Where steps ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// What of the surrounding environment steps saw.
    #[serde(default)]
    pub environment_from: EnvironmentFrom,
    /// What the context and the recipe set (or removed) for every step.
    #[serde(default)]
    pub environment: BTreeMap<String, Option<String>>,
    /// Names of variables that steps saw in any case, and whose values are nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The folder that the context made for the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tempdir: Option<String>,
    /// It is still there, to be looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
    /// In order, the checkout first.
    pub steps: Vec<StepRecord>,
    /// Servers that shall have the result: URLs without credentials, or `embedded`.
    #[serde(default)]
    pub deliver_to: Vec<String>,
    /// What wrote it: `pony-run VERSION`.
    pub client: String,
}

impl RunRecord {
    /// The version of `result.json` that this program writes.
    pub const FORMAT: Format = Format::new(1, 1);

    /// The step that decided a bad outcome.
    pub fn culprit(&self) -> Option<&StepRecord> {
        self.steps
            .iter()
            .find(|step| !step.allowed_to_fail && !matches!(step.outcome, Outcome::Passed | Outcome::Skipped))
    }
}
