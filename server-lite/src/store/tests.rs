//! The store without a server: opening a file, its settings, decisions over time, uploaded files.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::{Executor, query, query_scalar};

use std::path::Path;

use super::*;
use crate::clock::Time;
use crate::decision::BuildDecision;

const T0: Time = Time(1_800_000_000_000_000);

fn after(seconds: i64) -> Time {
    Time(T0.0 + seconds * 1_000_000)
}

fn slot() -> SlotKey {
    let [package, host, arch] = ["p", "h", "a"].map(str::to_owned);
    SlotKey::new(&pony_wire::Slot { package, host, arch, tags: vec!["t".to_owned()] }).unwrap()
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
        upload_key_hash: [auth; 32],
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
                tokio::spawn(async move { Store::open(&path, PageCache::Large).await })
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
    let store = Store::open(&folder.path().join("r.db"), PageCache::Large).await.unwrap();
    let mode: String = query_scalar("PRAGMA journal_mode").fetch_one(&store.writer).await.unwrap();
    let synchronous: i64 = query_scalar("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    store.reader.execute("DELETE FROM results").await.unwrap_err();
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let store = Store::open(&path, PageCache::Large).await.unwrap();
    query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', 1, x'00', 0)")
        .execute(&store.writer)
        .await
        .unwrap();
    store.close().await;
    let error = Store::open(&path, PageCache::Large).await.unwrap_err();
    assert!(matches!(error, OpenError::Tables { .. }), "{error}");
}

#[tokio::test]
async fn a_file_of_an_older_version_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let store = Store::open(&path, PageCache::Large).await.unwrap();
    store.add(&result(true, None, 1)).await.unwrap();
    let older = "DROP TABLE files; DROP TABLE stored; DROP INDEX results_auth; DROP INDEX results_chain; \
        ALTER TABLE results DROP COLUMN chain; ALTER TABLE results DROP COLUMN outcome; \
        DELETE FROM _sqlx_migrations WHERE version > 1";
    store.writer.execute(older).await.unwrap();
    store.close().await;

    let store = Store::open(&path, PageCache::Large).await.unwrap();
    let skipped = Some("skipped");
    store
        .add(&NewResult { outcome: skipped, chain: Some("c".to_owned()), ..result(false, None, 2) })
        .await
        .unwrap();
    let rows = store.history("p", None, i64::MAX, 9).await.unwrap().rows;
    let statuses: Vec<&str> = rows.iter().map(|row| row.status.name()).collect();
    assert_eq!(statuses, ["skipped", "passed"]);
    assert_eq!(store.chain("c", 0, 9).await.unwrap().rows[0].result, rows[0]);
    // Each of these uses its own index, so that its cost does not grow with what is stored.
    for (sql, index) in [
        (
            "EXPLAIN QUERY PLAN SELECT id FROM results r WHERE r.chain = 'c' AND r.id >= 0 ORDER BY r.id",
            "results_chain",
        ),
        ("EXPLAIN QUERY PLAN SELECT id FROM files WHERE result IS NULL", "sqlite_autoindex_files_1"),
        (
            "EXPLAIN QUERY PLAN SELECT id FROM files WHERE result IS NOT NULL AND id <> 7 ORDER BY result, name LIMIT 1",
            "sqlite_autoindex_files_1",
        ),
        ("EXPLAIN QUERY PLAN SELECT r.id FROM results r WHERE r.auth = x'00'", "results_auth"),
    ] {
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sql).fetch_all(&store.reader).await.unwrap();
        assert!(plan.len() == 1 && plan[0].3.contains(index), "{plan:?}");
    }
}

