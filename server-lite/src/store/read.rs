//! What is asked of the results file. Every list is a page: it costs the same however much is stored.

use std::time::Duration;

use pony_wire::{Receipt, StoredResult, Struct, Tagset, Value, decode_value};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, query, query_as, query_scalar};

use super::{Store, StoreError, Time, from_micros, tagset_text};
use crate::memory::Held;
use crate::status::Status;

/// One page of a list, and where the next one begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page<T, C = i64> {
    pub(crate) rows: Vec<T>,
    /// The first entry of the next page, if there is one.
    pub(crate) next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// From up to `limit` + 1 rows; the surplus one only says where the next page begins.
    fn cut(mut rows: Vec<T>, limit: u16, cursor: impl Fn(&T) -> C) -> Self {
        let next = rows.get(usize::from(limit)).map(cursor);
        rows.truncate(usize::from(limit));
        Self { rows, next }
    }
}

/// A package and how its slots do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageRow {
    pub(crate) name: String,
    pub(crate) slots: i64,
    /// Slots whose newest result is a failure.
    pub(crate) failing: i64,
    /// Slots whose newest result says neither.
    pub(crate) unknown: i64,
    /// Key and time of the newest result.
    pub(crate) latest: i64,
    pub(crate) received: i64,
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

/// A result of a chain, and the package that it is of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChainRow {
    pub(crate) package: String,
    pub(crate) result: Summary,
}

/// A slot: its newest result, and whether a build of it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SlotRow {
    pub(crate) latest: Summary,
    pub(crate) requested: bool,
}

/// A result with its bags.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) package: String,
    pub(crate) summary: Summary,
    pub(crate) requested: bool,
    client_ip: String,
    client_info: String,
    results: String,
    /// The memory for it, and for what is made of it.
    pub(crate) held: Held,
}

