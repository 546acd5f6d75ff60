//! Source `svn` against real repositories on this machine: what is checked out, what is recorded, and what becomes of a cache
//! that something happened to.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread,
};

use pony_contexts::{
    CommandOutput, ContextRequest, EarlierRevisions, Error, Prepared, SourceSpec, SvnSpec, WorkingDir,
    changed_files, prepare, tip,
};

use crate::support::{Real, World, program, text};

/// A repository with `trunk`, which has `file` in it; one revision.
pub struct Upstream<'a> {
    pub world: &'a World,
    pub dir: PathBuf,
}

impl<'a> Upstream<'a> {
    pub fn new(world: &'a World, name: &str) -> Self {
        let dir = world.path(name);
        fs::create_dir_all(dir.parent().unwrap()).unwrap();
        run(world, "svnadmin", ["create", dir.to_str().unwrap()]);
        // What tests make need not outlive a power cut.
        fs::write(dir.join("db/fsfs.conf"), "").unwrap();
        let upstream = Self { world, dir };
        upstream.put("one", &[("trunk/file", "one")]);
        upstream
    }

    /// A folder of it, for svn.
    pub fn url(&self, folder: &str) -> String {
        format!("file://{}/{folder}", self.dir.display())
    }

    /// Commits what `svnmucc` is told; all its addresses are from the top.
    pub fn change(&self, message: &str, args: &[&str]) {
        let fixed = ["--username", "ann", "-m", message, "-U", &self.url("")];
        run(self.world, "svnmucc", fixed.iter().chain(args));
    }

