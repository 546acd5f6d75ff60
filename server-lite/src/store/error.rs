//! Why a results file cannot be opened or used.

use std::path::PathBuf;

use pony_wire::{BagError, WireError};
use sqlx::migrate::MigrateError;

/// Why a results file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder for the file does not exist and cannot be created.
    #[error("cannot create the folder `{}` for the results", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// From the system.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be read and written, or is not an `SQLite` file.
    #[error("cannot open `{}` as a results file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// From `SQLite`.
        #[source]
        source: sqlx::Error,
    },
    /// The tables in the file are of a newer version or of another program, or cannot be migrated.
    #[error("cannot use the tables in `{}`", path.display())]
    Tables {
        /// The file.
        path: PathBuf,
        /// From the migration.
        #[source]
        source: MigrateError,
    },
}

/// Why something could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the results file cannot be used")]
    Database(#[from] sqlx::Error),
    #[error("the folder of files beside the results file cannot be used")]
    Files(#[from] std::io::Error),
    #[error("result {key} is damaged in the results file")]
    Damaged {
        key: i64,
        #[source]
        source: WireError,
    },
    #[error("result {key} is damaged in the results file")]
    Bag {
        key: i64,
        #[source]
        source: BagError,
    },
    #[error("a tagset cannot be written as JSON")]
    Tagset(#[from] serde_json::Error),
}

impl StoreError {
    /// Whether the disk had no space for an uploaded file.
    pub(crate) fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Files(error) if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}
