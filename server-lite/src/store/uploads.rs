//! Uploaded files: how one arrives, replaces another of its name, and is deleted.
//!
//! A row without a result is a file that is still arriving, or one to be deleted. [`Store::sweep`] deletes those that
//! nobody is writing, so that every interruption, even a crash, ends in the same state.

use std::io;
use std::path::PathBuf;

use pony_wire::ErrorMessage;
use sqlx::{Sqlite, Transaction, query, query_as, query_scalar};
use tokio::runtime::Handle;

use super::database::Store;
use super::error::StoreError;
use super::folder::{NewFile, size_on_disk};
use super::rows::{FileInfo, FileRow};
use crate::blocking::blocking;
use crate::clock::Time;

/// The most files of one result.
pub(crate) const FILES_PER_RESULT: u16 = 10_000;

/// A file that is arriving. Dropped before it is added to its result, it is deleted.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    store: Store,
    id: i64,
    result: i64,
    file: NewFile,
}

impl IncomingFile {
    /// Writes the next part.
    pub(crate) async fn write(mut self, bytes: impl AsRef<[u8]> + Send + 'static) -> io::Result<Self> {
        blocking(move || {
            self.file.write(bytes.as_ref())?;
            Ok(self)
        })
        .await
    }

    /// Bytes written.
    pub(crate) fn size(&self) -> u64 {
        self.file.size()
    }
}

impl Drop for IncomingFile {
    fn drop(&mut self) {
        // The sweep skips locked files. It is needed after success too: for the file that this one replaced.
        self.file.unlock();
        if let Ok(runtime) = Handle::try_current() {
            let store = self.store.clone();
            runtime.spawn(async move { store.sweep().await });
        }
    }
}

/// Whether a file may be uploaded.
#[derive(Debug)]
pub(crate) enum Admission {
    Granted(IncomingFile),
    /// No result has this key.
    UnknownKey,
    /// The result has [`FILES_PER_RESULT`] files.
    TooMany,
}

impl Store {
    /// Begins a file of the result whose upload key has the hash `auth`.
    pub(crate) async fn begin_file(
        &self,
        auth: &[u8; 32],
        info: &FileInfo,
        now: Time,
    ) -> Result<Admission, StoreError> {
        let found: Option<(i64, i64)> = query_as(
            "SELECT r.id, (SELECT COUNT(*) FROM files f WHERE f.result = r.id AND f.name <> $2) \
             FROM results r WHERE r.auth = $1",
        )
        .bind(&auth[..])
        .bind(&info.name)
        .fetch_optional(&self.reader)
        .await?;
        let Some((result, others)) = found else { return Ok(Admission::UnknownKey) };
        if others >= i64::from(FILES_PER_RESULT) {
            return Ok(Admission::TooMany);
        }
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let id: i64 = query_scalar(
            "INSERT INTO files (result, name, description, visible, size, received) \
             VALUES (NULL, $1, $2, $3, 0, $4) RETURNING id",
        )
        .bind(&info.name)
        .bind(&info.description)
        .bind(i64::from(info.visible))
        .bind(now.0)
        .fetch_one(&mut *tx)
        .await?;
        // Before the commit: a visible row whose file is not locked would be swept.
        let folder = self.folder.clone();
        let file = blocking(move || folder.create(id)).await?;
        tx.commit().await?;
        Ok(Admission::Granted(IncomingFile { store: self.clone(), id, result, file }))
    }

