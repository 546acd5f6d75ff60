//! Files that no reader ever sees half written, and locks between processes. For whatever is kept between runs.
#![expect(clippy::disallowed_methods, reason = "files are written whole here")]

use std::{
    fs::{self, File, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use serde::Serialize;
use tempfile::NamedTempFile;

/// Replaces `path`: readers see the file as it was, or all of `bytes`. After a power cut it may be the old one again.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    persist(sibling(path, bytes, 0o666)?, path)
}

/// As [`replace`], and on disk when this returns: `value` as JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    let file = sibling(path, &json, 0o666)?;
    file.as_file().sync_all()?;
    persist(file, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Writes `path`, readable by this user alone, unless it is there already: whether it was written.
pub fn create_secret(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let file = sibling(path, bytes, 0o600)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// A file beside `path`, on the same file system, that is gone again unless it takes its place.
fn sibling(path: &Path, bytes: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".partial").permissions(Permissions::from_mode(mode));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// A file that this process has locked until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks the file at `path`, which is made if it is not there. None while somebody else holds it.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        Self::of(File::options().create(true).truncate(false).write(true).open(path)?)
    }

    /// Locks the file at `path`. None while somebody else holds it, and where there is no such file.
    pub fn try_existing(path: &Path) -> Option<Self> {
        Self::of(File::options().read(true).write(true).open(path).ok()?).ok().flatten()
    }

    /// Makes the file at `path`, with this in it and locked before anybody can see it there. Until then it is called `unseen`,
    /// in the same folder; whoever finds that one unlocked may remove it.
    pub fn create(path: &Path, unseen: &Path, bytes: &[u8]) -> io::Result<Self> {
        let make = || -> io::Result<Self> {
            let mut file = File::create_new(unseen)?;
            file.lock()?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(unseen, path)?;
            Ok(Self { _file: file })
        };
        match make() {
            // Somebody took it for what a kill had left, before it was locked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(),
            lock => lock,
        }
    }

    fn of(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        replace(&path, b"old").unwrap();
        write_json(&path, &[1, 2]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  1,\n  2\n]\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("no/such"), b"").is_err());
    }

    #[test]
    fn a_secret_is_made_once_and_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert!(create_secret(&path, b"first").unwrap());
        assert!(!create_secret(&path, b"second").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(Lock::try_existing(&path).is_none());
        let held = Lock::try_take(&path).unwrap();
        assert!(held.is_some());
        assert!(Lock::try_take(&path).unwrap().is_none() && Lock::try_existing(&path).is_none());
        drop(held);
        assert!(Lock::try_existing(&path).is_some());
        let marker = dir.path().join("marker");
        let held = Lock::create(&marker, &dir.path().join(".marker"), b"text").unwrap();
        assert!(Lock::try_existing(&marker).is_none() && !dir.path().join(".marker").exists());
        assert_eq!(fs::read(&marker).unwrap(), b"text");
        drop(held);
        assert!(Lock::try_existing(&marker).is_some());
    }
}
