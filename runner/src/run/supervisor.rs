//! One child's life as a pure state machine: deadlines, who gets which signal when, and how it is said to have ended.
//!
//! Nothing here spawns, kills, reads or waits: `run/child` feeds [`Input`]s and carries out [`Action`]s.

use std::time::Duration;

use crate::{clock::Moment, process::spawn::Exit, record::Outcome};

/// From TERM to KILL.
pub const GRACE: Duration = Duration::from_secs(10);
/// From the child's exit to the end of its step, however many orphans hold its pipes open.
pub const DRAIN: Duration = Duration::from_secs(1);
/// How often a group is asked whether it is empty, after its leader has ended.
const ASK: Duration = Duration::from_millis(20);
/// From killing what was left to giving up on its pipes.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// From KILL to giving up on a process that even KILL does not end (it hangs in the kernel, on a dead disk or mount).
const UNKILLABLE: Duration = Duration::from_secs(30);

/// SIGKILL.
const KILL: i32 = 9;

/// How long a child may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From its start to its end.
    pub total: Option<Duration>,
    /// Between two outputs.
    pub quiet: Option<Duration>,
}

/// Why a child was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its own time is over.
    Timeout,
    /// It printed nothing for too long.
    Quiet,
    /// The run's time is over.
    RunTimeout,
    /// Somebody wants the run to end.
    Cancelled,
}

impl Stop {
    /// The outcome of what was stopped for this.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Timeout | Self::RunTimeout => Outcome::TimedOut,
            Self::Quiet => Outcome::Quiet,
            Self::Cancelled => Outcome::Cancelled,
        }
    }
}

/// What happens to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It printed something.
    Spoke,
    /// The leader of the group has ended.
    Exited(Exit),
    /// Both of its pipes are closed.
    Closed,
    /// Its process group has members left, or not.
    Group {
        /// Whether any process of the group is left.
        alive: bool,
    },
    /// It shall stop: TERM, then KILL.
    Stop(Stop),
    /// It shall stop at once: KILL.
    StopNow(Stop),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// TERM to the group.
    Terminate,
    /// KILL to the group.
    Kill,
    /// Say whether the group has members left ([`Input::Group`]).
    AskGroup,
    /// The leader is gone and members of the group are left: note who they are, then KILL them.
    KillLeaked,
    /// Wait no more for its pipes, which somebody outside the group holds: read what is in them, then call them closed
    /// ([`Input::Closed`]).
    Abandon,
    /// It is over.
    Finish(Ending),
}

/// How a child ended, all told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How the process itself ended.
    pub exit: Exit,
    /// Why it was told to stop, if it was.
    pub stopped: Option<Stop>,
    /// Processes of its group outlived it.
    pub leaked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running {
        started: Moment,
        spoke: Moment,
    },
    Terminating {
        kill_at: Moment,
    },
    Killed {
        give_up: Moment,
    },
    /// The leader has ended; its pipes or its group may not have.
    Draining {
        exit: Exit,
        give_up: Moment,
        ask_at: Moment,
        leaked: bool,
    },
    /// Its pipes are held by others; what is in them is still read.
    Abandoned {
        exit: Exit,
        leaked: bool,
    },
    Over,
}

/// The course of one child.
#[derive(Debug, Clone)]
pub struct Supervisor {
    limits: Limits,
    phase: Phase,
    stopped: Option<Stop>,
    closed: bool,
    group_alive: bool,
}

impl Supervisor {
    /// A child that was started at `now`.
    pub fn new(limits: Limits, now: Moment) -> Self {
        Self {
            limits,
            phase: Phase::Running { started: now, spoke: now },
            stopped: None,
            closed: false,
            group_alive: true,
        }
    }

