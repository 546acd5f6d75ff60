//! The one loop of a run: what the child does, requests of the context, signals and time come in one by one, the pure state
//! decides, effects follow. Nothing here decides anything about the build.

use std::{collections::VecDeque, io};

use pony_contexts::cache::outputs::StoredOutputs;
use tokio::sync::mpsc;

use super::{
    context::{self, Preparation, RecordedShell, Request, Version},
    job::{Job, Keep},
    phase::{Collected, Phase, Preparing, Run},
    state::{self, State, StepRule},
    supervised::{Over, Supervised},
    supervisor,
};
use crate::{
    clock::{Clock, Moment},
    process::{group, signals::Signals},
    record::{
        Outcome, RunRecord, StepRecord,
        event::{Event, Stamped},
        folder::RunFolder,
        recorder::{Recorded, Recorder},
    },
    redactor::Redactor,
};

/// How a run ended, as far as it could be recorded.
#[derive(Debug)]
pub struct Finished {
    /// What `result.json` says.
    pub record: RunRecord,
    /// The first signal that asked for its end, whatever it ended for.
    pub signal: Option<u8>,
    /// The run could not be recorded to its end.
    pub not_recorded: Option<io::Error>,
    /// What it hands on, where others need it. Stays as long as this does.
    pub kept: Option<StoredOutputs>,
}

/// Runs `job` from its context to its record in `folder`.
pub async fn run(
    job: &Job,
    folder: &RunFolder,
    clock: Clock,
    redactor: &Redactor,
    recorder: Recorder,
    signals: &mut Signals,
) -> Finished {
    let (sender, requests) = mpsc::unbounded_channel();
    let shell = RecordedShell::new(sender, clock, job.environment_of(None));
    let mut run = Run::new(job, folder, clock, redactor, recorder);
    run.announce();
    let task = tokio::spawn(context::prepare(job.request(), shell));
    run.phase = Phase::Preparing(Preparing::new(task, requests));
    run.drive(signals).await;
    run.finish()
}

/// Does `work`, which runs a build, on this thread alone: nothing of it waits for another thread to wake up, and no other
/// build waits while it waits for the disk.
///
/// # Errors
/// When the system has not enough to give for that.
pub fn on_one_thread<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // A copy that nobody wants any more is not waited for.
    runtime.shutdown_background();
    Ok(done)
}

/// Records `job` as one that does not run, for this reason.
pub fn skip(
    job: &Job,
    folder: &RunFolder,
    clock: Clock,
    redactor: &Redactor,
    recorder: Recorder,
    reason: String,
) -> Finished {
    let mut run = Run::new(job, folder, clock, redactor, recorder);
    run.announce();
    for head in job.heads() {
        let record = StepRecord::of(&head.name, head.kind, head.command, Outcome::Skipped, 0);
        run.add(StepRecord { reason: Some(reason.clone()), ..record });
    }
    run.phase = Phase::Over(Outcome::Skipped, Some(reason));
    run.finish()
}

/// What woke the loop.
enum Wake {
    Signal(u8),
    Time,
    Child(supervisor::Input),
    Request(Request),
    Prepared(Box<Preparation>),
    Collected(Result<Collected, String>),
}

impl Phase {
    /// What happens next in it; cancel-safe. What is printed meanwhile is recorded.
    async fn next(&mut self, recorder: &mut Recorder) -> Wake {
        match self {
            Self::Preparing(Preparing { command: Some(command), .. }) => {
                Wake::Child(command.child.next(recorder).await)
            }
            Self::Preparing(Preparing { task, requests, .. }) => tokio::select! {
                biased;
                Some(request) = requests.recv() => Wake::Request(request),
                prepared = task => Wake::Prepared(Box::new(prepared.unwrap_or_else(|error| {
                    Err(format!("the context did not come to its end: {error}"))
                }))),
            },
            Self::Program { child, .. } => Wake::Child(child.next(recorder).await),
            Self::Collecting(collecting) => Wake::Collected(collecting.next().await),
            Self::Between | Self::Over(..) => std::future::pending().await,
        }
    }

    /// The child that runs, if one does.
    fn child(&mut self) -> Option<&mut Supervised> {
        match self {
            Self::Preparing(preparing) => preparing.command.as_mut().map(|command| &mut command.child),
            Self::Program { child, .. } => Some(child),
            Self::Collecting(_) | Self::Between | Self::Over(..) => None,
        }
    }
}

impl<'r> Run<'r> {
    fn new(
        job: &'r Job,
        folder: &'r RunFolder,
        clock: Clock,
        redactor: &'r Redactor,
        recorder: Recorder,
    ) -> Self {
        let rules = job.recipe.steps.iter().map(|step| StepRule {
            name: step.name.clone(),
            allow_failure: step.allow_failure,
            always: step.always,
        });
        let deadline = clock.now() + job.recipe.timeout;
        Self {
            job,
            folder,
            clock,
            redactor,
            recorder,
            state: State::new(rules.collect(), deadline),
            phase: Phase::Between,
            todo: VecDeque::new(),
            version: Version::default(),
            prepared: None,
            kept: None,
            doubtful: Vec::new(),
            signal: None,
        }
    }

