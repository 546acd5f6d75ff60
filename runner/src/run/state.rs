//! One build's course as a pure state machine: which step is next, what is skipped and why, how the build ends.

use crate::{clock::Moment, record::Outcome, run::supervisor::Stop};

/// What the course of a build depends on, of each step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRule {
    /// As in the recipe, or `checkout`.
    pub name: String,
    /// Its failure does not fail the build.
    pub allow_failure: bool,
    /// It runs although an earlier step failed.
    pub always: bool,
}

/// What happens to a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The context is ready.
    Prepared,
    /// The context could not be prepared.
    NotPrepared {
        /// A sentence that says why.
        reason: String,
        /// A step of the context's own tells of it.
        told: bool,
    },
    /// Before the first step: the program that this step needs is missing.
    Missing {
        /// Which step.
        step: usize,
        /// A sentence.
        reason: String,
    },
    /// The step under way has ended.
    Ended(Outcome),
    /// Somebody wants it to end (Ctrl-C, or the run cannot be recorded).
    Cancel,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start this step.
    Run(usize),
    /// This step does not run; the sentence says why.
    Skip(usize, String),
    /// This step counts as ended like this without having run.
    Blame(usize, Outcome, String),
    /// Whatever is running shall end: TERM, then KILL.
    Stop(Stop),
    /// Whatever is running ends now: KILL.
    StopNow(Stop),
    /// The build is over.
    Finish(Outcome, Option<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Preparing,
    Running(usize),
    Over,
}

/// A build on its way.
#[derive(Debug, Clone)]
pub struct State {
    steps: Vec<StepRule>,
    deadline: Moment,
    phase: Phase,
    stop: Option<Stop>,
    bad: Option<(usize, Outcome)>,
}

impl State {
    /// A build whose context is being prepared; `steps` are those after the checkout. At `deadline` its time is over.
    pub fn new(steps: Vec<StepRule>, deadline: Moment) -> Self {
        Self { steps, deadline, phase: Phase::Preparing, stop: None, bad: None }
    }

    /// When [`Input::Tick`] is wanted next.
    pub fn deadline(&self) -> Option<Moment> {
        (self.stop.is_none() && self.phase != Phase::Over).then_some(self.deadline)
    }

    /// Whether the build is to end early.
    pub fn stopping(&self) -> Option<Stop> {
        self.stop
    }

    /// What to do now that `input` has happened.
    pub fn on(&mut self, input: Input, now: Moment) -> Vec<Action> {
        match (input, self.phase) {
            (_, Phase::Over) => Vec::new(),
            (Input::Prepared, Phase::Preparing) => self.go_on(0),
            (Input::NotPrepared { reason, told }, Phase::Preparing) => self.not_prepared(&reason, told),
            (Input::Missing { step, reason }, Phase::Preparing) => self.missing(step, reason),
            (Input::Ended(outcome), Phase::Running(step)) => {
                let counts = outcome != Outcome::Passed && !self.steps[step].allow_failure;
                if counts && self.bad.is_none() {
                    self.bad = Some((step, outcome));
                }
                self.go_on(step + 1)
            }
            (Input::Cancel, _) => match self.stop {
                Some(_) => vec![Action::StopNow(Stop::Cancelled)],
                None => self.stop(Stop::Cancelled),
            },
            (Input::Tick, _) if now >= self.deadline && self.stop.is_none() => self.stop(Stop::RunTimeout),
            (
                Input::Tick
                | Input::Prepared
                | Input::NotPrepared { .. }
                | Input::Missing { .. }
                | Input::Ended(_),
                _,
            ) => Vec::new(),
        }
    }

    fn stop(&mut self, why: Stop) -> Vec<Action> {
        self.stop = Some(why);
        vec![Action::Stop(why)]
    }

