//! What pony-run itself reports, beside the output of builds.

use crate::{clock::Clock, display::Screen, record::event::Event};

/// The screen, with the clock that stamps what is shown there.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    pub(crate) screen: Screen,
    pub(crate) clock: Clock,
}

impl Console {
    /// Shows an event that belongs to no run folder, under the name of a build if it is about one that is shown.
    pub(crate) fn show(&self, build: Option<&str>, event: Event) {
        self.screen.on(build, event);
    }

    /// Shows a line as it is.
    pub(crate) fn say(&self, text: &str) {
        self.screen.line(text.to_owned());
    }

    /// Shows a message.
    pub(crate) fn note(&self, text: String) {
        self.show(None, Event::Note { text });
    }
}