    /// When [`Input::Tick`] is wanted next.
    pub fn deadline(&self) -> Option<Moment> {
        match self.phase {
            Phase::Running { started, spoke } => {
                let total = self.limits.total.map(|limit| started + limit);
                let quiet = self.limits.quiet.map(|limit| spoke + limit);
                total.into_iter().chain(quiet).min()
            }
            Phase::Terminating { kill_at } => Some(kill_at),
            Phase::Killed { give_up } => Some(give_up),
            // What is left to read has an end, however long that takes.
            Phase::Abandoned { .. } | Phase::Over => None,
            Phase::Draining { give_up, ask_at, .. } => Some(give_up.min(ask_at)),
        }
    }

    /// What to do now that `input` has happened.
    pub fn on(&mut self, input: Input, now: Moment) -> Vec<Action> {
        match input {
            Input::Spoke => {
                if let Phase::Running { spoke, .. } = &mut self.phase {
                    *spoke = now;
                }
                Vec::new()
            }
            Input::Exited(exit) => self.exited(exit, now),
            Input::Closed => {
                self.closed = true;
                self.settle(now)
            }
            Input::Group { alive } => {
                self.group_alive = alive;
                self.settle(now)
            }
            Input::Stop(why) => self.stop(why, now),
            Input::StopNow(why) => self.kill(why, now),
            Input::Tick => self.tick(now),
        }
    }

    fn exited(&mut self, exit: Exit, now: Moment) -> Vec<Action> {
        if matches!(self.phase, Phase::Draining { .. } | Phase::Abandoned { .. } | Phase::Over) {
            return Vec::new();
        }
        let draining = Phase::Draining { exit, give_up: now + DRAIN, ask_at: now + ASK, leaked: false };
        // What was told to stop gets no time beyond its leader's: the rest of the group goes with it.
        let mut actions = if self.stopped.is_some() { vec![Action::Kill] } else { Vec::new() };
        self.phase = draining;
        actions.push(Action::AskGroup);
        actions
    }

    fn stop(&mut self, why: Stop, now: Moment) -> Vec<Action> {
        if !matches!(self.phase, Phase::Running { .. }) {
            return Vec::new();
        }
        self.stopped = Some(why);
        self.phase = Phase::Terminating { kill_at: now + GRACE };
        vec![Action::Terminate]
    }

    fn kill(&mut self, why: Stop, now: Moment) -> Vec<Action> {
        if !matches!(self.phase, Phase::Running { .. } | Phase::Terminating { .. }) {
            return Vec::new();
        }
        self.stopped.get_or_insert(why);
        self.phase = Phase::Killed { give_up: now + UNKILLABLE };
        vec![Action::Kill]
    }

    fn tick(&mut self, now: Moment) -> Vec<Action> {
        match self.phase {
            Phase::Running { started, spoke } => {
                let over =
                    |since: Moment, limit: Option<Duration>| limit.is_some_and(|limit| now >= since + limit);
                if over(started, self.limits.total) {
                    self.stop(Stop::Timeout, now)
                } else if over(spoke, self.limits.quiet) {
                    self.stop(Stop::Quiet, now)
                } else {
                    Vec::new()
                }
            }
            Phase::Terminating { kill_at } if now >= kill_at => {
                self.phase = Phase::Killed { give_up: now + UNKILLABLE };
                vec![Action::Kill]
            }
            Phase::Killed { give_up } if now >= give_up => self.abandon(Exit::Signal(KILL), true),
            Phase::Draining { .. } => self.settle(now),
            Phase::Terminating { .. } | Phase::Killed { .. } | Phase::Abandoned { .. } | Phase::Over => {
                Vec::new()
            }
        }
    }