    fn not_prepared(&mut self, reason: &str, told: bool) -> Vec<Action> {
        let (outcome, why) = match self.stop {
            Some(stop) => (stop.outcome(), stop_words(stop).to_owned()),
            None => (Outcome::InfraError, reason.to_owned()),
        };
        let mut actions = Vec::new();
        if !told {
            // Else no step would say what happened, and servers would be sent none.
            actions.push(Action::Blame(0, outcome, why.clone()));
        }
        actions.extend(self.skip_rest(actions.len(), "checkout failed"));
        actions.push(self.finish(outcome, Some(why)));
        actions
    }

    fn missing(&mut self, step: usize, reason: String) -> Vec<Action> {
        let skipped = format!("step `{}` cannot run", self.steps[step].name);
        let mut actions: Vec<Action> = Vec::new();
        for index in 0..self.steps.len() {
            actions.push(if index == step {
                Action::Blame(index, Outcome::InfraError, reason.clone())
            } else {
                Action::Skip(index, skipped.clone())
            });
        }
        actions.push(self.finish(Outcome::InfraError, Some(reason)));
        actions
    }

    /// Starts the next step that is to run, skipping those that are not, or ends the build.
    fn go_on(&mut self, from: usize) -> Vec<Action> {
        if let Some(stop) = self.stop {
            let mut actions = self.skip_rest(from, stop_words(stop));
            actions.push(self.finish(stop.outcome(), Some(stop_words(stop).to_owned())));
            return actions;
        }
        let mut actions = Vec::new();
        for index in from..self.steps.len() {
            match self.bad {
                Some((bad, _)) if !self.steps[index].always => {
                    actions.push(Action::Skip(index, format!("step `{}` failed", self.steps[bad].name)));
                }
                Some(_) | None => {
                    self.phase = Phase::Running(index);
                    actions.push(Action::Run(index));
                    return actions;
                }
            }
        }
        let (outcome, reason) = match self.bad {
            Some((step, outcome)) => (outcome, Some(format!("at step `{}`", self.steps[step].name))),
            None => (Outcome::Passed, None),
        };
        actions.push(self.finish(outcome, reason));
        actions
    }

    fn skip_rest(&self, from: usize, why: &str) -> Vec<Action> {
        (from..self.steps.len()).map(|index| Action::Skip(index, why.to_owned())).collect()
    }

    fn finish(&mut self, outcome: Outcome, reason: Option<String>) -> Action {
        self.phase = Phase::Over;
        Action::Finish(outcome, reason)
    }
}

