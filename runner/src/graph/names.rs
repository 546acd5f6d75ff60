//! Names of builds: the recipe's file, the cell, and settings that differ from the recipe's own values.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use indexmap::IndexMap;

use crate::recipe::stem;

/// Longer values are shortened in names.
const MAX_VALUE: usize = 40;

/// What a build is named after.
#[derive(Debug)]
pub(super) struct NameParts<'a> {
    /// The recipe's file, absolute.
    pub(super) file: &'a Path,
    pub(super) cell: &'a IndexMap<String, String>,
    /// Settings that differ from the recipe's own values.
    pub(super) changed: &'a [(String, String)],
}

/// A unique name for each build.
pub(super) fn names(builds: &[NameParts<'_>]) -> Vec<String> {
    let files = files(builds);
    let mut taken = HashSet::new();
    let mut next: HashMap<String, usize> = HashMap::new();
    let names = builds.iter().map(|build| {
        let mut name = files.get(build.file).cloned().unwrap_or_default();
        if !build.cell.is_empty() {
            let values: Vec<String> = build.cell.values().map(|value| shown(value)).collect();
            name = format!("{name}[{}]", values.join(", "));
        }
        if !build.changed.is_empty() {
            let settings = build.changed.iter().map(|(name, value)| format!("{name}={}", shown(value)));
            name = format!("{name}({})", settings.collect::<Vec<_>>().join(", "));
        }
        // Values may differ only in the part that is not shown.
        let base = name.clone();
        let next = next.entry(base.clone()).or_insert(2);
        while !taken.insert(name.clone()) {
            name = format!("{base} #{next}");
            *next += 1;
        }
        name
    });
    names.collect()
}

/// Each file by its stem, with as many of its folders as make it unique.
fn files<'a>(builds: &[NameParts<'a>]) -> HashMap<&'a Path, String> {
    let mut same_stem: HashMap<String, Vec<&Path>> = HashMap::new();
    let mut seen = HashSet::new();
    for build in builds.iter().filter(|build| seen.insert(build.file)) {
        same_stem.entry(with_folders(build.file, 0)).or_default().push(build.file);
    }
    let mut named = HashMap::new();
    for (name, mut files) in same_stem {
        if let [file] = files.as_slice() {
            named.insert(*file, name);
            continue;
        }
        for depth in 1.. {
            let mut counts: HashMap<String, usize> = HashMap::new();
            for file in &files {
                *counts.entry(with_folders(file, depth)).or_default() += 1;
            }
            let (unique, rest): (Vec<&Path>, Vec<&Path>) =
                files.iter().partition(|file| counts.get(&with_folders(file, depth)) == Some(&1));
            named.extend(unique.into_iter().map(|file| (file, with_folders(file, depth))));
            files = rest;
            // The rest differs only in the extension.
            if files.iter().all(|file| file.components().count() <= depth) {
                break;
            }
        }
        named.extend(files.into_iter().map(|file| (file, escaped(&file.display().to_string()))));
    }
    named
}

/// The stem, with `depth` folders before it.
fn with_folders(file: &Path, depth: usize) -> String {
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let folders = file.parent().into_iter().flat_map(|folder| folder.components().rev()).take(depth);
    let mut parts: Vec<String> =
        folders.map(|part| part.as_os_str().to_string_lossy().trim_matches('/').to_owned()).collect();
    parts.reverse();
    parts.push(stem(&name).to_owned());
    escaped(&parts.join("/"))
}

/// A value in a name: one line, shortened.
fn shown(value: &str) -> String {
    let mut shown: String = value.chars().take(MAX_VALUE).collect();
    if value.chars().nth(MAX_VALUE).is_some() {
        shown.push('…');
    }
    escaped(&shown)
}

fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    fn named(builds: &[(&str, Pairs<'_>, Pairs<'_>)]) -> Vec<String> {
        let pairs = |pairs: Pairs<'_>| -> Vec<(String, String)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let owned: Vec<_> = builds
            .iter()
            .map(|(file, cell, changed)| {
                (*file, pairs(cell).into_iter().collect::<IndexMap<_, _>>(), pairs(changed))
            })
            .collect();
        let builds: Vec<_> = owned
            .iter()
            .map(|(file, cell, changed)| NameParts { file: Path::new(file), cell, changed })
            .collect();
        names(&builds)
    }

    #[test]
    fn a_build_is_named_after_its_file_its_cell_and_its_settings() {
        assert_eq!(
            named(&[
                ("/r/zlib.yaml", &[], &[]),
                ("/r/zlib.yaml", &[], &[("shared", "no"), ("flags", "-O2\n-g")]),
                ("/r/libpng-1.6.yml", &[("python", "3.13"), ("db", "sqlite")], &[]),
                ("/r/recipe", &[("a", "x")], &[("b", "y")]),
            ]),
            ["zlib", "zlib(shared=no, flags=-O2\\n-g)", "libpng-1.6[3.13, sqlite]", "recipe[x](b=y)"]
        );
    }

    #[test]
    fn files_with_the_same_name_include_their_folders() {
        assert_eq!(
            named(&[
                ("/r/a/zlib.yaml", &[], &[]),
                ("/r/b/zlib.yaml", &[], &[]),
                ("/r/b/png.yaml", &[], &[]),
                ("/q/x/png.yaml", &[], &[]),
                ("/r/x/png.yaml", &[], &[]),
                ("/png.yaml", &[], &[]),
                ("/r/c.yaml", &[], &[]),
                ("/r/c.yml", &[], &[]),
            ]),
            ["a/zlib", "b/zlib", "b/png", "q/x/png", "r/x/png", "/png", "/r/c.yaml", "/r/c.yml"]
        );
    }

    #[test]
    fn long_values_that_look_the_same_are_numbered() {
        let (one, other) = ("x".repeat(50) + "1", "x".repeat(50) + "2");
        let shown = "x".repeat(40);
        assert_eq!(
            named(&[("/a.yaml", &[], &[("v", &one)]), ("/a.yaml", &[], &[("v", &other)])]),
            [format!("a(v={shown}…)"), format!("a(v={shown}…) #2")]
        );
    }
}
