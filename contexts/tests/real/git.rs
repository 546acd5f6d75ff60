//! Source `git` against real repositories on this machine: what is checked out, and what is recorded.

use std::{fs, os::unix::fs::symlink, path::Path, thread};

use crate::support::{World, branch, files, revision, tag, text, wanted};
use pony_contexts::{
    ContextRequest, EarlierRevisions, Error, GitSpec, RevisionSpec, SourceSpec, WorkingDir, prepare,
};

#[tokio::test]
async fn the_default_branch_is_checked_out_and_recorded() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let (prepared, shell) = world.prepare(&upstream.url(), RevisionSpec::Default).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(prepared.tempdir.as_deref(), prepared.cwd.parent());
    assert_eq!(prepared.client_info["tempdir"], prepared.cwd.parent().unwrap().to_str().unwrap().into());
    assert_eq!(prepared.env["GIT_DIR"], None);
    let checkout = prepared.checkout.unwrap();
    assert_eq!(checkout.revision, upstream.head());
    assert_eq!(checkout.version_info, upstream.git(&["log", "-1", "--pretty=oneline"]));
    assert_eq!(checkout.commit_date, "2026-01-02T03:04:05+01:00");
    assert_eq!(checkout.command, format!("GitClone({}, main)", upstream.url()));
    assert_eq!((checkout.changes_since_last, checkout.changes_since_success), (None, None));
    assert_eq!(world.git(&prepared.cwd, &["status", "--short", "--branch"]), "## main...origin/main");
    assert_eq!(world.git(&prepared.cwd, &["remote", "get-url", "origin"]), upstream.url());
    assert_eq!(world.git(&prepared.cwd, &["config", "gc.auto"]), "0");
    assert_eq!(shell.count("create cache"), 1);
}

#[tokio::test]
async fn the_second_run_brings_only_news() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    upstream.commit("two");
    let (prepared, shell) = world.prepare(&upstream.url(), branch("main")).await;
    assert_eq!(text(&prepared.unwrap(), "file"), "two");
    let labels: Vec<_> = shell.ran.iter().map(|(command, _)| command.label.as_str()).collect();
    assert_eq!(labels, ["cache_update", "resolve", "clone", "origin", "checkout", "version"]);
}

#[tokio::test]
async fn two_repositories_of_one_name_do_not_meet() {
    let world = World::new();
    let (one, two) = (world.repository("a/demo"), world.repository("b/demo"));
    two.commit("other");
    let first = world.prepare(&one.url(), RevisionSpec::Default).await.0.unwrap();
    let second = world.prepare(&two.url(), RevisionSpec::Default).await.0.unwrap();
    assert_eq!((text(&first, "file").as_str(), text(&second, "file").as_str()), ("one", "other"));
    assert_eq!(world.mirrors().len(), 2);
}

#[test]
fn eight_runs_at_once_share_one_mirror() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let url = upstream.url();
    let made = thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (prepared, shell) = runtime.block_on(world.prepare(&url, branch("main")));
            (prepared.unwrap(), shell.count("create cache"))
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(made.iter().all(|(prepared, _)| text(prepared, "file") == "one"));
    assert_eq!(made.iter().map(|(_, created)| created).sum::<usize>(), 1);
    assert_eq!(world.temporary().len(), 8);
    world.mirror();
}

#[tokio::test]
async fn the_tree_needs_nothing_of_the_mirror() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let prepared = world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    fs::remove_dir_all(world.path("cache")).unwrap();
    world.git(&prepared.cwd, &["fsck", "--full", "--strict"]);
    assert_eq!(world.git(&prepared.cwd, &["log", "--format=%s"]), "one");
}

#[tokio::test]
async fn a_branch_that_was_rewritten_is_followed() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.commit("two");
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    upstream.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    upstream.commit("two again");
    let prepared = world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "two again");
    assert_eq!(prepared.checkout.unwrap().revision, upstream.head());
}

