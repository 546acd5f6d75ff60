//! A run's first phase: its context is prepared by a task of its own, which asks the loop for what is recorded.

use std::{collections::HashMap, ffi::OsString};

use pony_contexts::CommandOutput;
use tokio::sync::oneshot;

use super::{
    context::{Preparation, Request},
    job::{self, Job},
    phase::{CommandUnderWay, Phase, Preparing, Run, UnderWay},
    preflight, state,
    supervised::Over,
    supervisor::Stop,
    verdict,
};
use crate::{
    process::{captured, spawn},
    recipe::StepKind,
    record::{
        Outcome, StepRecord,
        event::{Event, Stream},
    },
};

impl Run<'_> {
    pub(super) fn on_request(&mut self, request: Request) {
        match request {
            Request::Note(text) => self.recorder.event(Event::Note { text }),
            Request::Run(command, reply) => self.start_command(command, reply),
            Request::Did { label, line, status, said } => {
                self.begin_command(&label, line);
                self.recorder.output(Stream::Err, self.redactor.text(&said).as_bytes());
                self.add_command(label, status);
            }
            Request::Begin(stage) => {
                self.recorder.event(Event::StepStarted { step: self.recorded() });
                let (started, began) = (self.clock.wall(), self.clock.now());
                if let Phase::Preparing(preparing) = &mut self.phase {
                    preparing.stage = Some(UnderWay { stage, started, began });
                }
            }
            Request::CheckedOut(version) => {
                let (checkout, tip) = (version.checkout.clone(), version.tip.clone());
                self.recorder.event(Event::CheckedOut { checkout, tip });
                self.version = version;
            }
            Request::Complete(words) => {
                self.end_stage(Outcome::Passed, Some(words).filter(|words| !words.is_empty()));
            }
        }
    }

    fn start_command(&mut self, command: pony_contexts::Command, reply: oneshot::Sender<CommandOutput>) {
        let words: Vec<String> =
            command.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let label = command.label.clone();
        self.begin_command(&label, job::quoted(&words));
        let limits = Job::context_limits(command.quiet_timeout);
        let stage = match &self.phase {
            Phase::Preparing(Preparing { stage: Some(under_way), .. }) => Some(under_way.stage),
            _ => None,
        };
        let mut spec = captured::spec(command, &self.job.environment_of(stage));
        spec.env.insert("PWD".into(), spec.cwd.clone().into());
        match (self.spawn(&spec, self.recorded(), limits), &mut self.phase) {
            (Ok(child), Phase::Preparing(preparing)) => {
                preparing.command = Some(CommandUnderWay { child: child.captured(), label, reply });
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                self.add_command(label, -1);
                let (stderr, stopped) =
                    (spec.cannot_start(&error).into_bytes(), self.state.stopping().is_some());
                let _ = reply.send(CommandOutput { status: -1, stderr, stopped, ..CommandOutput::default() });
            }
        }
    }

    pub(super) fn end_command(&mut self, command: CommandUnderWay, over: &Over) {
        let CommandUnderWay { child, label, reply } = command;
        let status = verdict::status(over.ending);
        self.add_command(label, status);
        let [stdout, stderr] = child.into_captured();
        let quiet = over.ending.stopped == Some(Stop::Quiet);
        let stopped = self.state.stopping().is_some();
        let _ = reply.send(CommandOutput { status, stdout, stderr, quiet, stopped });
    }

    fn begin_command(&mut self, label: &str, command: String) {
        let step = self.recorded();
        self.recorder.event(Event::CommandStarted { step, label: label.to_owned(), command });
    }

    fn add_command(&mut self, label: String, status: i64) {
        let (out, err) = self.recorder.logs();
        self.recorder.event(Event::CommandEnded { step: self.recorded(), label, status, out, err });
    }

    pub(super) fn on_prepared(&mut self, prepared: Preparation) {
        match prepared {
            Ok(prepared) => {
                let text = |value: &OsString| value.to_string_lossy().into_owned();
                let environment = prepared.env.iter();
                let environment =
                    environment.map(|(name, value)| (name.clone(), value.as_ref().map(text))).collect();
                let (cwd, facts) = (prepared.cwd.display().to_string(), prepared.client_info.clone());
                self.recorder.event(Event::Prepared { cwd, environment, facts });
                self.prepared = Some(prepared);
                self.phase = Phase::Between;
                self.preflight();
            }
            Err(reason) => {
                let outcome = self.state.stopping().map_or(Outcome::InfraError, Stop::outcome);
                self.not_prepared(outcome, Some(reason));
            }
        }
    }

    /// A context that waits for something other than a child (a lock, a copy) is told by ending it.
    pub(super) fn stop_context(&mut self, why: Stop) {
        if let Phase::Preparing(preparing) = &self.phase {
            preparing.task.abort();
        }
        self.not_prepared(why.outcome(), None);
    }

    /// The stage that was under way has failed, those after it do not begin.
    fn not_prepared(&mut self, outcome: Outcome, reason: Option<String>) {
        let told = self.end_stage(outcome, reason.clone());
        let heads = self.job.heads();
        for head in &heads[self.recorded()..self.job.offset()] {
            let (outcome, status) = (Outcome::Skipped, 0);
            let record = StepRecord::of(&head.name, head.kind, head.command.clone(), outcome, status);
            let reason = Some("checkout failed".to_owned());
            self.add(StepRecord { reason, ..record });
        }
        self.phase = Phase::Between;
        self.tell(state::Input::NotPrepared { reason: reason.unwrap_or_default(), told });
    }

    /// Ends the stage that is under way; whether there was one.
    fn end_stage(&mut self, outcome: Outcome, reason: Option<String>) -> bool {
        let Phase::Preparing(preparing) = &mut self.phase else { return false };
        let Some(UnderWay { stage, started, began }) = preparing.stage.take() else { return false };
        let status = match outcome {
            Outcome::Passed => 0,
            _ => -1,
        };
        let heads = self.job.heads();
        let command = heads.get(self.recorded()).map(|head| head.command.clone()).unwrap_or_default();
        let record = StepRecord {
            started: Some(started),
            duration: self.since(began),
            commands: self.recorder.so_far().commands().to_vec(),
            reason,
            ..StepRecord::of(stage.name(), StepKind::Setup, command, outcome, status)
        };
        self.add(record);
        true
    }

    /// Before the first step: are the programs there that the steps begin with?
    fn preflight(&mut self) {
        let mut looked = HashMap::new();
        let missing = preflight::missing(&self.job.recipe.steps, |step, program| {
            let cwd = self.cwd(step);
            let env = self.step_environment(step, &cwd);
            let path = env.get(&OsString::from("PATH")).cloned().unwrap_or_default();
            let key = (program.to_owned(), path, cwd);
            *looked
                .entry(key)
                .or_insert_with_key(|(program, path, cwd)| spawn::find(program.as_ref(), path, cwd).is_some())
        });
        for doubt in missing.iter().filter(|missing| !missing.certain) {
            let name = &self.job.recipe.steps[doubt.step].name;
            let text = format!(
                "`{}` (step `{name}`) not found on PATH yet; an earlier step may install it",
                doubt.program
            );
            self.recorder.event(Event::Note { text });
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
}
