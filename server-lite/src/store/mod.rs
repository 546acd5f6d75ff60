//! Everything that pony-serve stores: results in one `SQLite` file, uploaded files in a folder beside it. All SQL of this
//! crate is in this folder, and nothing of HTTP.
//!
//! One connection writes, a few read. Several processes may have the file open at once: writers take the file's write
//! lock before they read (`BEGIN IMMEDIATE`) and wait for each other.

mod database;
mod error;
mod folder;
mod read;
mod rows;
mod uploads;
mod write;

pub(crate) use database::{PageCache, Store};
pub use error::OpenError;
pub(crate) use error::StoreError;
pub(crate) use rows::{ChainRow, FileInfo, FileRow, PackageRow, Page, ResultRow, SlotKey, SlotRow, Summary};
pub(crate) use uploads::{Admission, FILES_PER_RESULT, IncomingFile};
pub(crate) use write::{Added, NewResult};

#[cfg(test)]
mod tests;
