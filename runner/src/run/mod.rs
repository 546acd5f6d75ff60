//! Running one build: its context, its steps, its record.
//!
//! `state` and `watch` decide, `dispatch` is the one loop, `child` carries out what a watch decides.

mod child;
mod context;
mod dispatch;
pub mod job;
mod outputs;
mod preflight;
pub mod state;
mod upload;
pub(crate) mod verdict;
pub mod watch;

pub use context::words_for;
pub use dispatch::{Finished, run, skip};
pub use job::{Among, Job, Keep};
