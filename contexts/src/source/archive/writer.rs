//! What writes the entries of an archive into a fresh folder, and nowhere else.
//!
//! The folder is made by us and nobody else writes to it. Each entry is made by a call that fails where something is already
//! (so that nothing is ever overwritten, followed or replaced), below parents that were looked at and are folders, not
//! links. A symbolic link leads up only by a `..` at its start, so that where it leads can be told without following
//! others: up from a true folder, then down. Owners, and the bits that lend them, are not kept.
#![expect(clippy::disallowed_methods, reason = "archives are unpacked here")]

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{OpenOptionsExt, PermissionsExt, symlink},
    },
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use crate::{blocking::StopFlag, error::Error, url::Url};

/// Writes below one folder.
pub(super) struct Writer<'a> {
    root: &'a Path,
    url: &'a Url,
    stop: &'a StopFlag,
    /// The folder, relative to the root, that was last found to be one.
    parent: PathBuf,
    /// A link that leads to the root itself, or beside its own top folder.
    beside_top: Option<String>,
}

impl<'a> Writer<'a> {
    /// For the archive from `url`, into `root`, which is empty.
    pub(super) fn new(root: &'a Path, url: &'a Url, stop: &'a StopFlag) -> Self {
        Self { root, url, stop, parent: PathBuf::new(), beside_top: None }
    }

    /// An error, once nobody waits any more.
    pub(super) fn proceed(&self) -> Result<(), Error> {
        if self.stop.requested() { Err(Error::Stopped) } else { Ok(()) }
    }

    /// A folder; it may be there.
    pub(super) fn dir(&mut self, name: &[u8], mode: u32) -> Result<(), Error> {
        let path = self.relative(name)?;
        self.parents(&path, name)?;
        let full = self.root.join(&path);
        fs::set_permissions(&full, Permissions::from_mode(mode & 0o755 | 0o700))
            .map_err(Error::io("set the mode of", full))
    }

    /// A file with what `content` gives.
    pub(super) fn file(
        &mut self,
        name: &[u8],
        mode: u32,
        modified: Option<SystemTime>,
        content: &mut impl Read,
    ) -> Result<(), Error> {
        let full = self.place(name)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&full)
            .map_err(|error| self.taken(name, &full, error))?;
        self.fill(&mut file, &full, content)?;
        let finish = || {
            file.set_permissions(Permissions::from_mode(mode & 0o755 | 0o600))?;
            modified.map_or(Ok(()), |modified| file.set_modified(modified))
        };
        finish().map_err(Error::io("write", &full))
    }

    fn fill(&self, file: &mut File, full: &Path, content: &mut impl Read) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            self.proceed()?;
            match content.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => file.write_all(&buffer[..count]).map_err(Error::io("write", full))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// A symbolic link that leads to somewhere inside.
    pub(super) fn symlink(&mut self, name: &[u8], target: &[u8]) -> Result<(), Error> {
        let full = self.place(name)?;
        let target = Path::new(OsStr::from_bytes(target));
        let mut up = 0;
        let mut down = false;
        for component in target.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(_) => down = true,
                Component::ParentDir if !down => up += 1,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(self.refused(name, "it is a link that may point outside"));
                }
            }
        }
        let depth = self.relative(name)?.components().count() - 1;
        if up > depth || target.as_os_str().is_empty() || target.as_os_str().as_bytes().contains(&0) {
            return Err(self.refused(name, "it is a link that points outside"));
        }
        if up > 0 && up == depth {
            self.beside_top.get_or_insert_with(|| shown(name));
        }
        symlink(target, &full).map_err(|error| self.taken(name, &full, error))
    }

    /// Another name of a file that was written before.
    pub(super) fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), Error> {
        let from =
            self.relative(target).map_err(|_| self.refused(name, "it is a link that points outside"))?;
        let mut so_far = self.root.to_owned();
        for component in &from {
            if !is_dir(&so_far) {
                return Err(self.refused(name, "it is a link through something that is no folder"));
            }
            so_far.push(component);
        }
        if !fs::symlink_metadata(&so_far).is_ok_and(|data| data.is_file()) {
            return Err(self.refused(name, "it is a link to something that is no file of the archive"));
        }
        let full = self.place(name)?;
        fs::hard_link(&so_far, &full).map_err(|error| self.taken(name, &full, error))
    }

    /// The one folder that everything is in, if there is one.
    pub(super) fn top(&self) -> Result<Option<PathBuf>, Error> {
        let read = || -> io::Result<Option<PathBuf>> {
            let mut entries = fs::read_dir(self.root)?;
            match (entries.next().transpose()?, entries.next()) {
                (Some(only), None) if only.file_type()?.is_dir() => Ok(Some(only.file_name().into())),
                _ => Ok(None),
            }
        };
        let top = read().map_err(Error::io("read", self.root))?;
        match (&top, &self.beside_top) {
            (Some(_), Some(name)) => Err(self
                .refused(name.as_bytes(), "it is a link that points outside the one folder of the archive")),
            _ => Ok(top),
        }
    }

    /// The error for an archive that cannot be read on.
    pub(super) fn broken(&self, error: &dyn std::error::Error) -> Error {
        Error::NotUnpacked { url: self.url.clone(), detail: error.to_string() }
    }

    /// The error for an entry that must not be.
    pub(super) fn refused(&self, name: &[u8], problem: &'static str) -> Error {
        Error::ArchiveEntry { url: self.url.clone(), entry: shown(name), problem }
    }

    /// Where a new entry goes; its parents are there and are folders.
    fn place(&mut self, name: &[u8]) -> Result<PathBuf, Error> {
        let path = self.relative(name)?;
        let Some(parent) = path.parent() else { return Err(self.refused(name, "it has no name")) };
        self.parents(parent, name)?;
        Ok(self.root.join(path))
    }

    /// `name` as a path below the root.
    fn relative(&self, name: &[u8]) -> Result<PathBuf, Error> {
        let mut path = PathBuf::new();
        if name.contains(&0) || name.is_empty() {
            return Err(self.refused(name, "its name is invalid"));
        }
        for component in Path::new(OsStr::from_bytes(name)).components() {
            match component {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(self.refused(name, "its path points outside"));
                }
            }
        }
        Ok(path)
    }

    /// Makes the folder `path` with its parents; what is there must be a folder.
    fn parents(&mut self, path: &Path, name: &[u8]) -> Result<(), Error> {
        if path == self.parent {
            return Ok(());
        }
        let mut full = self.root.to_owned();
        for component in path {
            full.push(component);
            match fs::create_dir(&full) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !is_dir(&full) {
                        return Err(self.refused(name, "it needs a folder where another entry is"));
                    }
                }
                Err(error) => return Err(self.taken(name, &full, error)),
            }
        }
        path.clone_into(&mut self.parent);
        Ok(())
    }

    fn taken(&self, name: &[u8], full: &Path, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::AlreadyExists => self.refused(name, "another entry has the same path"),
            io::ErrorKind::InvalidFilename => self.refused(name, "its name is too long"),
            _ => Error::io("create", full)(error),
        }
    }
}

/// True for a folder that is no link to one.
fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_dir())
}

/// A name for people, of bounded length.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(200).collect()
}
