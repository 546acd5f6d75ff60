//! Directories that builds have to themselves: fresh temporary ones, and those that runs take turns in.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{disk::lock, error::Error, tree::remove_tree};

/// A temporary directory that is removed again unless the context is prepared to the end.
pub(crate) struct TempWorkspace {
    path: PathBuf,
    handed_over: bool,
}

impl TempWorkspace {
    /// Makes `path`, closed to other users.
    pub(crate) fn new(path: &Path) -> Result<Self, Error> {
        DirBuilder::new().mode(0o700).create(path).map_err(Error::io("create the directory", path))?;
        Ok(Self { path: path.to_owned(), handed_over: false })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands the directory on to whoever removes it from now on.
    pub(crate) fn hand_over(mut self) -> PathBuf {
        self.handed_over = true;
        self.path.clone()
    }
}

impl Drop for TempWorkspace {
    fn drop(&mut self) {
        if !self.handed_over {
            // The error that led here is the one to show.
            let _ = remove_tree(&self.path);
        }
    }
}

/// A directory that no other run builds in while this is held.
#[derive(Debug, Clone)]
pub struct DirLock {
    _lock: Arc<File>,
}

impl DirLock {
    /// Waits for `dir`, calling `waiting` if it has to. The directory itself is locked: nothing is left in it.
    pub(crate) async fn lock(dir: &Path, waiting: impl FnOnce()) -> Result<Self, Error> {
        let file = File::open(dir).map_err(Error::io("open", dir))?;
        let lock = lock(file, waiting).await.map_err(Error::io("lock", dir))?;
        Ok(Self { _lock: Arc::new(lock) })
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
        let fresh = TempWorkspace::new(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("x"), "").unwrap();
        drop(fresh);
        assert!(!path.exists());
        assert!(TempWorkspace::new(&path).unwrap().hand_over().is_dir());
    }

    #[test]
    fn a_directory_that_is_there_is_somebody_elses() {
        let root = tempfile::tempdir().unwrap();
        let error = TempWorkspace::new(root.path()).err().unwrap();
        assert_eq!(error.to_string(), format!("cannot create the directory `{}`", root.path().display()));
        assert!(root.path().exists());
    }
}
