//! The folder of uploaded files, beside the results file. A file's name is the id of its row.
//!
//! A file is locked while it is being written. So an unlocked file that belongs to no result was interrupted, replaced or
//! dropped, by this process or another, and can be deleted.
#![expect(clippy::disallowed_methods, reason = "files of results are stored here")]

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files take whole blocks on disk, and count as such: many tiny ones count too.
const BLOCK: u64 = 4096;

/// Created with the first file.
#[derive(Debug, Clone)]
pub(crate) struct FilesFolder(Arc<Path>);

impl FilesFolder {
    /// For a results file that exists: `results.db.files` beside `results.db`, also if that was named by a link.
    pub(crate) fn for_results(results: &Path) -> io::Result<Self> {
        let mut path = fs::canonicalize(results)?.into_os_string();
        path.push(".files");
        Ok(Self(PathBuf::from(path).into()))
    }

    /// The path of a file.
    pub(crate) fn file(&self, id: i64) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// Creates a file, locked. Overwrites what a crash has left under the same id before its row was committed.
    pub(crate) fn create(&self, id: i64) -> io::Result<NewFile> {
        match fs::create_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) => {}
            Ok(()) => sync(self.0.parent().unwrap_or(&self.0))?,
        }
        let file = File::create(self.file(id))?;
        file.try_lock()?;
        Ok(NewFile { file, size: 0 })
    }

    /// Syncs the names of all files to disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync(&self.0)
    }

    /// Deletes a file unless it is locked, that is, being written. Returns whether the file no longer exists.
    pub(crate) fn delete_unless_locked(&self, id: i64) -> io::Result<bool> {
        let path = self.file(id);
        // Opened for writing, which some network file systems need for a lock.
        let file = match File::options().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            file => file?,
        };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => fs::remove_file(path).map(|()| true),
        }
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file that is being written. Locked until it is unlocked or dropped.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    size: u64,
}

impl NewFile {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Syncs everything written to disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    pub(crate) fn unlock(&self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "cannot unlock a file before it is closed");
        }
    }

    /// Bytes written.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// The space that a file of `size` bytes takes.
pub(crate) fn size_on_disk(size: u64) -> u64 {
    size.div_ceil(BLOCK) * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, FilesFolder) {
        let dir = tempfile::tempdir().unwrap();
        let results = dir.path().join("r.db");
        fs::write(&results, "").unwrap();
        let folder = FilesFolder::for_results(&results).unwrap();
        (dir, folder)
    }

    #[test]
    fn a_locked_file_stays() {
        let (dir, folder) = folder();
        assert!(folder.delete_unless_locked(1).unwrap(), "no such file");
        let mut file = folder.create(1).unwrap();
        file.write(b"abc").unwrap();
        file.sync().unwrap();
        folder.sync().unwrap();
        assert_eq!(file.size(), 3);
        assert!(!folder.delete_unless_locked(1).unwrap());
        folder.create(1).unwrap_err();
        drop(file);
        assert!(dir.path().join("r.db.files/1").exists());
        assert!(folder.delete_unless_locked(1).unwrap());
        assert!(!folder.file(1).exists());
    }

    #[test]
    fn a_link_to_the_results_has_the_same_folder() {
        let (dir, folder) = folder();
        let link = dir.path().join("link.db");
        std::os::unix::fs::symlink(dir.path().join("r.db"), &link).unwrap();
        assert_eq!(FilesFolder::for_results(&link).unwrap().file(7), folder.file(7));
    }

    #[test]
    fn files_take_whole_blocks() {
        assert_eq!([0, 1, 4096, 4097].map(size_on_disk), [0, 4096, 4096, 8192]);
    }
}
