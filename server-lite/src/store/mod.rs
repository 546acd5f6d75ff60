//! Everything that pony-serve keeps, in one `SQLite` file. All SQL of this crate is in this folder.
//!
//! One connection writes, a few read. Several processes may have the file open at once: writers take the file's write
//! lock before they read (`BEGIN IMMEDIATE`) and wait for each other.

mod files;
mod read;
mod write;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pony_wire::{BagError, Tagset, WireError};
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Executor, SqlSafeStr};

use crate::clock::Time;
use crate::files::Folder;
use crate::memory::Budget;

pub(crate) use files::{Admitted, FILES, FileInfo, FileRow, Incoming};
pub(crate) use read::{ChainRow, PackageRow, Page, SlotRow, Stored, Summary};
pub(crate) use write::{Added, NewResult};

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(20);
/// Readers at once; each holds a page cache of about 2 MB.
const READERS: u32 = 4;
/// Bytes of stored bags that are in memory at once.
const BAGS: usize = 64 * 1024 * 1024;
/// How much of the file the writer holds in memory, as the pragma `cache_size` says it: negative counts KiB, not pages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cache {
    /// 16 MiB: of a large file, where the next of very many results goes is there already.
    Large,
    /// The 2 MB that it is without a word: for a few results.
    Small,
}

impl Cache {
    fn size(self) -> &'static str {
        match self {
            Self::Large => "-16384",
            Self::Small => "-2000",
        }
    }
}

/// Why a results file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder that the file should lie in does not exist and cannot be made.
    #[error("cannot create the folder `{}` for the results", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file exists but cannot be read and written, or is no `SQLite` file.
    #[error("cannot open `{}` as a results file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What `SQLite` said.
        #[source]
        source: sqlx::Error,
    },
    /// The file holds tables that this version does not know or cannot bring up to date.
    #[error("cannot use the tables in `{}`", path.display())]
    Tables {
        /// The file.
        path: PathBuf,
        /// What the migration said.
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
    #[error("a tagset cannot be written down")]
    Tagset(#[from] serde_json::Error),
}

/// A slot as it is named on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotName {
    pub(crate) package: String,
    /// The tagset as sorted JSON: equal sets are equal text.
    pub(crate) tagset: String,
    pub(crate) host: String,
    pub(crate) arch: String,
    /// JSON array, as the client ordered them.
    pub(crate) tags: String,
}

impl SlotName {
    pub(crate) fn new(slot: &pony_wire::Slot) -> Result<Self, serde_json::Error> {
        Ok(Self {
            package: slot.package.clone(),
            tagset: tagset_text(&slot.tagset())?,
            host: slot.host.clone(),
            arch: slot.arch.clone(),
            tags: serde_json::to_string(&slot.tags)?,
        })
    }
}

fn tagset_text(tagset: &Tagset) -> Result<String, serde_json::Error> {
    serde_json::to_string(tagset)
}

/// An open results file.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    folder: Folder,
    bags: Budget,
}

impl Store {
    /// Opens the file, creating it, its folder and its tables where they are missing.
    pub(crate) async fn open(path: &Path, cache: Cache) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        }
        let file = |source| OpenError::File { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true);
        let writer =
            pool(1).connect_with(options.clone().pragma("cache_size", cache.size())).await.map_err(file)?;
        migrate(&writer).await.map_err(|source| OpenError::Tables { path: path.to_owned(), source })?;
        let reader = pool(READERS).connect_with(options.pragma("query_only", "1")).await.map_err(file)?;
        let folder = Folder::beside(path)
            .map_err(|source| OpenError::Folder { path: path.with_added_extension("files"), source })?;
        let store = Self { writer, reader, folder, bags: Budget::new(BAGS) };
        store.sweep().await;
        Ok(store)
    }

    /// Where the bytes of a file are.
    pub(crate) fn path(&self, file: &FileRow) -> PathBuf {
        self.folder.file(file.id)
    }

    /// Puts everything into the main file and closes it. Calls under way finish first.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        // Another process may have the file open and keep the log; what is acknowledged is safe in either.
        if let Err(error) = self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").await {
            tracing::debug!(%error, "the write-ahead log stays beside the results file");
        }
        self.writer.close().await;
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_mins(1))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Two processes may create the same file in the same moment. One is first; the other, whose attempt then fails because
/// the tables are there, finds them done when it looks again. That may happen to it with each migration.
async fn migrate(writer: &SqlitePool) -> Result<(), MigrateError> {
    let migration = |version, name, sql: &'static str| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let migrator = Migrator::with_migrations(vec![
        migration(1, "results", include_str!("../../migrations/0001_results.sql")),
        migration(2, "chains", include_str!("../../migrations/0002_chains.sql")),
        migration(3, "files", include_str!("../../migrations/0003_files.sql")),
    ]);
    let mut attempts = migrator.iter().count() + 1;
    loop {
        match migrator.run(writer).await {
            Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) if attempts > 1 => {
                attempts -= 1;
            }
            outcome => return outcome,
        }
    }
}

/// Times and durations on disk.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn from_micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests;
