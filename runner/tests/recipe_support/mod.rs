//! What the tests of recipes share.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use pony_runner::recipe::{Facts, Recipe, load};

pub fn facts() -> Facts {
    Facts { cpus: 8, arch: "linux-x86_64".into(), host: "builder".into() }
}

/// The YAML files of a folder, sorted; at least one.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    files.sort();
    files
}

/// Loads text that must be right.
pub fn good(text: &str) -> Recipe {
    load(Path::new("/recipes/test.yaml"), text.as_bytes(), &[], &facts())
        .unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

/// What is said of bytes that must be wrong.
pub fn errors(path: &Path, bytes: &[u8]) -> String {
    match load(path, bytes, &[], &facts()) {
        Ok(recipe) => panic!("{} loads: {recipe:#?}", path.display()),
        Err(errors) => errors.render(false),
    }
}
