//! Source `git` against real repositories.

mod support;

use std::fs;

use pony_contexts::git::Want;
use support::{World, branch};

#[tokio::test]
async fn the_default_branch_is_checked_out_and_recorded() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let (prepared, shell) = world.prepare(&upstream.url(), Want::Default).await;
    let prepared = prepared.unwrap();
    assert_eq!(fs::read_to_string(prepared.cwd.join("file")).unwrap(), "one");
    assert_eq!(prepared.cleanup.remove.as_deref(), prepared.cwd.parent());
    assert_eq!(prepared.facts["tempdir"], prepared.cwd.parent().unwrap().to_str().unwrap());
    let checkout = prepared.checkout.unwrap();
    assert_eq!(checkout.revision, upstream.head());
    assert_eq!(checkout.version_info, upstream.git(&["log", "-1", "--pretty=oneline"]));
    assert_eq!(checkout.commit_date, "2026-01-02T03:04:05+01:00");
    assert_eq!(checkout.command, format!("GitClone({}, main)", upstream.url()));
    assert_eq!((checkout.changes_since_last, checkout.changes_since_success), (None, None));
    assert_eq!(world.git(&prepared.cwd, &["status", "--short", "--branch"]), "## main...origin/main");
    assert_eq!(world.git(&prepared.cwd, &["remote", "get-url", "origin"]), upstream.url());
    assert_eq!(shell.count("create cache"), 1);
}

#[tokio::test]
async fn the_second_run_brings_only_news() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    upstream.commit("two");
    let (prepared, shell) = world.prepare(&upstream.url(), branch("main")).await;
    assert_eq!(fs::read_to_string(prepared.unwrap().cwd.join("file")).unwrap(), "two");
    let labels: Vec<_> = shell.ran.iter().map(|(command, _)| command.label.as_str()).collect();
    assert_eq!(labels, ["cache_update", "resolve", "clone", "origin", "checkout", "version"]);
}
