//! The folder of uploaded files, beside the results file. A file's name is the id of its row, which says whose it is.
//!
//! Whoever writes a file holds its lock. So a file that belongs to no result and that nobody holds was broken off,
//! replaced or dropped: it can go, whichever process left it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files take up whole blocks: so do they count, and many tiny ones count too.
const BLOCK: u64 = 4096;

/// The folder. Made when the first file comes.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<Path>);

impl Folder {
    /// Of a results file that exists: `results.db.files` beside `results.db`, by whatever path that was named.
    pub(crate) fn beside(results: &Path) -> io::Result<Self> {
        let mut path = fs::canonicalize(results)?.into_os_string();
        path.push(".files");
        Ok(Self(PathBuf::from(path).into()))
    }

    /// Where a file lies.
    pub(crate) fn file(&self, id: i64) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// Begins a file, and holds it. What a crash has left under the same id, before that was anybody's, is overwritten.
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

    /// Puts the names of all files on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        sync(&self.0)
    }

    /// Removes a file that belongs to no result, if nobody holds it. Whether it is gone.
    pub(crate) fn remove_unless_held(&self, id: i64) -> io::Result<bool> {
        let path = self.file(id);
        // For writing, without which some network file systems lock nothing.
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

/// A file that is being written. Held until it is let go of, or dropped.
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

    /// Puts everything written on disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// No longer holds it.
    pub(crate) fn let_go(&self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!(%error, "a file is held until it is closed");
        }
    }

    /// Bytes written.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }
}

/// Bytes that a file takes up.
pub(crate) fn taken(size: u64) -> u64 {
    size.div_ceil(BLOCK) * BLOCK
}

/// Whether there was no room for what was to be written.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let results = place.path().join("r.db");
        fs::write(&results, "").unwrap();
        let folder = Folder::beside(&results).unwrap();
        (place, folder)
    }

    #[test]
    fn a_file_that_is_held_stays() {
        let (place, folder) = folder();
        assert!(folder.remove_unless_held(1).unwrap(), "what is not there is gone");
        let mut file = folder.create(1).unwrap();
        file.write(b"abc").unwrap();
        file.sync().unwrap();
        folder.sync().unwrap();
        assert_eq!(file.size(), 3);
        assert!(!folder.remove_unless_held(1).unwrap());
        folder.create(1).unwrap_err();
        drop(file);
        assert!(place.path().join("r.db.files/1").exists());
        assert!(folder.remove_unless_held(1).unwrap());
        assert!(!folder.file(1).exists());
    }

    #[test]
    fn a_link_to_the_results_has_the_same_folder() {
        let (place, folder) = folder();
        let link = place.path().join("link.db");
        std::os::unix::fs::symlink(place.path().join("r.db"), &link).unwrap();
        assert_eq!(Folder::beside(&link).unwrap().file(7), folder.file(7));
    }

    #[test]
    fn what_a_file_takes_up() {
        assert_eq!([0, 1, 4096, 4097].map(taken), [0, 4096, 4096, 8192]);
    }
}