    /// Commits files, with the folders that they need.
    pub fn put(&self, message: &str, files: &[(&str, &str)]) {
        let (mut args, mut made) = (Vec::new(), Vec::<String>::new());
        for (index, (path, text)) in files.iter().enumerate() {
            let local = self.world.path(&format!("put-{index}"));
            fs::write(&local, text).unwrap();
            let mut folders: Vec<_> = Path::new(path).ancestors().skip(1).collect();
            folders.pop();
            for folder in folders.into_iter().rev().map(|folder| folder.to_str().unwrap().to_owned()) {
                let listed = program("svn", &self.world.path("home"))
                    .args(["info", "--", &format!("{}@", self.url(&folder))])
                    .env("LC_ALL", "C.UTF-8")
                    .output()
                    .unwrap();
                if !listed.status.success() && !made.contains(&folder) {
                    args.extend(["mkdir".to_owned(), folder.clone()]);
                    made.push(folder);
                }
            }
            args.extend(["put".to_owned(), local.to_str().unwrap().to_owned(), (*path).to_owned()]);
        }
        self.change(message, &args.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Commits `trunk/file` with `text` in it.
    pub fn commit(&self, text: &str) {
        self.put(text, &[("trunk/file", text)]);
    }
}

/// Runs a program, which must succeed; its output without the last line's end.
pub fn run(world: &World, name: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let mut command = program(name, &world.path("home"));
    let output = command.env("LC_ALL", "C.UTF-8").args(args).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

pub fn asking(world: &World, url: &str, revision: Option<&str>) -> ContextRequest {
    let revision = revision.map(str::to_owned);
    world.request(Some(SourceSpec::Svn(SvnSpec {
        url: url.parse().unwrap(),
        revision,
        subdir: None,
        dir: None,
    })))
}

pub async fn build(world: &World, url: &str, revision: Option<&str>) -> (Result<Prepared, Error>, Real) {
    let mut shell = world.shell();
    let prepared = prepare(&asking(world, url, revision), &mut shell).await;
    (prepared, shell)
}

/// As [`build`], where it must succeed.
async fn built(world: &World, url: &str, revision: Option<&str>) -> (Prepared, Real) {
    let (prepared, shell) = build(world, url, revision).await;
    (prepared.unwrap(), shell)
}

fn labels(shell: &Real) -> Vec<&str> {
    shell.ran.iter().map(|(command, _)| command.label.as_str()).collect()
}

/// The one working copy in the cache.
pub fn cached(world: &World) -> PathBuf {
    let entries = fs::read_dir(world.path("cache/svn")).unwrap().map(|entry| entry.unwrap().path());
    let dirs: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    assert_eq!(dirs.len(), 1, "{dirs:?}");
    dirs[0].clone()
}

#[tokio::test]
async fn no_cache() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    let (prepared, shell) = built(&world, &url, None).await;
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(prepared.tip.as_deref(), Some("1"));
    let date = run(&world, "svn", ["info", "--show-item", "last-changed-date", &url]);
    let checkout = prepared.checkout.unwrap();
    assert_eq!((checkout.version_type, checkout.version_info.as_str()), ("svn", "1"));
    assert_eq!((checkout.revision.as_str(), checkout.commit_date), ("1", date));
    assert_eq!(checkout.command, format!("SvnCheckout({url}, r1)"));
    assert_eq!((checkout.dirty, checkout.offline), (false, None));
    assert_eq!((checkout.changes_since_last, checkout.changes_since_success), (None, None));
    assert_eq!(labels(&shell), ["info", "create cache", "externals", "status", "svnversion"]);
    assert_eq!(run(&world, "svn", ["status", "--no-ignore", prepared.cwd.to_str().unwrap()]), "");
}

#[tokio::test]
async fn a_fresh_cache_brings_nothing() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    built(&world, &url, None).await;
    let (prepared, shell) = built(&world, &url, None).await;
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(labels(&shell), ["cache_info", "info", "externals", "svnversion"]);
    // The tree stands for itself.
    fs::remove_dir_all(world.path("cache")).unwrap();
    run(&world, "svn", ["cleanup", prepared.cwd.to_str().unwrap()]);
    assert_eq!(run(&world, "svnversion", [prepared.cwd.to_str().unwrap()]), "1");
}

#[tokio::test]
async fn a_new_commit_updates_the_cache_and_is_recorded() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    built(&world, &url, None).await;
    upstream.put("two & more\n\nwith a body", &[("trunk/file", "two"), ("trunk/a b/\u{e4}@2", "x")]);
    upstream.put("elsewhere", &[("branches/file", "x")]);
    upstream.commit("four");
    let request = ContextRequest {
        earlier: EarlierRevisions { last: Some("2".to_owned()), last_success: Some("1".to_owned()) },
        ..asking(&world, &url, None)
    };
    let mut shell = world.shell();
    assert_eq!(tip(&request, &mut shell).await.unwrap().as_deref(), Some("4"));
    assert_eq!(labels(&shell), ["remote_tip"]);
    let mut shell = world.shell();
    let prepared = prepare(&request, &mut shell).await.unwrap();
    assert_eq!((text(&prepared, "file").as_str(), text(&prepared, "a b/\u{e4}@2").as_str()), ("four", "x"));
    assert_eq!(labels(&shell), ["cache_info", "info", "cache_update", "externals", "svnversion", "log"]);
    let checkout = prepared.checkout.unwrap();
    assert_eq!(checkout.version_info, "4");
    let last = checkout.changes_since_last.unwrap();
    assert_eq!((last.commits.len(), last.files), (1, vec!["file".to_owned()]));
    let success = checkout.changes_since_success.unwrap();
    let said: Vec<_> =
        success.commits.iter().map(|commit| (commit.id.as_str(), commit.subject.as_str())).collect();
    assert_eq!(said, [("4", "four"), ("2", "two & more")]);
    assert_eq!(success.commits[1].author, "ann");
    assert_eq!(success.files, ["a b/", "a b/\u{e4}@2", "file"]);

    let mut shell = world.shell();
    let files = changed_files(&request, "1", &mut shell).await.unwrap().unwrap();
    assert_eq!(files, ["a b/", "a b/\u{e4}@2", "file"]);
    assert_eq!(changed_files(&request, "4", &mut shell).await.unwrap().unwrap(), [""; 0]);
    for unknown in ["99", "none"] {
        assert_eq!(changed_files(&request, unknown, &mut shell).await.unwrap(), None);
    }
}

#[tokio::test]
async fn no_news_since_the_last_run_needs_no_log() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    for (last, changes) in [("1", Some(0)), ("7", None), ("abc", None)] {
        let earlier = EarlierRevisions { last: Some(last.to_owned()), last_success: None };
        let mut shell = world.shell();
        let prepared = prepare(&ContextRequest { earlier, ..asking(&world, &url, None) }, &mut shell).await;
        let checkout = prepared.unwrap().checkout.unwrap();
        assert_eq!(checkout.changes_since_last.map(|changes| changes.commits.len()), changes);
        assert_eq!(shell.count("log"), 0);
    }
}

