//! Whole directories: copied as they are, removed whatever a build left in them.
//!
//! Both block; a context runs them on a thread of their own.
#![expect(clippy::disallowed_methods, reason = "trees are copied and removed here")]

use std::{
    fmt,
    fs::{self, FileTimes, Metadata, Permissions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use ignore::{DirEntry, WalkBuilder};

use crate::blocking::StopFlag;

/// How many paths that could not be removed are named.
const NAMED: usize = 10;

/// What is left of a directory that should be gone.
#[derive(Debug)]
pub struct Leftovers {
    /// The first few that could not be removed, and why.
    pub paths: Vec<(PathBuf, io::Error)>,
    /// How many more there are.
    pub more: usize,
}

impl Leftovers {
    fn push(&mut self, path: PathBuf, error: io::Error) {
        if self.paths.len() < NAMED {
            self.paths.push((path, error));
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("cannot remove ")?;
        for (index, (path, error)) in self.paths.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(formatter, "{comma}`{}` ({error})", path.display())?;
        }
        if self.more > 0 {
            write!(formatter, " and {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Leftovers {}

/// Removes the directory `root` and all in it, also what is in directories that their mode closes (Go's module
/// cache, `chmod 000`). Symbolic links are removed, never followed. It goes on past what it cannot remove.
/// Nothing there is no error.
pub fn remove_tree(root: &Path) -> Result<(), Leftovers> {
    // The usual case, and the fast one, and the one that takes paths of any length.
    match fs::remove_dir_all(root) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    let mut left = Leftovers { paths: Vec::new(), more: 0 };
    let mut dirs = vec![root.to_owned()];
    let mut next = 0;
    while let Some(dir) = dirs.get(next).cloned() {
        next += 1;
        if let Err(error) = empty(&dir, &mut dirs, &mut left) {
            left.push(dir, error);
        }
    }
    for dir in dirs.into_iter().rev() {
        match fs::remove_dir(&dir) {
            // Those that still hold something follow from what is named already.
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
            {
                left.push(dir, error);
            }
            _ => {}
        }
    }
    if left.paths.is_empty() { Ok(()) } else { Err(left) }
}

/// Removes what `dir` holds but its directories, which are added to `dirs`.
fn empty(dir: &Path, dirs: &mut Vec<PathBuf>, left: &mut Leftovers) -> io::Result<()> {
    let metadata = fs::symlink_metadata(dir)?;
    if !metadata.is_dir() {
        return fs::remove_file(dir);
    }
    if metadata.mode() & 0o700 != 0o700 {
        fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            dirs.push(entry.path());
        } else if let Err(error) = fs::remove_file(entry.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            left.push(entry.path(), error);
        }
    }
    Ok(())
}

/// What the files below `root` take on disk, in bytes; what cannot be read does not count.
pub fn disk_usage(root: &Path) -> u64 {
    let mut dirs = vec![root.to_owned()];
    let mut bytes = 0;
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                dirs.push(entry.path());
            }
            bytes += metadata.blocks() * 512;
        }
    }
    bytes
}

/// Hands the rest of `file` to `take`, a part at a time.
pub(crate) fn read_all(file: &mut fs::File, stop: &StopFlag, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        if stop.requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => take(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A place that a failed copy stopped at.
#[derive(Debug)]
pub(crate) struct CopyError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// What a copy did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Sockets, pipes and devices, which a copy leaves out.
    pub(crate) skipped: Vec<PathBuf>,
}

/// Which files of a folder are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of them.
    All,
    /// Those that no `.gitignore` of the folder or above it, nor the repository's `info/exclude`, names.
    NotIgnored,
}

impl Selection {
    /// Everything below `root` and `root` itself, folders before what is in them, in the order of names. Links are not followed.
    pub(crate) fn walk(self, root: &Path) -> impl Iterator<Item = io::Result<DirEntry>> + use<> {
        self.walker(root).build().map(|entry| entry.map_err(into_io))
    }

    fn walker(self, root: &Path) -> WalkBuilder {
        let mut walk = WalkBuilder::new(root);
        walk.standard_filters(false).sort_by_file_name(Ord::cmp);
        if self == Self::NotIgnored {
            walk.git_ignore(true).git_exclude(true).parents(true).require_git(false);
        }
        walk
    }
}

fn into_io(error: ignore::Error) -> io::Error {
    let detail = error.to_string();
    error.into_io_error().unwrap_or_else(|| io::Error::other(detail))
}

/// Copies what `selection` picks of the directory `from` to `to`, which must not exist. Files keep their bytes (shared with
/// the original where the file system can), mode and times, so that `make` sees what it would see there; symbolic links
/// stay links with the same text. Where the copy lies inside `from`, it is not copied into itself.
pub(crate) fn copy_tree(
    from: &Path,
    to: &Path,
    selection: Selection,
    stop: &StopFlag,
) -> Result<Copied, CopyError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| CopyError { path, source }
    };
    let mut copied = Copied::default();
    fs::DirBuilder::new().mode(0o700).create(to).map_err(at(to))?;
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let destination = fs::metadata(to).map(|made| identity(&made)).map_err(at(to))?;
    let mut dirs = Vec::new();
    let is_other =
        move |entry: &DirEntry| entry.metadata().is_ok_and(|found| identity(&found) != destination);
    for entry in selection.walker(from).filter_entry(is_other).build() {
        let entry = entry.map_err(into_io).map_err(at(from))?;
        let path = entry.path();
        if stop.requested() {
            return Err(at(path)(io::ErrorKind::Interrupted.into()));
        }
        let metadata = if entry.depth() == 0 { fs::metadata(path) } else { fs::symlink_metadata(path) };
        let metadata = metadata.map_err(at(path))?;
        let copy = to.join(path.strip_prefix(from).unwrap_or(path));
        if metadata.is_dir() {
            if entry.depth() > 0 {
                fs::DirBuilder::new().mode(0o700).create(&copy).map_err(at(&copy))?;
            }
            dirs.push((copy, metadata));
        } else if metadata.is_symlink() {
            fs::read_link(path).and_then(|text| symlink(text, &copy)).map_err(at(path))?;
        } else if is_special(&metadata) {
            copied.skipped.push(path.to_owned());
        } else {
            copy_file(path, &copy, &metadata).map_err(at(path))?;
        }
    }
    // Modes and times of directories last and from the bottom: filling a directory needs the one and changes the other.
    for (copy, metadata) in dirs.iter().rev() {
        keep_times(copy, metadata)
            .and_then(|()| fs::set_permissions(copy, metadata.permissions()))
            .map_err(at(copy))?;
    }
    Ok(copied)
}

