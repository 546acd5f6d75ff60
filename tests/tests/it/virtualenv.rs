//! The virtual environment of a run, from outside: what steps see, what is recorded, what is said when it cannot be made.

use std::path::Path;

use pony_tests::{Dialect, World};
use serde_json::json;

const SECRET: &str = "hunter2-s3cr3t";

fn world() -> World {
    let mut world = World::new();
    world.wheels();
    world
}

#[test]
fn steps_are_in_it_and_nothing_else_is() {
    let world = world();
    let recipe = world.recipe(
        "context: {virtualenv: {requirements: [tiny]}}\nsteps:\n- run: |\n    echo $VIRTUAL_ENV ${PATH%%:*}\n    \
         command -v python\n    python -c 'import tiny; print(tiny.version)'\n    python -m pip install -q more==1.0\n    \
         python -c 'import more; print(more.version)'\n    touch ours\n",
    );
    let before: Vec<_> = pony_tests::files(&world.path("home"));
    // One that pony-run is started in is not that of the steps, and is left alone.
    let other = world.path("work/other");
    let _ = world.call("python3", &["-m", "venv", "--without-pip", "other"]).end().code(0);
    let listed = pony_tests::files(&other);
    let mut path = other.join("bin").into_os_string();
    path.push(":");
    path.push(&world.environment()[std::ffi::OsStr::new("PATH")]);
    let ended = world.pony(&["-n", recipe]).env("VIRTUAL_ENV", &other).env("PATH", path).end().code(0);
    let room = format!("{}/.virtualenv", world.run().result()["tempdir"].as_str().unwrap());
    assert_eq!(ended.out(), format!("{room} {room}/bin\n{room}/bin/python\n2.0\n1.0\n"), "{ended}");
    assert_eq!(pony_tests::files(&other), listed);
    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
    // What pip and uv keep for themselves, and what the `rustc` does that pip asks for its version.
    let own = [".cache", ".local/share", ".rustup"].map(|name| world.path("home").join(name));
    let after = pony_tests::files(&world.path("home"));
    let is_new =
        |path: &&std::path::PathBuf| !before.contains(path) && !own.iter().any(|own| path.starts_with(own));
    let new: Vec<_> = after.iter().filter(is_new).collect();
    assert!(new.is_empty(), "{new:?}");
}

#[test]
fn what_it_is_goes_to_every_server_in_plain_keys() {
    let world = world();
    let server = world.peer(Dialect::V2009);
    let recipe = world.recipe(
        "context: {virtualenv: {requirements: ['tiny<2'], optional: [more, nothing-of-this-name]}}\nsteps:\n\
         - run: python -m pip list\n",
    );
    let ended = world.pony(&["-s", &server.url(), recipe]).end().code(0);
    assert!(ended.err().contains("optional `nothing-of-this-name` not installed"), "{ended}");
    let (client, results) = server.submission();
    assert_eq!(client["virtualenv"], true, "{client:#}");
    assert_eq!(client["dependencies"], json!(["tiny<2"]));
    assert_eq!(client["optional"], json!(["more", "nothing-of-this-name"]));
    assert_eq!(client["optional_missing"], json!(["nothing-of-this-name"]));
    let installed = client["installed"].as_array().unwrap();
    for package in ["tiny==1.0", "more==2.0"] {
        assert!(installed.contains(&json!(package)), "{package}: {installed:?}");
    }
    assert!(installed.iter().any(|package| package.as_str().unwrap().starts_with("pip==")), "{installed:?}");
    assert!(client["python"].is_string() && client["installer"].is_string(), "{client:#}");
    assert_eq!((&results[0]["name"], &results[0]["type"]), (&json!("virtualenv"), &json!("setup")));
    assert_eq!(results[0]["create virtualenv"]["status"], 0, "{:#}", results[0]);
    // What could not be had is there with the installer's words.
    assert_ne!(results[0]["install optional 2"]["status"], 0, "{:#}", results[0]);
}

#[test]
fn what_is_required_and_not_to_be_had_ends_the_run() {
    for (installer, said) in
        [("uv", "nothing-of-this-name was not found"), ("virtualenv", "No matching distribution found")]
    {
        let world = world();
        let server = world.peer(Dialect::V2010);
        let recipe = world.recipe(&format!(
            "context: {{virtualenv: {{requirements: [tiny, nothing-of-this-name], installer: {installer}}}}}\nsteps:\n\
             - run: touch never\n",
        ));
        let ended = world.pony(&["-s", &server.url(), recipe]).end().code(12).out_is("").err_has(said);
        let run = world.run();
        let result = run.result();
        assert_eq!(result["outcome"], "infra-error", "{ended}");
        assert_eq!(run.outcomes(), ["infra-error", "skipped"]);
        let (client, results) = server.submission();
        assert_eq!((&client["success"], &client["outcome"]), (&json!(false), &json!("infra-error")));
        assert_eq!(results[0]["name"], "virtualenv", "{results:#?}");
        assert_ne!(results[0]["status"], 0);
        assert!(results[0]["errout"].as_str().unwrap().contains(said), "{results:#?}");
        assert!(world.temporary().is_empty(), "{ended}");
        // And on the page.
        let serve = world.serve();
        world.pony(&["submit", "-s", &serve.url(), &run.path().display().to_string()]).end().code(0);
        let page = serve.page("/p/demo/latest/").body;
        assert!(page.contains("virtualenv") && page.contains(said), "{page}");
    }
}