/// Files that exist have applied them: an edit, even of a comment, would make such a file unreadable.
#[test]
fn applied_migrations_do_not_change() {
    // The first half of each SHA-256.
    for (sql, digest) in [
        (include_str!("../../migrations/0001_results.sql"), 0xf29d_c32d_3b58_a71e_0500_351c_fc4c_2bfd_u128),
        (include_str!("../../migrations/0002_chains.sql"), 0x1e4a_3437_75c0_67aa_312c_bc76_e8e2_5a8e),
        (include_str!("../../migrations/0003_files.sql"), 0x5cbc_ef02_aa84_b66b_09e1_3915_2ffc_cf63),
    ] {
        assert_eq!(Sha256::digest(sql)[..16], digest.to_be_bytes(), "{sql}");
    }
}

#[tokio::test]
async fn the_decision_follows_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("r.db"), PageCache::Large).await.unwrap();
    let decide = async |now, reserve, allowance: Option<u64>| {
        store.should_build(&slot(), reserve, allowance.map(Duration::from_secs), now).await.unwrap()
    };
    assert_eq!(decide(T0, false, None).await, BuildDecision::NeverBuilt);
    let Added::New(key) = store.add(&result(false, None, 0)).await.unwrap() else { panic!() };
    assert_eq!(decide(after(1), true, None).await, BuildDecision::Failed);
    // No allowance: as long as the last build took.
    assert_eq!(decide(after(5), true, None).await, BuildDecision::InBuild);
    assert_eq!(decide(after(6), true, Some(100)).await, BuildDecision::Failed);
    assert_eq!(decide(after(105), false, None).await, BuildDecision::InBuild);
    assert!(store.request_build("p", key).await.unwrap());
    assert_eq!(decide(after(105), true, Some(10)).await, BuildDecision::Requested);
    assert_eq!(decide(after(114), true, None).await, BuildDecision::InBuild);
    store.add(&result(true, None, 1)).await.unwrap();
    assert_eq!(decide(after(115), true, None).await, BuildDecision::UpToDate);
    let day = Duration::from_hours(24);
    assert_eq!(decide(after(86_400), true, None).await, BuildDecision::Stale { age: day });
}

#[tokio::test]
async fn a_repeated_run_gets_its_result_key_and_keeps_its_upload_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("r.db"), PageCache::Large).await.unwrap();
    let auth = async |key: i64| -> Vec<u8> {
        query_scalar("SELECT auth FROM results WHERE id = $1")
            .bind(key)
            .fetch_one(&store.reader)
            .await
            .unwrap()
    };
    assert_eq!(store.add(&result(true, Some("run"), 1)).await.unwrap(), Added::New(1));
    assert_eq!(store.add(&result(true, Some("run"), 2)).await.unwrap(), Added::Repeated(1));
    assert_eq!(store.add(&result(true, Some("run"), 1)).await.unwrap(), Added::Repeated(1));
    assert_eq!(auth(1).await, [1; 32]);
    // An upload key belongs to one result: no other run may use it, nor a result without a run id.
    assert_eq!(store.add(&result(true, Some("other"), 1)).await.unwrap(), Added::UploadKeyInUse);
    assert_eq!(store.add(&result(true, None, 1)).await.unwrap(), Added::UploadKeyInUse);
    assert_eq!(store.history("p", None, i64::MAX, 9).await.unwrap().rows.len(), 1);
    assert!(!store.request_build("other", 1).await.unwrap());
}

async fn begin(store: &Store, auth: u8, name: &str) -> IncomingFile {
    let info = FileInfo { name: name.to_owned(), description: String::new(), visible: true };
    match store.begin_file(&[auth; 32], &info, T0).await.unwrap() {
        Admission::Granted(incoming) => incoming,
        other => panic!("{other:?}"),
    }
}

async fn add_file(store: &Store, auth: u8, name: &str, size: usize, limit: u64) {
    let incoming = begin(store, auth, name).await.write(vec![0; size]).await.unwrap();
    store.finish_file(incoming, limit, T0).await.unwrap();
}

async fn names(store: &Store, result: i64) -> Vec<String> {
    let files = store.files(result, false, FILES_PER_RESULT).await.unwrap();
    files.into_iter().map(|file| file.info.name).collect()
}

