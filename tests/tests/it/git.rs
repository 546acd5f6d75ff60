//! Sources in git, through the program: what is checked out, what is recorded of it, what is said when it cannot be.

use pony_tests::{Ended, World};

fn recipe(world: &World, source: &str, run: &str) -> &'static str {
    world.recipe(&format!("source: {source}\nsteps:\n- {{name: look, run: '{run}'}}\n"))
}

fn build<'w>(world: &'w World, source: &str, run: &str) -> Ended<'w> {
    let recipe = recipe(world, source, run);
    world.pony(&["-n", recipe]).end()
}

#[test]
fn the_commit_is_checked_out_and_recorded() {
    let world = World::new();
    let repository = world.repository("work/project");
    let recipe = recipe(&world, "{git: ./project, branch: main}", "cat file; git status --short");
    let ended = world.pony(&[recipe]).end().code(0).out_is("one");
    let run = world.run();
    let result = run.result();
    assert_eq!(result["checkout"]["version_type"], "git", "{ended}");
    assert_eq!(result["checkout"]["revision"], repository.head());
    assert_eq!(result["checkout"]["version_info"], format!("{} one", repository.head()));
    assert!(result["checkout"]["commit_date"].as_str().unwrap().starts_with("20"), "{ended}");
    assert_eq!(run.outcomes(), ["passed", "passed"]);
    let stored = world.serve().json("/p/demo/latest/?format=json");
    let checkout = &stored["results"][0];
    assert_eq!(checkout["name"], "checkout", "{stored:#}");
    assert_eq!(checkout["type"], "setup");
    assert_eq!(checkout["version_type"], "git");
    assert_eq!(checkout["version_info"], result["checkout"]["version_info"]);
    assert_eq!(stored["client_info"]["revision"], repository.head());
    let nested: Vec<_> = checkout.as_object().unwrap().values().filter(|value| value.is_object()).collect();
    assert!(!nested.is_empty(), "{checkout:#}");
    for command in nested {
        for key in ["status", "command", "output", "errout"] {
            assert!(!command[key].is_null(), "{key} in {command:#}");
        }
    }
}

#[test]
fn every_way_to_write_an_address() {
    let world = World::new();
    let repository = world.repository("work/project");
    let absolute = repository.path();
    for address in [absolute.clone(), format!("file://{absolute}"), "./project".into(), "mine:project".into()]
    {
        let config = world.path("home/.gitconfig");
        let text = std::fs::read_to_string(&config).unwrap();
        let base = world.path("work").display().to_string();
        std::fs::write(&config, format!("{text}[url \"{base}/\"]\n\tinsteadOf = mine:\n")).unwrap();
        let _ = build(&world, &format!("{{git: '{address}'}}"), "cat file").code(0).out_is("one");
    }
}

#[test]
fn a_relative_source_is_one_from_the_recipes_folder() {
    let world = World::new();
    world.repository("work/recipes/inside");
    world.repository("work/outside");
    for address in ["./inside", "../outside"] {
        let text = format!("package: demo\nsource: {{git: {address}}}\nsteps: [{{run: cat file}}]\n");
        let path = world.write("recipes/demo.yaml", text).display().to_string();
        for (recipe, cwd) in [("recipes/demo.yaml", "work"), ("demo.yaml", "work/recipes"), (&path, "tmp")] {
            let call = world.pony(&["-n", recipe]).cwd(world.path(cwd));
            call.end().code(0).out_is("one");
        }
    }
    for (path, recipe) in [(".", "recipes/demo.yaml"), ("..", "recipes/demo.yaml")] {
        let text = format!("package: demo\nsource: {{path: {path}}}\nsteps: [{{run: ls}}]\n");
        world.write("recipes/demo.yaml", text);
        let expected = if path == "." { "inside" } else { "outside" };
        world.pony(&["-n", recipe]).end().code(0).out_has(expected);
    }
}

#[test]
fn two_repositories_of_one_name_never_meet() {
    let world = World::new();
    for owner in ["ann", "bob"] {
        world.repository(&format!("work/{owner}/project")).commit(owner);
    }
    for owner in ["ann", "bob", "ann"] {
        build(&world, &format!("{{git: ./{owner}/project}}"), "cat file").code(0).out_is(owner);
    }
}

#[test]
fn branches_tags_and_revisions() {
    let world = World::new();
    let repository = world.repository("work/project");
    let first = repository.head();
    repository.git(&["tag", "-m", "one", "v1"]);
    repository.git(&["checkout", "--quiet", "-b", "topic/a"]);
    repository.commit("two");
    repository.git(&["checkout", "--quiet", "main"]);
    repository.commit("three");
    for (want, file) in [
        ("branch: main".to_owned(), "three"),
        ("branch: topic/a".to_owned(), "two"),
        ("tag: v1".to_owned(), "one"),
        (format!("revision: '{first}'"), "one"),
        (format!("revision: '{}'", &first[..10]), "one"),
    ] {
        let _ = build(&world, &format!("{{git: ./project, {want}}}"), "cat file").code(0).out_is(file);
    }
}