#[tokio::test]
async fn a_branch_that_is_gone_is_an_error_with_its_like() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.git(&["branch", "release-1"]);
    world.prepare(&upstream.url(), branch("release-1")).await.0.unwrap();
    upstream.git(&["branch", "-m", "release-1", "release-2"]);
    let error = world.prepare(&upstream.url(), branch("release-1")).await.0.unwrap_err();
    assert_eq!(error.to_string(), format!("no branch `release-1` in `{}`", upstream.url()));
    assert_eq!(error.hint().unwrap(), "did you mean `branch: release-2`?");
    // Only the tree of the run that succeeded is there.
    assert_eq!(world.temporary().len(), 1);
}

#[tokio::test]
async fn a_branch_may_become_a_folder_of_branches_and_back() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.git(&["branch", "a"]);
    world.prepare(&upstream.url(), branch("a")).await.0.unwrap();
    upstream.git(&["branch", "-D", "a"]);
    upstream.git(&["branch", "a/b"]);
    world.prepare(&upstream.url(), branch("a/b")).await.0.unwrap();
    upstream.git(&["branch", "-D", "a/b"]);
    upstream.git(&["branch", "a"]);
    let (prepared, shell) = world.prepare(&upstream.url(), branch("a")).await;
    prepared.unwrap();
    assert_eq!(shell.count("create cache"), 0);
}

#[tokio::test]
async fn tags_are_peeled_and_followed_when_they_move() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.git(&["tag", "-a", "-m", "first", "v1"]);
    let first = world.prepare(&upstream.url(), tag("v1")).await.0.unwrap().checkout.unwrap();
    assert_eq!(first.revision, upstream.head());
    assert_eq!(first.command, format!("GitClone({}, v1)", upstream.url()));
    upstream.commit("two");
    upstream.git(&["tag", "--force", "v1"]);
    let prepared = world.prepare(&upstream.url(), tag("v1")).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "two");
    assert_eq!(world.git(&prepared.cwd, &["describe", "--tags"]), "v1");
    let error = world.prepare(&upstream.url(), tag("main")).await.0.unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `branch: main`?");
}

#[tokio::test]
async fn a_tag_and_a_branch_of_one_name_are_told_apart() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.git(&["tag", "same"]);
    upstream.commit("two");
    upstream.git(&["branch", "same"]);
    let by_tag = world.prepare(&upstream.url(), tag("same")).await.0.unwrap();
    let by_branch = world.prepare(&upstream.url(), branch("same")).await.0.unwrap();
    assert_eq!((text(&by_tag, "file").as_str(), text(&by_branch, "file").as_str()), ("one", "two"));
}

#[tokio::test]
async fn a_known_revision_needs_no_upstream() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let old = upstream.head();
    upstream.commit("two");
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    fs::rename(&upstream.dir, world.path("up/away")).unwrap();
    for id in [old.as_str(), &old[..8], &old.to_uppercase()] {
        let (prepared, shell) = world.prepare(&upstream.url(), revision(id)).await;
        let prepared = prepared.unwrap();
        assert_eq!(text(&prepared, "file"), "one");
        let checkout = prepared.checkout.unwrap();
        assert_eq!(checkout.revision, old);
        assert_eq!(checkout.command, format!("GitClone({}, {old})", upstream.url()));
        assert_eq!(shell.count("cache_update"), 0);
    }
    let error = world.prepare(&upstream.url(), branch("main")).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchRepository { .. }), "{error:?}");
    // The mirror outlives the outage.
    fs::rename(world.path("up/away"), &upstream.dir).unwrap();
    let (prepared, shell) = world.prepare(&upstream.url(), branch("main")).await;
    prepared.unwrap();
    assert_eq!(shell.count("create cache"), 0);
}

#[tokio::test]
async fn a_revision_that_no_branch_holds_is_fetched_by_itself() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let lost = upstream.commit("lost");
    upstream.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let (prepared, shell) = world.prepare(&upstream.url(), revision(&lost)).await;
    assert_eq!(text(&prepared.unwrap(), "file"), "lost");
    assert_eq!(shell.count("fetch_revision"), 1);
    // And is kept, through later fetches that prune.
    world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    assert_eq!(world.git(&world.mirror(), &["--git-dir=.", "rev-parse", &format!("refs/pony/{lost}")]), lost);
    let (prepared, shell) = world.prepare(&upstream.url(), revision(&lost)).await;
    prepared.unwrap();
    assert_eq!(shell.count("fetch_revision"), 0);
}

