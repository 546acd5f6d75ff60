//! One entry of a source, changed under its lock. Its manifest is removed before each change and written last.
#![expect(clippy::disallowed_methods, reason = "entries of the cache are made and removed here")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::types::{EntryKind, Manifest};
use crate::{
    blocking::blocking,
    disk::{lock, open_lock, read_dir, remove_file, sibling, write_whole},
    error::Error,
    tree::{disk_usage, remove_tree},
    url::Url,
};

/// The directory of the entry for `url`, which programs are given as `address`.
pub(crate) fn entry_dir(cache: &Path, kind: EntryKind, url: &Url, address: &OsStr) -> PathBuf {
    let digest = Sha256::digest(address.as_encoded_bytes());
    cache.join(kind.name()).join(format!("{}-{}", url.basename(), hex::encode(&digest[..6])))
}

/// An entry that no other run changes until this is dropped.
#[derive(Debug)]
pub(crate) struct LockedEntry {
    dir: PathBuf,
    /// `None` if there is no entry that can be used.
    manifest: Option<Manifest>,
    _lock: File,
}

impl LockedEntry {
    /// Waits for the lock on the entry `dir`, calling `waiting` if it has to, then clears away what killed runs have left.
    /// With `rebuild`, an entry that is there will be thrown away.
    pub(crate) async fn lock(dir: &Path, rebuild: bool, waiting: impl FnOnce()) -> Result<Self, Error> {
        let parent = parent(dir);
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        let path = sibling(dir, ".lock");
        let file = open_lock(&path).map_err(Error::io("lock", &path))?;
        let lock = lock(file, waiting).await.map_err(Error::io("lock", &path))?;
        let manifest = if rebuild { None } else { read_manifest(dir) };
        let entry = Self { dir: dir.to_owned(), manifest, _lock: lock };
        match &entry.manifest {
            // Its time says when it was last used.
            Some(manifest) => entry.write(manifest)?,
            None => entry.invalidate()?,
        }
        let dir = entry.dir.clone();
        let complete = entry.manifest.is_some();
        let swept = blocking(move |_| sweep(&dir, complete)).await;
        swept.map_err(Error::io("clear away what a killed run left beside", &entry.dir))?;
        Ok(entry)
    }

    /// Where it is, or will be.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the entries of its kind; it exists.
    pub(crate) fn parent(&self) -> &Path {
        parent(&self.dir)
    }

    /// `None` if there is no entry that can be used.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// A directory to make the entry in, for [`LockedEntry::publish`]. It goes away again if this ends early.
    pub(crate) fn staging_dir(&self) -> Result<TempDir, Error> {
        staging_dir(&self.dir)
    }

    /// Puts a new entry in place of the old one. To be followed by [`LockedEntry::commit`].
    pub(crate) fn publish(&mut self, new: TempDir) -> Result<(), Error> {
        self.manifest = None;
        self.invalidate()?;
        let new = new.keep();
        let put = || -> io::Result<()> {
            if self.dir.is_dir() {
                fs::rename(&self.dir, sibling(&new, ".old"))?;
            }
            fs::rename(&new, &self.dir)
        };
        put().map_err(Error::io("replace", &self.dir))
    }

    /// From now on, until [`LockedEntry::commit`], a kill leaves an entry that the next run throws away. Before every change
    /// that a kill may leave half-made.
    pub(crate) fn invalidate(&self) -> Result<(), Error> {
        invalidate(&self.dir).map_err(Error::io("change the cache at", &self.dir))
    }

    /// The entry is complete and in use now. With `changed` its size is measured again.
    pub(crate) async fn commit(&mut self, mut manifest: Manifest, changed: bool) -> Result<(), Error> {
        let measured = self.manifest.as_ref().map(|manifest| manifest.bytes);
        manifest.bytes = if let Some(bytes) = measured.filter(|_| !changed) {
            bytes
        } else {
            let dir = self.dir.clone();
            blocking(move |_| Ok(disk_usage(&dir))).await.map_err(Error::io("measure", &self.dir))?
        };
        self.write(&manifest)?;
        self.manifest = Some(manifest);
        // What was there before goes now; what cannot go is tried again by the next run.
        let dir = self.dir.clone();
        let _ = blocking(move |_| sweep(&dir, true)).await;
        Ok(())
    }

