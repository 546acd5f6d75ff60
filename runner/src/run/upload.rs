//! An upload step: the files that its glob matches are copied into the run folder, under the names that they have for others, from where
//! they can be delivered.
#![expect(clippy::disallowed_methods, reason = "what is uploaded is collected here")]

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use globset::{GlobBuilder, GlobMatcher};

use crate::{
    recipe::{PublicName, Upload},
    record::Artifact,
    redactor::Redactor,
};

/// Folders of version control, which no glob means.
const NOT_ENTERED: [&str; 3] = [".git", ".hg", ".svn"];

/// Nothing could be collected.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// The glob cannot be used.
    #[error("`{glob}` is not a glob: {source}")]
    Glob {
        /// As written.
        glob: String,
        /// Why.
        source: globset::Error,
    },
    /// Nothing is there.
    #[error("no file matches `{0}`")]
    Nothing(String),
    /// One name for several files.
    #[error(
        "`{glob}` matches {count} files (`{first}`, `{second}`{}), and only one can be called `{name}`; \
         a name that ends with `/` is a folder for all of them", if *count > 2 { ", …" } else { "" }
    )]
    Several {
        /// As written.
        glob: String,
        /// How many.
        count: usize,
        /// Of the paths.
        first: String,
        /// Of the paths.
        second: String,
        /// What they are to be called.
        name: String,
    },
    /// The name of another file, or of its folder.
    #[error(
        "`{path}` cannot be called `{name}`, as `{other}` of the step `{step}` is called `{other_name}`; `as` gives files \
         other names"
    )]
    Taken {
        /// Where it is.
        path: String,
        /// What it is to be called.
        name: String,
        /// Where the other one was.
        other: String,
        /// What the other one is called.
        other_name: String,
        /// Which step has uploaded the other one.
        step: String,
    },
    /// The copying was ended.
    #[error("the copying was ended")]
    Stopped,
    /// A file cannot be copied.
    #[error("cannot copy `{}`: {source}", path.display())]
    Copy {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What an upload step is to collect.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Which files, and what they are called.
    pub(super) upload: Upload,
    /// The step's name.
    pub(super) step: String,
    /// The step's folder in the tree.
    pub(super) folder: PathBuf,
    /// What the steps before have collected, each with the step's name.
    pub(super) before: Vec<(String, Artifact)>,
    /// A secret is no name.
    pub(super) redactor: Redactor,
}

impl Wanted {
    /// Copies what matches below `tree`, the step's folder, to below `into`. Links are not followed. Between files it asks whether it
    /// `is_wanted` still.
    pub(super) fn collect(
        &self,
        tree: &Path,
        into: &Path,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Vec<Artifact>, UploadError> {
        let glob = &self.upload.glob;
        let matcher = GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|source| UploadError::Glob { glob: glob.clone(), source })?
            .compile_matcher();
        let mut found = Vec::new();
        walk(tree, tree, &matcher, depth(glob), &mut found)?;
        found.sort();
        let names = self.names(&found)?;
        let copied = found.iter().zip(names).map(|(relative, name)| {
            if !is_wanted() {
                return Err(UploadError::Stopped);
            }
            let bytes = copy(&tree.join(relative), &into.join(&name))
                .map_err(|source| UploadError::Copy { path: relative.clone(), source })?;
            let path = Some(self.path(relative)).filter(|path| *path != name);
            Ok(Artifact { name, path, bytes })
        });
        copied.collect()
    }

    /// What each of the files at these paths in the step's folder is called. No two are called the same, and none as a folder of another.
    /// Pure.
    fn names(&self, found: &[PathBuf]) -> Result<Vec<String>, UploadError> {
        let Upload { glob, name, .. } = &self.upload;
        let spelled_out = spelled_out(glob);
        let name = |path: &PathBuf| match name {
            PublicName::Path => text(path),
            PublicName::File(name) => name.clone(),
            PublicName::Folder(folder) => {
                format!("{folder}{}", text(path.strip_prefix(&spelled_out).unwrap_or(path)))
            }
        };
        match (found, &self.upload.name) {
            ([], _) => return Err(UploadError::Nothing(glob.clone())),
            ([first, second, ..], PublicName::File(name)) => {
                return Err(UploadError::Several {
                    glob: glob.clone(),
                    count: found.len(),
                    first: self.path(first),
                    second: self.path(second),
                    name: name.clone(),
                });
            }
            _ => {}
        }
        let mut taken = Taken::default();
        for (step, artifact) in &self.before {
            let path = artifact.path.as_ref().unwrap_or(&artifact.name);
            taken.names.insert(artifact.name.clone(), (path.clone(), step.clone()));
        }
        let mut names = Vec::with_capacity(found.len());
        for relative in found {
            let name = self.redactor.text(&name(relative)).into_owned();
            taken.take(&name, self.path(relative), &self.step)?;
            names.push(name);
        }
        Ok(names)
    }

