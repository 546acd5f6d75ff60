//! Running one build: its context, its steps, its record.
//!
//! `state` and `watch` decide, `dispatch` is the one loop, `child` carries out what a watch decides, `unit` spawns, `os` signals.

mod ask;
mod capture;
mod child;
mod context;
mod dispatch;
pub mod job;
pub mod os;
mod outputs;
mod preflight;
pub mod state;
pub mod unit;
mod upload;
mod verdict;
pub mod watch;

pub(crate) use ask::ask;
pub use ask::{Asker, ask_briefly};
pub use context::words_for;
pub use dispatch::{Finished, run, skip};
pub use job::{Among, Job, Keep};
