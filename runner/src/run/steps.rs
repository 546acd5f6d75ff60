//! A run's steps: what each sees, how its program is started, what is recorded of its end.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use super::{
    job::{self, Job},
    phase::{Phase, Run},
    state,
    supervised::{Over, Supervised, Terms},
    supervisor::Limits,
    verdict,
};
use crate::{
    process::spawn::{Environment, Spec},
    recipe::Step,
    record::{Outcome, StepRecord, event::Event},
};

impl Run<'_> {
    pub(super) fn cwd(&self, step: &Step) -> PathBuf {
        let base = self.prepared.as_ref().map_or(Path::new("/"), |prepared| &prepared.cwd);
        step.cwd.as_ref().map_or_else(|| base.to_path_buf(), |cwd| base.join(cwd))
    }

    pub(super) fn step_environment(&self, step: &Step, cwd: &Path) -> Environment {
        let context = self.prepared.iter().flat_map(|prepared| &prepared.env);
        let context = context.map(|(name, value)| (name.as_str(), value.clone()));
        let recipe = self.job.recipe.environment.iter().chain(&step.environment);
        let recipe = recipe.map(|(name, value)| (name.as_str(), Some(OsString::from(value))));
        // A step that is told how many jobs it may run has its share prepared.
        let shared = self.job.among.makeflags.clone().filter(|_| !step.uses_jobs);
        let shared = shared.map(|flags| ("MAKEFLAGS", Some(flags)));
        self.job.environment(cwd, shared.into_iter().chain(context).chain(recipe))
    }

    pub(super) fn start_step(&mut self, index: usize) {
        let step = &self.job.recipe.steps[index];
        let place = index + self.job.offset();
        self.recorder.event(Event::StepStarted { step: place });
        let cwd = self.cwd(step);
        let Some(argv) = job::argv(&step.action) else {
            self.start_collecting(index, cwd);
            return;
        };
        let env = self.step_environment(step, &cwd);
        let spec = Spec { argv, cwd, env };
        match self.spawn(&spec, place, Job::limits(step)) {
            Ok(child) => self.phase = Phase::Program { step: index, child },
            Err(error) => {
                let outcome = verdict::outcome_of_start(&error);
                let record = StepRecord {
                    reason: Some(spec.cannot_start(&error)),
                    started: Some(self.clock.wall()),
                    ..self.blank(index, outcome, -1)
                };
                self.add(record);
                self.tell(state::Input::Ended(outcome));
            }
        }
    }

    pub(super) fn spawn(&mut self, spec: &Spec, step: usize, limits: Limits) -> io::Result<Supervised> {
        let mark = self.job.mark();
        let terms = Terms { step, limits, redactor: self.redactor, mark: &mark, stop: self.state.stopping() };
        Supervised::start(spec, terms, self.clock, &mut self.recorder)
    }

    pub(super) fn end_program(&mut self, index: usize, over: Over) {
        let step = &self.job.recipe.steps[index];
        let doubt = self.doubtful.iter().find(|(step, _)| *step == index);
        let doubt = doubt.map(|(_, program)| program.as_str());
        let (outcome, reason) = verdict::of(over.ending, Job::limits(step), self.job.recipe.timeout, doubt);
        let (out, err) = self.recorder.logs();
        let record = StepRecord {
            reason,
            started: Some(over.started),
            duration: over.duration,
            out,
            err,
            leaked: over.leaked,
            ..self.blank(index, outcome, verdict::status(over.ending))
        };
        self.add(record);
        self.tell(state::Input::Ended(outcome));
    }

    pub(super) fn not_run(&mut self, step: usize, outcome: Outcome, reason: String) {
        let status = if outcome == Outcome::Skipped { 0 } else { -1 };
        let record = StepRecord { reason: Some(reason), ..self.blank(step, outcome, status) };
        self.add(record);
    }

    pub(super) fn blank(&self, step: usize, outcome: Outcome, status: i64) -> StepRecord {
        let step = &self.job.recipe.steps[step];
        let command = job::command_line(&step.action);
        StepRecord {
            allowed_to_fail: step.allow_failure,
            ..StepRecord::of(&step.name, step.kind, command, outcome, status)
        }
    }
}
