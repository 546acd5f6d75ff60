//! Source `hg` against real repositories on this machine: what is checked out, what is recorded, what damage does.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use pony_contexts::{
    CommandOutput, ContextRequest, EarlierRevisions, Error, HgSpec, Prepared, RevisionSpec, SourceSpec,
    WorkingDir, changed_files, prepare, tip,
};

use crate::support::{Real, World, files, program, text};

/// A Mercurial repository to be built.
pub struct Upstream<'a> {
    pub world: &'a World,
    pub dir: PathBuf,
}

impl<'a> Upstream<'a> {
    /// One with a commit on `default`, which has `file` in it.
    pub fn new(world: &'a World, name: &str) -> Self {
        let config = "[ui]\nusername = Ann <ann@example.org>\n[extensions]\nstrip =\n";
        fs::write(world.path("home/.hgrc"), config).unwrap();
        let upstream = Self { world, dir: world.path(name) };
        fs::create_dir_all(upstream.dir.parent().unwrap()).unwrap();
        hg(world, world.dir.path(), &["init", upstream.dir.to_str().unwrap()]);
        upstream.commit("one");
        upstream
    }

    pub fn hg(&self, args: &[&str]) -> String {
        hg(self.world, &self.dir, args)
    }

    /// Commits `file` with `text` in it.
    pub fn commit(&self, text: &str) {
        fs::write(self.dir.join("file"), text).unwrap();
        self.hg(&["commit", "--quiet", "--addremove", "--date", "2026-01-02 03:04:05 +0100", "-m", text]);
    }

    pub fn id(&self, rev: &str) -> String {
        self.hg(&["log", "-T", "{node}", "-r", rev])
    }

    pub fn url(&self) -> String {
        self.dir.to_str().unwrap().to_owned()
    }
}

/// Runs hg, which must succeed; its output without the last line's end.
pub fn hg(world: &World, dir: &Path, args: &[&str]) -> String {
    let output =
        program("hg", &world.path("home")).env("HGPLAIN", "1").current_dir(dir).args(args).output().unwrap();
    assert!(output.status.success(), "hg {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

pub fn wanted(url: &str, revision: RevisionSpec) -> SourceSpec {
    SourceSpec::Hg(HgSpec { url: url.parse().unwrap(), revision, subdir: None, dir: None })
}

pub fn branch(name: &str) -> RevisionSpec {
    RevisionSpec::Branch(name.to_owned())
}

pub async fn build(world: &World, url: &str, revision: RevisionSpec) -> (Result<Prepared, Error>, Real) {
    let mut shell = world.shell();
    let prepared = prepare(&world.request(Some(wanted(url, revision))), &mut shell).await;
    (prepared, shell)
}

/// The text of `file` in what is built.
pub async fn built(world: &World, url: &str, revision: RevisionSpec) -> String {
    let prepared = build(world, url, revision).await.0.unwrap();
    text(&prepared, "file")
}

/// The one clone in the cache.
pub fn store(world: &World) -> PathBuf {
    let entries = fs::read_dir(world.path("cache/hg")).unwrap().map(|entry| entry.unwrap().path());
    let dirs: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    dirs[0].clone()
}

#[tokio::test]
async fn the_default_branch_is_checked_out_and_recorded() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let (prepared, shell) = build(&world, &upstream.url(), RevisionSpec::Default).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    let checkout = prepared.checkout.clone().unwrap();
    assert_eq!(checkout.version_type, "hg");
    assert_eq!(checkout.version_info, hg(&world, &prepared.cwd, &["id", "-nib"]));
    assert_eq!(checkout.revision, upstream.id("."));
    assert_eq!(checkout.commit_date, "2026-01-02T03:04:05+01:00");
    assert_eq!(checkout.command, format!("HgClone({}, default)", upstream.url()));
    assert_eq!((checkout.changes_since_last, checkout.changes_since_success), (None, None));
    assert_eq!(hg(&world, &prepared.cwd, &["paths", "default"]), upstream.url());
    assert_eq!(shell.count("create cache"), 1);
    // The tree needs nothing of the cache.
    fs::remove_dir_all(world.path("cache")).unwrap();
    hg(&world, &prepared.cwd, &["verify"]);
    assert_eq!(hg(&world, &prepared.cwd, &["status"]), "");
}

#[tokio::test]
async fn news_other_branches_and_new_branches_share_one_clone() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    assert_eq!(built(&world, &url, branch("default")).await, "one");
    upstream.commit("two");
    let (prepared, shell) = build(&world, &url, branch("default")).await;
    assert_eq!(text(&prepared.unwrap(), "file"), "two");
    let labels: Vec<_> = shell.ran.iter().map(|(command, _)| command.label.as_str()).collect();
    assert_eq!(labels, ["remote_tip", "cache_update", "resolve", "clone", "checkout", "version"]);
    // Not there when the clone was made.
    upstream.hg(&["branch", "--quiet", "fix (all)"]);
    upstream.commit("three");
    let (prepared, shell) = build(&world, &url, branch("fix (all)")).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "file"), "three");
    assert_eq!(hg(&world, &prepared.cwd, &["branch"]), "fix (all)");
    assert_eq!(shell.count("create cache"), 0);
    store(&world);
}

