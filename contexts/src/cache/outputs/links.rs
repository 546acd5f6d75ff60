//! Links from cache keys to manifests, changed by one process at a time.
#![expect(clippy::disallowed_methods, reason = "links between outputs are made here")]

use std::{
    fs::{self, File},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use super::manifest;
use crate::{
    cache::types::EntryKind,
    disk::{open_lock, remove_file},
};

/// The folder of all links.
pub(super) fn dir(cache: &Path) -> PathBuf {
    cache.join(EntryKind::Outputs.name()).join(".keys")
}

/// The link of `key`, for a manifest that is next to `workspace`.
pub(super) fn beside(workspace: &Path, key: &str) -> PathBuf {
    workspace.with_file_name(".keys").join(key)
}

/// Waits for the right to change links.
pub(super) fn lock(cache: &Path) -> io::Result<File> {
    let lock = open_lock(&cache.join(EntryKind::Outputs.name()).join(".lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Points `link` to the manifest of `workspace`. Only for who holds the [`lock`].
pub(super) fn link(link: &Path, workspace: &Path) -> io::Result<()> {
    let partial = link.with_file_name(".new");
    remove_file(&partial)?;
    symlink(target(workspace), &partial)?;
    fs::rename(partial, link)
}

/// Removes the link of `key` if it points to the manifest of `workspace`.
pub(super) fn unlink(workspace: &Path, key: &str) -> io::Result<()> {
    let Some(cache) = workspace.parent().and_then(Path::parent) else { return Ok(()) };
    let _lock = lock(cache)?;
    let link = beside(workspace, key);
    if points_to(&link, workspace) { remove_file(&link) } else { Ok(()) }
}

pub(super) fn points_to(link: &Path, workspace: &Path) -> bool {
    fs::read_link(link).is_ok_and(|found| found == target(workspace))
}

/// The text of a link to the manifest of `workspace`.
pub(super) fn target(workspace: &Path) -> PathBuf {
    manifest::path(&Path::new("..").join(workspace.file_name().unwrap_or_default()))
}

/// The last part of `path`, if it is a key.
pub(super) fn key_of(path: &Path) -> Option<&str> {
    let key = path.file_name()?.to_str()?;
    (key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(key)
}
