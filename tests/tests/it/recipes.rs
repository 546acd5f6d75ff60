//! The recipes that ship, run as they are: only addresses are others, of servers of this machine.

use std::{fs, path::PathBuf};

use pony_tests::{Dialect, Ended, Peer, World};
use serde_json::Value;

fn shipped(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../recipes").join(name);
    path.display().to_string()
}

/// A program for the shell; it is what `configure`, `make` and others of the recipes' steps find.
fn script(world: &World, path: &str, text: &str) {
    let path = world.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\nset -e\n{text}\n")).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

const MAKEFILE: &str = "all: hello\nhello:\n\tprintf '#!/bin/sh\\necho Hello, world\\n' >hello\n\tchmod +x hello\n\
                        check: hello\n\t./hello\n";

/// Runs a recipe that ships; delivers to a server of 2010.
fn run<'w>(world: &'w World, server: &Peer<'_>, recipe: &str, set: &[(&str, &str)]) -> Ended<'w> {
    let mut arguments: Vec<String> = ["-s".into(), server.url(), shipped(recipe)].into();
    for (name, value) in set {
        arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
    }
    let ended = world.pony(&arguments).end().code(0).err_has("stored");
    assert_eq!(world.run().result()["outcome"], "passed", "{ended}");
    ended
}

/// What the two kinds of server have: the bag of the client and the first step.
fn stored(world: &World, server: &Peer<'_>) -> (Value, Value) {
    let (client, results) = server.submission();
    assert_eq!(client["success"], true, "{client:#}");
    assert!(results.iter().all(|step| step["status"] == 0), "{results:#?}");
    let run = world.run().path.display().to_string();
    let serve = world.serve();
    world.pony(&["submit", "-s", &serve.url(), &run]).end().code(0);
    let package = client["package"].as_str().unwrap();
    let ours = serve.json(&format!("/p/{package}/latest/?format=json"));
    assert_eq!(ours["results"][0]["version_info"], results[0]["version_info"], "{ours:#}");
    let page = serve.page(&format!("/p/{package}/latest/"));
    assert_eq!(page.status, 200, "{page:?}");
    for shown in [&results[0]["version_info"], &results[0]["command"]] {
        let Some(shown) = shown.as_str() else { continue };
        assert!(page.body.contains(&shown.replace('\'', "&#39;")), "{shown} in {}", page.body);
    }
    (client, results[0].clone())
}

#[test]
fn svn() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    fs::create_dir_all(world.path("up/tree")).unwrap();
    world.run_in("up", "svnadmin", &["create", "apr"]);
    script(&world, "up/tree/trunk/buildconf", "cp configure.in configure\nchmod +x configure");
    fs::write(world.path("up/tree/trunk/configure.in"), "#!/bin/sh\ncp Makefile.in Makefile\n").unwrap();
    fs::write(world.path("up/tree/trunk/Makefile.in"), MAKEFILE).unwrap();
    let url = format!("file://{}", world.path("up/apr").display());
    world.run_in("up/tree", "svn", &["import", "-q", "-m", "one", ".", &url]);
    let daemon = world.svnserve("up");
    let url = format!("{}/apr/trunk", daemon.url());
    let _ = run(&world, &server, "svn.yaml", &[("url", &url)]).out_has("Hello, world");
    let (client, checkout) = stored(&world, &server);
    assert_eq!((&checkout["version_type"], &checkout["version_info"]), (&"svn".into(), &"1".into()));
    assert_eq!(checkout["create cache"]["status"], 0, "{checkout:#}");
    assert_eq!((&client["package"], &client["revision"]), (&"apr".into(), &"1".into()), "{client:#}");
    // As cron would.
    let if_needed =
        ["--if-needed", "--set", &format!("url={url}"), &shipped("svn.yaml"), "-s", &server.url()];
    world.pony(&if_needed).end().code(0).err_has("nothing to do");
    world.run_in(
        "up",
        "svn",
        &["mkdir", "-q", "-m", "two", &format!("file://{}/trunk/new", world.path("up/apr").display())],
    );
    world.pony(&if_needed).end().code(0).err_has("upstream has moved");
}