    /// After the leader's end: over as soon as pipes and group are, and never later than the one deadline.
    fn settle(&mut self, now: Moment) -> Vec<Action> {
        let (exit, give_up, ask_at, leaked) = match self.phase {
            Phase::Abandoned { exit, leaked } if self.closed => return self.finish(exit, leaked),
            Phase::Draining { exit, leaked, .. } if self.closed && !self.group_alive => {
                return self.finish(exit, leaked);
            }
            Phase::Draining { exit, give_up, ask_at, leaked } => (exit, give_up, ask_at, leaked),
            _ => return Vec::new(),
        };
        if self.group_alive && now >= ask_at {
            self.phase = Phase::Draining { exit, give_up, ask_at: now + ASK, leaked };
            return vec![Action::AskGroup];
        }
        if now >= give_up {
            if self.group_alive && !leaked {
                let last = now + LAST_WORDS;
                self.phase = Phase::Draining { exit, give_up: last, ask_at: now + ASK, leaked: true };
                return vec![Action::KillLeaked];
            }
            return if self.closed { self.finish(exit, leaked) } else { self.abandon(exit, leaked) };
        }
        if !self.group_alive {
            // Only the pipes are waited for now.
            self.phase = Phase::Draining { exit, give_up, ask_at: give_up, leaked };
        }
        Vec::new()
    }

    fn abandon(&mut self, exit: Exit, leaked: bool) -> Vec<Action> {
        self.phase = Phase::Abandoned { exit, leaked };
        let mut actions = vec![Action::Abandon];
        if self.closed {
            actions.extend(self.finish(exit, leaked));
        }
        actions
    }