    /// Where a file of the step's folder is, from the root of the tree.
    fn path(&self, relative: &Path) -> String {
        text(&self.folder.join(relative))
    }
}

/// Names, each with the path and the step that have it.
#[derive(Debug, Default)]
struct Taken {
    names: BTreeMap<String, (String, String)>,
}

impl Taken {
    fn take(&mut self, name: &str, path: String, step: &str) -> Result<(), UploadError> {
        if let Some((other_name, (other, step))) = self.in_the_way_of(name) {
            return Err(UploadError::Taken {
                path,
                name: name.to_owned(),
                other: other.clone(),
                other_name: other_name.clone(),
                step: step.clone(),
            });
        }
        self.names.insert(name.to_owned(), (path, step.to_owned()));
        Ok(())
    }

    /// The same name, one of its folders, or something in it.
    fn in_the_way_of(&self, name: &str) -> Option<(&String, &(String, String))> {
        let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
        let above = folders.chain([name]).find_map(|name| self.names.get_key_value(name));
        let inside = format!("{name}/");
        let first = || self.names.range(inside.clone()..).next();
        above.or_else(|| first().filter(|(other, _)| other.starts_with(&inside)))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The folders that a glob spells out: of `dist/*/x.whl` that is `dist`. Pure.
fn spelled_out(glob: &str) -> PathBuf {
    let folders = glob.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '\\'])).collect()
}

/// How many folders deep a match can lie; no limit with `**`.
fn depth(glob: &str) -> usize {
    if glob.contains("**") { usize::MAX } else { glob.matches('/').count() }
}

