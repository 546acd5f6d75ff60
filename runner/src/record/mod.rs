//! The record of a run: what happens ([`event`]), where it is kept ([`folder`]), what it comes to (`result`), and how a run
//! that was cut off is closed ([`recovery`]).

pub mod event;
pub mod folder;
pub mod recovery;
mod result;

pub use result::*;
