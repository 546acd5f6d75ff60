//! The chain of Python recipes that ships, run as it is but for the addresses: a library's wheel goes into the virtualenv
//! of an application that needs it.

use std::fs;

use pony_tests::World;

/// A library and an application, committed.
fn world() -> World {
    let mut world = World::new();
    world.wheels();
    world.library("up/library");
    world.application("up/application");
    for folder in ["up/library", "up/application"] {
        world.git(folder, &["init", "--quiet"]);
        world.git(folder, &["add", "--all"]);
        world.git(folder, &["commit", "--quiet", "-m", "one"]);
    }
    world
}

fn arguments(world: &World) -> Vec<String> {
    let recipe = format!("{}/../recipes/chain/wheel-application.yaml", env!("CARGO_MANIFEST_DIR"));
    let [library, url] =
        ["up/library", "up/application"].map(|folder| world.path(folder).display().to_string());
    let set = [("library", library), ("url", url), ("test", "python -m app".to_owned())];
    let mut arguments = vec![recipe];
    arguments
        .extend(set.into_iter().flat_map(|(name, value)| ["--set".to_owned(), format!("{name}={value}")]));
    arguments
}

#[test]
fn a_wheel_goes_from_a_library_to_an_application() {
    let world = world();
    let arguments = arguments(&world);
    // Neither is in any index that is asked.
    world.pony(&arguments).end().code(0).out_has("twice 21 is 42");
    let run = world.last_run().result();
    assert_eq!(run["package"], "autopep8");
    let wheel = "demo-1.0-py3-none-any.whl";
    assert_eq!(run["facts"]["dependencies"], serde_json::json!([wheel, "."]), "{run:#}");
    let installed = run["facts"]["installed"].to_string();
    assert!(installed.contains("demo") && installed.contains("app"), "{installed}");
    let chain = run["facts"]["chain"][0].as_str().unwrap();
    let wheels = chain.strip_prefix("library.wheels=").unwrap();
    assert!(fs::exists(format!("{wheels}/{wheel}")).unwrap(), "{chain}");
    assert_eq!(world.runs().len(), 2);

    // The wheel is there already; the application is asked for, and built.
    world.pony(&arguments).end().code(0).out_has("twice 21 is 42");
    assert_eq!(world.runs().len(), 3);

    assert!(world.temporary().is_empty(), "{:?}", world.temporary());
}
