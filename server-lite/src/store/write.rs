//! Changes of the results file. Each function is one transaction, on disk when it returns.

use std::time::Duration;

use sqlx::{Sqlite, Transaction, query, query_as, query_scalar};

use super::database::Store;
use super::error::StoreError;
use super::rows::{SlotKey, from_micros, micros};
use crate::clock::Time;
use crate::decision::{BuildDecision, LastBuild, Reservation, SlotState, should_build};

/// A checked result, ready to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewResult {
    pub(crate) slot: SlotKey,
    pub(crate) received: Time,
    pub(crate) success: Option<bool>,
    /// `skipped` or `cancelled`, for a build that neither passed nor failed.
    pub(crate) outcome: Option<&'static str>,
    /// The client's name for the builds that this one was made with.
    pub(crate) chain: Option<String>,
    pub(crate) failed_step: Option<String>,
    pub(crate) duration: Option<Duration>,
    pub(crate) client_ip: String,
    /// The client's own name for this run: the same name again means the same result, sent again.
    pub(crate) run_id: Option<String>,
    /// SHA-256 of the key that may add to this result.
    pub(crate) upload_key_hash: [u8; 32],
    /// The bags, as [`pony_wire::encode_value`] writes them.
    pub(crate) client_info: String,
    pub(crate) results: String,
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    New(i64),
    /// The run was stored before, under this key. Nothing has changed.
    Repeated(i64),
    /// Nothing was stored: another result has the same upload key.
    UploadKeyInUse,
}

impl Store {
    /// Stores a result, once for each run id of a package.
    ///
    /// A repeated run keeps its first upload key: run ids are public, so that anyone could send one again.
    pub(crate) async fn add(&self, new: &NewResult) -> Result<Added, StoreError> {
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let (package, slot) = ensure_slot(&mut tx, &new.slot).await?;
        let inserted: Option<i64> = query_scalar(
            "INSERT INTO results (package, slot, received, success, failed_step, duration, client_ip, run_id, auth, \
             client_info, results, outcome, chain) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(package)
        .bind(slot)
        .bind(new.received.0)
        .bind(new.success.map(i64::from))
        .bind(new.failed_step.as_deref())
        .bind(new.duration.map(micros))
        .bind(&new.client_ip)
        .bind(new.run_id.as_deref())
        .bind(&new.upload_key_hash[..])
        .bind(&new.client_info)
        .bind(&new.results)
        .bind(new.outcome)
        .bind(new.chain.as_deref())
        .fetch_optional(&mut *tx)
        .await?;
        let added = if let Some(key) = inserted {
            query("UPDATE slots SET latest = $1 WHERE id = $2")
                .bind(key)
                .bind(slot)
                .execute(&mut *tx)
                .await?;
            Added::New(key)
        } else {
            query_scalar("SELECT id FROM results WHERE package = $1 AND run_id = $2")
                .bind(package)
                .bind(new.run_id.as_deref())
                .fetch_optional(&mut *tx)
                .await?
                .map_or(Added::UploadKeyInUse, Added::Repeated)
        };
        if added == Added::UploadKeyInUse {
            return Ok(added);
        }
        tx.commit().await?;
        Ok(added)
    }

    /// Decides whether to build a slot. A yes consumes a requested build, and reserves the slot if `reserve` is set.
    pub(crate) async fn should_build(
        &self,
        slot: &SlotKey,
        reserve: bool,
        allowance: Option<Duration>,
        now: Time,
    ) -> Result<BuildDecision, StoreError> {
        type Row = (i64, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let row: Option<Row> = query_as(
            "SELECT s.id, s.requested, s.reserved_at, s.reserved_for, r.received, r.success, r.duration \
             FROM slots s JOIN packages p ON p.id = s.package LEFT JOIN results r ON r.id = s.latest \
             WHERE p.name = $1 AND s.tagset = $2",
        )
        .bind(&slot.package)
        .bind(&slot.tagset)
        .fetch_optional(&mut *tx)
        .await?;
        let (id, state) = match row {
            None => (None, SlotState::default()),
            Some((id, requested, reserved_at, reserved_for, received, success, duration)) => {
                let reservation = reserved_at
                    .map(|at| Reservation { at: Time(at), allowance: reserved_for.map(from_micros) });
                let last = received.map(|received| LastBuild {
                    received: Time(received),
                    success: success == Some(1),
                    duration: duration.map(from_micros),
                });
                (Some(id), SlotState { requested: requested != 0, reservation, last })
            }
        };
        let decision = should_build(&state, now);
        if decision == BuildDecision::Requested {
            query("UPDATE slots SET requested = 0 WHERE id = $1").bind(id).execute(&mut *tx).await?;
        }
        if decision.build() && reserve {
            let id = match id {
                Some(id) => id,
                None => ensure_slot(&mut tx, slot).await?.1,
            };
            query("UPDATE slots SET reserved_at = $1, reserved_for = $2 WHERE id = $3")
                .bind(now.0)
                .bind(allowance.map(micros))
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(decision)
    }

    /// Requests a build of the slot that a result belongs to; false if the package has no such result.
    pub(crate) async fn request_build(&self, package: &str, key: i64) -> Result<bool, StoreError> {
        let done = query(
            "UPDATE slots SET requested = 1 WHERE id = (SELECT r.slot FROM results r \
             JOIN packages p ON p.id = r.package WHERE r.id = $1 AND p.name = $2)",
        )
        .bind(key)
        .bind(package)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}

/// The ids of a package and its slot, inserted where they are missing.
async fn ensure_slot(tx: &mut Transaction<'_, Sqlite>, slot: &SlotKey) -> Result<(i64, i64), sqlx::Error> {
    let known: Option<(i64, i64)> = query_as(
        "SELECT s.package, s.id FROM slots s JOIN packages p ON p.id = s.package WHERE p.name = $1 AND s.tagset = $2",
    )
    .bind(&slot.package)
    .bind(&slot.tagset)
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(ids) = known {
        return Ok(ids);
    }
    let package = query_scalar(
        "INSERT INTO packages (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id",
    )
    .bind(&slot.package)
    .fetch_one(&mut **tx)
    .await?;
    let id = query_scalar(
        "INSERT INTO slots (package, tagset, host, arch, tags) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (package, tagset) DO UPDATE SET tagset = excluded.tagset RETURNING id",
    )
    .bind(package)
    .bind(&slot.tagset)
    .bind(&slot.host)
    .bind(&slot.arch)
    .bind(&slot.tags)
    .fetch_one(&mut **tx)
    .await?;
    Ok((package, id))
}
