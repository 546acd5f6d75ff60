//! Rules about the source itself: which crate and which file may import which, and how long a file may be.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use pony_tests::{Imports, files};

const CRATES: [&str; 5] = ["wire", "contexts", "runner", "server-lite", "tests"];

/// A crate, and those of ours that it must not know.
const STRANGERS: [(&str, &[&str]); 3] = [
    ("wire", &["contexts", "runner", "server-lite"]),
    ("contexts", &["runner", "wire", "server-lite"]),
    ("server-lite", &["runner", "contexts"]),
];

/// A place in a crate, and places of the same crate that nothing in it imports.
const NEVER: [(&str, &str, &[&str]); 2] = [
    ("runner", "record", &["display", "server"]),
    ("server-lite", "store", &["pages", "reply", "request", "router", "upload", "xmlrpc"]),
];

/// Lines of the longest file.
const LINES: usize = 600;

/// Crates in which files still import each other in a circle. The list only ever gets shorter.
const CIRCLES: &[&str] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The source of our crates, but for what was built.
fn sources() -> Vec<PathBuf> {
    let folders =
        CRATES.iter().flat_map(|name| ["src", "tests", "benches"].map(|part| root().join(name).join(part)));
    folders
        .flat_map(|folder| files(&folder))
        .filter(|path| path.extension().is_some_and(|it| it == "rs"))
        .collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn imports_make_no_circle() {
    let mut report = String::new();
    let mut found = BTreeSet::new();
    for name in CRATES {
        let imports = Imports::read(&root().join(name).join("src"));
        for map in [&imports, &imports.rooms()] {
            for circle in map.circles() {
                found.insert(name);
                let _ = writeln!(report, "{name}:\n{}", map.within(&circle));
            }
        }
    }
    assert_eq!(found, CIRCLES.iter().copied().collect(), "crates with circles\n{report}");
}

#[test]
fn crates_know_only_those_that_they_may() {
    for (name, strangers) in STRANGERS {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for stranger in strangers {
            let names = manifest.lines().any(|line| line.starts_with(&format!("pony-{stranger}")));
            assert!(!names, "{name} depends on {stranger}");
        }
    }
    let mut found = BTreeSet::new();
    for (name, from, never) in NEVER {
        let rooms = Imports::read(&root().join(name).join("src")).rooms();
        let imported = rooms.edges.get(Path::new(from)).unwrap_or_else(|| panic!("{name} has no {from}"));
        found.extend(never.iter().filter(|to| imported.contains(Path::new(to))).map(|to| (name, from, *to)));
    }
    assert!(found.is_empty(), "what imports what it must not: {found:?}");
}

#[test]
fn no_file_is_too_long() {
    let long = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count() > LINES;
    let found: BTreeSet<String> =
        sources().iter().filter(|path| long(path)).map(|path| shown(path)).collect();
    assert!(found.is_empty(), "files of over {LINES} lines: {found:?}");
}

#[test]
fn no_text_names_the_host_of_a_registry() {
    let hosts = [("pypi", "org"), ("crates", "io"), ("npmjs", "org"), ("rubygems", "org")];
    let programs =
        CRATES.iter().filter(|name| **name != "tests").flat_map(|name| files(&root().join(name).join("src")));
    for path in programs.chain(files(&root().join("recipes"))).chain(files(&root().join("docs"))) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        for (name, end) in hosts {
            assert!(!text.contains(&format!("{name}.{end}")), "{} names a registry's host", shown(&path));
        }
    }
}