fn walk(
    tree: &Path,
    folder: &Path,
    matcher: &GlobMatcher,
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), UploadError> {
    let copy_error = |source| UploadError::Copy { path: folder.to_path_buf(), source };
    for entry in fs::read_dir(folder).map_err(copy_error)? {
        let entry = entry.map_err(copy_error)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(copy_error)?;
        if kind.is_dir() {
            if depth > 0 && !NOT_ENTERED.iter().any(|name| entry.file_name() == *name) {
                walk(tree, &path, matcher, depth.saturating_sub(1), found)?;
            }
        } else if kind.is_file()
            && let Ok(relative) = path.strip_prefix(tree)
            && matcher.is_match(relative)
        {
            found.push(relative.to_path_buf());
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to)
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;

    fn wanted(glob: &str, name: PublicName) -> Wanted {
        Wanted {
            upload: Upload { glob: glob.to_owned(), name, visible: true, description: None },
            step: "upload".to_owned(),
            folder: PathBuf::new(),
            before: Vec::new(),
            redactor: Redactor::default(),
        }
    }

    fn names(wanted: &Wanted, found: &[&str]) -> Result<Vec<String>, String> {
        let found: Vec<PathBuf> = found.iter().map(PathBuf::from).collect();
        wanted.names(&found).map_err(|error| error.to_string())
    }

    #[test]
    fn what_matches_is_copied_and_nothing_is_an_error() {
        let tree = tempfile::tempdir().unwrap();
        let into = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("dist/deep")).unwrap();
        for name in ["dist/a.whl", "dist/b.txt", "dist/deep/c.whl"] {
            fs::write(tree.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", tree.path().join("dist/link.whl")).unwrap();
        let collect = |glob: &str, name| wanted(glob, name).collect(tree.path(), into.path(), &|| true);
        let names = |glob: &str| -> Vec<String> {
            collect(glob, PublicName::Path).unwrap().into_iter().map(|artifact| artifact.name).collect()
        };
        assert_eq!(names("dist/*.whl"), ["dist/a.whl"]);
        assert_eq!(names("**/*.whl"), ["dist/a.whl", "dist/deep/c.whl"]);
        assert_eq!(fs::read_to_string(into.path().join("dist/deep/c.whl")).unwrap(), "dist/deep/c.whl");
        let renamed = collect("dist/*.txt", PublicName::File("notes".to_owned())).unwrap();
        let path = Some("dist/b.txt".to_owned());
        assert_eq!(renamed, [Artifact { name: "notes".to_owned(), path, bytes: 10 }]);
        assert_eq!(fs::read_to_string(into.path().join("notes")).unwrap(), "dist/b.txt");
        let nothing = collect("dist/*.egg", PublicName::Path).unwrap_err();
        assert_eq!(nothing.to_string(), "no file matches `dist/*.egg`");
    }

    #[test]
    fn a_folder_takes_the_place_of_those_that_the_glob_spells_out() {
        let named = |glob, folder: &str, found| {
            names(&wanted(glob, PublicName::Folder(folder.to_owned())), found).unwrap()
        };
        assert_eq!(named("build/html/**", "docs/", &["build/html/a/b.html"]), ["docs/a/b.html"]);
        assert_eq!(
            named("dist/*.whl", "wheels/", &["dist/a.whl", "dist/b.whl"]),
            ["wheels/a.whl", "wheels/b.whl"]
        );
        assert_eq!(named("a/{b,c}/*", "x/y/", &["a/b/f"]), ["x/y/b/f"]);
        assert_eq!(named("*", "x/", &["f"]), ["x/f"]);
    }

    #[test]
    fn one_name_is_for_one_file() {
        let wanted = wanted("dist/*.whl", PublicName::File("demo.whl".to_owned()));
        assert_eq!(names(&wanted, &["dist/a.whl"]).unwrap(), ["demo.whl"]);
        assert_eq!(
            names(&wanted, &["dist/a.whl", "dist/b.whl", "dist/c.whl"]).unwrap_err(),
            "`dist/*.whl` matches 3 files (`dist/a.whl`, `dist/b.whl`, …), and only one can be called `demo.whl`; a name \
             that ends with `/` is a folder for all of them"
        );
    }

    #[test]
    fn no_two_files_have_one_name() {
        let artifact = |name: &str, path: Option<&str>| Artifact {
            name: name.to_owned(),
            path: path.map(str::to_owned),
            bytes: 1,
        };
        let after = |before: &[(&str, Option<&str>)], found: &str| {
            let before = before.iter().map(|(name, path)| ("first".to_owned(), artifact(name, *path)));
            let wanted = Wanted {
                before: before.collect(),
                folder: PathBuf::from("b"),
                ..wanted("**", PublicName::Path)
            };
            names(&wanted, &[found])
        };
        let way_out = "; `as` gives files other names";
        assert_eq!(
            after(&[("x", Some("a/x"))], "x").unwrap_err(),
            format!("`b/x` cannot be called `x`, as `a/x` of the step `first` is called `x`{way_out}")
        );
        assert_eq!(
            after(&[("docs", None)], "docs/x").unwrap_err(),
            format!(
                "`b/docs/x` cannot be called `docs/x`, as `docs` of the step `first` is called `docs`{way_out}"
            )
        );
        assert!(
            after(&[("docs/x", None), ("docs-1", None)], "docs")
                .unwrap_err()
                .contains("`docs/x` of the step")
        );
        assert_eq!(after(&[("docs-1", None), ("docs/x", None)], "docs/xy").unwrap(), ["docs/xy"]);
    }

    #[test]
    fn what_is_no_text_is_not_told_apart_in_a_name() {
        let path = |byte: u8| PathBuf::from(OsStr::from_bytes(&[b'n', byte]));
        let wanted = wanted("*", PublicName::Path);
        assert_eq!(wanted.names(&[path(0xff)]).unwrap(), ["n\u{fffd}"]);
        assert!(wanted.names(&[path(0xfe), path(0xff)]).is_err());
    }

    #[test]
    fn a_secret_is_no_name() {
        let redactor = Redactor::new(["hunter2".to_owned()]).unwrap();
        let wanted = Wanted { redactor, ..wanted("*", PublicName::Path) };
        assert_eq!(names(&wanted, &["a-hunter2.txt"]).unwrap(), ["a-***.txt"]);
    }

    #[test]
    fn copying_ends_when_nobody_wants_it() {
        let tree = tempfile::tempdir().unwrap();
        let into = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(tree.path().join(name), name).unwrap();
        }
        let is_wanted = || !into.path().join("b").exists();
        let error = wanted("*", PublicName::Path).collect(tree.path(), into.path(), &is_wanted).unwrap_err();
        assert!(matches!(error, UploadError::Stopped));
        assert!(!into.path().join("c").exists());
    }
}
