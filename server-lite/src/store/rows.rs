//! What is read from and written to the tables, as types.

use std::time::Duration;

use pony_wire::{Receipt, StoredResult, Struct, Tagset, Value, decode_value};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use super::error::StoreError;
use crate::clock::Time;
use crate::memory::MemoryPermit;
use crate::status::Status;

/// What identifies a slot on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotKey {
    pub(crate) package: String,
    /// The tagset as sorted JSON: equal sets are equal text.
    pub(crate) tagset: String,
    pub(crate) host: String,
    pub(crate) arch: String,
    /// JSON array, as the client ordered them.
    pub(crate) tags: String,
}

impl SlotKey {
    pub(crate) fn new(slot: &pony_wire::Slot) -> Result<Self, serde_json::Error> {
        Ok(Self {
            package: slot.package.clone(),
            tagset: tagset_json(&slot.tagset())?,
            host: slot.host.clone(),
            arch: slot.arch.clone(),
            tags: serde_json::to_string(&slot.tags)?,
        })
    }
}

pub(super) fn tagset_json(tagset: &Tagset) -> Result<String, serde_json::Error> {
    serde_json::to_string(tagset)
}

/// One page of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page<T, C = i64> {
    pub(crate) rows: Vec<T>,
    /// The first entry of the next page, if there is one.
    pub(crate) next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// From up to `limit` + 1 rows; the last one only tells where the next page begins.
    pub(super) fn cut(mut rows: Vec<T>, limit: u16, cursor: impl Fn(&T) -> C) -> Self {
        let next = rows.get(usize::from(limit)).map(cursor);
        rows.truncate(usize::from(limit));
        Self { rows, next }
    }
}

/// A package and the state of its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageRow {
    pub(crate) name: String,
    pub(crate) slots: i64,
    /// Slots whose newest result is a failure.
    pub(crate) failing: i64,
    /// Slots whose newest result neither passed nor failed.
    pub(crate) unknown: i64,
    /// Key of the newest result.
    pub(crate) latest: i64,
    /// When it was received.
    pub(crate) received: Time,
}

/// A result without its bags.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    pub(crate) key: i64,
    pub(crate) slot: i64,
    pub(crate) host: String,
    pub(crate) arch: String,
    pub(crate) tags: Vec<String>,
    pub(crate) received: Time,
    pub(crate) status: Status,
    pub(crate) failed_step: Option<String>,
    pub(crate) duration: Option<Duration>,
}

/// A result of a chain, with its package.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChainRow {
    pub(crate) package: String,
    pub(crate) result: Summary,
}

/// A slot: its newest result, and whether a build of it was requested.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SlotRow {
    pub(crate) latest: Summary,
    pub(crate) requested: bool,
}

/// A result with its bags.
#[derive(Debug)]
pub(crate) struct ResultRow {
    pub(crate) package: String,
    pub(crate) summary: Summary,
    pub(crate) requested: bool,
    /// The client's name for the builds that this one was made with.
    pub(crate) chain: Option<String>,
    pub(super) client_ip: String,
    pub(super) client_info: String,
    pub(super) results: String,
    /// For the bags, and for the page or answer made of them.
    pub(crate) memory: MemoryPermit,
}

impl ResultRow {
    /// Decodes the bags, in time proportional to their size.
    pub(crate) fn decode(&self) -> Result<StoredResult, StoreError> {
        let damaged = |source| StoreError::Damaged { key: self.summary.key, source };
        let receipt = Receipt {
            time: self.summary.received.as_seconds(),
            client_ip: self.client_ip.clone(),
            result_key: self.summary.key.to_string(),
            extra: Struct::new(),
        };
        let decode = |text| decode_value(text).map_err(damaged);
        let bags = vec![receipt.to_value(), decode(&self.client_info)?, decode(&self.results)?];
        StoredResult::from_value(Value::Array(bags))
            .map_err(|source| StoreError::Bag { key: self.summary.key, source })
    }

    /// Bytes of text in the bags.
    pub(crate) fn size(&self) -> usize {
        self.client_info.len() + self.results.len()
    }
}

impl<'r> FromRow<'r, SqliteRow> for PackageRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: row.try_get("name")?,
            slots: row.try_get("slots")?,
            failing: row.try_get("failing")?,
            unknown: row.try_get("unknown")?,
            latest: row.try_get("latest")?,
            received: Time(row.try_get("received")?),
        })
    }
}

impl<'r> FromRow<'r, SqliteRow> for Summary {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        let tags: String = row.try_get("tags")?;
        let success: Option<i64> = row.try_get("success")?;
        let outcome: Option<String> = row.try_get("outcome")?;
        Ok(Self {
            key: row.try_get("id")?,
            slot: row.try_get("slot")?,
            host: row.try_get("host")?,
            arch: row.try_get("arch")?,
            tags: serde_json::from_str(&tags).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            received: Time(row.try_get("received")?),
            status: Status::new(success.map(|success| success != 0), outcome.as_deref()),
            failed_step: row.try_get("failed_step")?,
            duration: row.try_get::<Option<i64>, _>("duration")?.map(from_micros),
        })
    }
}

impl<'r> FromRow<'r, SqliteRow> for ChainRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self { package: row.try_get("name")?, result: Summary::from_row(row)? })
    }
}

impl<'r> FromRow<'r, SqliteRow> for SlotRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self { latest: Summary::from_row(row)?, requested: row.try_get::<i64, _>("requested")? != 0 })
    }
}

/// A file as its client describes it.
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
    pub(crate) info: FileInfo,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) received: Time,
}

impl<'r> FromRow<'r, SqliteRow> for FileRow {
    fn from_row(row: &'r SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            info: FileInfo {
                name: row.try_get("name")?,
                description: row.try_get("description")?,
                visible: row.try_get::<i64, _>("visible")? != 0,
            },
            size: row.try_get::<i64, _>("size")?.try_into().unwrap_or(0),
            received: Time(row.try_get("received")?),
        })
    }
}

/// A duration on disk.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(super) fn from_micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