#[tokio::test]
async fn another_branch() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    upstream.put("branch", &[("branches/b/file", "branch")]);
    built(&world, &upstream.url("trunk"), None).await;
    let (prepared, shell) = built(&world, &upstream.url("branches/b"), None).await;
    assert_eq!(text(&prepared, "file"), "branch");
    assert_eq!(shell.count("create cache"), 1);
}

#[tokio::test]
async fn a_branch_that_did_not_exist_when_the_cache_was_made() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("branches/b");
    built(&world, &upstream.url("trunk"), None).await;
    let error = build(&world, &url, None).await.0.unwrap_err();
    assert!(matches!(error, Error::NoSuchFolder { .. }), "{error:?}");
    upstream.put("branch", &[("branches/b/file", "branch")]);
    assert_eq!(text(&built(&world, &url, None).await.0, "file"), "branch");
}

#[tokio::test]
async fn a_repository_that_was_replaced() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    upstream.commit("two");
    let uuid = run(&world, "svnlook", ["uuid", upstream.dir.to_str().unwrap()]);
    built(&world, &url, None).await;
    // Once by another, once by one that claims to be the same.
    for (count, commits) in [(0, ["a", "b"]), (1, ["c", "d"])] {
        fs::rename(&upstream.dir, world.path(&format!("up/old-{count}"))).unwrap();
        let upstream = Upstream::new(&world, "up/demo");
        if count == 1 {
            run(&world, "svnadmin", ["setuuid", upstream.dir.to_str().unwrap(), &uuid]);
        }
        upstream.commit(commits[0]);
        let earlier = EarlierRevisions { last: Some("1".to_owned()), last_success: None };
        let mut shell = world.shell();
        let request = ContextRequest { earlier, ..asking(&world, &url, None) };
        let prepared = prepare(&request, &mut shell).await.unwrap();
        assert_eq!(text(&prepared, "file"), commits[0]);
        assert!(shell.notes[0].contains("is another repository than before"), "{:?}", shell.notes);
        assert_eq!((shell.count("create cache"), shell.count("log")), (1, 0));
        assert_eq!(prepared.checkout.unwrap().changes_since_last, None);
        upstream.commit(commits[1]);
        let (prepared, shell) = built(&world, &url, None).await;
        assert_eq!((text(&prepared, "file").as_str(), shell.count("create cache")), (commits[1], 0));
        cached(&world);
        if count == 0 {
            run(&world, "svnadmin", ["setuuid", upstream.dir.to_str().unwrap(), &uuid]);
            built(&world, &url, None).await;
        }
    }
}

#[tokio::test]
async fn a_trunk_that_was_renamed() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    built(&world, &url, None).await;
    upstream.change("rename", &["cp", "HEAD", "trunk", "main", "rm", "trunk"]);
    let (prepared, shell) = build(&world, &url, None).await;
    let error = prepared.unwrap_err();
    assert!(error.to_string().starts_with(&format!("no folder `{url}` in revision HEAD (svn: ")), "{error}");
    assert!(error.hint().unwrap().contains("…/trunk@1234"), "{error:?}");
    assert!(shell.pauses.is_empty());
    assert_eq!(world.temporary().len(), 1);

    // The way out, and the other.
    let (prepared, shell) = built(&world, &format!("{url}@1"), None).await;
    assert_eq!((text(&prepared, "file").as_str(), shell.count("create cache")), ("one", 0));
    upstream.put("three", &[("main/file", "three")]);
    let (prepared, _) = built(&world, &upstream.url("main"), None).await;
    assert_eq!(text(&prepared, "file"), "three");
    // Looked up by its new name, built as it was under the old.
    let (prepared, _) = built(&world, &upstream.url("main"), Some("1")).await;
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(prepared.checkout.unwrap().command, format!("SvnCheckout({}, r1)", upstream.url("main")));
    let (prepared, shell) = built(&world, &upstream.url("main@"), None).await;
    assert_eq!((text(&prepared, "file").as_str(), shell.count("create cache")), ("three", 0));
}