/// The number of files on disk, after a sweep: others that are still running have the writer first.
async fn on_disk(store: &Store, folder: &Path) -> usize {
    store.sweep().await;
    std::fs::read_dir(folder.join("r.db.files")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_oldest_results_are_deleted_for_space() {
    const LIMIT: u64 = 5 * 4096;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("r.db"), PageCache::Large).await.unwrap();
    for auth in 1..=3 {
        store.add(&result(true, None, auth)).await.unwrap();
    }
    add_file(&store, 2, "c", 4097, LIMIT).await;
    add_file(&store, 1, "a", 1, LIMIT).await;
    add_file(&store, 1, "b", 4096, LIMIT).await;
    assert_eq!(on_disk(&store, folder.path()).await, 3);
    // One block is free. For the second block of this file, the first file of the first result is deleted.
    add_file(&store, 3, "d", 2 * 4096, LIMIT).await;
    assert_eq!(names(&store, 1).await, ["b"]);
    // Replacing itself, it needs no more space.
    add_file(&store, 3, "d", 2 * 4096 - 1, LIMIT).await;
    assert_eq!(names(&store, 1).await, ["b"]);
    assert_eq!(on_disk(&store, folder.path()).await, 3);
    // A file that has just arrived stays, however old its result is.
    add_file(&store, 1, "z", 4 * 4096, LIMIT).await;
    assert_eq!(names(&store, 1).await, ["z"]);
    assert!(names(&store, 2).await.is_empty() && names(&store, 3).await.is_empty());
    assert_eq!(on_disk(&store, folder.path()).await, 1);
    let counted: i64 = query_scalar("SELECT files FROM stored").fetch_one(&store.reader).await.unwrap();
    assert_eq!(counted, 4 * 4096);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_result_or_writer_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let store = Store::open(&path, PageCache::Large).await.unwrap();
    store.add(&result(true, None, 1)).await.unwrap();
    add_file(&store, 1, "complete", 10, u64::MAX).await;
    let written = begin(&store, 1, "written").await;
    // As after a crash: rows without a result, one with an unlocked file and one without a file.
    query("INSERT INTO files (id, name, description, visible, size, received) VALUES (98, 'x', '', 1, 0, 0), (99, 'y', '', 1, 0, 0)")
        .execute(&store.writer)
        .await
        .unwrap();
    std::fs::write(folder.path().join("r.db.files/98"), "half").unwrap();
    let another = Store::open(&path, PageCache::Large).await.unwrap();
    assert_eq!(on_disk(&another, folder.path()).await, 2, "one is complete, one is being written");
    let written = written.write("x").await.unwrap();
    store.finish_file(written, u64::MAX, T0).await.unwrap();
    assert_eq!(names(&another, 1).await, ["complete", "written"]);
    let begun = begin(&store, 1, "begun").await.write("x").await.unwrap();
    drop(begun);
    assert_eq!(on_disk(&store, folder.path()).await, 2);
    let rows: i64 = query_scalar("SELECT COUNT(*) FROM files").fetch_one(&store.reader).await.unwrap();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn the_number_of_files_of_a_result_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("r.db"), PageCache::Large).await.unwrap();
    store.add(&result(true, None, 1)).await.unwrap();
    query(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
         INSERT INTO files (result, name, description, visible, size, received) SELECT 1, i, '', 1, 1, 0 FROM n",
    )
    .bind(i64::from(FILES_PER_RESULT))
    .execute(&store.writer)
    .await
    .unwrap();
    let info = |name: &str| FileInfo { name: name.to_owned(), description: String::new(), visible: true };
    let more = store.begin_file(&[1; 32], &info("more"), T0).await.unwrap();
    assert!(matches!(more, Admission::TooMany), "{more:?}");
    let again = store.begin_file(&[1; 32], &info("7"), T0).await.unwrap();
    assert!(matches!(again, Admission::Granted(_)), "{again:?}");
    let unknown = store.begin_file(&[2; 32], &info("7"), T0).await.unwrap();
    assert!(matches!(unknown, Admission::UnknownKey), "{unknown:?}");
}
