//! One child under way: what it prints is recorded, what its supervisor decides is carried out.

use std::{collections::VecDeque, io};

use jiff::Timestamp;

use super::supervisor::{Action, Ending, Input, Limits, Stop, Supervisor};
use crate::{
    clock::{Clock, Moment},
    process::{
        capture::Capture,
        group,
        spawn::{Message, Process, Spec},
    },
    record::{event::Event, recorder::Recorder},
    redactor::{Redactor, StreamRedactor},
};

/// What a child is started with, besides its [`Spec`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'t> {
    /// The step it belongs to, the checkout being one.
    pub(super) step: usize,
    /// How long it may take.
    pub(super) limits: Limits,
    /// What must not be recorded or shown.
    pub(super) redactor: &'t Redactor,
    /// What it and all that it starts carry in their environment, as `NAME=value`.
    pub(super) mark: &'t str,
    /// The run is to end: it does not get far.
    pub(super) stop: Option<Stop>,
}

/// A child under way.
pub(super) struct Supervised {
    process: Process,
    supervisor: Supervisor,
    clock: Clock,
    mark: String,
    redactors: [StreamRedactor; 2],
    closed: [bool; 2],
    captures: Option<[Capture; 2]>,
    leaked: Vec<String>,
    started: Timestamp,
    began: Moment,
}

/// A child that is over.
pub(super) struct Over {
    pub(super) ending: Ending,
    /// What it left running, each `pid name`.
    pub(super) leaked: Vec<String>,
    pub(super) started: Timestamp,
    /// Seconds.
    pub(super) duration: f64,
}

impl Supervised {
    /// Starts it.
    pub(super) fn start(
        spec: &Spec,
        terms: Terms<'_>,
        clock: Clock,
        recorder: &mut Recorder,
    ) -> io::Result<Self> {
        let process = Process::spawn(spec)?;
        recorder.event(Event::Spawned { step: terms.step, pid: process.group().id() });
        let now = clock.now();
        let mut child = Self {
            process,
            supervisor: Supervisor::new(terms.limits, now),
            clock,
            mark: terms.mark.to_owned(),
            redactors: [terms.redactor.stream(), terms.redactor.stream()],
            closed: [false; 2],
            captures: None,
            leaked: Vec::new(),
            started: clock.wall(),
            began: now,
        };
        if let Some(stop) = terms.stop {
            // TERM and nothing more: it cannot be over yet.
            child.tell(Input::Stop(stop));
        }
        Ok(child)
    }

    /// Both ends of its output are kept for whoever asked for it.
    pub(super) fn captured(self) -> Self {
        Self { captures: Some(Default::default()), ..self }
    }

    /// Both ends of its stdout and stderr, if they are kept.
    pub(super) fn into_captured(self) -> [Vec<u8>; 2] {
        self.captures.unwrap_or_default().map(Capture::into_bytes)
    }

    /// When [`Input::Tick`] is wanted next.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.supervisor.deadline()
    }

    /// Whether it has printed something that is not read yet.
    pub(super) fn has_printed(&self) -> bool {
        self.process.has_printed()
    }

    /// What it does next, to be [told](Self::tell); what it prints is recorded. Cancel-safe.
    pub(super) async fn next(&mut self, recorder: &mut Recorder) -> Input {
        loop {
            match self.process.next().await {
                Message::Output(stream, bytes) => {
                    // As printed: a commit's id may hold a secret's digits. What is said of it later goes through the redactor again.
                    if let Some(captures) = &mut self.captures {
                        captures[stream.index()].push(bytes);
                    }
                    recorder.output(stream, &self.redactors[stream.index()].push(bytes));
                    return Input::Spoke;
                }
                Message::Closed(stream) => {
                    recorder.output(stream, &self.redactors[stream.index()].finish());
                    self.closed[stream.index()] = true;
                    if self.closed == [true; 2] {
                        return Input::Closed;
                    }
                }
                Message::Exited(exit) => return Input::Exited(exit),
            }
        }
    }

    /// Tells its supervisor what happened; tells how it ended, if it has.
    pub(super) fn tell(&mut self, input: Input) -> Option<Over> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.supervisor.on(input, self.clock.now()) {
                match action {
                    Action::Terminate => self.process.group().terminate(),
                    Action::Kill => self.process.group().kill(),
                    Action::AskGroup => {
                        inputs.push_back(Input::Group { alive: self.process.group().alive() });
                    }
                    Action::KillLeaked => {
                        self.leaked = self.process.group().members();
                        self.process.group().kill();
                        inputs.push_back(Input::Group { alive: self.process.group().alive() });
                    }
                    Action::Abandon => {
                        // Whoever holds the pipes has left the group, but carries the mark.
                        self.leaked.extend(group::kill_marked(&self.mark));
                        self.process.abandon();
                    }
                    Action::Finish(ending) => return Some(self.over(ending)),
                }
            }
        }
        None
    }

    fn over(&mut self, ending: Ending) -> Over {
        let mut leaked = std::mem::take(&mut self.leaked);
        if ending.leaked && leaked.is_empty() {
            leaked.push(format!("group {}", self.process.group().id()));
        }
        let duration = self.clock.now().saturating_sub(self.began).as_secs_f64();
        Over { ending, leaked, started: self.started, duration }
    }
}