fn stop_words(stop: Stop) -> &'static str {
    match stop {
        Stop::Cancelled => "the run was stopped",
        Stop::RunTimeout | Stop::Timeout => "the run's time was over",
        Stop::Quiet => "it had fallen silent",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const T: Moment = Duration::from_secs(1);

    fn step(name: &str) -> StepRule {
        StepRule { name: name.to_owned(), allow_failure: false, always: false }
    }

    fn state(steps: Vec<StepRule>) -> State {
        State::new(steps, Duration::from_secs(100))
    }

    #[test]
    fn steps_run_in_order_and_then_the_build_has_passed() {
        let mut state = state(vec![step("a"), step("b")]);
        assert_eq!(state.on(Input::Prepared, T), [Action::Run(0)]);
        assert_eq!(state.on(Input::Ended(Outcome::Passed), T), [Action::Run(1)]);
        assert_eq!(state.on(Input::Ended(Outcome::Passed), T), [Action::Finish(Outcome::Passed, None)]);
        assert_eq!(state.deadline(), None);
    }

    #[test]
    fn after_a_failure_only_always_steps_run_and_the_first_failure_decides() {
        let always = StepRule { always: true, ..step("clean") };
        let mut state = state(vec![step("a"), step("b"), always]);
        state.on(Input::Prepared, T);
        assert_eq!(
            state.on(Input::Ended(Outcome::Quiet), T),
            [Action::Skip(1, "step `a` failed".into()), Action::Run(2)]
        );
        assert_eq!(
            state.on(Input::Ended(Outcome::Failed), T),
            [Action::Finish(Outcome::Quiet, Some("at step `a`".into()))]
        );
    }

    #[test]
    fn an_allowed_failure_does_not_count() {
        let lint = StepRule { allow_failure: true, ..step("lint") };
        let mut state = state(vec![lint, step("b")]);
        state.on(Input::Prepared, T);
        assert_eq!(state.on(Input::Ended(Outcome::Failed), T), [Action::Run(1)]);
        assert_eq!(state.on(Input::Ended(Outcome::Passed), T), [Action::Finish(Outcome::Passed, None)]);
    }

    #[test]
    fn ctrl_c_stops_what_runs_and_skips_the_rest_always_or_not() {
        let always = StepRule { always: true, ..step("clean") };
        let mut state = state(vec![step("a"), always]);
        state.on(Input::Prepared, T);
        assert_eq!(state.on(Input::Cancel, T), [Action::Stop(Stop::Cancelled)]);
        assert_eq!(state.on(Input::Cancel, T), [Action::StopNow(Stop::Cancelled)]);
        let why = "the run was stopped";
        assert_eq!(
            state.on(Input::Ended(Outcome::Cancelled), T),
            [Action::Skip(1, why.into()), Action::Finish(Outcome::Cancelled, Some(why.into()))]
        );
    }

    #[test]
    fn the_runs_own_time_ends_it_once() {
        let mut state = state(vec![step("a")]);
        state.on(Input::Prepared, T);
        let late = Duration::from_secs(100);
        assert_eq!(state.on(Input::Tick, Duration::from_secs(99)), []);
        assert_eq!(state.on(Input::Tick, late), [Action::Stop(Stop::RunTimeout)]);
        assert_eq!(state.on(Input::Tick, late), []);
        let actions = state.on(Input::Ended(Outcome::TimedOut), late);
        assert_eq!(actions, [Action::Finish(Outcome::TimedOut, Some("the run's time was over".into()))]);
    }

    #[test]
    fn a_context_that_fails_is_the_machines_fault_and_nothing_runs() {
        let mut state = state(vec![step("a")]);
        assert_eq!(
            state.on(Input::NotPrepared { reason: "no such branch".into(), told: true }, T),
            [
                Action::Skip(0, "checkout failed".into()),
                Action::Finish(Outcome::InfraError, Some("no such branch".into()))
            ]
        );
    }

    #[test]
    fn where_no_step_of_the_context_tells_of_it_the_first_one_does() {
        let mut state = state(vec![step("a"), step("b")]);
        assert_eq!(
            state.on(Input::NotPrepared { reason: "no room".into(), told: false }, T),
            [
                Action::Blame(0, Outcome::InfraError, "no room".into()),
                Action::Skip(1, "checkout failed".into()),
                Action::Finish(Outcome::InfraError, Some("no room".into()))
            ]
        );
    }

    #[test]
    fn a_cancelled_context_is_a_cancelled_build() {
        let mut state = state(vec![step("a")]);
        assert_eq!(state.on(Input::Cancel, T), [Action::Stop(Stop::Cancelled)]);
        let actions = state.on(Input::NotPrepared { reason: "git fetch was stopped".into(), told: true }, T);
        assert_eq!(
            actions.last(),
            Some(&Action::Finish(Outcome::Cancelled, Some("the run was stopped".into())))
        );
    }

    #[test]
    fn a_missing_program_is_named_with_its_step_before_anything_runs() {
        let mut state = state(vec![step("a"), step("b")]);
        let reason = "`tox` is not on PATH".to_owned();
        assert_eq!(
            state.on(Input::Missing { step: 1, reason: reason.clone() }, T),
            [
                Action::Skip(0, "step `b` cannot run".into()),
                Action::Blame(1, Outcome::InfraError, reason.clone()),
                Action::Finish(Outcome::InfraError, Some(reason))
            ]
        );
    }
}
