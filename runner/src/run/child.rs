//! One child under way: what it prints goes to the reporter, what its watch decides is carried out.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use jiff::Timestamp;

use super::watch::{Action, Ending, Input, Limits, Stop, Watch};
use crate::{
    clock::{Clock, Moment},
    display::Reporter,
    process::{
        capture::Capture,
        os,
        spawn::{Message, Spec, Unit},
    },
    record::event::{Event, Stream},
    redactor::{Mask, StreamMask},
};

/// What a child is started with, besides its [`Spec`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'t> {
    /// The step it belongs to, the checkout being one.
    pub(super) step: usize,
    /// How long it may take.
    pub(super) limits: Limits,
    /// Its output is kept for whoever asked for it.
    pub(super) captured: bool,
    /// What must not be recorded or shown.
    pub(super) mask: &'t Mask,
    /// What it and all that it starts carry in their environment, as `NAME=value`.
    pub(super) mark: &'t str,
    /// The run is to end: it does not get far.
    pub(super) stop: Option<Stop>,
}

/// A child under way.
pub(super) struct Child {
    unit: Unit,
    watch: Watch,
    clock: Clock,
    step: usize,
    mark: String,
    masks: [StreamMask; 2],
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
    /// Both ends of its stdout and stderr, if captured.
    pub(super) captured: [Vec<u8>; 2],
    pub(super) started: Timestamp,
    /// Seconds.
    pub(super) duration: f64,
}

impl Child {
    /// Starts it.
    pub(super) fn start(
        spec: &Spec,
        terms: Terms<'_>,
        clock: Clock,
        reporter: &mut Reporter,
    ) -> io::Result<Self> {
        let unit = Unit::spawn(spec)?;
        reporter.emit(Event::Spawned { step: terms.step, pid: unit.group().id() });
        let now = clock.now();
        let mut child = Self {
            unit,
            watch: Watch::new(terms.limits, now),
            clock,
            step: terms.step,
            mark: terms.mark.to_owned(),
            masks: [terms.mask.stream(), terms.mask.stream()],
            closed: [false; 2],
            captures: terms.captured.then(Default::default),
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

    /// What it does next; cancel-safe.
    pub(super) async fn next(&mut self) -> Message {
        self.unit.next().await
    }

    /// When [`Input::Tick`] is wanted next.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.watch.deadline()
    }

    /// Takes what it did; tells how it ended, if it has.
    pub(super) fn on(&mut self, message: Message, reporter: &mut Reporter) -> Option<Over> {
        match message {
            Message::Output(stream, bytes) => {
                self.output(stream, bytes, reporter);
                self.tell(Input::Spoke)
            }
            Message::Closed(stream) => {
                self.closed[stream.index()] = true;
                self.flush(stream, reporter);
                if self.closed == [true; 2] { self.tell(Input::Closed) } else { None }
            }
            Message::Exited(exit) => self.tell(Input::Exited(exit)),
        }
    }

    /// Tells its watch what happened; tells how it ended, if it has.
    pub(super) fn tell(&mut self, input: Input) -> Option<Over> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for action in self.watch.on(input, self.clock.now()) {
                match action {
                    Action::Terminate => self.unit.group().terminate(),
                    Action::Kill => self.unit.group().kill(),
                    Action::AskGroup => inputs.push_back(Input::Group { alive: self.unit.group().alive() }),
                    Action::KillLeaked => {
                        self.leaked = self.unit.group().members();
                        self.unit.group().kill();
                        inputs.push_back(Input::Group { alive: self.unit.group().alive() });
                    }
                    Action::Abandon => {
                        // Whoever holds the pipes has left the group, but carries the mark.
                        self.leaked.extend(os::kill_marked(&self.mark));
                        self.unit.abandon();
                    }
                    Action::Finish(ending) => return Some(self.over(ending)),
                }
            }
        }
        None
    }

    fn output(&mut self, stream: Stream, bytes: Bytes, reporter: &mut Reporter) {
        // As printed: a commit's id may hold a secret's digits. What is said of it later goes through the mask again.
        if let Some(captures) = &mut self.captures {
            captures[stream.index()].push(&bytes);
        }
        let bytes = self.masks[stream.index()].push(bytes);
        self.show(stream, bytes, reporter);
    }

    fn flush(&mut self, stream: Stream, reporter: &mut Reporter) {
        let rest = self.masks[stream.index()].finish();
        self.show(stream, rest, reporter);
    }

    fn show(&mut self, stream: Stream, bytes: Bytes, reporter: &mut Reporter) {
        if !bytes.is_empty() {
            reporter.emit(Event::Output { step: self.step, stream, bytes });
        }
    }

    fn over(&mut self, ending: Ending) -> Over {
        let mut leaked = std::mem::take(&mut self.leaked);
        if ending.leaked && leaked.is_empty() {
            leaked.push(format!("group {}", self.unit.group().id()));
        }
        Over {
            ending,
            leaked,
            captured: self.captures.take().unwrap_or_default().map(Capture::into_bytes),
            started: self.started,
            duration: self.clock.now().saturating_sub(self.began).as_secs_f64(),
        }
    }
}