#[test]
fn hg() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    fs::create_dir_all(world.path("up/hello")).unwrap();
    fs::write(world.path("home/.hgrc"), "[ui]\nusername = Ann\n").unwrap();
    fs::write(world.path("up/hello/Makefile"), MAKEFILE).unwrap();
    world.run_in("up/hello", "hg", &["init"]);
    world.run_in("up/hello", "hg", &["commit", "-q", "--addremove", "-m", "one"]);
    let daemon = world.hg_serve("up/hello");
    let _ = run(&world, &server, "hg.yaml", &[("url", daemon.url())]).out_has("Hello, world");
    let (client, checkout) = stored(&world, &server);
    assert_eq!(checkout["version_type"], "hg");
    assert_eq!(checkout["version_info"], world.run_in("up/hello", "hg", &["id", "-nib", "-r", "tip"]).trim());
    assert_eq!(client["revision"], world.run_in("up/hello", "hg", &["log", "-r", "tip", "-T", "{node}"]));
    assert_eq!(client["tags"], serde_json::json!(["default"]));
}

#[test]
fn archive() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    script(&world, "up/hello-2.10/configure", "cp Makefile.in Makefile");
    fs::write(world.path("up/hello-2.10/Makefile.in"), MAKEFILE).unwrap();
    world.run_in("up", "tar", &["-czf", "hello-2.10.tar.gz", "hello-2.10"]);
    let sum = world.run_in("up", "sha256sum", &["hello-2.10.tar.gz"]);
    let sha256 = sum.split(' ').next().unwrap();
    let daemon = world.web("up");
    let url = format!("{}/hello-2.10.tar.gz", daemon.url());
    let _ =
        run(&world, &server, "archive.yaml", &[("url", &url), ("sha256", sha256)]).out_has("Hello, world");
    let (client, checkout) = stored(&world, &server);
    assert_eq!(checkout["version_type"], "archive", "{checkout:#}");
    assert_eq!(checkout["version_info"], format!("{sha256} hello-2.10.tar.gz"));
    assert_eq!(client["revision"], sha256);
    assert_eq!(checkout["download"]["status"], 0, "{checkout:#}");
    // Another file than the one that is meant is not built.
    let wrong = ["-n", "--set", &format!("url={url}"), &shipped("archive.yaml")];
    world.pony(&wrong).end().code(12).err_has("SHA-256").out_is("");
}

#[test]
fn path() {
    let world = World::new();
    let server = world.peer(Dialect::V2010);
    let repository = world.repository("work/project");
    repository.write(".gitignore", "target\n");
    repository.commit("one");
    repository.write("file", "not committed\n");
    repository.write("target/big", "x");
    let set = [("folder", repository.path()), ("test", "cat file; ls".to_owned())];
    let set: Vec<(&str, &str)> = set.iter().map(|(name, value)| (*name, &value[..])).collect();
    let ended = run(&world, &server, "path.yaml", &set).out_has("not committed");
    assert!(!ended.out().contains("target"), "{ended}");
    let (client, checkout) = stored(&world, &server);
    assert_eq!(checkout["version_type"], "git", "{checkout:#}");
    assert_eq!((&client["revision"], &client["dirty"]), (&repository.head().into(), &true.into()));
    let run = world.run();
    let diff = pony_tests::files(run.path())
        .into_iter()
        .find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("+not committed")));
    assert!(diff.is_some(), "{}", world.listing());
}

#[test]
fn virtualenv() {
    let mut world = World::new();
    world.wheels();
    let server = world.peer(Dialect::V2010);
    world.library("up/library");
    world.git("up/library", &["init", "--quiet"]);
    world.git("up/library", &["add", "--all"]);
    world.git("up/library", &["commit", "--quiet", "-m", "one"]);
    let daemon = world.git_daemon("up");
    let url = format!("{}/library", daemon.url());
    let ended = run(&world, &server, "virtualenv.yaml", &[("url", &url)]).out_has("1 passed");
    assert!(ended.err().contains("optional `pytest-randomly` not installed"), "{ended}");
    let (client, checkout) = stored(&world, &server);
    assert_eq!(checkout["version_type"], "git");
    assert_eq!(client["virtualenv"], true, "{client:#}");
    assert_eq!(client["dependencies"], serde_json::json!(["pytest", "."]));
    assert_eq!(client["optional_missing"], serde_json::json!(["pytest-randomly"]));
    let installed = client["installed"].to_string();
    assert!(installed.contains("pytest==9.0") && installed.contains("demo"), "{installed}");
}