#[tokio::test]
async fn a_fresh_clone_has_all_branches() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    upstream.hg(&["branch", "--quiet", "other"]);
    upstream.commit("two");
    for (name, expected, created) in [("default", "one", 1), ("default", "one", 0), ("other", "two", 0)] {
        let (prepared, shell) = build(&world, &url, branch(name)).await;
        assert_eq!(text(&prepared.unwrap(), "file"), expected);
        assert_eq!(shell.count("create cache"), created, "{name}");
    }
}

#[tokio::test]
async fn rewritten_history_is_followed() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    upstream.commit("two");
    assert_eq!(built(&world, &url, branch("default")).await, "two");
    upstream.hg(&["strip", "--quiet", "--no-backup", "-r", "."]);
    // Upstream is behind what the cache holds.
    assert_eq!(built(&world, &url, branch("default")).await, "one");
}

#[tokio::test]
async fn history_written_anew_is_followed_and_the_old_one_known() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    upstream.commit("two");
    let old = upstream.id(".");
    assert_eq!(built(&world, &url, branch("default")).await, "two");
    fs::write(upstream.dir.join("file"), "two again").unwrap();
    upstream.hg(&["commit", "--quiet", "--amend", "-m", "two again"]);
    let mut shell = world.shell();
    let earlier = EarlierRevisions { last: Some(old), last_success: None };
    let request = ContextRequest { earlier, ..world.request(Some(wanted(&url, branch("default")))) };
    let prepared = prepare(&request, &mut shell).await.unwrap();
    assert_eq!(text(&prepared, "file"), "two again");
    let checkout = prepared.checkout.unwrap();
    assert_eq!(checkout.revision, upstream.id("."));
    let changes = checkout.changes_since_last.unwrap();
    assert_eq!(changes.commits.len(), 1);
    assert_eq!(changes.files, ["file"]);
}

#[tokio::test]
async fn what_is_built_by_default_may_change() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    let request = world.request(Some(wanted(&url, RevisionSpec::Default)));
    upstream.hg(&["branch", "--quiet", "main"]);
    upstream.commit("on main");
    let default = upstream.id("default");
    assert_eq!(tip(&request, &mut world.shell()).await.unwrap(), Some(default.clone()));
    upstream.hg(&["bookmark", "@"]);
    let (prepared, _) = build(&world, &url, RevisionSpec::Default).await;
    let prepared = prepared.unwrap();
    assert_eq!(text(&prepared, "file"), "on main");
    assert_eq!(fs::read_to_string(prepared.cwd.join(".hg/bookmarks.current")).unwrap(), "@");
    let mut shell = world.shell();
    assert_eq!(tip(&request, &mut shell).await.unwrap(), Some(upstream.id("main")));
    assert_eq!(shell.ran.len(), 1);
    // Taken back.
    upstream.hg(&["bookmark", "--delete", "@"]);
    assert_eq!(tip(&request, &mut world.shell()).await.unwrap(), Some(default));
    assert_eq!(built(&world, &url, RevisionSpec::Default).await, "one");
}

#[tokio::test]
async fn a_closed_default() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    upstream.hg(&["commit", "--quiet", "--close-branch", "-m", "closed"]);
    let prepared = build(&world, &upstream.url(), RevisionSpec::Default).await.0.unwrap();
    assert_eq!(prepared.checkout.unwrap().revision, upstream.id("default"));
}