    fn write(&self, manifest: &Manifest) -> Result<(), Error> {
        let path = sibling(&self.dir, ".json");
        let text = serde_json::to_vec(manifest).map_err(io::Error::other);
        text.and_then(|text| write_whole(&path, &sibling(&self.dir, ".new-manifest"), &text, |_| Ok(())))
            .map(drop)
            .map_err(Error::io("write", &path))
    }
}

/// A directory beside the entry `dir`. What a kill leaves of it is removed by whoever locks the entry next, so that it is
/// safe only for who holds the lock; others must cope with its removal.
pub(crate) fn staging_dir(dir: &Path) -> Result<TempDir, Error> {
    let (parent, name) = (parent(dir), dir.file_name().unwrap_or_default().to_string_lossy());
    fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    tempfile::Builder::new()
        .prefix(&format!("{name}.new-"))
        .tempdir_in(parent)
        .map_err(Error::io("create a directory in", parent))
}

fn parent(dir: &Path) -> &Path {
    dir.parent().unwrap_or(dir)
}

/// The manifest of the entry `dir`, if that is complete.
pub(crate) fn read_manifest(dir: &Path) -> Option<Manifest> {
    let text = fs::read(sibling(dir, ".json")).ok()?;
    serde_json::from_slice(&text).ok().filter(|_| dir.is_dir())
}

/// Removes the manifest of the entry `dir`, so that the next run rebuilds it.
pub(super) fn invalidate(dir: &Path) -> io::Result<()> {
    remove_file(&sibling(dir, ".json"))
}

/// Removes unfinished and replaced entries, and the entry itself unless it is `complete`. Only for who holds the lock.
pub(super) fn sweep(dir: &Path, complete: bool) -> io::Result<()> {
    if !complete {
        remove_tree(dir).map_err(io::Error::other)?;
    }
    let prefix = format!("{}.new-", dir.file_name().unwrap_or_default().to_string_lossy());
    for found in read_dir(parent(dir))? {
        if found.file_name().to_string_lossy().starts_with(&prefix) {
            remove_tree(&found.path()).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::list;

    #[tokio::test]
    async fn an_entry_without_its_manifest_is_thrown_away() {
        let cache = tempfile::tempdir().unwrap();
        let dir = cache.path().join("git/x.new-y-0123456789ab");
        let nobody = || panic!("nobody holds it");
        let mut entry = LockedEntry::lock(&dir, false, nobody).await.unwrap();
        assert!(entry.manifest().is_none());
        let new = entry.staging_dir().unwrap();
        fs::write(new.path().join("file"), "x").unwrap();
        entry.publish(new).unwrap();
        let manifest = Manifest { address: "here".into(), ..Manifest::default() };
        entry.commit(manifest, true).await.unwrap();
        drop(entry);

        let entry = LockedEntry::lock(&dir, false, nobody).await.unwrap();
        assert!(entry.manifest().is_some_and(|manifest| manifest.address == "here" && manifest.bytes > 0));
        assert_eq!(list(cache.path()).unwrap()[0].name(), "git/x.new-y-0123456789ab");
        // As when it is killed now.
        entry.invalidate().unwrap();
        assert!(!list(cache.path()).unwrap()[0].remove().unwrap(), "it is held");
        drop(entry);
        let entry = LockedEntry::lock(&dir, false, nobody).await.unwrap();
        assert!(entry.manifest().is_none() && !dir.exists());
        drop(entry);
        assert!(list(cache.path()).unwrap().is_empty());
    }

    #[test]
    fn manifests_of_earlier_versions_are_read() {
        let text =
            r#"{"address":"https://host/x","bytes":7,"default":"main","version":"\"e\"","sha256":"00"}"#;
        let manifest: Manifest = serde_json::from_str(text).unwrap();
        assert_eq!(manifest.default_branch.as_deref(), Some("main"));
        assert_eq!(serde_json::to_string(&manifest).unwrap(), text);
    }
}
