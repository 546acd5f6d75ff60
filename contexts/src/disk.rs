//! Small files and locks: names beside a path, files written as a whole, absence that is no error, exclusive locks.
#![expect(clippy::disallowed_methods, reason = "files are written whole here")]

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::blocking::blocking;

/// `path` with `suffix` added to its name.
pub(crate) fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The entries of a directory; none where there is no such directory.
pub(crate) fn read_dir(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes a file that may be absent.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes `path` by way of `partial`, a file beside it that only one process writes at a time: readers see the old
/// content or the new one. `before` is given the new file before it is seen under its name, to take a lock for example.
pub(crate) fn write_whole(
    path: &Path,
    partial: &Path,
    content: &[u8],
    before: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<File> {
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(partial)?;
    file.write_all(content)?;
    before(&file)?;
    fs::rename(partial, path)?;
    Ok(file)
}

/// Opens the lock file at `path`, made if absent.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Takes the exclusive lock on an open file if nobody holds one.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Takes the exclusive lock on an open file; it is given back when the file is closed. `waiting` is called once if
/// another holds it.
pub(crate) async fn lock(file: File, waiting: impl FnOnce()) -> io::Result<File> {
    if try_lock(&file)? {
        return Ok(file);
    }
    waiting();
    blocking(move |_| file.lock().map(|()| file)).await
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_lock_is_waited_for_and_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let open = || open_lock(&path).unwrap();
        let first = lock(open(), || panic!("nobody holds it")).await.unwrap();
        assert!(!try_lock(&open()).unwrap());
        let mut reported = false;
        let mut second = Box::pin(lock(open(), || reported = true));
        let polled = std::future::poll_fn(|context| Poll::Ready(second.as_mut().poll(context))).await;
        assert!(polled.is_pending());
        drop(first);
        second.await.unwrap();
        assert!(reported);
    }

    #[test]
    fn absence_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read_dir(&dir.path().join("none")).unwrap().is_empty());
        remove_file(&dir.path().join("none")).unwrap();
    }
}