#[test]
fn the_interpreter_is_chosen_on_the_command_line() {
    let world = world();
    let python = world.interpreter();
    let recipe = world.recipe(
        "context: {virtualenv: {python: python-of-nowhere}}\nsteps:\n- run: [python, -c, 'import sys; print(sys.prefix)']\n",
    );
    for name in ["python3", &python.display().to_string()] {
        let ended = world.pony(&["-n", "--python", name, recipe]).end().code(0);
        assert!(ended.out().contains(".virtualenv"), "{name}: {ended}");
    }
    let ended = world.pony(&["-n", "-e", "python-of-elsewhere", recipe]).end().code(12);
    assert!(ended.err().contains("no Python interpreter `python-of-elsewhere`"), "{ended}");
    // Nothing that could be meant by it.
    let recipe = world.recipe("steps:\n- run: touch never\n");
    let runs = world.runs().len();
    let ended = world.pony(&["-n", "-e", "python3", recipe]).end().code(2).out_is("");
    assert!(ended.err().contains("virtualenv"), "{ended}");
    assert_eq!(world.runs().len(), runs);
    assert!(!world.path("work/never").exists());
}

#[test]
fn credentials_of_an_index_show_nowhere() {
    let world = world();
    world.configure("network: {waits: [], silence: 5}");
    for installer in ["uv", "virtualenv"] {
        let server = world.peer(Dialect::V2010);
        let recipe = world.recipe(&format!(
            "context:\n  virtualenv:\n    installer: {installer}\n    requirements:\n    \
             - --extra-index-url=http://ann:{SECRET}@127.0.0.1:1/simple\n    \
             - tiny @ http://bob:{SECRET}@127.0.0.1:1/tiny-1.0-py3-none-any.whl\nsteps:\n- run: touch never\n",
        ));
        let arguments = ["-v", "--debug", "-s", &server.url(), recipe];
        let call = world.pony(&arguments).env("PIP_RETRIES", "0").env("UV_HTTP_RETRIES", "0");
        let ended = call.end().code(12).has_no(SECRET);
        assert!(!server.saved().is_empty() && !server.saved().contains(SECRET), "{ended}");
        assert!(world.holding(SECRET).is_empty(), "{:?} {ended}", world.holding(SECRET));
        world.pony(&["--dry-run", recipe]).end().code(0).has_no(SECRET);
        world.pony(&["check", recipe]).end().code(0).has_no(SECRET);
    }
}

#[test]
fn a_wheel_of_the_tree_and_a_file_of_requirements() {
    let world = world();
    world.library("work/library");
    world.write("library/requirements.txt", "more==1.0\n");
    let recipe = world.recipe(
        "source: {path: ./library}\ncontext: {virtualenv: {requirements: [., -r requirements.txt]}}\nsteps:\n\
         - run: python -c 'import demo, more; print(demo.double(4), more.version)'\n",
    );
    let _ = world.pony(&["-n", recipe]).end().code(0).out_is("8 1.0\n");
    assert_eq!(world.run().outcomes(), ["passed", "passed", "passed"]);
    // The folder itself is as it was.
    assert!(!Path::new(&world.path("work/library/build")).exists());
}

#[test]
fn code_of_the_source_that_an_installation_runs_sees_what_steps_see() {
    let world = world();
    world.write(
        "code/setup.py",
        "import os, sys\nopen(os.environ['TOLD'], 'w').write('\\n'.join(sorted(os.environ)))\nsys.exit(1)\n",
    );
    let told = world.path("work/told");
    let recipe = world.recipe(&format!(
        "source: {{path: ./code}}\nenvironment-from: clean\nprivate: [home]\nenvironment: {{FOO: bar, TOLD: '{}'}}\n\
         context: {{virtualenv: {{requirements: [--no-build-isolation, .], installer: venv}}}}\nsteps: [{{run: 'true'}}]\n",
        told.display()
    ));
    let ended = world.pony(&["-n", recipe]).env("MY_TOKEN", "x").env("MAKEFLAGS", "-k").end().code(12);
    let names = std::fs::read_to_string(&told).unwrap_or_else(|_| panic!("{ended}"));
    assert!(names.contains("FOO") && !names.contains("MY_TOKEN") && !names.contains("MAKEFLAGS"), "{names}");
}

#[test]
fn what_was_checked_out_is_told_also_where_the_environment_fails() {
    let world = world();
    let upstream = world.repository("work/up");
    let recipe = world.recipe(
        "source: {git: ./up}\ncontext: {virtualenv: {requirements: [absent-xyz]}}\nsteps: [{run: 'true'}]\n",
    );
    let server = world.peer(Dialect::V2009);
    let _ = world.pony(&["-s", &server.url(), recipe]).end().code(12);
    let result = world.run().result();
    assert_eq!(
        (&result["checkout"]["revision"], &result["tip"]),
        (&upstream.head().into(), &upstream.head().into())
    );
    let (_, steps) = server.submission();
    assert_eq!(steps[0]["version_type"], "git");
}
