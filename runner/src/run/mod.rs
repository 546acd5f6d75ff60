//! Running one build: its context, its steps, its record.
//!
//! [`state`] and [`supervisor`] decide, and are pure. `loop` is the one loop over what `phase` holds; what it does by what
//! they decide is in `preparing` (the context), `steps` and `collecting`. It writes the run folder and waits for nobody who reads it.

mod collecting;
mod context;
pub mod job;
mod r#loop;
mod outputs;
mod phase;
mod preflight;
mod preparing;
mod questions;
pub mod state;
mod steps;
mod supervised;
pub mod supervisor;
mod upload;
mod verdict;

pub use context::words_for;
pub use job::{Among, Job, Keep};
pub use r#loop::{Finished, on_one_thread, run, skip};
pub(crate) use questions::DirectShell;
