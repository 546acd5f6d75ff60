//! Helpers for end-to-end tests through the built programs: a closed world for each test, programs watched from outside.
//!
//! The way of a test: a [`World`] (folders, environment), [`World::pony`] (a command), [`Call::start`] (a [`Live`] process
//! to wait for) or [`Call::end`] (an [`Ended`] one to look at). Everything waits for events, never for time, and no wait
//! is longer than [`PATIENCE`]. What a test started is killed when its world goes.
#![expect(clippy::missing_panics_doc, reason = "a panic is how a test says what is wrong")]
#![expect(clippy::return_self_not_must_use, reason = "an assertion may end a chain")]
#![allow(clippy::disallowed_methods, reason = "tests set up what they test")]

mod daemon;
mod fault;
mod git;
mod http;
mod imports;
mod line;
mod peer;
mod process;
mod programs;
mod proxy;
mod python;
mod serve;
mod terminal;
mod upstream;
mod wheels;
mod world;

use std::time::Duration;

pub use self::{
    daemon::{Daemon, Refused},
    fault::{Direction, Fault, Plan},
    git::Repository,
    http::{Page, exchange, get, post},
    imports::Imports,
    line::{Line, Way},
    peer::{Dialect, Odd, Peer, Stored},
    process::{Call, Ended, Live, Output, Stream},
    programs::program,
    proxy::{Connection, Proxy},
    python::Helper,
    serve::Serve,
    terminal::Terminal,
    upstream::{Kind, Upstream},
    world::{RunFolder, World, files},
};

/// The longest that anything is waited for, on a slow machine that does other things.
pub const PATIENCE: Duration = Duration::from_secs(40);
