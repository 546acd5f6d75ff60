//! Where events go: the run folder first, then the screen. Called synchronously, so a slow screen slows the build
//! instead of filling memory.

mod bottom;
mod console;
mod json;
pub mod look;
mod screen;
mod several;
mod spool;
mod tail;
pub mod terminal;
mod upload;
mod verdict;

use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

pub(crate) use console::Console;
pub use json::Json;
pub use look::Look;
pub use several::{Output, Several};
pub use spool::{Spool, stem};
pub use terminal::Terminal;

use crate::{
    clock::{Clock, Moment},
    record::event::{Event, Stamped},
    redactor::Mask,
};

/// What shows a run to whoever started it.
#[derive(Debug)]
pub enum Display {
    /// A person.
    Terminal(Box<Terminal>),
    /// A person who watches several builds.
    Several(Box<Several>),
    /// A program.
    Json(Json),
}

impl Display {
    /// `build` is the name of the build that it belongs to, if it belongs to one.
    fn on(&mut self, build: Option<&str>, event: &Stamped) {
        match self {
            Self::Terminal(terminal) => terminal.on(event),
            Self::Several(several) => several.on(build, event),
            Self::Json(json) => json.on(build, event),
        }
    }

    /// Redraws what changes by itself.
    fn tick(&mut self, now: Moment) {
        match self {
            Self::Terminal(terminal) => terminal.tick(now),
            Self::Several(several) => several.tick(now),
            Self::Json(_) => {}
        }
    }

    /// When [`tick`](Self::tick) is wanted next.
    fn next_tick(&self, now: Moment) -> Option<Moment> {
        match self {
            Self::Terminal(terminal) => terminal.next_tick(now),
            Self::Several(several) => several.next_tick(now),
            Self::Json(_) => None,
        }
    }
}

/// The screen that all builds of one `pony-run` share.
#[derive(Debug, Clone)]
pub struct Screen {
    display: Arc<Mutex<Display>>,
    /// Something has begun that changes by itself.
    begun: Arc<Notify>,
}

impl Screen {
    /// One that shows things like this.
    pub fn new(display: Display) -> Self {
        Self { display: Arc::new(Mutex::new(display)), begun: Arc::default() }
    }

    /// Several builds will be shown, not one after another. A screen for programs stays as it is.
    pub fn share(&self, output: Output) {
        let mut display = self.lock();
        if let Display::Terminal(terminal) = &*display {
            *display =
                Display::Several(Box::new(Several::new(terminal.look(), terminal.is_verbose(), output)));
        }
    }

    /// Shows an event, of the build of that name if it belongs to one.
    pub fn on(&self, build: Option<&str>, event: &Stamped) {
        self.lock().on(build, event);
        if matches!(event.event, Event::StepStarted { .. }) {
            self.begun.notify_one();
        }
    }

    /// Redraws what changes by itself, for as long as this is waited for.
    pub async fn keep_time(&self, clock: Clock) -> Infallible {
        loop {
            let next = self.lock().next_tick(clock.now());
            tokio::select! {
                () = clock.until(next) => self.lock().tick(clock.now()),
                () = self.begun.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Display> {
        // Whoever panicked while drawing has drawn badly, no more.
        self.display.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends one run's events on their way.
#[derive(Debug)]
pub struct Reporter {
    build: String,
    clock: Clock,
    mask: Mask,
    spool: Spool,
    screen: Screen,
    broken: Option<io::Error>,
}

impl Reporter {
    /// Events of the build of this name go to `spool`, then to `screen`; secrets that `mask` knows go to neither.
    pub fn new(build: String, clock: Clock, mask: Mask, spool: Spool, screen: Screen) -> Self {
        Self { build, clock, mask, spool, screen, broken: None }
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
        self.screen.on(Some(&self.build), &stamped);
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
