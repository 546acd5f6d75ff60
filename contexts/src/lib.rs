//! Where a build runs, and what must be true before step 1.
//!
//! A context is straight-line code over a [`Shell`] that it is handed: it never spawns, prints or reads the
//! environment itself, so `git fetch` gets the same tee, timeout, kill and record as `make test`.

pub mod shell;

pub use shell::{Command, Ended, Shell};