#[tokio::test]
async fn revisions_by_number_date_and_peg() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    upstream.commit("two");
    let url = upstream.url("trunk");
    for (url, revision, expected) in [
        (url.clone(), Some("1"), "one"),
        (url.clone(), Some("r2"), "two"),
        (url.clone(), Some("HEAD"), "two"),
        (url.clone(), Some("{2999-01-01}"), "two"),
        (format!("{url}@1"), None, "one"),
        (format!("{url}@1"), Some("2"), "two"),
        (format!("{url}@HEAD"), None, "two"),
        (format!("{url}/"), None, "two"),
        (upstream.dir.join("trunk@1").to_str().unwrap().to_owned(), None, "one"),
        ("../up/demo/trunk".to_owned(), None, "two"),
    ] {
        let (prepared, _) = built(&world, &url, revision).await;
        assert_eq!(text(&prepared, "file"), expected, "{url} {revision:?}");
    }
    for (revision, message) in [
        ("99", format!("no revision `99` in `{url}`")),
        ("x", "`x` is not a Subversion revision".to_owned()),
        ("{2026-99-99}", "`{2026-99-99}` is not a Subversion revision".to_owned()),
        ("--help", "`--help` is not a Subversion revision".to_owned()),
    ] {
        let error = build(&world, &url, Some(revision)).await.0.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let early = build(&world, &url, Some("{1999-01-01}")).await.0.unwrap_err();
    assert!(matches!(early, Error::NoSuchFolder { .. }), "{early:?}");
    for (url, expected) in [
        (upstream.url("trunk/file"), "it is a file"),
        ("host:path".to_owned(), "`host:path` is not an address"),
        (world.path("up/none").to_str().unwrap().to_owned(), "no repository at"),
    ] {
        let error = build(&world, &url, None).await.0.unwrap_err();
        assert!(error.to_string().contains(expected) && error.hint().is_some(), "{error}");
    }
}

#[tokio::test]
async fn odd_names() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/de mo");
    let folder = "br\u{e4}nch @2";
    upstream.put("odd", &[(&format!("{folder}/\u{fc} @3/file@HEAD"), "odd")]);
    let url = upstream.dir.join(format!("{folder}@")).to_str().unwrap().to_owned();
    for _ in 0..2 {
        let (prepared, _) = built(&world, &url, None).await;
        assert_eq!(text(&prepared, "\u{fc} @3/file@HEAD"), "odd");
        assert_eq!(prepared.checkout.unwrap().version_info, "2");
    }
    let wanted =
        SvnSpec { url: url.parse().unwrap(), revision: None, subdir: Some("\u{fc} @3".into()), dir: None };
    let prepared = prepare(&world.request(Some(SourceSpec::Svn(wanted))), &mut world.shell()).await.unwrap();
    assert_eq!(text(&prepared, "file@HEAD"), "odd");
}

#[tokio::test]
async fn modes_links_and_keywords_arrive() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    upstream.put(
        "special",
        &[("trunk/run", "#!/bin/sh\n"), ("trunk/link", "link /etc/passwd"), ("trunk/id", "$Rev$")],
    );
    upstream.change(
        "properties",
        &[
            "propset",
            "svn:executable",
            "*",
            "trunk/run",
            "propset",
            "svn:special",
            "*",
            "trunk/link",
            "propset",
            "svn:keywords",
            "Rev",
            "trunk/id",
        ],
    );
    let (prepared, _) = built(&world, &upstream.url("trunk"), None).await;
    assert_eq!(fs::metadata(prepared.cwd.join("run")).unwrap().permissions().mode() & 0o111, 0o111);
    assert_eq!(fs::read_link(prepared.cwd.join("link")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(text(&prepared, "id"), "$Rev: 3 $");
    let checkout = prepared.checkout.unwrap();
    assert_eq!((checkout.version_info.as_str(), checkout.dirty), ("3", false));
}

#[tokio::test]
async fn externals_are_followed() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    upstream.put("lib", &[("lib/a", "a1")]);
    upstream.change("externals", &["propset", "svn:externals", "^/lib my-lib", "trunk"]);
    let url = upstream.url("trunk");
    let (prepared, _) = built(&world, &url, None).await;
    assert_eq!(text(&prepared, "my-lib/a"), "a1");
    upstream.put("lib", &[("lib/a", "a2")]);
    let (prepared, shell) = built(&world, &url, None).await;
    assert_eq!((text(&prepared, "my-lib/a").as_str(), shell.count("create cache")), ("a2", 0));
    assert_eq!(prepared.checkout.unwrap().version_info, "4");
}

