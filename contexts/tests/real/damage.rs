//! Source `git` after a crash, with a damaged cache, and when the run is stopped.

use std::{fs, path::Path};

use crate::support::{World, branch, files, text};
use pony_contexts::{CommandOutput, Error, RevisionSpec};

fn output(status: i64, stderr: &str, stopped: bool) -> CommandOutput {
    CommandOutput { status, stderr: stderr.into(), stopped, ..CommandOutput::default() }
}

/// The first pack of the mirror, or its index.
fn pack(mirror: &Path, extension: &str) -> std::path::PathBuf {
    let found = files(mirror).into_iter().find(|file| file.extension().is_some_and(|end| end == extension));
    found.unwrap()
}

/// Packs are read-only; and linked into trees, which a damage to the mirror alone must not reach.
fn overwrite(file: &Path, bytes: &[u8]) {
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    damaged_mirrors(false).await;
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew_where_there_is_news() {
    damaged_mirrors(true).await;
}

async fn damaged_mirrors(news: bool) {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 11] = [
        ("empty HEAD", |mirror| fs::write(mirror.join("HEAD"), "").unwrap()),
        ("no HEAD", |mirror| fs::remove_file(mirror.join("HEAD")).unwrap()),
        ("no objects", |mirror| fs::remove_dir_all(mirror.join("objects")).unwrap()),
        ("no refs", |mirror| fs::remove_dir_all(mirror.join("refs")).unwrap()),
        ("config of rubble", |mirror| fs::write(mirror.join("config"), "[core\nx").unwrap()),
        ("packed-refs of rubble", |mirror| fs::write(mirror.join("packed-refs"), "rubble\n").unwrap()),
        ("a reference of rubble", |mirror| fs::write(mirror.join("refs/heads/main"), "rubble\n").unwrap()),
        ("a reference to nothing", |mirror| {
            fs::write(mirror.join("refs/heads/main"), format!("{}\n", "1".repeat(40))).unwrap();
        }),
        ("a pack cut short", |mirror| {
            let file = pack(mirror, "pack");
            let bytes = fs::read(&file).unwrap();
            overwrite(&file, &bytes[..bytes.len() / 2]);
        }),
        ("a pack of rubble", |mirror| {
            let file = pack(mirror, "pack");
            let bytes: Vec<u8> = fs::read(&file).unwrap().iter().map(|byte| byte ^ 0x55).collect();
            overwrite(&file, &bytes);
        }),
        ("an index cut short", |mirror| {
            let file = pack(mirror, "idx");
            let bytes = fs::read(&file).unwrap();
            overwrite(&file, &bytes[..100]);
        }),
    ];
    for (what, damage) in damages {
        let world = World::new();
        let upstream = world.repository("up/demo");
        world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
        damage(&world.mirror());
        if news {
            upstream.commit("two");
        }
        let (prepared, shell) = world.prepare(&upstream.url(), branch("main")).await;
        let context = format!(
            "{what}, news: {news}: {:#?}",
            shell.ran.iter().map(|(_, output)| String::from_utf8_lossy(&output.stderr)).collect::<Vec<_>>()
        );
        let prepared = prepared.unwrap_or_else(|error| panic!("{context}: {error:?}"));
        assert_eq!(text(&prepared, "file"), if news { "two" } else { "one" }, "{context}");
        assert_eq!(world.git(&prepared.cwd, &["status", "--porcelain"]), "", "{context}");
        // Git gets past some damages by itself, by fetching what it cannot read; else all is whole again.
        if shell.count("create cache") == 1 {
            assert!(shell.notes.iter().any(|note| note.contains("damaged")), "{context}: {:?}", shell.notes);
            world.git(&prepared.cwd, &["fsck", "--strict"]);
            world.git(&world.mirror(), &["--git-dir=.", "fsck", "--strict"]);
        }
        let (prepared, shell) = world.prepare(&upstream.url(), branch("main")).await;
        prepared.unwrap();
        assert_eq!(shell.count("create cache"), 0, "{context}");
    }
}

#[tokio::test]
async fn damage_upstream_is_not_tried_for_ever() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let blob = upstream.git(&["rev-parse", "HEAD:file"]);
    let object = upstream.dir.join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    overwrite(&object, b"rubble");
    let (prepared, shell) = world.prepare(&upstream.url(), branch("main")).await;
    let error = prepared.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("the repository itself"), "{error:?}");
    assert!(shell.count("cache_update") <= 1 && shell.count("cache_update 2") <= 1);
    assert!(world.mirrors().is_empty());
}

