//! The one loop of a run: child messages, requests of the context, signals and time come in one by one, the pure state
//! decides, effects follow. Nothing here decides anything about the build.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use pony_contexts::{
    CommandOutput, Prepared, Stage,
    cache::outputs::{OutputsManifest, StoredOutputs, store, workspace},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    child::{Child, Over, Terms},
    context::{self, Handle, Preparation, Request, Version},
    job::{self, Job, Keep},
    outputs, preflight,
    state::{self, State, StepRule},
    upload, verdict,
    watch::{self, Stop},
};
use crate::{
    clock::{Clock, Moment},
    display::Reporter,
    process::{
        captured,
        os::{self, Signals},
        spawn::{Message, Spec},
    },
    recipe::{Action, StepKind, Upload},
    record::{
        Artifact, CommandRecord, Outcome, RunRecord, StepRecord,
        event::{Event, Stream},
        folder::RunFolder,
    },
    redactor::Mask,
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
    mask: &Mask,
    reporter: &mut Reporter,
    signals: &mut Signals,
) -> Finished {
    let (requests_in, requests) = mpsc::unbounded_channel();
    let handle = Handle::new(requests_in, clock, job.environment_of(None));
    let mut run = Run::new(job, folder, clock, mask, reporter);
    run.context = Some(tokio::spawn(context::prepare(job.request(), handle)));
    run.announce();
    run.drive(requests, signals).await;
    run.finish()
}

/// Records `job` as one that does not run, for this reason.
pub fn skip(
    job: &Job,
    folder: &RunFolder,
    clock: Clock,
    mask: &Mask,
    reporter: &mut Reporter,
    reason: String,
) -> Finished {
    let mut run = Run::new(job, folder, clock, mask, reporter);
    run.announce();
    for head in job.heads() {
        let record = StepRecord::of(&head.name, head.kind, head.command, Outcome::Skipped, 0);
        run.add(StepRecord { reason: Some(reason.clone()), ..record });
    }
    run.end = Some((Outcome::Skipped, Some(reason)));
    run.finish()
}

/// What a child runs for.
enum Purpose {
    Step(usize),
    Command { label: String, line: String, reply: oneshot::Sender<CommandOutput> },
}

/// A stage of the context while it is under way. Its step is the next to be recorded.
struct UnderWay {
    stage: Stage,
    started: Timestamp,
    began: Moment,
    commands: Vec<CommandRecord>,
}

/// What a step that runs no program makes.
enum Collected {
    Artifacts(Vec<Artifact>),
    Outputs(StoredOutputs),
}

/// A step that runs no program: its files are being collected.
struct Collecting {
    step: usize,
    started: Timestamp,
    began: Moment,
    task: JoinHandle<Result<Collected, String>>,
    /// Once it is dropped, the copying ends.
    _wanted: Arc<()>,
}

struct Run<'r> {
    job: &'r Job,
    folder: &'r RunFolder,
    clock: Clock,
    mask: &'r Mask,
    reporter: &'r mut Reporter,
    started: Timestamp,
    began: Moment,
    state: State,
    todo: VecDeque<state::Action>,
    context: Option<JoinHandle<Preparation>>,
    stage: Option<UnderWay>,
    child: Option<(Child, Purpose)>,
    collecting: Option<Collecting>,
    version: Version,
    prepared: Option<Prepared>,
    kept: Option<StoredOutputs>,
    /// Scripts whose first program was not there before the first step: step and program.
    doubtful: Vec<(usize, String)>,
    records: Vec<StepRecord>,
    signal: Option<u8>,
    end: Option<(Outcome, Option<String>)>,
}

/// What woke the loop.
enum Wake {
    Signal(u8),
    Time,
    Child(Message),
    Request(Request),
    Prepared(Box<Preparation>),
    Collected(Result<Collected, String>),
}

