//! Outputs of builds, stored under a cache key: a digest of all inputs.
//!
//! `cache/chain/<name>-<run-id>` is a workspace: the tempdir of the run that built in it. Beside it lies, under the same name with
//! `.json`, its [`OutputsManifest`], the mark that it is complete; a workspace without one belongs to its run.
//! `.keys/<key>` is a link to the manifest, so that finding is one look however many entries there are. Whoever uses an
//! entry holds the shared lock of its manifest, whoever removes it the exclusive one. An entry is made in the order
//! workspace, manifest, link, and removed in the order link, workspace, manifest: at no moment does a link point to the
//! manifest of half a workspace. Links are changed by one process at a time (`.lock`).
//!
//! All of this blocks.

mod links;
mod list;
mod manifest;
mod prune;
mod remove;
mod store;
#[cfg(test)]
mod tests;

pub(super) use list::list;
pub(crate) use list::verify;
pub use manifest::OutputsManifest;
pub(super) use remove::remove;
pub use remove::{discard, discard_run};
pub use store::{StoredOutputs, find, is_stored, store, workspace};