#[test]
fn a_wrong_branch_is_told_with_what_may_have_been_meant() {
    let world = World::new();
    let repository = world.repository("work/project");
    repository.git(&["branch", "develop"]);
    let ended = build(&world, "{git: ./project, branch: devlop}", "touch never").code(12).out_is("");
    assert!(
        ended.err().contains("`devlop`") && ended.err().contains("did you mean `branch: develop`"),
        "{ended}"
    );
    let run = world.run();
    assert_eq!(run.outcomes(), ["infra-error", "skipped"], "{ended}");
    assert_eq!(run.result()["outcome"], "infra-error");
}

#[test]
fn what_cannot_be_fetched_is_exit_12_and_says_why() {
    let world = World::new();
    world.configure("network: {waits: []}");
    world.write("plain/file", "no repository");
    for (address, said) in [
        ("./plain", "no repository at"),
        ("./nowhere", "no repository at"),
        ("http://nonexistent.invalid/x.git", "no such host"),
        ("http://127.0.0.1:1/x.git", "cannot reach"),
    ] {
        let ended = build(&world, &format!("{{git: '{address}'}}"), "touch never").code(12).out_is("");
        assert!(ended.err().contains(said), "{said:?} is expected: {ended}");
    }
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
}

#[test]
fn the_result_of_a_failed_checkout_is_complete() {
    let world = World::new();
    let recipe = recipe(&world, "{git: ./nowhere}", "touch never");
    let _ = world.pony(&[recipe]).end().code(12);
    let stored = world.serve().json("/p/demo/latest/?format=json");
    assert_eq!(stored["client_info"]["success"], false, "{stored:#}");
    assert_eq!(stored["results"][0]["name"], "checkout");
    assert!(stored["results"][0]["status"].as_i64().unwrap() != 0, "{stored:#}");
    assert!(stored["results"][0]["errout"].as_str().unwrap().contains("no repository"), "{stored:#}");
}

#[test]
fn the_commits_since_the_last_run_and_the_last_success_are_in_the_result() {
    let world = World::new();
    let repository = world.repository("work/project");
    let recipe = recipe(&world, "{git: ./project}", "! grep -q bad file");
    let subjects = |changes: &serde_json::Value| -> Vec<String> {
        let commits = changes["commits"].as_array().into_iter().flatten();
        commits.map(|commit| commit["subject"].as_str().unwrap().to_owned()).collect()
    };
    for (text, code, since_last, since_success) in [
        ("good", 0, vec![], vec![]),
        ("bad 1", 10, vec!["bad 1"], vec!["bad 1"]),
        ("bad 2", 10, vec!["bad 2"], vec!["bad 2", "bad 1"]),
        ("good again", 0, vec!["good again"], vec!["good again", "bad 2", "bad 1"]),
    ] {
        repository.commit(text);
        let ended = world.pony(&["-n", "--keep", "never", recipe]).end().code(code);
        let runs = world.runs();
        let checkout = &runs.last().unwrap().result()["checkout"];
        // Runs of one second sort by chance: the right one has this commit.
        let checkout = runs
            .iter()
            .map(|run| run.result()["checkout"].clone())
            .find(|checkout| checkout["revision"] == repository.head())
            .unwrap_or_else(|| panic!("{checkout:#}"));
        assert_eq!(subjects(&checkout["changes_since_last"]), since_last, "{checkout:#} {ended}");
        assert_eq!(subjects(&checkout["changes_since_success"]), since_success, "{checkout:#} {ended}");
    }
}

#[test]
fn subdir_and_submodules() {
    let world = World::new();
    let library = world.repository("work/library");
    let project = world.repository("work/project");
    project.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &library.path(), "lib"]);
    project.write("sub/dir/here", "here");
    project.commit("two");
    let config = world.path("home/.gitconfig");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[protocol \"file\"]\n\tallow = always\n")).unwrap();
    build(&world, "{git: ./project, subdir: sub/dir}", "cat here").code(0).out_is("here");
    build(&world, "{git: ./project}", "ls lib").code(0).out_is("");
    build(&world, "{git: ./project, submodules: true}", "cat lib/file").code(0).out_is("one");
    build(&world, "{git: ./project, subdir: nowhere}", "true").code(12).err_has("nowhere");
}

#[test]
fn the_environment_of_another_repository_does_not_leak_in() {
    let world = World::new();
    world.repository("work/project");
    let other = world.repository("work/other");
    other.commit("other");
    let recipe = recipe(&world, "{git: ./project}", "cat file");
    let call =
        world.pony(&["-n", recipe]).env("GIT_DIR", other.dir.join(".git")).env("GIT_WORK_TREE", &other.dir);
    call.end().code(0).out_is("one");
}

#[test]
fn a_checkout_that_fills_the_disk_says_so() {
    let world = World::new();
    let repository = world.repository("work/project");
    // Does not get smaller in a pack.
    let noise: String = (0_u32..60_000).map(|i| format!("{:08x}\n", i.wrapping_mul(2_654_435_761))).collect();
    repository.write("noise", &noise);
    repository.commit("two");
    let recipe = recipe(&world, "{git: ./project}", "touch never");
    let ended = world.full_disk(&world.pony(&["-n", recipe])).end().code(12).out_is("");
    assert!(ended.err().contains("disk is full") || ended.err().contains("too large"), "{ended}");
}
