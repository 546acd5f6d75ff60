//! Programs that contexts call, and what their messages mean.

mod command;
mod failure;
mod failure_kind;
mod network;
mod tool;

pub(crate) use command::Program;
#[cfg(test)]
pub(crate) use failure::read_failure;
pub(crate) use failure_kind::{FailureKind, mentions};
pub use network::Network;
pub(crate) use network::{fall_back_to_cache, retry_after};
pub(crate) use tool::{Tool, args};
