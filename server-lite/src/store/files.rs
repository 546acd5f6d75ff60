//! Files of results: how one comes, takes the place of another, and goes.
//!
//! A row that belongs to no result is a file on its way in, or on its way out. [`Store::sweep`] takes away what nobody
//! holds of them, so that whatever comes in between, a crash too, ends in the same place.

use std::io;

use axum::body::Bytes;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, Sqlite, Transaction, query, query_as, query_scalar};
use tokio::runtime::Handle;

use super::{Store, StoreError, Time};
use crate::files::{NewFile, taken};
use crate::offload::blocking;

/// Files that a result may have.
pub(crate) const FILES: u16 = 10_000;

/// What is known of a file before it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileInfo {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Whether the result's page lists it.
    pub(crate) visible: bool,
}

/// A file of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) id: i64,
    pub(crate) about: FileInfo,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) received: Time,
}

impl<'r> FromRow<'r, SqliteRow> for FileRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            about: FileInfo {
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                visible: row.try_get::<i64, _>("visible")? != 0,
            },
            size: row.try_get::<i64, _>("size")?.try_into().unwrap_or(0),
            received: Time(row.try_get("received")?),
        })
    }
}

/// A file on its way in. Dropped before it is kept, it goes away.
#[derive(Debug)]
pub(crate) struct Incoming {
    store: Store,
    id: i64,
    result: i64,
    file: NewFile,
}

impl Incoming {
    /// Writes the next part of it.
    pub(crate) async fn write(mut self, bytes: Bytes) -> io::Result<Self> {
        blocking(move || {
            self.file.write(&bytes)?;
            Ok(self)
        })
        .await
    }

    /// Bytes written.
    pub(crate) fn size(&self) -> u64 {
        self.file.size()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // First let go of, for what is held is not swept. And swept in any case: what it took the place of goes too.
        self.file.let_go();
        if let Ok(runtime) = Handle::try_current() {
            let store = self.store.clone();
            runtime.spawn(async move { store.sweep().await });
        }
    }
}

/// Whether a file may come.
#[derive(Debug)]
pub(crate) enum Admitted {
    Yes(Incoming),
    /// No result has this key.
    UnknownKey,
    /// The result has [`FILES`] files.
    TooMany,
}

impl Store {
    /// Begins a file of the result whose key has the hash `auth`.
    pub(crate) async fn begin_file(
        &self,
        auth: &[u8; 32],
        about: &FileInfo,
        now: Time,
    ) -> Result<Admitted, StoreError> {
        let found: Option<(i64, i64)> = query_as(
            "SELECT r.id, (SELECT COUNT(*) FROM files f WHERE f.result = r.id AND f.name <> $2) \
             FROM results r WHERE r.auth = $1",
        )
        .bind(&auth[..])
        .bind(&about.name)
        .fetch_optional(&self.reader)
        .await?;
        let Some((result, others)) = found else { return Ok(Admitted::UnknownKey) };
        if others >= i64::from(FILES) {
            return Ok(Admitted::TooMany);
        }
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let id: i64 = query_scalar(
            "INSERT INTO files (result, name, description, visible, size, received) \
             VALUES (NULL, $1, $2, $3, 0, $4) RETURNING id",
        )
        .bind(&about.name)
        .bind(&about.description)
        .bind(i64::from(about.visible))
        .bind(now.0)
        .fetch_one(&mut *tx)
        .await?;
        // Before the row can be seen, so that a row whose file nobody holds is always one to sweep.
        let folder = self.folder.clone();
        let file = blocking(move || folder.create(id)).await?;
        tx.commit().await?;
        Ok(Admitted::Yes(Incoming { store: self.clone(), id, result, file }))
    }

    /// Makes a whole file part of its result, in the place of one of the same name. Then, while all files take up more than
    /// `limit` bytes, files of the oldest results go, but never this one.
    pub(crate) async fn keep_file(
        &self,
        incoming: Incoming,
        limit: u64,
        now: Time,
    ) -> Result<(), StoreError> {
        let (id, result, size) = (incoming.id, incoming.result, incoming.size());
        let folder = self.folder.clone();
        // Held until its row is of the result.
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
            .bind(on_disk(size))
            .bind(now.0)
            .bind(id)
            .execute(&mut *tx)
            .await?;
        let mut all = count(&mut tx, counted(on_disk(size)) - replaced.map_or(0, counted)).await?;
        while all > on_disk(limit) {
            let dropped: Option<(i64, i64)> = query_as(
                "UPDATE files SET result = NULL WHERE id = (SELECT id FROM files \
                 WHERE result IS NOT NULL AND id <> $1 ORDER BY result, name LIMIT 1) RETURNING id, size",
            )
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
            let Some((dropped, size)) = dropped else { break };
            tracing::info!(dropped, size, "a file of an old result makes room");
            all = count(&mut tx, -counted(size)).await?;
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

    /// Takes away what belongs to no result and is held by nobody. What it cannot take away now, a later sweep will.
    pub(crate) async fn sweep(&self) {
        match self.sweep_files().await {
            // The server is closing; it sweeps when it opens.
            Ok(()) | Err(StoreError::Database(sqlx::Error::PoolClosed)) => {}
            Err(error) => tracing::warn!(error = crate::http::chain(&error), "left-over files stay for now"),
        }
    }

    async fn sweep_files(&self) -> Result<(), StoreError> {
        const OF_NONE: &str = "SELECT id FROM files WHERE result IS NULL";
        let some: Option<i64> = query_scalar(OF_NONE).fetch_optional(&self.reader).await?;
        if some.is_none() {
            return Ok(());
        }
        // Nobody makes one part of a result meanwhile.
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let ids: Vec<i64> = query_scalar(OF_NONE).fetch_all(&mut *tx).await?;
        let folder = self.folder.clone();
        let gone: Vec<i64> = blocking(move || {
            let is_gone = |id: &i64| {
                folder.remove_unless_held(*id).unwrap_or_else(|error| {
                    tracing::warn!(%error, id, "a left-over file stays for now");
                    false
                })
            };
            ids.into_iter().filter(is_gone).collect()
        })
        .await;
        for id in gone {
            query("DELETE FROM files WHERE id = $1").bind(id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Counts bytes that came (or went); what all files of results take up then.
async fn count(tx: &mut Transaction<'_, Sqlite>, change: i64) -> Result<i64, sqlx::Error> {
    query_scalar("UPDATE stored SET files = files + $1 RETURNING files")
        .bind(change)
        .fetch_one(&mut **tx)
        .await
}

fn on_disk(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What a file of a stored size counts for.
fn counted(size: i64) -> i64 {
    on_disk(taken(u64::try_from(size).unwrap_or(0)))
}