#[tokio::test]
async fn what_a_killed_run_left_is_cleared_away() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    let mirror = world.mirror();
    let name = mirror.file_name().unwrap().to_str().unwrap().to_owned();
    let half = mirror.with_file_name(format!("{name}.new-abc"));
    world.git(&world.path("cache"), &["init", "--quiet", "--bare", half.to_str().unwrap()]);
    fs::create_dir_all(mirror.join("refs/heads/deep")).unwrap();
    for lock in [
        "HEAD.lock",
        "packed-refs.lock",
        "config.lock",
        "shallow.lock",
        "refs/heads/main.lock",
        "refs/heads/deep/x.lock",
    ] {
        fs::write(mirror.join(lock), "").unwrap();
    }
    fs::write(mirror.join("objects/pack/tmp_pack_abc"), "PACK").unwrap();
    upstream.commit("two");
    let (prepared, shell) = world.prepare(&upstream.url(), branch("main")).await;
    assert_eq!(text(&prepared.unwrap(), "file"), "two");
    assert_eq!(shell.count("create cache"), 0);
    assert_eq!(world.mirrors(), [mirror.as_path()]);
    assert!(files(&mirror).iter().all(|file| file.extension().is_none_or(|end| end != "lock")));
}

#[tokio::test]
async fn a_stop_at_any_command_leaves_nothing_that_is_trusted() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let labels = [
        "remote_head",
        "create cache",
        "cache_update",
        "cache_pack",
        "resolve",
        "clone",
        "origin",
        "checkout",
        "version",
    ];
    for label in labels {
        let mut shell = world.shell();
        shell.interrupt = Some(Box::new(move |command| {
            // Killed half way: it has left something behind.
            if command.label == "clone" {
                fs::create_dir_all(command.argv.last().unwrap()).unwrap();
            }
            (command.label == label).then(|| output(-15, "", true))
        }));
        let error = world.prepare_with(&upstream.url(), RevisionSpec::Default, &mut shell).await.unwrap_err();
        assert!(matches!(error, Error::Stopped), "{label}: {error:?}");
        assert_eq!(shell.ran.last().unwrap().0.label, label);
        assert!(world.temporary().is_empty(), "{label}");
        let _ = fs::remove_dir_all(world.path("cache"));
    }
    let (prepared, _) = world.prepare(&upstream.url(), RevisionSpec::Default).await;
    prepared.unwrap();
}

#[tokio::test]
async fn a_dropped_run_gives_back_its_lock_and_its_directory() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    let before = world.temporary().len();
    let mut lock = world.mirror().into_os_string();
    lock.push(".lock");
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();

    let mut shell = world.shell();
    let url = upstream.url();
    let mut waiting = Box::pin(world.prepare_with(&url, RevisionSpec::Default, &mut shell));
    let first = std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context))).await;
    assert!(first.is_pending());
    assert_eq!(world.temporary().len(), before + 1);
    drop(waiting);
    assert_eq!(shell.notes, ["waiting for another run that uses the same mirror"]);
    assert_eq!(world.temporary().len(), before);
    drop(held);
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
}

#[tokio::test]
async fn failures_that_are_no_damage_leave_the_mirror_alone() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    for (label, status, stderr, message) in [
        (
            "cache_update",
            128,
            "fatal: write error: No space left on device",
            "the disk is full (write error: No space left on device)",
        ),
        (
            "checkout",
            128,
            "error: unable to write file x\nfatal: No space left on device",
            "the disk is full (No space left on device)",
        ),
        (
            "checkout",
            128,
            "fatal: file: smudge filter lfs failed",
            "`checkout` failed with exit status 128 (file: smudge filter lfs failed)",
        ),
        ("cache_update", -1, "No such file or directory", "cannot start `git` (No such file or directory)"),
        (
            "cache_update",
            129,
            "error: unknown option `no-write-fetch-head'\nusage: git fetch",
            "`git` is too old (error: unknown option `no-write-fetch-head')",
        ),
        ("cache_update", 128, "fatal: early EOF", "`cache_update` failed with exit status 128 (early EOF)"),
    ] {
        let mut shell = world.shell();
        shell.interrupt =
            Some(Box::new(move |command| (command.label == label).then(|| output(status, stderr, false))));
        let error = world.prepare_with(&upstream.url(), branch("main"), &mut shell).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(shell.count("create cache"), 0);
    }
}
