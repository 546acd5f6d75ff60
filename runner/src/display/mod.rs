//! What is shown of runs to whoever started them. Runs on a thread of its own beside the work, reads run folders, and may lag.

mod console;
mod endings;
mod json;
mod multi_build;
mod output;
pub mod settings;
mod status_area;
mod stream;
mod tail;
mod terminal;
mod thread;
mod upload;

pub(crate) use console::Console;
pub use json::Json;
pub use multi_build::{MultiBuildView, Output};
pub use output::are_one;
pub use settings::DisplaySettings;
pub use terminal::Terminal;
pub use thread::Screen;

use crate::{
    clock::Moment,
    record::{
        event::Stream,
        follow::{Gap, Item},
    },
    words,
};

/// What shows a run to whoever started it.
#[derive(Debug)]
pub enum Display {
    /// A person.
    Terminal(Box<Terminal>),
    /// A person who watches several builds.
    MultiBuild(Box<MultiBuildView>),
    /// A program.
    Json(Json),
}

impl Display {
    /// `build` is the name of the build that it belongs to, if it belongs to one.
    fn on(&mut self, build: Option<&str>, item: &Item<'_>) {
        match self {
            Self::Terminal(terminal) => terminal.on(item),
            Self::MultiBuild(view) => view.on(build, item),
            Self::Json(json) => json.on(build, item),
        }
    }

    /// A line of our own, on stderr.
    fn line(&mut self, text: &str) {
        match self {
            Self::Terminal(terminal) => terminal.message(text),
            Self::MultiBuild(view) => view.line(text),
            Self::Json(_) => output::write(Stream::Err, format!("{text}\n").as_bytes()),
        }
    }

    /// Several builds will be shown, not one after another. What programs read stays as it is.
    fn share(&mut self, output: Output) {
        if let Self::Terminal(terminal) = self {
            let view = MultiBuildView::new(terminal.settings(), terminal.is_verbose(), output);
            *self = Self::MultiBuild(Box::new(view));
        }
    }

    /// Whether it may pass over output where it is far behind: only a person who watches it go by loses nothing.
    fn may_skip(&self) -> bool {
        match self {
            Self::Terminal(terminal) => terminal.settings().out_is_terminal,
            Self::MultiBuild(view) => view.settings().out_is_terminal,
            Self::Json(_) => false,
        }
    }

    /// Redraws what changes by itself.
    fn tick(&mut self, now: Moment) {
        match self {
            Self::Terminal(terminal) => terminal.tick(now),
            Self::MultiBuild(view) => view.tick(now),
            Self::Json(_) => {}
        }
    }

    /// When [`tick`](Self::tick) is wanted next.
    fn next_tick(&self, now: Moment) -> Option<Moment> {
        match self {
            Self::Terminal(terminal) => terminal.next_tick(now),
            Self::MultiBuild(view) => view.next_tick(now),
            Self::Json(_) => None,
        }
    }
}

/// What is said of output that was passed over, and where it lies.
fn left_out(gap: &Gap, folder: &str) -> String {
    let logs: Vec<String> = gap.passed.iter().map(|passed| format!("{folder}/{}", passed.file)).collect();
    format!("… {} left out here; all of it is in {}", words::bytes(gap.bytes()), logs.join(" and "))
}