    fn announce(&mut self) {
        let Job { recipe, tags, run_id, facts, .. } = self.job;
        let environment = recipe.environment.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        self.recorder.event(Event::RunStarted {
            format: Stamped::FORMAT,
            client: concat!("pony-run ", env!("CARGO_PKG_VERSION")).to_owned(),
            run_id: run_id.clone(),
            package: recipe.package.clone(),
            tags: tags.clone(),
            host: facts.host.clone(),
            arch: facts.arch.clone(),
            recipe: recipe.path.display().to_string(),
            recipe_folder: Some(self.job.recipe_dir.display().to_string()),
            variables: recipe.variables.clone().into_iter().collect(),
            folder: self.folder.path().display().to_string(),
            tempdir: self.job.tempdir.display().to_string(),
            deliver_to: self.job.deliver_to.clone(),
            made_from: Box::new(self.job.made_from.clone()),
            chain: self.job.among.chain.clone(),
            needs: self.job.among.needs.clone(),
            facts: self.job.reported.clone(),
            environment_from: recipe.environment_from,
            environment: environment.collect(),
            secrets: recipe.secrets.clone(),
            steps: self.job.heads(),
        });
    }

    async fn drive(&mut self, signals: &mut Signals) {
        while !matches!(self.phase, Phase::Over(..)) {
            let child = self.phase.child().and_then(|child| child.deadline());
            let deadline = [self.state.deadline(), child].into_iter().flatten().min();
            let wake = tokio::select! {
                biased;
                signal = signals.next() => Wake::Signal(signal),
                () = self.clock.until(deadline) => Wake::Time,
                wake = self.phase.next(&mut self.recorder) => wake,
            };
            match wake {
                Wake::Signal(signal) => {
                    self.signal.get_or_insert(signal);
                    self.tell(state::Input::Cancel);
                }
                Wake::Time => self.on_time(),
                Wake::Child(input) => self.tell_child(input),
                Wake::Request(request) => self.on_request(request),
                Wake::Prepared(prepared) => self.on_prepared(*prepared),
                Wake::Collected(result) => self.on_collected(result),
            }
            if self.recorder.broken().is_some() && self.state.stopping().is_none() {
                self.tell(state::Input::Cancel);
            }
            while let Some(action) = self.todo.pop_front() {
                self.act(action);
            }
        }
    }

    /// A deadline has come. What a child has printed before it, unread so far, counts: this process may have been stopped.
    fn on_time(&mut self) {
        if self.phase.child().is_some_and(|child| child.has_printed()) {
            self.tell_child(supervisor::Input::Spoke);
        }
        self.tell(state::Input::Tick);
        self.tell_child(supervisor::Input::Tick);
    }

    pub(super) fn tell(&mut self, input: state::Input) {
        let actions = self.state.on(input, self.clock.now());
        self.todo.extend(actions);
    }

    fn act(&mut self, action: state::Action) {
        match action {
            state::Action::Run(step) => self.start_step(step),
            state::Action::Skip(step, reason) => self.not_run(step, Outcome::Skipped, reason),
            state::Action::Blame(step, outcome, reason) => self.not_run(step, outcome, reason),
            state::Action::Stop(why) => match &self.phase {
                Phase::Preparing(Preparing { command: None, .. }) => self.stop_context(why),
                Phase::Preparing(_) | Phase::Program { .. } => self.tell_child(supervisor::Input::Stop(why)),
                Phase::Collecting(_) => self.stop_collecting(why),
                Phase::Between | Phase::Over(..) => {}
            },
            state::Action::StopNow(why) => self.tell_child(supervisor::Input::StopNow(why)),
            state::Action::Finish(outcome, reason) => self.phase = Phase::Over(outcome, reason),
        }
    }

    fn tell_child(&mut self, input: supervisor::Input) {
        if let Some(over) = self.phase.child().and_then(|child| child.tell(input)) {
            self.end_child(over);
        }
    }

    fn end_child(&mut self, over: Over) {
        match std::mem::replace(&mut self.phase, Phase::Between) {
            Phase::Program { step, .. } => self.end_program(step, over),
            Phase::Preparing(mut preparing) => {
                let command = preparing.command.take();
                self.phase = Phase::Preparing(preparing);
                if let Some(command) = command {
                    self.end_command(command, &over);
                }
            }
            phase => self.phase = phase,
        }
    }

    /// A step is over, or does not run.
    pub(super) fn add(&mut self, record: StepRecord) {
        let step = self.recorded();
        self.recorder.event(Event::StepEnded { step, record: Box::new(record) });
    }

    /// How many steps are over: the place of the next one.
    pub(super) fn recorded(&self) -> usize {
        self.recorder.so_far().steps().len()
    }

    pub(super) fn since(&self, began: Moment) -> f64 {
        self.clock.now().saturating_sub(began).as_secs_f64()
    }

    fn finish(mut self) -> Finished {
        let left = group::kill_marked(&self.job.mark());
        if !left.is_empty() {
            let text = format!("the build left processes running, now killed: {}", left.join(", "));
            self.recorder.event(Event::Note { text });
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Between);
        let (mut outcome, mut reason) = match phase {
            Phase::Over(outcome, reason) => (outcome, reason),
            _ => (Outcome::InfraError, None),
        };
        if let Some(error) = self.recorder.broken() {
            (outcome, reason) = (Outcome::InfraError, Some(format!("it cannot be recorded: {error}")));
        }
        if outcome == Outcome::Passed {
            self.keep_nothing();
        }
        let Job { recipe, tempdir, keep, .. } = self.job;
        // Of a tree whose outputs are kept nothing else is there, unless it is kept to be looked at.
        let whole = self.kept.is_none() || recipe.outputs.is_empty() || *keep == Keep::Always;
        let made_tempdir = whole && tempdir.exists();
        let Recorded { record, broken } = self.recorder.finish(Event::RunEnded {
            outcome,
            reason,
            signal: self.signal.filter(|_| outcome == Outcome::Cancelled),
            tempdir: made_tempdir.then(|| tempdir.display().to_string()),
            kept: made_tempdir && keep.keeps(outcome),
            record: None,
        });
        Finished { record, signal: self.signal, not_recorded: broken, kept: self.kept }
    }
}
