//! Where a build runs, and what must be true before step 1.
//!
//! A context is straight-line code over a [`Shell`] that it is handed: it never spawns, prints, opens a socket or reads the
//! environment itself, so that `git fetch` gets the same tee, timeout, kill and record as `make test`.
//!
//! For the runner: [`prepare`] makes a context, [`tip`], [`changed_files`] and [`toolchain`] answer questions without making
//! one, and [`cache`] and [`verify`] look after what is retained. Dropping a future stops it: a directory that it made is
//! removed, and a lock that it held or waited for is released.
//!
//! Imports lead down: `prepare`, `inspect`, `verify` → `request` → `virtualenv` → `chain`, `source` → `program`, `cache` →
//! `shell`, `error`, `disk`, `tree` → `url`, `checkout`, `client_info`, `blocking`.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set up what they test"))]

mod blocking;
pub mod cache;
pub mod chain;
mod checkout;
mod client_info;
mod disk;
mod error;
mod inspect;
mod prepare;
mod program;
mod request;
pub mod shell;
mod source;
mod tool_versions;
mod tree;
mod url;
mod verify;
pub mod virtualenv;
mod workspace;

pub use checkout::{Changes, Checkout, Commit, EarlierRevisions};
pub use client_info::{ClientInfo, InfoValue};
pub use error::Error;
pub use inspect::{changed_files, tip, toolchain};
pub use prepare::{Prepared, prepare};
pub use program::Network;
pub use request::{ContextRequest, PrivateDirs, WorkingDir};
pub use shell::{Command, CommandOutput, Shell, Stage};
pub use source::{
    RevisionSpec, SourceSpec, archive::ArchiveSpec, git::GitSpec, hg::HgSpec, path::PathSpec, svn::SvnSpec,
};
pub use tree::{Leftovers, disk_usage, remove_tree};
pub use url::{Url, UrlError};
pub use verify::verify;
pub use virtualenv::VirtualenvSpec;
pub use workspace::DirLock;