fn is_special(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device()
}

fn copy_file(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
    // The standard copy shares blocks where it can, and carries the mode.
    fs::copy(from, to)?;
    keep_times(to, metadata)
}

fn keep_times(path: &Path, metadata: &Metadata) -> io::Result<()> {
    let times = FileTimes::new().set_modified(metadata.modified()?).set_accessed(metadata.accessed()?);
    match fs::File::open(path) {
        Ok(file) => file.set_times(times),
        // A file that its owner may not read has no handle to set the times of.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn closed_directories_and_links_are_removed_and_not_followed() {
        let room = tempfile::tempdir().unwrap();
        let outside = room.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        let tree = room.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::write(tree.join("a/b/c/file"), "x").unwrap();
        symlink(&outside, tree.join("a/b/link")).unwrap();
        symlink("nowhere", tree.join("a/dangling")).unwrap();
        for (dir, mode) in [("a/b/c", 0o000), ("a/b", 0o555), ("a", 0o500)] {
            fs::set_permissions(tree.join(dir), Permissions::from_mode(mode)).unwrap();
        }
        // Also by hand, as when the fast way fails.
        let mut left = Leftovers { paths: Vec::new(), more: 0 };
        let mut dirs = Vec::new();
        empty(&tree.join("a"), &mut dirs, &mut left).unwrap();
        assert_eq!(dirs, [tree.join("a/b")]);
        assert!(fs::symlink_metadata(tree.join("a/dangling")).is_err());

        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("kept").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn a_link_in_place_of_the_tree_is_not_followed() {
        let room = tempfile::tempdir().unwrap();
        fs::create_dir(room.path().join("real")).unwrap();
        fs::write(room.path().join("real/kept"), "x").unwrap();
        symlink("real", room.path().join("link")).unwrap();
        remove_tree(&room.path().join("link")).unwrap();
        assert!(room.path().join("real/kept").exists());
        assert!(fs::symlink_metadata(room.path().join("link")).is_err());
    }

    #[test]
    fn what_is_left_is_named_up_to_a_limit() {
        let mut left = Leftovers { paths: Vec::new(), more: 0 };
        for index in 0..12 {
            left.push(PathBuf::from(format!("/x/{index}")), io::ErrorKind::PermissionDenied.into());
        }
        let text = left.to_string();
        assert!(text.starts_with("cannot remove `/x/0` (permission denied), `/x/1`"), "{text}");
        assert!(text.ends_with("and 2 more"), "{text}");
    }

    #[test]
    fn a_copy_keeps_modes_times_and_links() {
        let room = tempfile::tempdir().unwrap();
        let (from, to) = (room.path().join("from"), room.path().join("to"));
        fs::create_dir_all(from.join("sub/closed")).unwrap();
        fs::write(from.join("run.sh"), "echo").unwrap();
        fs::set_permissions(from.join("run.sh"), Permissions::from_mode(0o751)).unwrap();
        symlink("../../etc/passwd", from.join("sub/out")).unwrap();
        symlink(".", from.join("sub/loop")).unwrap();
        let _socket = UnixListener::bind(from.join("sub/socket")).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        for name in ["run.sh", "sub"] {
            let times = FileTimes::new().set_modified(old).set_accessed(old);
            fs::File::open(from.join(name)).unwrap().set_times(times).unwrap();
        }
        fs::set_permissions(from.join("sub/closed"), Permissions::from_mode(0o555)).unwrap();

        let copied = copy_tree(&from, &to, Selection::All, &StopFlag::default()).unwrap();
        assert_eq!(copied.skipped, [from.join("sub/socket")]);
        assert_eq!(fs::read_to_string(to.join("run.sh")).unwrap(), "echo");
        assert_eq!(mode(&to.join("run.sh")), 0o751);
        assert_eq!(mode(&to.join("sub/closed")), 0o555);
        assert_eq!(fs::read_link(to.join("sub/out")).unwrap(), Path::new("../../etc/passwd"));
        assert_eq!(fs::read_link(to.join("sub/loop")).unwrap(), Path::new("."));
        for name in ["run.sh", "sub"] {
            assert_eq!(fs::metadata(to.join(name)).unwrap().modified().unwrap(), old, "{name}");
        }
    }

    #[test]
    fn a_copy_into_itself_ends() {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("file"), "x").unwrap();
        fs::create_dir(room.path().join("tmp")).unwrap();
        copy_tree(room.path(), &room.path().join("tmp/copy"), Selection::All, &StopFlag::default()).unwrap();
        assert!(room.path().join("tmp/copy/file").exists());
        assert!(room.path().join("tmp/copy/tmp").exists());
        assert!(!room.path().join("tmp/copy/tmp/copy").exists());
    }
}