    /// Adds a complete file to its result, in place of one of the same name. Then, while all files take more than `limit`
    /// bytes, files of the oldest results are deleted, but never this one.
    pub(crate) async fn finish_file(
        &self,
        incoming: IncomingFile,
        limit: u64,
        now: Time,
    ) -> Result<(), StoreError> {
        let (id, result, size) = (incoming.id, incoming.result, incoming.size());
        let folder = self.folder.clone();
        // Keeps it locked until its row belongs to the result.
        let _incoming = blocking(move || {
            incoming.file.sync()?;
            folder.sync()?;
            Ok::<_, io::Error>(incoming)
        })
        .await?;
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let replaced: Option<i64> = query_scalar(
            "UPDATE files SET result = NULL WHERE result = $1 AND name = (SELECT name FROM files WHERE id = $2) \
             RETURNING size",
        )
        .bind(result)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        query("UPDATE files SET result = $1, size = $2, received = $3 WHERE id = $4")
            .bind(result)
            .bind(stored_size(size))
            .bind(now.0)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        let mut total =
            add_to_total(&mut tx, counted(stored_size(size)) - replaced.map_or(0, counted)).await?;
        while total > stored_size(limit) {
            let dropped: Option<(i64, i64)> = query_as(
                "UPDATE files SET result = NULL WHERE id = (SELECT id FROM files \
                 WHERE result IS NOT NULL AND id <> $1 ORDER BY result, name LIMIT 1) RETURNING id, size",
            )
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
            let Some((dropped, size)) = dropped else { break };
            tracing::info!(dropped, size, "deleted a file of an old result for space");
            total = add_to_total(&mut tx, -counted(size)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The files of a result by name, at most `limit`.
    pub(crate) async fn files(
        &self,
        result: i64,
        visible_only: bool,
        limit: u16,
    ) -> Result<Vec<FileRow>, StoreError> {
        Ok(query_as(
            "SELECT id, name, description, visible, size, received FROM files \
             WHERE result = $1 AND visible >= $2 ORDER BY name LIMIT $3",
        )
        .bind(result)
        .bind(i64::from(visible_only))
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?)
    }

    /// A file of a result of a package.
    pub(crate) async fn file(
        &self,
        package: &str,
        result: i64,
        name: &str,
    ) -> Result<Option<FileRow>, StoreError> {
        Ok(query_as(
            "SELECT f.id, f.name, f.description, f.visible, f.size, f.received FROM files f \
             JOIN results r ON r.id = f.result JOIN packages p ON p.id = r.package \
             WHERE f.result = $1 AND f.name = $2 AND p.name = $3",
        )
        .bind(result)
        .bind(name)
        .bind(package)
        .fetch_optional(&self.reader)
        .await?)
    }

    /// Where the bytes of a file are.
    pub(crate) fn path(&self, file: &FileRow) -> PathBuf {
        self.folder.file(file.id)
    }

    /// Deletes files that belong to no result and that nobody is writing. What fails is left to a later sweep.
    pub(crate) async fn sweep(&self) {
        match self.sweep_files().await {
            // The server is closing; it sweeps when it opens.
            Ok(()) | Err(StoreError::Database(sqlx::Error::PoolClosed)) => {}
            Err(error) => {
                tracing::warn!(error = %ErrorMessage::of(&error), "cannot delete left-over files now");
            }
        }
    }

    async fn sweep_files(&self) -> Result<(), StoreError> {
        const ORPHANS: &str = "SELECT id FROM files WHERE result IS NULL";
        let any: Option<i64> = query_scalar(ORPHANS).fetch_optional(&self.reader).await?;
        if any.is_none() {
            return Ok(());
        }
        // Keeps others from adding one of them to a result meanwhile.
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let ids: Vec<i64> = query_scalar(ORPHANS).fetch_all(&mut *tx).await?;
        let folder = self.folder.clone();
        let deleted: Vec<i64> = blocking(move || {
            let delete = |id: &i64| {
                folder.delete_unless_locked(*id).unwrap_or_else(|error| {
                    tracing::warn!(%error, id, "cannot delete a left-over file now");
                    false
                })
            };
            ids.into_iter().filter(delete).collect()
        })
        .await;
        for id in deleted {
            query("DELETE FROM files WHERE id = $1").bind(id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Adds to the space that all files of results take, and returns the sum.
async fn add_to_total(tx: &mut Transaction<'_, Sqlite>, change: i64) -> Result<i64, sqlx::Error> {
    query_scalar("UPDATE stored SET files = files + $1 RETURNING files")
        .bind(change)
        .fetch_one(&mut **tx)
        .await
}

/// A number of bytes as a column holds it.
fn stored_size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The space that a file of this size counts for.
fn counted(size: i64) -> i64 {
    stored_size(size_on_disk(u64::try_from(size).unwrap_or(0)))
}
