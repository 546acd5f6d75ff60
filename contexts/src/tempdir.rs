//! The `tempdir` context: a fresh, private directory for one run.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{error::Error, tree::remove_tree};

/// A directory that is removed again unless preparing the context comes to its end.
pub(crate) struct Fresh {
    path: PathBuf,
    kept: bool,
}

impl Fresh {
    /// Makes `temp_root/pony-<package>-XXXXXX`, closed to other users.
    pub(crate) fn new(temp_root: &Path, package: &str) -> Result<Self, Error> {
        let path = tempfile::Builder::new()
            .prefix(&format!("pony-{}-", slug(package)))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(temp_root)
            .map_err(Error::io("create a directory in", temp_root))?
            .keep();
        Ok(Self { path, kept: false })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands the directory on to whoever removes it from now on.
    pub(crate) fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.kept {
            // The error that led here is the one to show.
            let _ = remove_tree(&self.path);
        }
    }
}

/// Lower-case letters, digits, `-` and `_`, at most 40: fit for a file name, and known again by people.
fn slug(package: &str) -> String {
    let slug: String = package
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || c == '_' => c,
            _ => '-',
        })
        .take(40)
        .collect();
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn private_named_after_the_package_and_gone_if_not_kept() {
        let root = tempfile::tempdir().unwrap();
        let fresh = Fresh::new(root.path(), "../My Package").unwrap();
        let path = fresh.path().to_owned();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("pony-my-package-"), "{name}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("x"), "").unwrap();
        drop(fresh);
        assert!(!path.exists());

        let kept = Fresh::new(root.path(), "x").unwrap().keep();
        assert!(kept.is_dir());
    }

    #[test]
    fn a_missing_root_is_named() {
        let error = Fresh::new(Path::new("/nowhere/at/all"), "x").err().unwrap();
        assert_eq!(error.to_string(), "could not create a directory in `/nowhere/at/all`");
    }
}
