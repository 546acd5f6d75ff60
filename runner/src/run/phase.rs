//! A run and what it is at.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use pony_contexts::{CommandOutput, Prepared, Stage, cache::outputs::StoredOutputs};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    context::{Preparation, Request, Version},
    job::Job,
    state::{self, State},
    supervised::Supervised,
};
use crate::{
    clock::{Clock, Moment},
    record::{Artifact, Outcome, folder::RunFolder, recorder::Recorder},
    redactor::Redactor,
};

/// One build under way.
pub(super) struct Run<'r> {
    pub(super) job: &'r Job,
    pub(super) folder: &'r RunFolder,
    pub(super) clock: Clock,
    pub(super) redactor: &'r Redactor,
    pub(super) recorder: Recorder,
    pub(super) state: State,
    pub(super) phase: Phase,
    pub(super) todo: VecDeque<state::Action>,
    pub(super) version: Version,
    pub(super) prepared: Option<Prepared>,
    pub(super) kept: Option<StoredOutputs>,
    /// Scripts whose first program was not there before the first step: step and program.
    pub(super) doubtful: Vec<(usize, String)>,
    pub(super) signal: Option<u8>,
}

/// What a run is at.
pub(super) enum Phase {
    /// Its context is being prepared.
    Preparing(Preparing),
    /// A step's program is running.
    Program { step: usize, child: Supervised },
    /// A step that runs no program is collecting files.
    Collecting(Collecting),
    /// Nothing runs; what is next has been decided.
    Between,
    /// All is over.
    Over(Outcome, Option<String>),
}

/// A context under way.
pub(super) struct Preparing {
    pub(super) task: JoinHandle<Preparation>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    /// Its step is the next to be recorded.
    pub(super) stage: Option<UnderWay>,
    /// While it runs, the context waits.
    pub(super) command: Option<CommandUnderWay>,
}

/// A stage of the context that has begun and not ended.
pub(super) struct UnderWay {
    pub(super) stage: Stage,
    pub(super) started: Timestamp,
    pub(super) began: Moment,
}

/// A command of the context that runs.
pub(super) struct CommandUnderWay {
    pub(super) child: Supervised,
    pub(super) label: String,
    pub(super) reply: oneshot::Sender<CommandOutput>,
}

impl Preparing {
    pub(super) fn new(task: JoinHandle<Preparation>, requests: mpsc::UnboundedReceiver<Request>) -> Self {
        Self { task, requests, stage: None, command: None }
    }
}

/// A step that runs no program, under way.
pub(super) struct Collecting {
    pub(super) step: usize,
    pub(super) started: Timestamp,
    pub(super) began: Moment,
    pub(super) task: JoinHandle<Result<Collected, String>>,
    /// Once it is dropped, the copying ends.
    pub(super) _wanted: Arc<()>,
}

/// What a step that runs no program makes.
pub(super) enum Collected {
    Artifacts(Vec<Artifact>),
    Outputs(StoredOutputs),
}

impl Collecting {
    /// What it has made, when it has; cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Collected, String> {
        (&mut self.task).await.unwrap_or_else(|_| Err("the collecting was ended".to_owned()))
    }
}