#[tokio::test]
async fn no_default() {
    let world = World::new();
    fs::write(world.path("home/.hgrc"), "[ui]\nusername = Ann <ann@example.org>\n").unwrap();
    let other = Upstream { world: &world, dir: world.path("other") };
    hg(&world, world.dir.path(), &["init", "other"]);
    let error = build(&world, &other.url(), RevisionSpec::Default).await.0.unwrap_err();
    assert!(matches!(error, Error::NoDefaultBranch(_)), "{error:?}");
    other.hg(&["branch", "--quiet", "main"]);
    other.commit("main");
    let prepared = build(&world, &other.url(), RevisionSpec::Default).await.0.unwrap();
    assert_eq!(prepared.checkout.unwrap().command, format!("HgClone({}, tip)", other.url()));
}

#[tokio::test]
async fn bookmarks_are_followed_wherever_they_go() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    upstream.commit("two");
    upstream.hg(&["bookmark", "fix", "-r", "1"]);
    let prepared = build(&world, &url, branch("fix")).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "two");
    assert_eq!(fs::read_to_string(prepared.cwd.join(".hg/bookmarks.current")).unwrap(), "fix");
    upstream.hg(&["bookmark", "--force", "fix", "-r", "0"]);
    let prepared = build(&world, &url, branch("fix")).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(hg(&world, &prepared.cwd, &["bookmarks", "-T", "{bookmark} {rev}\n"]), "fix 0");
    upstream.hg(&["bookmark", "--rename", "fix", "fixed"]);
    let error = build(&world, &url, branch("fix")).await.0.unwrap_err();
    assert_eq!(error.to_string(), format!("no branch `fix` in `{url}`"));
}

#[tokio::test]
async fn names_are_names_of_their_kind_and_nothing_else() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    upstream.hg(&["tag", "--quiet", "-r", "0", "v1"]);
    upstream.commit("two");
    upstream.hg(&["bookmark", "v1", "-r", "2"]);
    // A tag and a bookmark.
    let tag = build(&world, &url, RevisionSpec::Tag("v1".to_owned())).await.0.unwrap();
    assert_eq!(text(&tag, "file"), "one");
    assert_eq!(built(&world, &url, branch("v1")).await, "two");
    // First digits of an id are no branch.
    let id = upstream.id("0");
    for name in [&id[..4], "max(all())", "0", "-1", "tip", "a:b"] {
        let error = build(&world, &url, branch(name)).await.0.unwrap_err();
        assert!(matches!(error, Error::NoSuchName { kind: "branch", .. }), "{name}: {error:?}");
    }
    let error = build(&world, &url, branch("defualt")).await.0.unwrap_err();
    assert_eq!(error.hint().unwrap(), "did you mean `branch: default`?");
}

#[tokio::test]
async fn revisions_are_ids() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    let id = upstream.id("0");
    upstream.commit("two");
    let of = |id: &str| RevisionSpec::Revision(id.to_owned());
    assert_eq!(built(&world, &url, of(&id[..6])).await, "one");
    let (prepared, shell) = build(&world, &url, of(&id.to_uppercase())).await;
    assert_eq!(prepared.unwrap().checkout.unwrap().revision, id);
    assert_eq!(shell.count("cache_update") + shell.count("remote_tip"), 0);
    for (name, message) in [
        ("0", "`0` is not a revision".to_owned()),
        ("tip", "`tip` is not a revision".to_owned()),
        ("00000000", format!("no revision `00000000` in `{url}`")),
    ] {
        let error = build(&world, &url, of(name)).await.0.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let request = world.request(Some(wanted(&url, of(&id))));
    let mut shell = world.shell();
    assert_eq!(tip(&request, &mut shell).await.unwrap(), Some(id));
    assert!(shell.ran.is_empty());
}

#[tokio::test]
async fn what_came_since_is_recorded() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    let first = upstream.id(".");
    fs::write(upstream.dir.join("n\u{e4}w"), "").unwrap();
    upstream.commit("two\n\nmore");
    let second = upstream.id(".");
    let run = async |last: &str, last_success: &str| {
        let earlier =
            EarlierRevisions { last: Some(last.to_owned()), last_success: Some(last_success.to_owned()) };
        let request = ContextRequest { earlier, ..world.request(Some(wanted(&url, branch("default")))) };
        prepare(&request, &mut world.shell()).await.unwrap().checkout.unwrap()
    };
    let checkout = run(&second, &first).await;
    assert_eq!(checkout.changes_since_last.unwrap(), pony_contexts::Changes::default());
    let changes = checkout.changes_since_success.unwrap();
    assert_eq!(changes.files, ["file", "n\u{e4}w"]);
    let commit = &changes.commits[0];
    assert_eq!((commit.id.as_str(), commit.author.as_str()), (second.as_str(), "Ann"));
    assert_eq!((commit.subject.as_str(), commit.date.as_str()), ("two", "2026-01-02T03:04:05+01:00"));
    let checkout = run(&"a1".repeat(20), "rubble").await;
    assert_eq!((checkout.changes_since_last, checkout.changes_since_success), (None, None));

    let request = world.request(Some(wanted(&url, branch("default"))));
    let paths = changed_files(&request, &first, &mut world.shell()).await.unwrap();
    assert_eq!(paths.unwrap(), ["file", "n\u{e4}w"]);
    assert_eq!(changed_files(&request, &"a1".repeat(20), &mut world.shell()).await.unwrap(), None);
}