#[tokio::test]
async fn revisions_that_are_none() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let tree = upstream.git(&["rev-parse", "HEAD^{tree}"]);
    for id in ["0123456789012345678901234567890123456789", "deadbee", &tree] {
        let error = world.prepare(&upstream.url(), revision(id)).await.0.unwrap_err();
        assert_eq!(error.to_string(), format!("no revision `{id}` in `{}`", upstream.url()));
    }
    for id in ["main", "HEAD~1", "abc", "--all", ""] {
        let error = world.prepare(&upstream.url(), revision(id)).await.0.unwrap_err();
        assert_eq!(error.to_string(), format!("`{id}` is not a revision"));
        assert!(error.hint().is_some());
    }
    // A branch whose name looks like one does not stand in for it.
    upstream.git(&["branch", "deadbee"]);
    let error = world.prepare(&upstream.url(), revision("deadbee")).await.0.unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `branch: deadbee`?");
}

#[tokio::test]
async fn names_are_never_options_or_expressions() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let names =
        ["--upload-pack=touch pwned", "main~0", "main^{commit}", "main:file", "@{u}", "..", "", "HEAD"];
    for name in names {
        for revision in [branch(name), tag(name)] {
            let error = world.prepare(&upstream.url(), revision).await.0.unwrap_err();
            assert!(matches!(error, Error::NoSuchName { .. }), "{name}: {error:?}");
        }
    }
    let error = world.prepare("--upload-pack=touch pwned", RevisionSpec::Default).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchRepository { .. }), "{error:?}");
    assert!(files(world.dir.path()).iter().all(|file| !file.ends_with("pwned")));
}

#[tokio::test]
async fn branches_of_unusual_names() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    for name in ["feature/one/two", "gr\u{fc}n-\u{1f434}", "-dash", "a@b", "none"] {
        upstream.git(&["update-ref", &format!("refs/heads/{name}"), "HEAD"]);
        let prepared = world.prepare(&upstream.url(), branch(name)).await.0.unwrap();
        assert_eq!(world.git(&prepared.cwd, &["symbolic-ref", "HEAD"]), format!("refs/heads/{name}"));
    }
}

#[tokio::test]
async fn upstream_with_a_detached_head_or_no_commit() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.git(&["checkout", "--quiet", "--detach"]);
    let lost = upstream.commit("on no branch");
    let prepared = world.prepare(&upstream.url(), RevisionSpec::Default).await.0.unwrap();
    assert_eq!(prepared.checkout.unwrap().revision, lost);

    fs::create_dir(world.path("up/empty")).unwrap();
    world.git(&world.path("up/empty"), &["init", "--quiet"]);
    let url = world.path("up/empty").display().to_string();
    let error = world.prepare(&url, RevisionSpec::Default).await.0.unwrap_err();
    assert_eq!(error.to_string(), format!("`{url}` has no default branch"));
    let error = world.prepare(&url, branch("main")).await.0.unwrap_err();
    assert_eq!(error.to_string(), format!("no branch `main` in `{url}`"));
    // It gets its first commit.
    world.git(&world.path("up/empty"), &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    world.prepare(&url, branch("main")).await.0.unwrap();
}

#[tokio::test]
async fn addresses_of_every_local_kind() {
    let world = World::new();
    let upstream = world.repository("home/up/demo");
    let file = format!("file://{}", upstream.url());
    let slash = format!("{}/", upstream.url());
    let bundle = world.path("demo.bundle").display().to_string();
    upstream.git(&["bundle", "create", "--quiet", &bundle, "HEAD", "main"]);
    for url in [&file, &slash, &bundle, "../home/up/demo", "~/up/demo"] {
        let prepared = world.prepare(url, RevisionSpec::Default).await.0.unwrap();
        assert_eq!(text(&prepared, "file"), "one", "{url}");
    }
    world.configure(&format!("[url \"{file}\"]\n\tinsteadOf = https://x.invalid/demo\n"));
    let (prepared, _) = world.prepare("https://x.invalid/demo", RevisionSpec::Default).await;
    let prepared = prepared.unwrap();
    assert_eq!(world.git(&prepared.cwd, &["config", "remote.origin.url"]), "https://x.invalid/demo");
}