impl Stored {
    /// The bags as clients know them. Takes time in proportion to the output in it.
    pub(crate) fn result(&self) -> Result<StoredResult, StoreError> {
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
            received: row.try_get("received")?,
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

impl Store {
    /// Packages that have results, by name, from `from` on (empty: from the first).
    pub(crate) async fn packages(
        &self,
        from: &str,
        limit: u16,
    ) -> Result<Page<PackageRow, String>, StoreError> {
        let rows = query_as(
            "SELECT p.name, COUNT(*) AS slots, COUNT(CASE WHEN r.success = 0 AND r.outcome IS NULL THEN 1 END) AS failing, \
             COUNT(CASE WHEN r.success IS NULL OR r.outcome IS NOT NULL THEN 1 END) AS unknown, MAX(r.id) AS latest, \
             MAX(r.received) AS received \
             FROM packages p JOIN slots s ON s.package = p.id JOIN results r ON r.id = s.latest \
             WHERE p.name >= $1 GROUP BY p.name ORDER BY p.name LIMIT $2",
        )
        .bind(from)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        Ok(Page::cut(rows, limit, |row: &PackageRow| row.name.clone()))
    }

    /// The slots of a package, the one built last first, from the one whose newest result is `from` on.
    pub(crate) async fn slots(
        &self,
        package: &str,
        from: i64,
        limit: u16,
    ) -> Result<Page<SlotRow>, StoreError> {
        let rows = query_as(
            "SELECT r.id, r.slot, r.received, r.success, r.outcome, r.failed_step, r.duration, s.host, s.arch, s.tags, s.requested \
             FROM packages p JOIN slots s ON s.package = p.id JOIN results r ON r.id = s.latest \
             WHERE p.name = $1 AND s.latest <= $2 ORDER BY s.latest DESC LIMIT $3",
        )
        .bind(package)
        .bind(from)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        Ok(Page::cut(rows, limit, |row: &SlotRow| row.latest.key))
    }

    /// All results of a package (or of one slot of it), newest first, from the key `from` on.
    pub(crate) async fn history(
        &self,
        package: &str,
        slot: Option<i64>,
        from: i64,
        limit: u16,
    ) -> Result<Page<Summary>, StoreError> {
        // Two statements, so that each walks its own index.
        let sql = match slot {
            Some(_) => {
                "SELECT r.id, r.slot, r.received, r.success, r.outcome, r.failed_step, r.duration, s.host, s.arch, s.tags \
                 FROM results r JOIN slots s ON s.id = r.slot JOIN packages p ON p.id = s.package \
                 WHERE p.name = $1 AND r.slot = $4 AND r.id <= $2 ORDER BY r.id DESC LIMIT $3"
            }
            None => {
                "SELECT r.id, r.slot, r.received, r.success, r.outcome, r.failed_step, r.duration, s.host, s.arch, s.tags \
                 FROM results r JOIN slots s ON s.id = r.slot \
                 WHERE r.package = (SELECT id FROM packages WHERE name = $1) AND r.id <= $2 \
                 ORDER BY r.id DESC LIMIT $3"
            }
        };
        let mut select = query_as(sql).bind(package).bind(from).bind(i64::from(limit) + 1);
        if let Some(slot) = slot {
            select = select.bind(slot);
        }
        let rows = select.fetch_all(&self.reader).await?;
        Ok(Page::cut(rows, limit, |row: &Summary| row.key))
    }

    /// The results of a chain of builds in the order in which they came, from the key `from` on.
    pub(crate) async fn chain(
        &self,
        chain: &str,
        from: i64,
        limit: u16,
    ) -> Result<Page<ChainRow>, StoreError> {
        let rows = query_as(
            "SELECT p.name, r.id, r.slot, r.received, r.success, r.outcome, r.failed_step, r.duration, s.host, s.arch, \
             s.tags FROM results r JOIN slots s ON s.id = r.slot JOIN packages p ON p.id = r.package \
             WHERE r.chain = $1 AND r.id >= $2 ORDER BY r.id LIMIT $3",
        )
        .bind(chain)
        .bind(from)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.reader)
        .await?;
        Ok(Page::cut(rows, limit, |row: &ChainRow| row.result.key))
    }

    /// A result by its key, as `get_results` asks for it.
    pub(crate) async fn result(&self, key: i64) -> Result<Option<Stored>, StoreError> {
        // Its size first, which takes no memory.
        let size: Option<i64> = query_scalar(
            "SELECT octet_length(client_info) + octet_length(results) FROM results WHERE id = $1",
        )
        .bind(key)
        .fetch_optional(&self.reader)
        .await?;
        let Some(size) = size else { return Ok(None) };
        let held = self.bags.hold(usize::try_from(size).unwrap_or(usize::MAX)).await;
        let row: Option<SqliteRow> = query(
            "SELECT p.name, r.id, r.slot, r.received, r.success, r.outcome, r.failed_step, r.duration, r.client_ip, \
             r.client_info, r.results, s.host, s.arch, s.tags, s.requested \
             FROM results r JOIN slots s ON s.id = r.slot JOIN packages p ON p.id = r.package WHERE r.id = $1",
        )
        .bind(key)
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Stored {
            package: row.try_get("name")?,
            summary: Summary::from_row(&row)?,
            requested: row.try_get::<i64, _>("requested")? != 0,
            client_ip: row.try_get("client_ip")?,
            client_info: row.try_get("client_info")?,
            results: row.try_get("results")?,
            held,
        }))
    }

    /// The newest result of a package.
    pub(crate) async fn newest(&self, package: &str) -> Result<Option<i64>, StoreError> {
        Ok(query_scalar(
            "SELECT r.id FROM results r WHERE r.package = (SELECT id FROM packages WHERE name = $1) \
             ORDER BY r.id DESC LIMIT 1",
        )
        .bind(package)
        .fetch_optional(&self.reader)
        .await?)
    }

    /// The newest result of a slot.
    pub(crate) async fn newest_of_tagset(
        &self,
        package: &str,
        tagset: &Tagset,
    ) -> Result<Option<i64>, StoreError> {
        let latest: Option<Option<i64>> = query_scalar(
            "SELECT s.latest FROM slots s JOIN packages p ON p.id = s.package WHERE p.name = $1 AND s.tagset = $2",
        )
        .bind(package)
        .bind(tagset_text(tagset)?)
        .fetch_optional(&self.reader)
        .await?;
        Ok(latest.flatten())
    }

    /// The results before and after one in its slot.
    pub(crate) async fn neighbours(
        &self,
        result: &Summary,
    ) -> Result<(Option<i64>, Option<i64>), StoreError> {
        Ok(query_as(
            "SELECT (SELECT MAX(id) FROM results WHERE slot = $1 AND id < $2), \
             (SELECT MIN(id) FROM results WHERE slot = $1 AND id > $2)",
        )
        .bind(result.slot)
        .bind(result.key)
        .fetch_one(&self.reader)
        .await?)
    }

    /// The tagsets of all slots of a package that have results.
    pub(crate) async fn tagsets(&self, package: &str) -> Result<Vec<Tagset>, StoreError> {
        let texts: Vec<String> = query_scalar(
            "SELECT s.tagset FROM slots s JOIN packages p ON p.id = s.package \
             WHERE p.name = $1 AND s.latest IS NOT NULL ORDER BY s.id",
        )
        .bind(package)
        .fetch_all(&self.reader)
        .await?;
        Ok(texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?)
    }
}
