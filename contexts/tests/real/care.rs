//! What `pony-run cache` finds of entries that somebody damaged, and what stays after a kill.

use std::{fs, path::Path};

use pony_contexts::{
    RevisionSpec,
    cache::{Health, list},
    changed_files, tip, verify,
};

use crate::{
    archive, hg,
    support::{Real, World, branch, files, text, wanted},
    svn,
};

/// What is said of the one entry.
async fn verdict(world: &World) -> Health {
    let listed = list(&world.path("cache")).unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    verify(&listed[0], &mut world.shell()).await.unwrap()
}

/// The first file below `dir` whose path ends like this is replaced.
fn damage(dir: &Path, end: &str) {
    let file = files(dir).into_iter().find(|file| file.to_str().unwrap().ends_with(end)).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "rubble").unwrap();
}

async fn is_damaged(world: &World, words: &str) {
    match verdict(world).await {
        Health::Damaged(why) => assert!(why.contains(words), "{why}"),
        other => panic!("{other:?}"),
    }
    // It is not trusted any more.
    assert_eq!(verdict(world).await, Health::Damaged("it is incomplete".to_owned()));
}

#[tokio::test]
async fn a_mirror() {
    let world = World::new();
    let upstream = world.repository("up/demo");
    // As old programs made them: git itself frowns on it, and it is what upstream has.
    let tree = upstream.git(&["rev-parse", "HEAD^{tree}"]);
    let commit = world.path("commit");
    fs::write(
        &commit,
        format!("tree {tree}\nauthor Ann<ann@x> 1 +0000\ncommitter Ann <ann@x> 1 +0000\n\nx\n"),
    )
    .unwrap();
    let id = upstream.git(&["hash-object", "-w", "--literally", "-t", "commit", commit.to_str().unwrap()]);
    upstream.git(&["branch", "odd", &id]);
    world.prepare(&upstream.url(), branch("odd")).await.0.unwrap();
    assert_eq!(verdict(&world).await, Health::Intact);
    damage(&world.mirror(), ".pack");
    is_damaged(&world, "damaged").await;
    let prepared = world.prepare(&upstream.url(), branch("main")).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(verdict(&world).await, Health::Intact);
}

#[tokio::test]
async fn a_clone() {
    let world = World::new();
    let upstream = hg::Upstream::new(&world, "up/demo");
    hg::build(&world, &upstream.url(), hg::branch("default")).await.0.unwrap();
    assert_eq!(verdict(&world).await, Health::Intact);
    damage(&world.path("cache/hg"), "store/data/file.i");
    is_damaged(&world, "").await;
}

#[tokio::test]
async fn a_working_copy() {
    let world = World::new();
    let upstream = svn::Upstream::new(&world, "up/demo");
    let url = upstream.url("trunk");
    svn::build(&world, &url, None).await.0.unwrap();
    assert_eq!(verdict(&world).await, Health::Intact);
    damage(&svn::cached(&world), ".svn-base");
    is_damaged(&world, "was changed").await;
    svn::build(&world, &url, None).await.0.unwrap();
    fs::write(svn::cached(&world).join("file"), "changed").unwrap();
    is_damaged(&world, "were changed").await;
}

#[tokio::test]
async fn a_downloaded_file() {
    let world = World::new();
    let file = world.path("demo.tar.gz");
    fs::write(&file, archive::gzip(&archive::release())).unwrap();
    let web = archive::Web::new(&file);
    let url = format!("{}/demo.tar.gz", web.url);
    archive::download(&world, &url, None, false).await.0.unwrap();
    assert_eq!(verdict(&world).await, Health::Intact);
    damage(&world.path("cache/archive"), "/demo.tar.gz");
    // Its server would say that it has not changed.
    let prepared = archive::download(&world, &url, None, false).await.0.unwrap();
    assert_eq!(text(&prepared, "file"), "one");
    assert_eq!(verdict(&world).await, Health::Intact);
    damage(&world.path("cache/archive"), "/demo.tar.gz");
    is_damaged(&world, "SHA-256").await;
}

#[tokio::test]
async fn what_moved_is_told_of_a_repository_only_as_a_whole() {
    let world = World::new();
    // A person's own choice, that a repository be named, changes nothing.
    world.configure("[safe]\n\tbareRepository = explicit\n");
    let upstream = world.repository("up/demo");
    let one = upstream.head();
    upstream.commit("two");
    let request =
        world.request(Some(pony_contexts::SourceSpec::Git(wanted(&upstream.url(), RevisionSpec::Default))));
    let ask = |shell: Real| {
        let (request, one) = (&request, &one);
        async move {
            let mut shell = shell;
            changed_files(request, one, &mut shell).await.unwrap()
        }
    };
    assert_eq!(ask(world.shell()).await, Some(vec!["file".to_owned()]));
    // Damage is for the next build to mend.
    damage(&world.mirror(), ".pack");
    assert_eq!(ask(world.shell()).await, None);
    world.prepare(&upstream.url(), RevisionSpec::Default).await.0.unwrap();
    // Too many to be told: a list without its middle would decide wrongly.
    for number in 0..700 {
        fs::write(upstream.dir.join(format!("{number:0200}")), "").unwrap();
    }
    upstream.commit("many");
    assert_eq!(ask(world.shell()).await, None);
    let mut request = request.clone();
    request.tempdir = world.path("tmp/many");
    request.earlier.last = Some(one.clone());
    let prepared = pony_contexts::prepare(&request, &mut world.shell()).await.unwrap();
    let changes = prepared.checkout.unwrap().changes_since_last.unwrap();
    assert!(changes.more_files && changes.files.is_empty() && changes.commits.len() == 2);
}

#[tokio::test]
async fn what_a_kill_leaves_of_asking_goes_with_the_entry() {
    let world = World::new();
    let upstream = hg::Upstream::new(&world, "up/demo");
    hg::build(&world, &upstream.url(), hg::branch("default")).await.0.unwrap();
    let entry = list(&world.path("cache")).unwrap().remove(0).dir;
    let mut left = entry.into_os_string();
    left.push(".new-abcdef");
    fs::create_dir(&left).unwrap();
    fs::write(Path::new(&left).join("answer"), "1 x").unwrap();
    assert_eq!(list(&world.path("cache")).unwrap().len(), 1);
    // Asking alone locks nothing, and leaves nothing but what was there.
    let request = world.request(Some(hg::wanted(&upstream.url(), hg::branch("default"))));
    tip(&request, &mut world.shell()).await.unwrap();
    assert!(Path::new(&left).exists());
    hg::build(&world, &upstream.url(), hg::branch("default")).await.0.unwrap();
    assert!(!Path::new(&left).exists());
    let dotted = |dir: &str| {
        let entries = fs::read_dir(world.path(dir)).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name.to_str().unwrap().starts_with('.')).count()
    };
    assert_eq!((dotted("cache"), dotted("cache/hg")), (0, 0));
}