#[tokio::test]
async fn what_is_no_repository() {
    let world = World::new();
    fs::create_dir(world.path("folder")).unwrap();
    fs::write(world.path("file"), "x").unwrap();
    for name in ["folder", "file", "absent"] {
        let url = world.path(name).display().to_string();
        for revision in [RevisionSpec::Default, branch("main")] {
            let error = world.prepare(&url, revision).await.0.unwrap_err();
            assert!(matches!(error, Error::NoSuchRepository { .. }), "{error:?}");
            assert!(error.hint().unwrap().contains("path"));
        }
    }
    assert!(world.mirrors().is_empty());
    assert!(world.temporary().is_empty());
}

#[tokio::test]
async fn a_repository_of_the_other_hash() {
    let world = World::new();
    let dir = world.path("up/sha256");
    fs::create_dir_all(&dir).unwrap();
    world.git(&dir, &["init", "--quiet", "--object-format=sha256"]);
    world.git(&dir, &["commit", "--quiet", "--allow-empty", "-m", "one"]);
    let prepared = world.prepare(dir.to_str().unwrap(), RevisionSpec::Default).await.0.unwrap();
    assert_eq!(prepared.checkout.unwrap().revision.len(), 64);
}

#[tokio::test]
async fn a_shallow_upstream_is_taken_as_far_as_it_goes() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    upstream.commit("two");
    let shallow = world.path("up/shallow");
    let (from, to) = (format!("file://{}", upstream.url()), shallow.display().to_string());
    world.git(&world.path("up"), &["clone", "--quiet", "--depth=1", &from, &to]);
    let prepared = world.prepare(&to, RevisionSpec::Default).await.0.unwrap();
    assert_eq!(world.git(&prepared.cwd, &["log", "--format=%s"]), "two");
}

#[tokio::test]
async fn submodules_by_relative_address_and_theirs() {
    let world = World::new();
    let inner = world.repository("up/inner");
    let middle = world.repository("up/middle");
    let add = |into: &Path, url: &str| {
        world.git(into, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", url]);
        world.git(into, &["commit", "--quiet", "-m", "submodule"]);
    };
    add(&middle.dir, "../inner");
    let outer = world.repository("up/outer");
    add(&outer.dir, "../middle");
    add(&outer.dir, &inner.url());

    let mut wanted = wanted(&outer.url(), RevisionSpec::Default);
    let prepared = world.prepare_wanted(wanted.clone()).await.0.unwrap();
    assert!(!prepared.cwd.join("middle/file").exists());
    wanted.submodules = true;
    wanted.subdir = Some("middle/inner".into());
    let prepared = world.prepare_wanted(wanted).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
}

#[tokio::test]
async fn subdirectories_stay_inside() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    fs::create_dir_all(upstream.dir.join("sub/deep")).unwrap();
    fs::write(upstream.dir.join("sub/deep/x"), "deep").unwrap();
    symlink("/", upstream.dir.join("out")).unwrap();
    symlink("sub", upstream.dir.join("in")).unwrap();
    upstream.commit("two");
    let subdir =
        |name: &str| GitSpec { subdir: Some(name.into()), ..wanted(&upstream.url(), RevisionSpec::Default) };
    for name in ["sub/deep", "./sub/deep/", "in/deep"] {
        let prepared = world.prepare_wanted(subdir(name)).await.0.unwrap();
        assert_eq!(text(&prepared, "x"), "deep");
    }
    for name in ["out/tmp", "..", "sub/../..", "/tmp"] {
        let error = world.prepare_wanted(subdir(name)).await.0.unwrap_err();
        assert!(matches!(error, Error::SubdirOutside(_)), "{name}: {error:?}");
    }
    for name in ["absent", "file", "sub/deep/x"] {
        let error = world.prepare_wanted(subdir(name)).await.0.unwrap_err();
        assert_eq!(error.to_string(), format!("no folder `{name}` in the source"));
    }
}

