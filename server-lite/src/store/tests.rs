//! What needs a file but no server: opening it, its settings, and time as it passes.

use std::time::Duration;

use sqlx::{Executor, query, query_scalar};

use super::write::Added;
use super::*;
use crate::decision::Decision;

const T0: Time = Time(1_800_000_000_000_000);

fn after(seconds: i64) -> Time {
    Time(T0.0 + seconds * 1_000_000)
}

fn slot() -> SlotName {
    let [package, host, arch] = ["p", "h", "a"].map(str::to_owned);
    SlotName::new(&pony_wire::Slot { package, host, arch, tags: vec!["t".to_owned()] }).unwrap()
}

fn result(success: bool, run_id: Option<&str>, auth: u8) -> NewResult {
    NewResult {
        slot: slot(),
        received: T0,
        success: Some(success),
        outcome: None,
        chain: None,
        failed_step: None,
        duration: Some(Duration::from_secs(5)),
        client_ip: "::1".to_owned(),
        run_id: run_id.map(str::to_owned),
        auth: [auth; 32],
        client_info: "{}".to_owned(),
        results: "[]".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_can_be_opened_by_many_at_once() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/results.db");
        let opening: Vec<_> = (0..6)
            .map(|_| {
                let path = path.clone();
                tokio::spawn(async move { Store::open(&path, Cache::Large).await })
            })
            .collect();
        for store in opening {
            store.await.unwrap().unwrap().close().await;
        }
    }
}

#[tokio::test]
async fn commits_are_on_disk_and_readers_only_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("r.db"), Cache::Large).await.unwrap();
    let mode: String = query_scalar("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
    let synchronous: i64 = query_scalar("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    store.reader.execute("DELETE FROM results").await.unwrap_err();
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let store = Store::open(&path, Cache::Large).await.unwrap();
    query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', 1, x'00', 0)")
        .execute(&store.writer)
        .await
        .unwrap();
    store.close().await;
    let error = Store::open(&path, Cache::Large).await.unwrap_err();
    assert!(
        matches!(error, OpenError::Tables { .. }) && error.to_string().contains("newer pony-serve"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_an_older_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let store = Store::open(&path, Cache::Large).await.unwrap();
    store.add(&result(true, None, 1)).await.unwrap();
    let older = "DROP INDEX results_chain; ALTER TABLE results DROP COLUMN chain; \
        ALTER TABLE results DROP COLUMN outcome; DELETE FROM _sqlx_migrations WHERE version = 2";
    store.writer.execute(older).await.unwrap();
    store.close().await;

    let store = Store::open(&path, Cache::Large).await.unwrap();
    let skipped = Some("skipped");
    store
        .add(&NewResult { outcome: skipped, chain: Some("c".to_owned()), ..result(false, None, 2) })
        .await
        .unwrap();
    let rows = store.history("p", None, i64::MAX, 9).await.unwrap().rows;
    let words: Vec<&str> = rows.iter().map(|row| row.status.word()).collect();
    assert_eq!(words, ["skipped", "passed"]);
    assert_eq!(store.chain("c", 0, 9).await.unwrap().rows[0].result, rows[0]);
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "EXPLAIN QUERY PLAN SELECT id FROM results r WHERE r.chain = 'c' AND r.id >= 0 ORDER BY r.id",
    )
    .fetch_all(&store.reader)
    .await
    .unwrap();
    assert!(plan.len() == 1 && plan[0].3.contains("results_chain"), "{plan:?}");
}

#[tokio::test]
async fn the_decision_follows_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("r.db"), Cache::Large).await.unwrap();
    let ask = async |now, reserve, allowance: Option<u64>| {
        store.should_build(&slot(), reserve, allowance.map(Duration::from_secs), now).await.unwrap()
    };
    assert_eq!(ask(T0, false, None).await, Decision::NeverBuilt);
    let key = store.add(&result(false, None, 0)).await.unwrap().key();
    assert_eq!(ask(after(1), true, None).await, Decision::Failed);
    // No allowance: as long as the last build took.
    assert_eq!(ask(after(5), true, None).await, Decision::InBuild);
    assert_eq!(ask(after(6), true, Some(100)).await, Decision::Failed);
    assert_eq!(ask(after(105), false, None).await, Decision::InBuild);
    assert!(store.request_build("p", key).await.unwrap());
    assert_eq!(ask(after(105), true, Some(10)).await, Decision::Requested);
    assert_eq!(ask(after(114), true, None).await, Decision::InBuild);
    store.add(&result(true, None, 0)).await.unwrap();
    assert_eq!(ask(after(115), true, None).await, Decision::UpToDate);
    let day = Duration::from_hours(24);
    assert_eq!(ask(after(86_400), true, None).await, Decision::Stale { age: day });
}

#[tokio::test]
async fn a_repeated_run_gets_its_key_and_a_fresh_authority() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("r.db"), Cache::Large).await.unwrap();
    let auth = async |key: i64| -> Vec<u8> {
        query_scalar("SELECT auth FROM results WHERE id = $1")
            .bind(key)
            .fetch_one(&store.reader)
            .await
            .unwrap()
    };
    let key = store.add(&result(true, Some("run"), 1)).await.unwrap();
    assert_eq!(key, Added::New(1));
    assert_eq!(auth(1).await, [1; 32]);
    assert_eq!(store.add(&result(true, Some("run"), 2)).await.unwrap(), Added::Repeated(1));
    assert_eq!(auth(1).await, [2; 32]);
    assert!(!store.request_build("other", 1).await.unwrap());
}
