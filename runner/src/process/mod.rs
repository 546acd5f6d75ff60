//! Child processes: spawning ([`spawn`]), groups and signals ([`os`]), commands whose output is wanted and nothing else.

pub(crate) mod capture;
pub(crate) mod captured;
pub mod os;
pub mod spawn;

pub use captured::{Asker, ask_briefly};