#[tokio::test]
async fn a_lasting_tree_keeps_what_is_not_known() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    fs::create_dir(upstream.dir.join("sub")).unwrap();
    fs::write(upstream.dir.join("sub/x"), "").unwrap();
    upstream.commit("with sub");
    let working_dir = WorkingDir::Directory("../lasting".into());
    let source = SourceSpec::Hg(HgSpec {
        url: upstream.url().parse().unwrap(),
        revision: branch("default"),
        subdir: Some("sub".into()),
        dir: None,
    });
    let request = ContextRequest { working_dir, ..world.request(Some(source)) };
    let prepared = prepare(&request, &mut world.shell()).await.unwrap();
    assert!(prepared.cwd.ends_with("lasting/demo/sub"));
    fs::write(prepared.cwd.join("built.o"), "").unwrap();
    fs::write(prepared.cwd.join("../file"), "by the build").unwrap();
    drop(prepared);
    upstream.commit("two");
    let mut shell = world.shell();
    let prepared = prepare(&request, &mut shell).await.unwrap();
    assert_eq!(fs::read_to_string(prepared.cwd.join("../file")).unwrap(), "two");
    assert!(prepared.cwd.join("built.o").exists());
    assert_eq!(shell.count("clone"), 0);
}

#[test]
fn ten_runs_at_once_share_one_clone() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url();
    let id = upstream.id("0");
    let run = |index: usize| {
        let revision =
            if index.is_multiple_of(2) { branch("default") } else { RevisionSpec::Revision(id.clone()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (prepared, shell) = runtime.block_on(build(&world, &url, revision));
        (text(&prepared.unwrap(), "file"), shell.count("create cache"))
    };
    let run = &run;
    let made = thread::scope(|scope| {
        let threads: Vec<_> = (0..10).map(|index| scope.spawn(move || run(index))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(made.iter().all(|(text, _)| text == "one"));
    assert_eq!(made.iter().map(|(_, created)| created).sum::<usize>(), 1);
}

/// Something broken in the clone that the cache holds.
type Damage = fn(&Path);

#[tokio::test]
async fn a_clone_without_its_parts_is_made_anew() {
    damaged(&[
        ("no .hg", |store| fs::remove_dir_all(store.join(".hg")).unwrap()),
        ("no requires", |store| fs::remove_file(store.join(".hg/requires")).unwrap()),
        ("unknown requirement", |store| fs::write(store.join(".hg/requires"), "rubble\n").unwrap()),
    ])
    .await;
}

#[tokio::test]
async fn a_clone_with_broken_history_is_made_anew() {
    damaged(&[
        ("changelog of rubble", |store| overwrite(store, "00changelog.i")),
        ("manifest of rubble", |store| overwrite(store, "00manifest.i")),
        ("file of rubble", |store| overwrite(store, "data/file.i")),
    ])
    .await;
}

#[tokio::test]
async fn a_clone_cut_short_is_made_anew() {
    damaged(&[
        ("no manifest", |store| fs::remove_file(store.join(".hg/store/00manifest.i")).unwrap()),
        ("no file", |store| fs::remove_file(store.join(".hg/store/data/file.i")).unwrap()),
    ])
    .await;
}

#[tokio::test]
async fn half_a_pull_is_taken_back() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    assert_eq!(built(&world, &upstream.url(), branch("default")).await, "one");
    let journal = store(&world).join(".hg/store/journal");
    upstream.commit("two");
    // Killed as it had nothing to say for too long.
    let mut shell = world.shell();
    let left = journal.clone();
    shell.interrupt = Some(Box::new(move |command| {
        (command.label == "cache_update").then(|| {
            fs::write(&left, "").unwrap();
            CommandOutput { status: -15, quiet: true, ..CommandOutput::default() }
        })
    }));
    let request = world.request(Some(wanted(&upstream.url(), RevisionSpec::Revision(upstream.id("1")))));
    let error = prepare(&request, &mut shell).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && !journal.exists(), "{error:?}");
    // Found where it was not to be.
    fs::write(&journal, "").unwrap();
    let (prepared, shell) = build(&world, &upstream.url(), branch("default")).await;
    assert_eq!(text(&prepared.unwrap(), "file"), "two");
    assert_eq!((shell.count("recover"), shell.count("create cache")), (1, 0));
}

/// The file is linked into trees, which a damage to the clone alone must not reach.
fn overwrite(store: &Path, name: &str) {
    let file = store.join(".hg/store").join(name);
    let bytes: Vec<u8> = fs::read(&file).unwrap().iter().map(|byte| byte ^ 0x55).collect();
    fs::remove_file(&file).unwrap();
    fs::write(&file, bytes).unwrap();
}

async fn damaged(damages: &[(&str, Damage)]) {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let revision = RevisionSpec::Revision(upstream.id("."));
    assert_eq!(built(&world, &upstream.url(), revision.clone()).await, "one");
    for (what, damage) in damages {
        damage(&store(&world));
        let (prepared, shell) = build(&world, &upstream.url(), revision.clone()).await;
        let said: Vec<_> =
            shell.ran.iter().map(|(_, output)| String::from_utf8_lossy(&output.stderr)).collect();
        let prepared = prepared.unwrap_or_else(|error| panic!("{what}: {error:?}: {said:#?}"));
        assert_eq!(text(&prepared, "file"), "one");
        assert!(shell.notes.iter().any(|note| note.contains("damaged")), "{what}: {:?}", shell.notes);
        assert_eq!(shell.count("create cache"), 1, "{what}");
    }
}

#[tokio::test]
async fn a_stop_while_pulling_leaves_nothing_that_is_trusted() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    assert_eq!(built(&world, &upstream.url(), branch("default")).await, "one");
    for label in ["cache_update", "create cache"] {
        let mut shell = world.shell();
        shell.interrupt = Some(Box::new(move |command| {
            let stopped = CommandOutput { status: -15, stopped: true, ..CommandOutput::default() };
            (command.label == label).then_some(stopped)
        }));
        let request = world.request(Some(wanted(&upstream.url(), branch("default"))));
        let error = prepare(&request, &mut shell).await.unwrap_err();
        assert!(matches!(error, Error::Stopped), "{error:?}");
        assert!(
            files(&world.path("cache/hg"))
                .iter()
                .all(|file| file.extension().is_none_or(|end| end != "json"))
        );
    }
    let (prepared, shell) = build(&world, &upstream.url(), branch("default")).await;
    prepared.unwrap();
    assert_eq!(shell.count("create cache"), 1);
}

#[tokio::test]
async fn no_hook_and_no_configuration_of_a_repository_is_heeded() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let mark = world.path("mark");
    let touch = format!("touch {}", mark.display());
    let mut hooks = "\n[hooks]\n".to_owned();
    for name in [
        "pre-clone",
        "pre-identify",
        "post-update.x",
        "update.y",
        "incoming",
        "changegroup.z",
        "outgoing",
        "pretxnopen",
    ] {
        hooks.extend([name, " = ", &touch, "\n"]);
    }
    let config = world.path("home/.hgrc");
    fs::write(&config, fs::read_to_string(&config).unwrap() + &hooks).unwrap();
    fs::write(
        upstream.dir.join(".hg/hgrc"),
        format!("{hooks}[extensions]\nabsent:required = yes\nabsent =\n"),
    )
    .unwrap();
    let prepared = build(&world, &upstream.url(), branch("default")).await.0.unwrap();
    assert!(!mark.exists());
    // They would have.
    fs::write(upstream.dir.join(".hg/hgrc"), "").unwrap();
    hg(&world, &prepared.cwd, &["update", "null"]);
    assert!(mark.exists());
}

#[tokio::test]
async fn subrepositories_are_refused() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let inner = Upstream::new(&world, "private");
    hg(&world, &upstream.dir, &["clone", "--quiet", &inner.url(), "inner"]);
    fs::write(upstream.dir.join(".hgsub"), format!("inner = {}\n", inner.url())).unwrap();
    upstream.hg(&["add", ".hgsub"]);
    upstream.commit("sub");
    let error = build(&world, &upstream.url(), branch("default")).await.0.unwrap_err();
    assert_eq!(error.to_string(), "`checkout` failed with exit status 255 (subrepos not enabled)");
    assert!(error.hint().unwrap().contains("in a step"));
}
