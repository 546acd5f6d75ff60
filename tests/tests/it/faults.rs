//! Servers that hang, cut the line, ask for a login or are not there, for every kind of source.

use pony_tests::{Kind, Upstream, Way, World};
use serde_json::Value;

const KINDS: [Kind; 4] = [Kind::Git, Kind::Svn, Kind::Hg, Kind::Archive];

fn checkout(world: &World) -> Value {
    let runs = world.runs();
    let result = runs.last().unwrap().result();
    std::fs::remove_dir_all(world.path("pony/runs")).unwrap();
    result["checkout"].clone()
}

/// With nothing in the cache the run cannot be prepared; nothing is left of it.
fn fails(world: &World, upstream: &Upstream<'_>, said: &[&str], tries: usize) {
    let ended = world.pony(&["-n", upstream.recipe("")]).end().code(12).out_is("");
    let err = ended.err();
    assert!(said.iter().any(|said| err.contains(said)), "{said:?} is expected: {ended}");
    assert_eq!(err.matches("retrying").count(), tries, "{ended}");
    assert_eq!(world.run().outcomes(), ["infra-error", "skipped"], "{ended}");
    assert!(world.temporary().is_empty(), "{ended}");
    assert!(world.build_processes().is_empty(), "{:?} {ended}", world.build_processes());
    std::fs::remove_dir_all(world.path("pony/runs")).unwrap();
}

/// What is in the cache is built, and the result says that upstream has perhaps more.
fn falls_back(world: &World, upstream: &Upstream<'_>, expected: &str) {
    let ended = world.pony(&["-n", upstream.recipe("")]).end().code(0).out_is(expected);
    assert!(ended.err().contains("using the cached"), "{ended}");
    let checkout = checkout(world);
    assert!(checkout["offline"].as_str().is_some_and(|why| !why.is_empty()), "{checkout:#} {ended}");
}

const NO_LINE: [&str; 2] = ["cannot reach", "could not be reached"];

/// Svn does not heed a polite signal while it waits for an answer: once is enough.
fn hangs(kind: Kind) {
    let world = World::new();
    let upstream = world.upstream(kind);
    if kind != Kind::Svn {
        upstream.line.set(Way::Silent);
        world.configure("network: {silence: 0.3, waits: [0.01]}");
        fails(&world, &upstream, &NO_LINE, 1);
        upstream.line.set(Way::Open);
        world.configure("");
    }
    let expected = upstream.built();
    let _ = world.pony(&["-n", upstream.recipe("")]).end().code(0).out_is(&expected);
    assert!(checkout(&world)["offline"].is_null());
    upstream.publish("two", &[]);
    upstream.line.set(Way::Silent);
    world.configure("network: {silence: 0.3, waits: []}");
    falls_back(&world, &upstream, &expected);
}

fn is_cut(kind: Kind) {
    let world = World::new();
    let upstream = world.upstream(kind);
    world.configure("network: {waits: [0.01]}");
    // In the middle of what is brought here: the first bytes alone are some kilobytes.
    upstream.line.set(Way::Cut(20_000));
    fails(&world, &upstream, &NO_LINE, 1);
    upstream.line.set(Way::Open);
    let expected = upstream.built();
    let _ = world.pony(&["-n", upstream.recipe("")]).end().code(0).out_is(&expected);
    assert!(checkout(&world)["offline"].is_null());
    // Not so much as the news.
    let news: String = (0_u32..30_000).map(|i| format!("{:08x}", i.wrapping_mul(2_654_435_761))).collect();
    upstream.publish("two", &[("data/news", &news)]);
    upstream.line.set(Way::Cut(20_000));
    if kind == Kind::Svn {
        // A working copy that was half changed is nothing to build.
        fails(&world, &upstream, &NO_LINE, 1);
    } else {
        falls_back(&world, &upstream, &expected);
    }
    upstream.line.set(Way::Open);
    let _ = world.pony(&["-n", upstream.recipe("")]).end().code(0).out_is(&upstream.built());
    assert!(checkout(&world)["offline"].is_null());
}

fn is_tried_again(kind: Kind) {
    let world = World::new();
    let upstream = world.upstream(kind);
    world.configure("network: {waits: [0.01, 0.02]}");
    upstream.line.set(Way::Closed(2));
    let ended = world.pony(&["-n", upstream.recipe("")]).end().code(0).out_is(&upstream.built());
    assert_eq!(ended.err().matches("retrying").count(), 2, "{ended}");
    assert!(checkout(&world)["offline"].is_null());
    // Gone for longer than anybody waits.
    upstream.line.set(Way::Closed(usize::MAX));
    let ended = world.pony(&["-n", upstream.recipe("")]).end().code(0).out_is(&upstream.built());
    assert_eq!(ended.err().matches("retrying").count(), 2, "{ended}");
    assert!(checkout(&world)["offline"].is_string(), "{ended}");
    // Nobody is asked.
    let ended = world.pony(&["-n", "--offline", upstream.recipe("")]).end().code(0).out_is(&upstream.built());
    assert_eq!(ended.err().matches("retrying").count(), 0, "{ended}");
    assert!(checkout(&world)["offline"].as_str().unwrap().contains("offline"), "{ended}");
    std::fs::remove_dir_all(world.path("pony/cache")).unwrap();
    let ended = world.pony(&["-n", "--offline", upstream.recipe("")]).end().code(12).out_is("");
    assert!(ended.err().contains("run once without `--offline`"), "{ended}");
}

