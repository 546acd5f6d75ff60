//! Queries of the results file. Every list is read page by page, at a cost that does not grow with what is stored.

use pony_wire::Tagset;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, query, query_as, query_scalar};

use super::database::Store;
use super::error::StoreError;
use super::rows::{ChainRow, PackageRow, Page, ResultRow, SlotRow, Summary, tagset_json};

impl Store {
    /// Packages that have results, by name, beginning with `from` (empty: with the first).
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

    /// The slots of a package, the one built last first, beginning with the one whose newest result is `from`.
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

    /// All results of a package (or of one slot of it), newest first, beginning with the key `from`.
    pub(crate) async fn history(
        &self,
        package: &str,
        slot: Option<i64>,
        from: i64,
        limit: u16,
    ) -> Result<Page<Summary>, StoreError> {
        // Two statements, so that each uses its own index.
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

    /// The results of a chain of builds in the order of arrival, beginning with the key `from`.
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

    /// A result by its key. Waits until the memory for its bags is free.
    pub(crate) async fn result(&self, key: i64) -> Result<Option<ResultRow>, StoreError> {
        let size: Option<i64> = query_scalar(
            "SELECT octet_length(client_info) + octet_length(results) FROM results WHERE id = $1",
        )
        .bind(key)
        .fetch_optional(&self.reader)
        .await?;
        let Some(size) = size else { return Ok(None) };
        let memory = self.bag_memory.acquire(usize::try_from(size).unwrap_or(usize::MAX)).await;
        let row: Option<SqliteRow> = query(
            "SELECT p.name, r.id, r.slot, r.received, r.success, r.outcome, r.failed_step, r.duration, r.chain, \
             r.client_ip, r.client_info, r.results, s.host, s.arch, s.tags, s.requested \
             FROM results r JOIN slots s ON s.id = r.slot JOIN packages p ON p.id = r.package WHERE r.id = $1",
        )
        .bind(key)
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(ResultRow {
            package: row.try_get("name")?,
            summary: Summary::from_row(&row)?,
            requested: row.try_get::<i64, _>("requested")? != 0,
            chain: row.try_get("chain")?,
            client_ip: row.try_get("client_ip")?,
            client_info: row.try_get("client_info")?,
            results: row.try_get("results")?,
            memory,
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
        .bind(tagset_json(tagset)?)
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
