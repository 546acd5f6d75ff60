//! What the tests of recipes share.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pony_runner::recipe::{Diagnostics, LoadOptions, PlatformFacts, Recipe, load};

pub(crate) fn facts() -> PlatformFacts {
    PlatformFacts { cpus: 8, arch: "linux-x86_64".into(), host: "builder".into(), cwd: "/work".into() }
}

/// The folder of the recipes that ship.
pub(crate) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes")
}

/// The folder of the recipes that are wrong.
pub(crate) fn bad() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/bad")
}

/// The YAML files of a folder, sorted; at least one.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    files.sort();
    files
}

/// A file by its path from this crate.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

pub(crate) fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

pub(crate) fn load_text(text: &str, set: &[(&str, &str)]) -> Result<Recipe, Diagnostics> {
    let set: Vec<_> = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    one(load(
        Path::new("recipes/test.yaml"),
        text.as_bytes(),
        &LoadOptions { settings: &set, platform: &facts(), deferred: None },
    ))
}

/// Loads what has no settings and no matrix.
pub(crate) fn load_plain(path: &Path, bytes: &[u8]) -> Result<Recipe, Diagnostics> {
    one(load(path, bytes, &LoadOptions { settings: &[], platform: &facts(), deferred: None }))
}

/// Every cell of what has no settings.
pub(crate) fn load_cells(path: &Path, bytes: &[u8]) -> Result<Vec<Recipe>, Diagnostics> {
    load(path, bytes, &LoadOptions { settings: &[], platform: &facts(), deferred: None })
}

fn one(loaded: Result<Vec<Recipe>, Diagnostics>) -> Result<Recipe, Diagnostics> {
    let mut recipes = loaded?;
    assert_eq!(recipes.len(), 1, "one cell");
    Ok(recipes.remove(0))
}

/// Loads text that must be right.
pub(crate) fn good(text: &str) -> Recipe {
    load_text(text, &[]).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

/// Compares with the snapshot of that name.
pub(crate) fn snapshot(name: &str, text: &str) {
    insta::with_settings!({
        snapshot_path => "../recipes/snapshots", prepend_module_to_snapshot => false, omit_expression => true,
    }, {
        insta::assert_snapshot!(name, text);
    });
}
