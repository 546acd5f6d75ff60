//! Where events go: the run folder first, then the screen. Called synchronously, so a slow screen slows the build
//! instead of filling memory.

mod bottom;
mod json;
pub mod look;
mod screen;
mod spool;
pub mod terminal;
pub mod words;

use std::io;

pub use json::Json;
pub use look::Look;
pub use spool::{Spool, stem};
pub use terminal::Terminal;

use crate::{
    clock::{Clock, Moment},
    event::{Event, Stamped},
    mask::Mask,
};

/// What shows a run to whoever started it.
#[derive(Debug)]
pub enum Display {
    /// A person.
    Terminal(Box<Terminal>),
    /// A program.
    Json(Json),
}

impl Display {
    fn on(&mut self, event: &Stamped) {
        match self {
            Self::Terminal(terminal) => terminal.on(event),
            Self::Json(json) => json.on(event),
        }
    }

    /// Redraws what changes by itself.
    pub fn tick(&mut self, now: Moment) {
        match self {
            Self::Terminal(terminal) => terminal.tick(now),
            Self::Json(_) => {}
        }
    }

    /// When [`tick`](Self::tick) is wanted next.
    pub fn next_tick(&self, now: Moment) -> Option<Moment> {
        match self {
            Self::Terminal(terminal) => terminal.next_tick(now),
            Self::Json(_) => None,
        }
    }

    /// Shows an event that belongs to no run.
    pub fn show(&mut self, clock: &Clock, event: Event) {
        self.on(&Stamped::new(event, clock.wall(), clock.now()));
    }
}

/// Sends one run's events on their way.
#[derive(Debug)]
pub struct Reporter<'d> {
    clock: Clock,
    mask: Mask,
    spool: Spool,
    display: &'d mut Display,
    broken: Option<io::Error>,
}

impl<'d> Reporter<'d> {
    /// Events go to `spool`, then to `display`; secrets that `mask` knows go to neither.
    pub fn new(clock: Clock, mask: Mask, spool: Spool, display: &'d mut Display) -> Self {
        Self { clock, mask, spool, display, broken: None }
    }

    /// Records `event`, then shows it. Output bytes must have gone through the mask already.
    pub fn emit(&mut self, event: Event) {
        let event = self.masked(event);
        let stamped = Stamped::new(event, self.clock.wall(), self.clock.now());
        if self.broken.is_none()
            && let Err(error) = self.spool.on(&stamped)
        {
            self.broken = Some(error);
        }
        self.display.on(&stamped);
    }

    /// Why the run can be recorded no longer (a full disk); what came before is there.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// Takes what [`broken`](Self::broken) tells.
    pub fn take_broken(&mut self) -> Option<io::Error> {
        self.broken.take()
    }

    /// What has been recorded of the step or command under way.
    pub fn spool(&self) -> &Spool {
        &self.spool
    }

    /// The screen.
    pub fn display(&mut self) -> &mut Display {
        self.display
    }

    fn masked(&self, event: Event) -> Event {
        if matches!(event, Event::Output { .. }) {
            return event;
        }
        let masked = self.mask.data(event);
        // Every event is plain data that survives the round trip; if one ever does not, it is not shown unmasked.
        masked.unwrap_or_else(|_| Event::Note {
            text: "(an event that could not be masked is not shown)".to_owned(),
        })
    }
}