    fn finish(&mut self, exit: Exit, leaked: bool) -> Vec<Action> {
        self.phase = Phase::Over;
        vec![Action::Finish(Ending { exit, stopped: self.stopped, leaked })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(seconds: f64) -> Moment {
        Duration::from_secs_f64(seconds)
    }

    fn supervisor() -> Supervisor {
        Supervisor::new(Limits { total: Some(10 * MINUTE), quiet: Some(MINUTE) }, at(0.0))
    }

    fn ending(actions: &[Action]) -> Option<Ending> {
        actions
            .iter()
            .find_map(|action| if let Action::Finish(ending) = action { Some(*ending) } else { None })
    }

    #[test]
    fn a_child_that_ends_and_leaves_nothing_is_over_at_once() {
        let mut supervisor = supervisor();
        assert_eq!(supervisor.on(Input::Exited(Exit::Status(3)), at(1.0)), [Action::AskGroup]);
        assert_eq!(supervisor.on(Input::Group { alive: false }, at(1.0)), []);
        let actions = supervisor.on(Input::Closed, at(1.0));
        let exit = Exit::Status(3);
        assert_eq!(ending(&actions), Some(Ending { exit, stopped: None, leaked: false }));
        assert_eq!(supervisor.deadline(), None);
    }

    #[test]
    fn silence_is_counted_from_the_last_output() {
        let mut supervisor = supervisor();
        supervisor.on(Input::Spoke, at(50.0));
        assert_eq!(supervisor.deadline(), Some(at(110.0)));
        assert_eq!(supervisor.on(Input::Tick, at(60.0)), []);
        assert_eq!(supervisor.on(Input::Tick, at(110.0)), [Action::Terminate]);
        assert_eq!(supervisor.on(Input::Tick, at(119.0)), []);
        assert_eq!(supervisor.on(Input::Tick, at(120.0)), [Action::Kill]);
        assert_eq!(
            supervisor.on(Input::Exited(Exit::Signal(9)), at(120.1)),
            [Action::Kill, Action::AskGroup]
        );
        supervisor.on(Input::Closed, at(120.1));
        let over = ending(&supervisor.on(Input::Group { alive: false }, at(120.1))).unwrap();
        assert_eq!((over.stopped, over.exit.protocol_status()), (Some(Stop::Quiet), -9));
    }

    #[test]
    fn output_does_not_move_the_total() {
        let mut supervisor = supervisor();
        for minute in 1..20 {
            let now = at(30.0 * f64::from(minute));
            supervisor.on(Input::Spoke, now);
        }
        assert_eq!(supervisor.on(Input::Tick, at(600.0)), [Action::Terminate]);
        assert_eq!(supervisor.stopped, Some(Stop::Timeout));
    }

    #[test]
    fn the_second_ctrl_c_kills_and_the_reason_stays_the_first() {
        let mut supervisor = supervisor();
        assert_eq!(supervisor.on(Input::Stop(Stop::RunTimeout), at(1.0)), [Action::Terminate]);
        assert_eq!(supervisor.on(Input::StopNow(Stop::Cancelled), at(2.0)), [Action::Kill]);
        assert_eq!(supervisor.stopped, Some(Stop::RunTimeout));
        assert_eq!(supervisor.on(Input::StopNow(Stop::Cancelled), at(2.1)), []);
    }

    #[test]
    fn a_group_that_outlives_its_leader_is_killed_and_said_to_have_leaked() {
        let mut supervisor = supervisor();
        supervisor.on(Input::Exited(Exit::Status(0)), at(1.0));
        supervisor.on(Input::Closed, at(1.0));
        assert_eq!(supervisor.on(Input::Group { alive: true }, at(1.0)), []);
        assert_eq!(supervisor.on(Input::Tick, at(1.02)), [Action::AskGroup]);
        supervisor.on(Input::Group { alive: true }, at(1.02));
        assert_eq!(supervisor.on(Input::Tick, at(2.0)), [Action::AskGroup]);
        assert_eq!(supervisor.on(Input::Group { alive: true }, at(2.0)), [Action::KillLeaked]);
        assert_eq!(supervisor.on(Input::Tick, at(2.02)), [Action::AskGroup]);
        let over = ending(&supervisor.on(Input::Group { alive: false }, at(2.02))).unwrap();
        assert!(over.leaked);
    }

    #[test]
    fn an_orphan_outside_the_group_that_talks_on_cannot_hold_the_step() {
        let mut supervisor = supervisor();
        supervisor.on(Input::Exited(Exit::Status(0)), at(1.0));
        supervisor.on(Input::Group { alive: false }, at(1.0));
        for tenth in 0..10 {
            assert_eq!(supervisor.on(Input::Spoke, at(1.0 + f64::from(tenth) / 10.0)), []);
        }
        assert_eq!(supervisor.deadline(), Some(at(2.0)));
        assert_eq!(supervisor.on(Input::Tick, at(2.0)), [Action::Abandon]);
        assert_eq!(supervisor.deadline(), None);
        assert_eq!(
            supervisor.on(Input::Spoke, at(90.0)),
            [],
            "what it had said is still taken, however slowly"
        );
        assert!(!ending(&supervisor.on(Input::Closed, at(90.0))).unwrap().leaked);
    }

    #[test]
    fn a_group_that_ended_while_nobody_looked_has_not_leaked() {
        let mut supervisor = supervisor();
        supervisor.on(Input::Exited(Exit::Status(0)), at(1.0));
        supervisor.on(Input::Group { alive: true }, at(1.0));
        supervisor.on(Input::Closed, at(1.0));
        assert_eq!(supervisor.on(Input::Tick, at(30.0)), [Action::AskGroup]);
        assert!(!ending(&supervisor.on(Input::Group { alive: false }, at(30.0))).unwrap().leaked);
    }

    #[test]
    fn a_leader_that_even_kill_does_not_end_is_given_up() {
        let mut supervisor = supervisor();
        supervisor.on(Input::StopNow(Stop::Cancelled), at(1.0));
        assert_eq!(supervisor.deadline(), Some(at(31.0)));
        assert_eq!(supervisor.on(Input::Tick, at(31.0)), [Action::Abandon]);
        assert!(ending(&supervisor.on(Input::Closed, at(31.0))).unwrap().leaked);
    }

    #[test]
    fn a_group_that_cannot_be_killed_does_not_hold_the_step_either() {
        let mut supervisor = supervisor();
        supervisor.on(Input::Exited(Exit::Status(0)), at(1.0));
        supervisor.on(Input::Closed, at(1.0));
        assert_eq!(supervisor.on(Input::Tick, at(2.0)), [Action::AskGroup]);
        let mut now = at(2.0);
        for _ in 0..100 {
            let Some(next) = supervisor.deadline() else { break };
            assert!(next <= at(2.2), "the deadline must not move on");
            now = next.max(now);
            supervisor.on(Input::Tick, now);
            supervisor.on(Input::Group { alive: true }, now);
        }
        assert_eq!(supervisor.deadline(), None);
    }
}
