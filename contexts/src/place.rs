//! Directories that builds have to themselves: a fresh one that goes away again, and those that last, one run at a time.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    aside::{aside, hold},
    cache::beside,
    error::Error,
    tree::remove_tree,
};

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

/// A directory that no other run builds in while this is held.
#[derive(Debug, Clone)]
pub struct Held {
    _lock: Arc<File>,
}

impl Held {
    /// Waits for `dir`, telling `waiting` if it has to. The directory itself is locked: nothing is left in it.
    pub(crate) async fn lock(dir: &Path, waiting: impl FnOnce()) -> Result<Self, Error> {
        let file = File::open(dir).map_err(Error::io("open", dir))?;
        let lock = hold(file, waiting).await.map_err(Error::io("lock", dir))?;
        Ok(Self { _lock: Arc::new(lock) })
    }
}

/// The tree of one source in a directory that lasts. `<tree>.ready` beside it says that it is whole, and of what. Whoever
/// changes the tree calls [`distrust`] first: a run that ends before that leaves it to the next.
pub(crate) struct Lasting {
    tree: PathBuf,
    ready: PathBuf,
    address: String,
}

impl Lasting {
    /// The tree of the source at `address`; one of another source, and one that was cut short while it was changed, is
    /// removed first, which `note` is told.
    pub(crate) async fn open(tree: PathBuf, address: String, note: impl FnOnce(&str)) -> Result<Self, Error> {
        let ready = beside(&tree, ".ready");
        let lasting = Self { tree, ready, address };
        let whole = fs::read(&lasting.ready).is_ok_and(|of| of == lasting.address.as_bytes());
        if !whole {
            distrust(&lasting.tree)?;
        }
        if !whole && lasting.tree.exists() {
            note(&format!(
                "`{}` was left half-made, or is of another source: starting afresh",
                lasting.tree.display()
            ));
            let tree = lasting.tree.clone();
            aside(move |_| remove_tree(&tree).map_err(io::Error::other))
                .await
                .map_err(Error::io("remove", &lasting.tree))?;
        }
        Ok(lasting)
    }

    /// It is whole again.
    pub(crate) fn vouch(&self) -> Result<(), Error> {
        fs::write(&self.ready, &self.address).map_err(Error::io("write", &self.ready))
    }
}

/// From now on a kill leaves a tree that the next run starts afresh. No matter where the tree does not last.
pub(crate) fn distrust(tree: &Path) -> Result<(), Error> {
    let ready = beside(tree, ".ready");
    match fs::remove_file(&ready) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", ready)(error)),
        _ => Ok(()),
    }
}

/// Removes a tree that is to be made anew.
pub(crate) fn discard(tree: &Path) -> Result<(), Error> {
    distrust(tree)?;
    remove_tree(tree).map_err(io::Error::other).map_err(Error::io("remove", tree))
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