fn what_is_not_there_is_not_tried_again(kind: Kind) {
    let world = World::new();
    let upstream = world.upstream(kind);
    world.configure("network: {waits: [0.01, 0.02]}");
    let (recipe, said) = match kind {
        Kind::Git | Kind::Hg => (upstream.recipe(", branch: nowhere"), "no branch `nowhere`"),
        Kind::Svn => (upstream.recipe(", revision: 99"), "99"),
        Kind::Archive => {
            let text = format!("source: {{archive: '{}.gz'}}\nsteps: [{{run: 'true'}}]\n", upstream.url());
            (world.recipe(&text), "no file at")
        }
    };
    let text = std::fs::read_to_string(world.path("work").join(recipe)).unwrap();
    let wrong = world.write("wrong.yaml", text).display().to_string();
    for full in [false, true] {
        if full {
            // Nor with something in the cache.
            let _ = world.pony(&["-n", upstream.recipe("")]).end().code(0);
        }
        let ended = world.pony(&["-n", &wrong]).end().code(12).out_is("");
        assert!(ended.err().contains(said) && !ended.err().contains("retrying"), "{ended}");
        assert!(!ended.err().contains("using the cached"), "{ended}");
    }
}

/// Each kind by a test of its own.
macro_rules! each_kind {
    ($($test:ident: $git:ident $svn:ident $hg:ident $archive:ident;)*) => { $(
        #[test] fn $git() { $test(KINDS[0]); }
        #[test] fn $svn() { $test(KINDS[1]); }
        #[test] fn $hg() { $test(KINDS[2]); }
        #[test] fn $archive() { $test(KINDS[3]); }
    )* };
}

each_kind! {
    hangs: git_hangs svn_hangs hg_hangs archive_hangs;
    is_cut: git_is_cut svn_is_cut hg_is_cut archive_is_cut;
    is_tried_again: git_is_tried_again svn_is_tried_again hg_is_tried_again archive_is_tried_again;
    what_is_not_there_is_not_tried_again: git_is_not_there svn_is_not_there hg_is_not_there archive_is_not_there;
}

#[test]
fn nobody_is_ever_asked_for_a_password() {
    let world = World::new();
    world.configure("network: {waits: [0.01]}");
    let line = pony_tests::Line::to(1);
    line.set(Way::Login);
    let url = format!("http://127.0.0.1:{}/demo", line.port());
    for kind in KINDS {
        let recipe = world.recipe(&format!("source: {{{kind}: '{url}'}}\nsteps: [{{run: touch never}}]\n"));
        let ended = world.pony(&["-n", recipe]).end().code(12).out_is("");
        let err = ended.err();
        assert!(err.contains("login") && !err.contains("retrying"), "{kind}: {ended}");
        // Where there is somebody who could be asked, too.
        let terminal = world.terminal(100, 30, &world.pony(&["-n", "--no-progress", recipe]));
        let _ = terminal.end(12);
    }
    assert!(world.temporary().is_empty());
}

#[test]
fn svnserve_gives_nothing_without_a_login() {
    let world = World::new();
    let upstream = world.upstream(Kind::Svn);
    let closed = "[general]\nanon-access = none\nauth-access = read\npassword-db = passwd\n";
    std::fs::write(world.path("up/svn/conf/svnserve.conf"), closed).unwrap();
    std::fs::write(world.path("up/svn/conf/passwd"), "[users]\nann = s3cr3t-of-ann\n").unwrap();
    let recipe = upstream.recipe("");
    let terminal = world.terminal(100, 30, &world.pony(&["-n", "--no-progress", recipe]));
    assert!(terminal.end(12).contains("login"));
    // One that is in the address is used, and shown nowhere.
    let url = upstream.url();
    let with_login = url.replace("//", "//ann:s3cr3t-of-ann@");
    let text = std::fs::read_to_string(world.path("work").join(recipe)).unwrap();
    let recipe = world.write("login.yaml", text.replace(&url, &with_login)).display().to_string();
    let ended = world.pony(&["-n", "-v", &recipe]).end().code(0).out_has(&upstream.built());
    let _ = ended.has_no("s3cr3t-of-ann");
    assert!(world.holding("s3cr3t-of-ann").is_empty(), "{:?}", world.holding("s3cr3t-of-ann"));
}
