//! Trees that last from run to run: what becomes of what steps have built in them.

use std::{fs, path::PathBuf};

use pony_contexts::{
    CommandOutput, ContextRequest, Error, Prepared, RevisionSpec, SourceSpec, WorkingDir, prepare,
};

use crate::support::{Real, Repository, World, branch, text, wanted};

fn request(upstream: &Repository<'_>, revision: RevisionSpec) -> ContextRequest {
    let request = upstream.world.request(Some(SourceSpec::Git(wanted(&upstream.url(), revision))));
    ContextRequest { working_dir: WorkingDir::Directory("../lasting".into()), ..request }
}

async fn build(upstream: &Repository<'_>, shell: &mut Real) -> Result<Prepared, Error> {
    prepare(&request(upstream, branch("main")), shell).await
}

/// A tree that something was built in.
async fn built(upstream: &Repository<'_>) -> PathBuf {
    let prepared = build(upstream, &mut upstream.world.shell()).await.unwrap();
    let product = prepared.cwd.join("product");
    fs::write(&product, "built").unwrap();
    product
}

#[tokio::test]
async fn it_stays_where_a_run_ends_before_the_tree_is_touched() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let product = built(&upstream).await;
    let mut shell = world.shell();
    shell.interrupt = Some(Box::new(|command| {
        (command.label == "cache_update").then(|| CommandOutput {
            status: -15,
            stopped: true,
            ..CommandOutput::default()
        })
    }));
    let error = build(&upstream, &mut shell).await.unwrap_err();
    assert!(matches!(error, Error::Stopped), "{error:?}");
    // Nor does a typing error cost a tree.
    let error = prepare(&request(&upstream, branch("mian")), &mut world.shell()).await.unwrap_err();
    assert!(matches!(error, Error::NoSuchName { .. }), "{error:?}");
    upstream.commit("two");
    let prepared = build(&upstream, &mut world.shell()).await.unwrap();
    assert_eq!(text(&prepared, "file"), "two");
    assert!(product.exists());
}

#[tokio::test]
async fn it_goes_where_a_run_ends_while_the_tree_is_changed() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let product = built(&upstream).await;
    upstream.commit("two");
    let mut shell = world.shell();
    shell.interrupt = Some(Box::new(|command| {
        (command.label == "checkout").then(|| CommandOutput {
            status: -15,
            stopped: true,
            ..CommandOutput::default()
        })
    }));
    build(&upstream, &mut shell).await.unwrap_err();
    let prepared = build(&upstream, &mut world.shell()).await.unwrap();
    assert_eq!(text(&prepared, "file"), "two");
    assert!(!product.exists());
}

#[tokio::test]
async fn a_step_that_was_killed_in_git_leaves_no_lock_that_matters() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let product = built(&upstream).await;
    fs::write(product.with_file_name(".git").join("index.lock"), "").unwrap();
    upstream.commit("two");
    let prepared = build(&upstream, &mut world.shell()).await.unwrap();
    assert_eq!(text(&prepared, "file"), "two");
    assert!(product.exists());
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew_in_the_same_run() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    built(&upstream).await;
    fs::remove_dir_all(world.mirror().join("objects")).unwrap();
    upstream.commit("two");
    let mut shell = world.shell();
    let prepared = build(&upstream, &mut shell).await.unwrap();
    assert_eq!(text(&prepared, "file"), "two");
    assert!(shell.notes.iter().any(|note| note.contains("is damaged")), "{:?}", shell.notes);
}
