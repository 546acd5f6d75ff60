//! The `tempdir` context: a fresh, private directory for one run.

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::{error::Error, tree::remove_tree};

/// A directory that is removed again unless preparing the context comes to its end.
pub(crate) struct Fresh {
    path: PathBuf,
    kept: bool,
}

impl Fresh {
    /// Makes `path`, closed to other users.
    pub(crate) fn new(path: &Path) -> Result<Self, Error> {
        DirBuilder::new().mode(0o700).create(path).map_err(Error::io("create the directory", path))?;
        Ok(Self { path: path.to_owned(), kept: false })
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

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn private_and_gone_if_not_kept() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("pony-x-1");
        let fresh = Fresh::new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("x"), "").unwrap();
        drop(fresh);
        assert!(!path.exists());
        assert!(Fresh::new(&path).unwrap().keep().is_dir());
    }

    #[test]
    fn a_directory_that_is_there_is_somebody_elses() {
        let root = tempfile::tempdir().unwrap();
        let error = Fresh::new(root.path()).err().unwrap();
        assert_eq!(error.to_string(), format!("could not create the directory `{}`", root.path().display()));
        assert!(root.path().exists());
    }
}