#[test]
fn ten_runs_at_once_share_one_working_copy() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    let made = thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (prepared, shell) = runtime.block_on(built(&world, &url, None));
            (prepared, shell.count("create cache"))
        };
        let threads: Vec<_> = (0..10).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(made.iter().all(|(prepared, _)| text(prepared, "file") == "one"));
    assert_eq!(made.iter().map(|(_, created)| created).sum::<usize>(), 1);
    assert_eq!(world.temporary().len(), 10);
    cached(&world);
}

#[tokio::test]
async fn a_killed_update_leaves_a_cache_that_is_made_anew() {
    for label in ["create cache", "cache_update", "update_externals"] {
        let world = World::new();
        let upstream = Upstream::new(&world, "up/demo");
        upstream.change("externals", &["mkdir", "lib", "propset", "svn:externals", "^/lib lib", "trunk"]);
        let url = upstream.url("trunk");
        if label != "create cache" {
            built(&world, &url, None).await;
            upstream.commit("two");
        }
        let mut shell = world.shell();
        shell.interrupt = Some(Box::new(move |command| {
            let killed = CommandOutput { status: -9, stopped: true, ..CommandOutput::default() };
            (command.label == label).then_some(killed)
        }));
        let error = prepare(&asking(&world, &url, None), &mut shell).await.unwrap_err();
        assert!(matches!(error, Error::Stopped), "{error:?}");
        let (prepared, shell) = built(&world, &url, None).await;
        assert_eq!(shell.count("create cache"), 1, "{label}");
        assert_eq!(text(&prepared, "file"), if label == "create cache" { "one" } else { "two" });
        cached(&world);
    }
}

#[tokio::test]
async fn a_damaged_cache_is_made_anew_once() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("emptied", |dir| fs::write(dir.join(".svn/wc.db"), "").unwrap()),
        ("garbled", |dir| fs::write(dir.join(".svn/wc.db"), "x".repeat(40_000)).unwrap()),
        ("no wc.db", |dir| fs::remove_file(dir.join(".svn/wc.db")).unwrap()),
        ("no .svn", |dir| fs::remove_dir_all(dir.join(".svn")).unwrap()),
        ("no pristine", |dir| fs::remove_dir_all(dir.join(".svn/pristine")).unwrap()),
        ("no file", |dir| fs::remove_file(dir.join("file")).unwrap()),
    ];
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    built(&world, &url, None).await;
    for (name, damage) in damages {
        upstream.commit(name);
        damage(&cached(&world));
        let (prepared, shell) = built(&world, &url, None).await;
        assert_eq!(text(&prepared, "file"), name);
        let checkout = prepared.checkout.unwrap();
        assert!(!checkout.dirty, "{name}: {}", checkout.version_info);
        if name != "no file" {
            assert!(shell.notes[0].contains("is damaged"), "{name}: {:?}", shell.notes);
            assert_eq!(shell.count("create cache"), 1, "{name}");
        }
        cached(&world);
    }
}

#[tokio::test]
async fn a_cache_that_somebody_changed_is_made_anew() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    built(&world, &url, None).await;
    fs::write(cached(&world).join("file"), "changed").unwrap();
    let (prepared, shell) = built(&world, &url, None).await;
    assert_eq!((text(&prepared, "file").as_str(), shell.count("create cache")), ("one", 1));
    assert!(shell.notes[0].contains("was changed: rebuilding it"), "{:?}", shell.notes);
    fs::remove_file(cached(&world).join("file")).unwrap();
    let (prepared, _) = built(&world, &url, None).await;
    assert_eq!(text(&prepared, "file"), "one");

    // What is never clean is made anew once, not each time.
    let shown = cached(&world);
    let card = shown.with_file_name(format!("{}.json", shown.file_name().unwrap().to_str().unwrap()));
    let text_of = fs::read_to_string(&card).unwrap();
    fs::write(&card, text_of.replacen('{', "{\"version\":\"never clean\",", 1)).unwrap();
    fs::write(shown.join("file"), "changed").unwrap();
    let (prepared, shell) = built(&world, &url, None).await;
    assert_eq!(shell.count("create cache"), 0);
    assert!(prepared.checkout.unwrap().dirty);
}

