//! The cache: what is retained of sources and of builds between runs.
//!
//! `cache/<kind>/<basename>-<12 hex digits of the address's SHA-256>` is an entry of a source, a directory. Beside it lie, under
//! the same name, `.lock`, which whoever changes it holds; `.json`, its `Manifest`, the mark that it is complete; and, while
//! an entry is being made or thrown away, staging directories named `.new-…`. An entry without its manifest is what a
//! killed run left incomplete: the next run that takes the lock throws it away.
//!
//! Outputs of builds are laid out in another way, see [`outputs`]; they are listed, pruned and removed together with the rest.

mod entries;
mod entry;
pub mod outputs;
mod types;

pub use entries::{list, prune_candidates};
pub(crate) use entry::{LockedEntry, entry_dir, read_manifest, staging_dir};
pub(crate) use types::Manifest;
pub use types::{CacheEntry, EntryKind, EntrySummary, Health};
