//! The results file: opening it, bringing its tables up to date, closing it.
#![expect(clippy::disallowed_methods, reason = "the folder of the results file is made here")]

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Executor, SqlSafeStr};

use super::error::OpenError;
use super::folder::FilesFolder;
use crate::memory::MemoryBudget;

/// How long one process waits for another that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// Each reader holds a page cache of about 2 MB.
const READERS: u32 = 4;
/// Bytes of stored bags that are in memory at once.
const BAG_MEMORY: usize = 64 * 1024 * 1024;

/// How much of the file the writing connection caches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageCache {
    /// 16 MiB, for a server: in a large file, the pages that inserts touch stay in memory.
    Large,
    /// `SQLite`'s default of 2 MB, for a process that stores a few results.
    Small,
}

impl PageCache {
    /// The value of the pragma `cache_size`; a negative one counts KiB instead of pages.
    fn pragma(self) -> &'static str {
        match self {
            Self::Large => "-16384",
            Self::Small => "-2000",
        }
    }
}

/// An open results file.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(super) writer: SqlitePool,
    pub(super) reader: SqlitePool,
    pub(super) folder: FilesFolder,
    pub(super) bag_memory: MemoryBudget,
}

impl Store {
    /// Opens the file, creating it, its folder and its tables where they are missing.
    pub(crate) async fn open(path: &Path, cache: PageCache) -> Result<Self, OpenError> {
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
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let writer =
            pool(1).connect_with(options.clone().pragma("cache_size", cache.pragma())).await.map_err(file)?;
        migrate(&writer).await.map_err(|source| OpenError::Tables { path: path.to_owned(), source })?;
        let reader = pool(READERS).connect_with(options.pragma("query_only", "1")).await.map_err(file)?;
        let folder = FilesFolder::for_results(path)
            .map_err(|source| OpenError::Folder { path: path.with_added_extension("files"), source })?;
        let store = Self { writer, reader, folder, bag_memory: MemoryBudget::new(BAG_MEMORY) };
        store.sweep().await;
        Ok(store)
    }

    /// Moves everything into the main file and closes it. Statements in progress finish first.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        // Fails where another process has the file open. Acknowledged results are safe in the log, too.
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

/// Two processes may migrate the same file at once. The slower one fails because the tables exist, and finds the migration
/// done when it tries again. This can happen with each migration, hence the number of attempts.
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