#[tokio::test]
async fn a_lasting_tree_keeps_what_builds_leave() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    upstream.put("lib", &[("lib/a", "a")]);
    upstream.change("externals", &["propset", "svn:externals", "^/lib lib", "trunk"]);
    let url = upstream.url("trunk");
    let working_dir = WorkingDir::Directory("../lasting".into());
    let run_in = async |revision: Option<&str>| {
        let mut shell = world.shell();
        let request = ContextRequest { working_dir: working_dir.clone(), ..asking(&world, &url, revision) };
        (prepare(&request, &mut shell).await.unwrap(), shell)
    };
    let (first, _) = run_in(None).await;
    fs::write(first.cwd.join("product"), "kept").unwrap();
    fs::write(first.cwd.join("file"), "changed").unwrap();
    fs::write(first.cwd.join("lib/a"), "changed").unwrap();
    fs::write(first.cwd.join("new"), "in the way").unwrap();
    drop(first.lock);
    upstream.put("two", &[("trunk/new", "new")]);
    let (second, shell) = run_in(None).await;
    assert_eq!((&second.cwd, &shell.notes[..]), (&first.cwd, &[] as &[String]), "{:?}", labels(&shell));
    for (name, expected) in [("product", "kept"), ("file", "one"), ("lib/a", "a"), ("new", "new")] {
        assert_eq!(text(&second, name), expected, "{name}");
    }
    let checkout = second.checkout.unwrap();
    assert_eq!((checkout.version_info.as_str(), checkout.dirty), ("4", false));
    assert_eq!(shell.count("create cache") + shell.count("cache_update"), 0);
    drop(second.lock);

    // Back, and what a merge would be needed for is none.
    fs::remove_file(first.cwd.join("file")).unwrap();
    let (third, _) = run_in(Some("1")).await;
    assert_eq!((text(&third, "file").as_str(), text(&third, "product").as_str()), ("one", "kept"));
    assert_eq!(third.checkout.unwrap().version_info, "1");
    drop(third.lock);

    // What cannot be mended is made afresh.
    fs::write(third.cwd.join(".svn/wc.db"), "").unwrap();
    let (fourth, shell) = run_in(None).await;
    assert_eq!(text(&fourth, "new"), "new");
    assert!(shell.notes[0].contains("starting afresh"), "{:?}", shell.notes);
    drop(fourth.lock);
    fs::remove_file(first.cwd.join("new")).unwrap();
    fs::create_dir(first.cwd.join("new")).unwrap();
    fs::write(first.cwd.join("new/x"), "").unwrap();
    let (fifth, _) = run_in(None).await;
    assert_eq!(text(&fifth, "new"), "new");
}

#[tokio::test]
async fn a_full_disk_and_a_program_that_is_not_there() {
    let world = World::new();
    let upstream = Upstream::new(&world, "up/demo");
    for (status, stderr, message) in [
        (
            1,
            "svn: E000028: Can't write to file '/x': No space left on device\n",
            "the disk is full (svn: E000028: Can't write to file '/x': No space left on device)",
        ),
        (
            1,
            "svn: E200030: sqlite[S13]: database or disk is full\n",
            "the disk is full (svn: E200030: sqlite[S13]: database or disk is full)",
        ),
        (-1, "No such file or directory", "cannot start `svn` (No such file or directory)"),
        (
            1,
            "svn: E125001: what is this\n",
            "`create cache` failed with exit status 1 (svn: E125001: what is this)",
        ),
    ] {
        let mut shell = world.shell();
        shell.interrupt = Some(Box::new(move |command| {
            (command.label == "create cache").then(|| CommandOutput {
                status,
                stderr: stderr.into(),
                ..CommandOutput::default()
            })
        }));
        let request = asking(&world, &upstream.url("trunk"), None);
        let error = prepare(&request, &mut shell).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(shell.count("create cache"), 1);
    }
}
