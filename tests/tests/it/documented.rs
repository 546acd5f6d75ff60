//! Commands of README and the book that need neither a network nor another machine do what they are shown for.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use pony_tests::World;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every line of the shell blocks of all pages.
fn lines() -> Vec<String> {
    let mut folders = vec![root().join("docs/src")];
    let mut pages = vec![root().join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { pages.push(path) }
        }
    }
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let texts = pages.into_iter().filter(is_page).map(|path| fs::read_to_string(path).unwrap());
    let blocks = |text: String| {
        let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        blocks.flat_map(str::lines).map(str::to_owned).collect::<Vec<_>>()
    };
    texts.flat_map(blocks).collect()
}

/// The arguments of a `pony-run` that can run here; comments are cut off.
fn arguments(line: &str) -> Option<Vec<String>> {
    let command = line.split(" #").next()?.trim();
    let arguments =
        command.strip_prefix("pony-run ").or_else(|| command.strip_prefix("cargo run --release -- "))?;
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let can_run = match words.as_slice() {
        ["check", recipes @ ..] => recipes.iter().all(|recipe| root().join(recipe).exists()),
        ["schema" | "cache", ..] | ["submit"] | ["submit", "--list", ..] => true,
        words => words.contains(&"recipes/hello.yaml") && !words.contains(&"-s"),
    };
    can_run.then(|| words.into_iter().map(str::to_owned).collect())
}

#[test]
fn commands_that_can_run_here_succeed() {
    let world = World::new();
    let commands: BTreeSet<Vec<String>> = lines().iter().filter_map(|line| arguments(line)).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        world.pony(&command).cwd(root()).end().code(0);
    }
}
