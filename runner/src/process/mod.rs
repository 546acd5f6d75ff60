//! Child processes: spawning ([`spawn`]), process groups ([`group`]), signals ([`signals`]), and commands whose output is
//! wanted and nothing else (`captured`).

pub(crate) mod capture;
pub(crate) mod captured;
pub mod group;
pub mod signals;
pub mod spawn;
pub mod stream;

pub use captured::ask_briefly;
