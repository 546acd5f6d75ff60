//! The record of a run. The run loop writes its folder ([`recorder`]) and nothing else; everybody else reads it: as it grows
//! ([`follow`]), when it is over (`result`, [`timed`]), or when it was cut off ([`recovery`]).
//!
//! What happens are events ([`event`]); their fold is the result ([`fold`]). Bytes that are printed are in logs with an index
//! of their own ([`index`]). Every file says which [`mod@format`] it is in.

pub mod event;
pub mod fold;
pub mod folder;
pub mod follow;
pub mod format;
pub mod index;
mod pieces;
pub mod pulse;
pub mod recorder;
pub mod recovery;
mod result;
#[cfg(test)]
mod tests;
pub mod timed;

pub use pieces::Passed;
pub use result::*;