impl<'r> Run<'r> {
    fn new(
        job: &'r Job,
        folder: &'r RunFolder,
        clock: Clock,
        mask: &'r Mask,
        reporter: &'r mut Reporter,
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
            mask,
            reporter,
            started: clock.wall(),
            began: clock.now(),
            state: State::new(rules.collect(), deadline),
            todo: VecDeque::new(),
            context: None,
            stage: None,
            child: None,
            collecting: None,
            version: Version::default(),
            prepared: None,
            kept: None,
            doubtful: Vec::new(),
            records: Vec::new(),
            signal: None,
            end: None,
        }
    }

    fn announce(&mut self) {
        let Job { recipe, tags, run_id, facts, .. } = self.job;
        self.reporter.emit(Event::RunStarted {
            run_id: run_id.clone(),
            package: recipe.package.clone(),
            tags: tags.clone(),
            host: facts.host.clone(),
            arch: facts.arch.clone(),
            recipe: recipe.path.display().to_string(),
            folder: self.folder.path().display().to_string(),
            tempdir: self.job.tempdir.display().to_string(),
            deliver_to: self.job.deliver_to.clone(),
            made_from: Box::new(self.job.made_from.clone()),
            chain: self.job.among.chain.clone(),
            needs: self.job.among.needs.clone(),
            steps: self.job.heads(),
        });
    }

    async fn drive(&mut self, mut requests: mpsc::UnboundedReceiver<Request>, signals: &mut Signals) {
        while self.end.is_none() {
            let deadlines =
                [self.state.deadline(), self.child.as_ref().and_then(|(child, _)| child.deadline())];
            let wake = tokio::select! {
                biased;
                signal = signals.next() => Wake::Signal(signal),
                () = self.clock.until(deadlines.into_iter().flatten().min()) => Wake::Time,
                message = next_message(&mut self.child) => Wake::Child(message),
                Some(request) = requests.recv(), if self.child.is_none() => Wake::Request(request),
                prepared = finished(&mut self.context) => Wake::Prepared(Box::new(prepared)),
                collected = collected(&mut self.collecting) => Wake::Collected(collected),
            };
            match wake {
                Wake::Signal(signal) => {
                    self.signal.get_or_insert(signal);
                    self.tell(state::Input::Cancel);
                }
                Wake::Time => {
                    self.tell(state::Input::Tick);
                    self.tell_child(watch::Input::Tick);
                }
                Wake::Child(message) => self.on_message(message),
                Wake::Request(request) => self.on_request(request),
                Wake::Prepared(prepared) => self.on_prepared(*prepared),
                Wake::Collected(result) => self.on_collected(result),
            }
            if self.reporter.broken().is_some() && self.state.stopping().is_none() {
                self.tell(state::Input::Cancel);
            }
            while let Some(action) = self.todo.pop_front() {
                self.act(action);
            }
        }
    }

    fn tell(&mut self, input: state::Input) {
        let actions = self.state.on(input, self.clock.now());
        self.todo.extend(actions);
    }

    fn act(&mut self, action: state::Action) {
        match action {
            state::Action::Run(step) => self.start_step(step),
            state::Action::Skip(step, reason) => self.not_run(step, Outcome::Skipped, reason),
            state::Action::Blame(step, outcome, reason) => self.not_run(step, outcome, reason),
            state::Action::Stop(why) => {
                self.tell_child(watch::Input::Stop(why));
                self.stop_context(why);
                self.stop_collecting(why);
            }
            state::Action::StopNow(why) => self.tell_child(watch::Input::StopNow(why)),
            state::Action::Finish(outcome, reason) => self.end = Some((outcome, reason)),
        }
    }

    /// A context that waits for something other than a child (a lock, a copy) is told by ending it.
    fn stop_context(&mut self, why: Stop) {
        if self.child.is_none()
            && let Some(context) = self.context.take()
        {
            context.abort();
            self.not_prepared(why.outcome(), None);
        }
    }

    // -- the context

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Note(text) => self.reporter.emit(Event::Note { text }),
            Request::Run(command, reply) => self.start_command(command, reply),
            Request::Did { label, line, status, said } => {
                let step = self.records.len();
                self.reporter.emit(Event::CommandStarted {
                    step,
                    label: label.clone(),
                    command: line.clone(),
                });
                if !said.is_empty() {
                    let bytes = said.into_bytes().into();
                    self.reporter.emit(Event::Output { step, stream: Stream::Err, bytes });
                }
                self.add_command(label, line, status);
            }
            Request::Begin(stage) => {
                self.reporter.emit(Event::StepStarted { step: self.records.len() });
                let (started, began) = (self.clock.wall(), self.clock.now());
                self.stage = Some(UnderWay { stage, started, began, commands: Vec::new() });
            }
            Request::CheckedOut(version) => self.version = version,
            Request::Complete(words) => {
                self.end_stage(Outcome::Passed, Some(words).filter(|words| !words.is_empty()));
            }
        }
    }

    fn start_command(&mut self, command: pony_contexts::Command, reply: oneshot::Sender<CommandOutput>) {
        let words: Vec<String> =
            command.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let line = job::quoted(&words);
        let step = self.records.len();
        let label = command.label.clone();
        self.reporter.emit(Event::CommandStarted { step, label: label.clone(), command: line.clone() });
        let limits = Job::context_limits(command.quiet_timeout);
        let stage = self.stage.as_ref().map(|under_way| under_way.stage);
        let mut spec = captured::spec(command, &self.job.environment_of(stage));
        spec.env.insert("PWD".into(), spec.cwd.clone().into());
        let purpose = Purpose::Command { label, line, reply };
        if let Err((error, purpose)) = self.spawn(&spec, purpose, limits) {
            let reason = verdict::cannot_start(&spec, &error);
            self.end_command(
                purpose,
                CommandOutput { status: -1, stderr: reason.into_bytes(), ..CommandOutput::default() },
            );
        }
    }

    fn end_command(&mut self, purpose: Purpose, ended: CommandOutput) {
        let Purpose::Command { label, line, reply } = purpose else { return };
        self.add_command(label, line, ended.status);
        let stopped = self.state.stopping().is_some();
        let _ = reply.send(CommandOutput { stopped, ..ended });
    }

    fn add_command(&mut self, label: String, command: String, status: i64) {
        let (out, err) = self.reporter.spool().logs();
        if let Some(stage) = &mut self.stage {
            stage.commands.push(CommandRecord { label: label.clone(), command, status, out, err });
        }
        self.reporter.emit(Event::CommandEnded { step: self.records.len(), label, status });
    }

    fn on_prepared(&mut self, prepared: Preparation) {
        match prepared {
            Ok(prepared) => {
                self.prepared = Some(prepared);
                self.preflight();
            }
            Err(reason) => {
                let outcome = self.state.stopping().map_or(Outcome::InfraError, Stop::outcome);
                self.not_prepared(outcome, Some(reason));
            }
        }
    }

    /// The stage that was under way has failed, those after it do not begin.
    fn not_prepared(&mut self, outcome: Outcome, reason: Option<String>) {
        let told = self.stage.is_some();
        self.end_stage(outcome, reason.clone());
        while self.records.len() < self.job.offset() {
            let head = &self.job.heads()[self.records.len()];
            let why = Some("the context could not be prepared".to_owned());
            let (outcome, status) = (Outcome::Skipped, 0);
            let record = StepRecord::of(&head.name, head.kind, head.command.clone(), outcome, status);
            self.add(StepRecord { reason: why, ..record });
        }
        self.tell(state::Input::NotPrepared { reason: reason.unwrap_or_default(), told });
    }

    fn end_stage(&mut self, outcome: Outcome, reason: Option<String>) {
        let Some(UnderWay { stage, started, began, commands }) = self.stage.take() else { return };
        let status = match outcome {
            Outcome::Passed => 0,
            _ => -1,
        };
        let heads = self.job.heads();
        let command = heads.get(self.records.len()).map(|head| head.command.clone()).unwrap_or_default();
        let record = StepRecord {
            started: Some(started),
            duration: self.since(began),
            commands,
            reason,
            ..StepRecord::of(stage.name(), StepKind::Setup, command, outcome, status)
        };
        self.add(record);
    }

    /// Before the first step: are the programs there that the steps begin with?
    fn preflight(&mut self) {
        let missing = preflight::missing(&self.job.recipe.steps, |step, program| {
            let cwd = self.cwd(step);
            let env = self.step_environment(step, &cwd);
            let path = env.get(&OsString::from("PATH"));
            which::which_in(program, path, &cwd).is_ok()
        });
        for doubt in missing.iter().filter(|missing| !missing.certain) {
            let name = &self.job.recipe.steps[doubt.step].name;
            let text = format!("step `{name}` begins with `{}`, which is not on PATH (yet)", doubt.program);
            self.reporter.emit(Event::Note { text });
            self.doubtful.push((doubt.step, doubt.program.clone()));
        }
        match missing.into_iter().find(|missing| missing.certain) {
            Some(preflight::Missing { step, program, .. }) => {
                let name = &self.job.recipe.steps[step].name;
                let reason = format!(
                    "step `{name}` needs `{program}`, which is not on PATH; install it, or if an earlier step does, write the step as one string"
                );
                self.tell(state::Input::Missing { step, reason });
            }
            None => self.tell(state::Input::Prepared),
        }
    }

    // -- steps

    fn cwd(&self, step: &crate::recipe::Step) -> PathBuf {
        let base = self.prepared.as_ref().map_or(Path::new("/"), |prepared| &prepared.cwd);
        step.cwd.as_ref().map_or_else(|| base.to_path_buf(), |cwd| base.join(cwd))
    }

    fn step_environment(&self, step: &crate::recipe::Step, cwd: &Path) -> crate::process::spawn::Environment {
        let context = self.prepared.iter().flat_map(|prepared| &prepared.env);
        let context = context.map(|(name, value)| (name.as_str(), value.clone()));
        let recipe = self.job.recipe.environment.iter().chain(&step.environment);
        let recipe = recipe.map(|(name, value)| (name.as_str(), Some(OsString::from(value))));
        // A step that is told how many jobs it may run has its share prepared.
        let shared = self.job.among.makeflags.clone().filter(|_| !step.uses_jobs);
        let shared = shared.map(|flags| ("MAKEFLAGS", Some(flags)));
        self.job.environment(cwd, shared.into_iter().chain(context).chain(recipe))
    }

    fn start_step(&mut self, index: usize) {
        let step = &self.job.recipe.steps[index];
        self.reporter.emit(Event::StepStarted { step: index + self.job.offset() });
        let cwd = self.cwd(step);
        let Some(argv) = job::argv(&step.action) else {
            self.start_collecting(index, cwd);
            return;
        };
        let env = self.step_environment(step, &cwd);
        let spec = Spec { argv, cwd, env };
        if let Err((error, _)) = self.spawn(&spec, Purpose::Step(index), Job::limits(step)) {
            let reason = verdict::cannot_start(&spec, &error);
            let outcome = verdict::outcome_of_start(&error);
            let record = StepRecord {
                reason: Some(reason),
                started: Some(self.clock.wall()),
                ..self.blank(index, outcome, -1)
            };
            self.add(record);
            self.tell(state::Input::Ended(outcome));
        }
    }

    fn start_collecting(&mut self, step: usize, tree: PathBuf) {
        let wanted = Arc::new(());
        let asked = Arc::downgrade(&wanted);
        let (started, began) = (self.clock.wall(), self.clock.now());
        let task = match &self.job.recipe.steps[step].action {
            Action::Upload(upload) => {
                let wanted = self.wanted(step, upload.clone());
                let into = self.folder.artifacts();
                let is_wanted = move || asked.strong_count() > 0;
                tokio::task::spawn_blocking(move || {
                    let collected = wanted.collect(&tree, &into, &is_wanted);
                    collected.map(Collected::Artifacts).map_err(|error| error.to_string())
                })
            }
            Action::Outputs(outputs) => {
                let outputs = outputs.clone();
                let Some(manifest) = self.manifest() else { return };
                let place = outputs::Place {
                    tree,
                    cache: self.job.cache.clone(),
                    room: self.job.tempdir.clone(),
                    whole: self.job.keep == Keep::Always,
                };
                tokio::task::spawn_blocking(move || {
                    let kept = outputs::keep(&outputs, &place, manifest);
                    kept.map(Collected::Outputs).map_err(|error| error.to_string())
                })
            }
            Action::Script(_) | Action::Program(_) => return,
        };
        self.collecting = Some(Collecting { step, started, began, task, _wanted: wanted });
    }

    /// What an upload step is to collect.
    fn wanted(&self, step: usize, upload: Upload) -> upload::Wanted {
        let step = &self.job.recipe.steps[step];
        let before = self.records.iter().flat_map(|record| {
            record.artifacts.iter().map(|artifact| (record.name.clone(), artifact.clone()))
        });
        upload::Wanted {
            upload,
            step: step.name.clone(),
            folder: step.cwd.clone().unwrap_or_default(),
            before: before.collect(),
            mask: self.mask.clone(),
        }
    }

    /// The copying may go on for one more file, for nobody.
    fn stop_collecting(&mut self, why: Stop) {
        let Some(Collecting { step, started, began, .. }) = self.collecting.take() else { return };
        let record = StepRecord {
            started: Some(started),
            duration: self.since(began),
            ..self.blank(step, why.outcome(), -1)
        };
        self.add(record);
        self.tell(state::Input::Ended(why.outcome()));
    }

    fn on_collected(&mut self, result: Result<Collected, String>) {
        let Some(Collecting { step, started, began, .. }) = self.collecting.take() else { return };
        let (outcome, status, reason, artifacts) = match result {
            Ok(Collected::Artifacts(artifacts)) => (Outcome::Passed, 0, None, artifacts),
            Ok(Collected::Outputs(kept)) => {
                self.kept = Some(kept);
                (Outcome::Passed, 0, None, Vec::new())
            }
            Err(error) => (Outcome::Failed, 1, Some(error), Vec::new()),
        };
        let (description, hidden) = match &self.job.recipe.steps[step].action {
            Action::Upload(upload) => (upload.description.clone(), !upload.visible),
            Action::Outputs(_) | Action::Script(_) | Action::Program(_) => (None, false),
        };
        let record = StepRecord {
            reason,
            artifacts,
            description,
            hidden,
            started: Some(started),
            duration: self.since(began),
            ..self.blank(step, outcome, status)
        };
        self.add(record);
        self.tell(state::Input::Ended(outcome));
    }

    /// What is to be known of what the build hands on.
    fn manifest(&self) -> Option<OutputsManifest> {
        let Version { checkout, tip } = &self.version;
        let revision = checkout.as_ref().map(|checkout| checkout.revision.as_str());
        self.job.manifest(tip.as_deref(), revision, self.clock.wall())
    }

    /// Those that need a build without outputs need to know that it passed.
    fn keep_nothing(&mut self) {
        if !self.job.recipe.outputs.is_empty() {
            return;
        }
        let Some(manifest) = self.manifest() else { return };
        let room = workspace(&self.job.cache, &self.job.name, &self.job.run_id);
        match store(&self.job.cache, &room, manifest, false) {
            Ok(kept) => self.kept = Some(kept),
            Err(error) => {
                let text =
                    format!("it cannot be noted that it passed, so that it will be built again: {error}");
                self.reporter.emit(Event::Note { text });
            }
        }
    }

    fn not_run(&mut self, step: usize, outcome: Outcome, reason: String) {
        let status = if outcome == Outcome::Skipped { 0 } else { -1 };
        let record = StepRecord { reason: Some(reason), ..self.blank(step, outcome, status) };
        self.add(record);
    }

    fn blank(&self, step: usize, outcome: Outcome, status: i64) -> StepRecord {
        let step = &self.job.recipe.steps[step];
        let command = job::command_line(&step.action);
        StepRecord {
            allowed_to_fail: step.allow_failure,
            ..StepRecord::of(&step.name, step.kind, command, outcome, status)
        }
    }

    fn add(&mut self, record: StepRecord) {
        self.reporter.emit(Event::StepEnded { step: self.records.len(), record: Box::new(record.clone()) });
        self.records.push(record);
    }

    fn since(&self, began: Moment) -> f64 {
        self.clock.now().saturating_sub(began).as_secs_f64()
    }

    // -- the child

    fn spawn(
        &mut self,
        spec: &Spec,
        purpose: Purpose,
        limits: watch::Limits,
    ) -> Result<(), (io::Error, Purpose)> {
        let (step, captured) = match purpose {
            Purpose::Step(index) => (index + self.job.offset(), false),
            Purpose::Command { .. } => (self.records.len(), true),
        };
        let mark = self.job.mark();
        let terms =
            Terms { step, limits, captured, mask: self.mask, mark: &mark, stop: self.state.stopping() };
        match Child::start(spec, terms, self.clock, self.reporter) {
            Ok(child) => {
                self.child = Some((child, purpose));
                Ok(())
            }
            Err(error) => Err((error, purpose)),
        }
    }

    fn on_message(&mut self, message: Message) {
        let over = self.child.as_mut().and_then(|(child, _)| child.on(message, self.reporter));
        self.end_child(over);
    }

    fn tell_child(&mut self, input: watch::Input) {
        let over = self.child.as_mut().and_then(|(child, _)| child.tell(input));
        self.end_child(over);
    }

    fn end_child(&mut self, over: Option<Over>) {
        let Some(over) = over else { return };
        let Some((_, purpose)) = self.child.take() else { return };
        let status = verdict::status(over.ending);
        match purpose {
            Purpose::Command { .. } => {
                let [stdout, stderr] = over.captured;
                let silent = over.ending.stopped == Some(Stop::Quiet);
                self.end_command(
                    purpose,
                    CommandOutput { status, stdout, stderr, quiet: silent, stopped: false },
                );
            }
            Purpose::Step(index) => {
                let step = &self.job.recipe.steps[index];
                let doubt = self
                    .doubtful
                    .iter()
                    .find(|(step, _)| *step == index)
                    .map(|(_, program)| program.as_str());
                let (outcome, reason) =
                    verdict::of(over.ending, Job::limits(step), self.job.recipe.timeout, doubt);
                let (out, err) = self.reporter.spool().logs();
                let record = StepRecord {
                    reason,
                    started: Some(over.started),
                    duration: over.duration,
                    out,
                    err,
                    leaked: over.leaked,
                    ..self.blank(index, outcome, status)
                };
                self.add(record);
                self.tell(state::Input::Ended(outcome));
            }
        }
    }

    // -- the end

    fn finish(mut self) -> Finished {
        let left = os::kill_marked(&self.job.mark());
        if !left.is_empty() {
            let text = format!("the build left processes running, now killed: {}", left.join(", "));
            self.reporter.emit(Event::Note { text });
        }
        let (mut outcome, mut reason) = self.end.take().unwrap_or((Outcome::InfraError, None));
        if let Some(error) = self.reporter.broken() {
            (outcome, reason) = (Outcome::InfraError, Some(format!("it cannot be recorded: {error}")));
        }
        let Job { recipe, tags, run_id, facts: machine, .. } = self.job;
        let mut facts = self.job.reported.clone();
        facts.extend(self.prepared.iter().flat_map(|prepared| prepared.client_info.clone()));
        let of_the_recipe =
            recipe.environment.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        let environment: BTreeMap<String, Option<String>> = self
            .prepared
            .iter()
            .flat_map(|prepared| &prepared.env)
            .map(|(name, value)| {
                (name.clone(), value.as_ref().map(|value| value.to_string_lossy().into_owned()))
            })
            .chain(of_the_recipe)
            .collect();
        if outcome == Outcome::Passed {
            self.keep_nothing();
        }
        // Of a tree whose outputs are kept nothing else is there, unless it is kept to be looked at.
        let whole = self.kept.is_none() || recipe.outputs.is_empty() || self.job.keep == Keep::Always;
        let made_tempdir = whole && self.job.tempdir.exists();
        let record = RunRecord {
            format: 1,
            run_id: run_id.clone(),
            package: recipe.package.clone(),
            tags: tags.clone(),
            host: machine.host.clone(),
            arch: machine.arch.clone(),
            outcome,
            reason,
            signal: self.signal.filter(|_| outcome == Outcome::Cancelled),
            started: self.started,
            ended: self.clock.wall(),
            duration: self.since(self.began),
            recipe: recipe.path.display().to_string(),
            recipe_folder: Some(self.job.recipe_dir.display().to_string()),
            variables: recipe.variables.clone().into_iter().collect(),
            checkout: self.version.checkout,
            made_from: self.job.made_from.clone(),
            tip: self.version.tip,
            chain: self.job.among.chain.clone(),
            needs: self.job.among.needs.clone(),
            outputs: self
                .kept
                .iter()
                .flat_map(|kept| &kept.manifest.outputs)
                .map(|(name, path)| (name.clone(), path.display().to_string()))
                .collect(),
            facts,
            cwd: self.prepared.as_ref().map(|prepared| prepared.cwd.display().to_string()),
            environment_from: recipe.environment_from,
            environment,
            secrets: recipe.secrets.clone(),
            tempdir: made_tempdir.then(|| self.job.tempdir.display().to_string()),
            kept: made_tempdir && self.job.keep.keeps(outcome),
            steps: self.records,
            deliver_to: self.job.deliver_to.clone(),
            client: concat!("pony-run ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        // Here, once, so that whatever is made of the record later has no secret in it: files, screens, submissions.
        let (record, written) = match self.mask.data(record.clone()) {
            Ok(masked) => {
                let written = self.folder.write_result(&masked);
                (masked, written)
            }
            Err(error) => (record, Err(io::Error::other(error))),
        };
        self.reporter.emit(Event::RunEnded { record: Box::new(record.clone()) });
        let not_recorded = written.err().or_else(|| self.reporter.take_broken());
        Finished { record, signal: self.signal, not_recorded, kept: self.kept }
    }
}

async fn next_message(child: &mut Option<(Child, Purpose)>) -> Message {
    match child {
        Some((child, _)) => child.next().await,
        None => std::future::pending().await,
    }
}

async fn finished(context: &mut Option<JoinHandle<Preparation>>) -> Preparation {
    let Some(task) = context else { return std::future::pending().await };
    let result = task.await;
    *context = None;
    result.unwrap_or_else(|error| Err(format!("the context did not come to its end: {error}")))
}

async fn collected(collecting: &mut Option<Collecting>) -> Result<Collected, String> {
    match collecting {
        Some(collecting) => {
            (&mut collecting.task).await.unwrap_or_else(|_| Err("the collecting was ended".to_owned()))
        }
        None => std::future::pending().await,
    }
}