#[tokio::test]
async fn a_farm_of_links() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    fs::create_dir(upstream.dir.join("farm")).unwrap();
    for index in 0..1000 {
        symlink(format!("../../../{index}"), upstream.dir.join(format!("farm/{index}"))).unwrap();
    }
    upstream.commit("links");
    let prepared = world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    assert_eq!(fs::read_link(prepared.cwd.join("farm/7")).unwrap(), Path::new("../../../7"));
    assert_eq!(fs::read_dir(prepared.cwd.join("farm")).unwrap().count(), 1000);
    pony_contexts::remove_tree(&prepared.tempdir.unwrap()).unwrap();
    assert!(world.temporary().is_empty());
}

#[tokio::test]
async fn changes_since_earlier_runs() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let success = upstream.head();
    let last = upstream.commit("two");
    for index in 0..51 {
        upstream.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("change {index}")]);
    }
    let request = |earlier| ContextRequest {
        earlier,
        ..world.request(Some(SourceSpec::Git(wanted(&upstream.url(), RevisionSpec::Default))))
    };
    let earlier = EarlierRevisions { last: Some(last.clone()), last_success: Some(success) };
    let checkout = prepare(&request(earlier), &mut world.shell()).await.unwrap().checkout.unwrap();
    let since_last = checkout.changes_since_last.unwrap();
    assert_eq!((since_last.commits.len(), since_last.more), (50, true));
    assert_eq!(since_last.commits[0].id, upstream.head());
    assert_eq!(since_last.commits[0].subject, "change 50");
    assert_eq!(since_last.commits[0].author, "Ann");
    assert!(checkout.changes_since_success.unwrap().more);

    upstream.git(&["reset", "--quiet", "--hard", &last]);
    upstream.commit("three");
    let earlier = EarlierRevisions { last: Some(upstream.head()), last_success: Some(last) };
    let checkout = prepare(&request(earlier), &mut world.shell()).await.unwrap().checkout.unwrap();
    assert_eq!(checkout.changes_since_last.unwrap().commits, []);
    let since_success = checkout.changes_since_success.unwrap();
    let subjects: Vec<_> = since_success.commits.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!((subjects, since_success.more), (vec!["three"], false));

    let earlier = EarlierRevisions { last: Some("0".repeat(40)), last_success: Some("--all".to_owned()) };
    let checkout = prepare(&request(earlier), &mut world.shell()).await.unwrap().checkout.unwrap();
    assert_eq!((checkout.changes_since_last, checkout.changes_since_success), (None, None));
}

#[tokio::test]
async fn somebody_elses_configuration_changes_nothing() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    let pwned = world.path("pwned");
    let hooks = world.path("hooks");
    fs::create_dir(&hooks).unwrap();
    for name in ["post-checkout", "reference-transaction", "post-index-change"] {
        let hook = hooks.join(name);
        fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", pwned.display())).unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let config = format!(
        "[core]\n\thooksPath = {hooks}\n\tfsmonitor = touch {pwned}\n[init]\n\ttemplateDir = {hooks}\n[clone]\n\t\
         defaultRemoteName = other\n[log]\n\tshowSignature = true\n[format]\n\tpretty = short\n[color]\n\tui = always\n\
         [fetch]\n\tprune = false\n[safe]\n\tbareRepository = explicit\n",
        hooks = hooks.display(),
        pwned = pwned.display()
    );
    world.configure(&config);
    let mut shell = world.shell();
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"] {
        shell.env.push((name, world.path("elsewhere").display().to_string()));
    }
    shell.env.push(("LC_ALL", "de_DE.UTF-8".to_owned()));
    let prepared = world.prepare_with(&upstream.url(), RevisionSpec::Default, &mut shell).await.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert!(!pwned.exists() && !world.path("elsewhere").exists());
}

#[tokio::test]
async fn a_repository_is_not_built_in_place() {
    let world = World::new();
    let mut request =
        world.request(Some(SourceSpec::Git(wanted("https://a:b@host/x", RevisionSpec::Default))));
    request.working_dir = WorkingDir::Here;
    let error = prepare(&request, &mut world.shell()).await.unwrap_err();
    assert_eq!(error.to_string(), "`context: here` cannot build `https://host/x`");
    assert!(error.hint().unwrap().contains("tempdir"));
}
