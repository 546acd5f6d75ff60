//! An upload step: the files that its glob matches are copied into the run folder, from where they can be delivered.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use globset::{GlobBuilder, GlobMatcher};

use crate::record::Artifact;

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

/// Copies what `glob` matches below `tree` to below `into`, under the same relative names. Links are not followed. Between
/// files it asks whether it `is_wanted` still.
pub(super) fn collect(
    tree: &Path,
    glob: &str,
    into: &Path,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Vec<Artifact>, UploadError> {
    let matcher = GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map_err(|source| UploadError::Glob { glob: glob.to_owned(), source })?
        .compile_matcher();
    let mut found = Vec::new();
    walk(tree, tree, &matcher, depth(glob), &mut found)?;
    found.sort();
    if found.is_empty() {
        return Err(UploadError::Nothing(glob.to_owned()));
    }
    let copied = found
        .into_iter()
        .map(|relative| if is_wanted() { copy(tree, &relative, into) } else { Err(UploadError::Stopped) });
    copied.collect()
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
            if depth > 0 && entry.file_name() != ".git" {
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

fn copy(tree: &Path, relative: &Path, into: &Path) -> Result<Artifact, UploadError> {
    let target = into.join(relative);
    let attempt = || {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(tree.join(relative), &target)
    };
    let bytes = attempt().map_err(|source| UploadError::Copy { path: relative.to_path_buf(), source })?;
    Ok(Artifact { name: relative.to_string_lossy().into_owned(), bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matches_is_copied_and_nothing_is_an_error() {
        let tree = tempfile::tempdir().unwrap();
        let into = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("dist/deep")).unwrap();
        for name in ["dist/a.whl", "dist/b.txt", "dist/deep/c.whl"] {
            fs::write(tree.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", tree.path().join("dist/link.whl")).unwrap();
        let names = |glob: &str| -> Vec<String> {
            collect(tree.path(), glob, into.path(), &|| true)
                .unwrap()
                .into_iter()
                .map(|artifact| artifact.name)
                .collect()
        };
        assert_eq!(names("dist/*.whl"), ["dist/a.whl"]);
        assert_eq!(names("**/*.whl"), ["dist/a.whl", "dist/deep/c.whl"]);
        assert_eq!(fs::read_to_string(into.path().join("dist/deep/c.whl")).unwrap(), "dist/deep/c.whl");
        let nothing = collect(tree.path(), "dist/*.egg", into.path(), &|| true).unwrap_err();
        assert_eq!(nothing.to_string(), "no file matches `dist/*.egg`");
    }

    #[test]
    fn copying_ends_when_nobody_wants_it() {
        let tree = tempfile::tempdir().unwrap();
        let into = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(tree.path().join(name), name).unwrap();
        }
        let error = collect(tree.path(), "*", into.path(), &|| !into.path().join("b").exists()).unwrap_err();
        assert!(matches!(error, UploadError::Stopped));
        assert!(!into.path().join("c").exists());
    }
}
