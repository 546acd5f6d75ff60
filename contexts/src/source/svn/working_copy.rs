//! The working copy of one address: in the cache, as a [`LockedEntry`], and as a persistent tree.
//!
//! Svn changes a working copy file by file. An entry is invalidated before every change and committed after it, so that the next
//! run rebuilds what a kill left half-changed.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use sha1::{Digest, Sha1};

use super::{
    externals,
    target::{Info, SvnTarget},
    tool::{Svn, explain},
    xml::unreadable,
};
use crate::{
    blocking::{StopFlag, blocking},
    cache::{LockedEntry, Manifest},
    error::Error,
    shell::Shell,
    source::tree::invalidate,
    tree::{CopyError, Selection, copy_tree, read_all},
};

/// A working copy after a checkout or an update.
pub(super) struct WorkingCopy {
    pub(super) info: Info,
    /// Why upstream was not asked.
    pub(super) offline: Option<Error>,
    /// It is of another repository than before: revisions of earlier builds do not exist here.
    pub(super) replaced: bool,
    /// It was copied from an entry without local changes.
    pub(super) should_be_clean: bool,
}

/// Version in the manifest of an entry whose files are changed in svn's eyes as soon as they are checked out, as those are that
/// were committed with other line endings than their properties say.
const NEVER_CLEAN: &str = "never clean";

const WAITING: &str = "waiting for another run that uses the same working copy";

/// The state of `target` upstream.
pub(super) async fn upstream(
    label: &str,
    target: &SvnTarget,
    cwd: &Path,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<Info, Error> {
    let args = ["info", "--xml", "--revision", &target.revision().to_string(), "--", &target.pegged_url()];
    let output = svn.online(label, cwd, &args).await.map_err(|error| explain(error, target))?;
    let info = Info::read(&output).ok_or_else(|| unreadable(label))?;
    if info.kind == "dir" {
        return Ok(info);
    }
    Err(Error::NoSuchFolder {
        url: target.url.clone(),
        revision: info.revision.to_string(),
        detail: format!("it is a {}", info.kind),
    })
}

/// The state of `target` upstream; after a network error the `current` one, if that is the same.
async fn available(
    target: &SvnTarget,
    cwd: &Path,
    current: Option<&Info>,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(Info, Option<Error>), Error> {
    match upstream("info", target, cwd, svn).await {
        Ok(info) => Ok((info, None)),
        Err(error) if error.is_network_error() => match current.filter(|current| target.is_met_by(current)) {
            Some(current) => {
                svn.note(&format!("using the cached revision {}: {error}", current.revision));
                Ok((current.clone(), Some(error)))
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// The state of the working copy `dir`.
async fn info(label: &str, dir: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<Info, Error> {
    // Svn would look for one in the folders above.
    if !dir.join(".svn/wc.db").is_file() {
        return Err(Error::Damaged {
            url: svn.url().clone(),
            detail: "no working copy".to_owned(),
            cache: svn.entry_dir().to_owned(),
        });
    }
    let output = svn.run(label, dir, &["info", "--xml", "--", "."]).await?;
    Info::read(&output).ok_or_else(|| unreadable(label))
}

/// Brings the working copy in the cache to `target`, creates one if none can be used, and copies it to `tree`. With `rebuild`,
/// one that is there will be replaced.
pub(super) async fn fresh(
    target: &SvnTarget,
    tree: &Path,
    rebuild: bool,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<WorkingCopy, Error> {
    let dir = svn.entry_dir().to_owned();
    let waiting = || svn.note(WAITING);
    let mut entry = LockedEntry::lock(&dir, rebuild, waiting).await?;
    let mut current =
        if entry.manifest().is_some() { Some(info("cache_info", &dir, svn).await?) } else { None };
    let should_be_clean =
        entry.manifest().is_some_and(|manifest| manifest.version.as_deref() != Some(NEVER_CLEAN));
    let parent = entry.parent().to_owned();
    let (info, offline) = available(target, &parent, current.as_ref(), svn).await?;
    let replaced =
        current.as_ref().is_some_and(|current| current.is_of_another_than(&info, target.revision()));
    if replaced {
        svn.note(&format!("`{}` is another repository than before: rebuilding the working copy", target.url));
        current = None;
    }
    if offline.is_none() {
        match current {
            Some(current) => update(target, &current, &info, &mut entry, svn).await?,
            None => create(target, &info, &mut entry, svn).await?,
        }
    }
    let (from, to) = (dir.clone(), tree.to_owned());
    blocking(move |stop| Ok(copy_tree(&from, &to, Selection::All, stop)))
        .await
        .map_err(Error::io("copy", &dir))?
        .map_err(|CopyError { path, source }| copy_error(&path, source, svn))?;
    Ok(WorkingCopy { info, offline, replaced, should_be_clean })
}

/// The error for a copy that failed at `path`: a file of the entry that is gone is damage.
fn copy_error(path: &Path, source: io::Error, svn: &Svn<'_, impl Shell>) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound if path.starts_with(svn.entry_dir()) => Error::Damaged {
            url: svn.url().clone(),
            detail: format!("`{}` is not there", path.display()),
            cache: svn.entry_dir().to_owned(),
        },
        _ => Error::io("copy", path)(source),
    }
}

/// Creates the entry.
async fn create(
    target: &SvnTarget,
    info: &Info,
    entry: &mut LockedEntry,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(), Error> {
    svn.note(&format!(
        "creating a working copy of `{}` in the cache; later runs fetch only new revisions",
        target.url
    ));
    let new = entry.staging_dir()?;
    let revision = info.revision.to_string();
    let args = ["checkout", "--ignore-externals", "--revision", &revision, "--", &info.target(), "."];
    svn.online_with_cleanup("create cache", new.path(), &args, Some("cleanup")).await?;
    if externals::defined(new.path(), svn).await? {
        externals::fetch(new.path(), target, info, svn).await?;
    }
    let version = is_changed(new.path(), svn).await?.then(|| NEVER_CLEAN.to_owned());
    entry.publish(new)?;
    let address = target.url.to_string();
    entry.commit(Manifest { address, version, ..Manifest::default() }, true).await
}

/// Updates the entry from the state `current` to `info`.
async fn update(
    target: &SvnTarget,
    current: &Info,
    info: &Info,
    entry: &mut LockedEntry,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(), Error> {
    let manifest = entry.manifest().cloned().unwrap_or_default();
    let dir = entry.dir().to_owned();
    let moved = current.url != info.url || current.revision != info.revision;
    if moved {
        entry.invalidate()?;
        switch("cache_update", &dir, info, svn).await?;
    }
    let externals = externals::defined(&dir, svn).await?;
    if externals {
        entry.invalidate()?;
        externals::fetch(&dir, target, info, svn).await?;
    }
    entry.commit(manifest, moved || externals).await
}

/// Brings the working copy `dir` to another revision or folder, except its externals. Files in the way of new ones are taken over.
async fn switch(label: &str, dir: &Path, info: &Info, svn: &mut Svn<'_, impl Shell>) -> Result<(), Error> {
    let revision = info.revision.to_string();
    let args = [
        "switch",
        "--ignore-ancestry",
        "--ignore-externals",
        "--force",
        "--accept",
        "postpone",
        "--revision",
        &revision,
        "--",
        &info.target(),
        ".",
    ];
    match svn.online_with_cleanup(label, dir, &args, Some("cleanup")).await {
        // Upstream has just said that it has this revision: the one of the working copy is missing there.
        Err(Error::NoSuchRepository { url, detail, .. }) if detail.contains("160006: ") => {
            Err(Error::Damaged { url, detail, cache: dir.to_owned() })
        }
        other => other.map(drop),
    }
}

/// Brings `tree`, left by an earlier run, to `target`, straight from upstream. Files that svn does not track stay; changes of
/// others do not.
pub(super) async fn refresh(
    target: &SvnTarget,
    tree: &Path,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<WorkingCopy, Error> {
    let current = info("tree_info", tree, svn).await?;
    let (info, offline) = available(target, tree, Some(&current), svn).await?;
    let unusable = |detail: &str, svn: &Svn<'_, _>| Error::Damaged {
        url: svn.url().clone(),
        detail: detail.to_owned(),
        cache: tree.to_owned(),
    };
    if current.is_of_another_than(&info, target.revision()) {
        return Err(unusable("of another repository", svn));
    }
    invalidate(tree)?;
    revert(tree, &[], svn).await?;
    if offline.is_none() {
        switch("update", tree, &info, svn).await?;
        if externals::defined(tree, svn).await? {
            let dir = svn.entry_dir().to_owned();
            // So that no other run sweeps away the login that is stored beside the entry.
            let waiting = || svn.note(WAITING);
            let _entry = LockedEntry::lock(&dir, false, waiting).await?;
            externals::fetch(tree, target, &info, svn).await?;
        }
    }
    if is_changed(tree, svn).await? {
        let externals = externals::list(tree, svn).await?;
        revert(tree, &externals, svn).await?;
        if is_changed(tree, svn).await? {
            return Err(unusable("other files are in the way", svn));
        }
    }
    Ok(WorkingCopy { info, offline, replaced: false, should_be_clean: false })
}

/// Undoes changes of tracked files, in `tree` and its `externals`.
async fn revert(tree: &Path, externals: &[PathBuf], svn: &mut Svn<'_, impl Shell>) -> Result<(), Error> {
    let mut args: Vec<_> = ["revert", "--recursive", "--quiet", "--", "."].map(Into::into).to_vec();
    args.extend(externals.iter().map(|path| externals::operand(path)));
    svn.run("revert", tree, &args).await.map(drop)
}

/// Whether tracked files are changed, missing, in conflict, …, in `tree` or its externals.
async fn is_changed(tree: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<bool, Error> {
    // Not as XML, which lists all untracked files.
    let output = svn.run("status", tree, &["status", "--quiet", "--", "."]).await?;
    Ok(output.split(|byte| *byte == b'\n').any(says_changed))
}

/// Whether files of an entry have changed since it was committed.
pub(super) async fn is_changed_since(
    manifest: &Manifest,
    dir: &Path,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<bool, Error> {
    info("cache_info", dir, svn).await?;
    Ok(is_changed(dir, svn).await? && manifest.version.as_deref() != Some(NEVER_CLEAN))
}

/// The first file of `pristine` whose name is not the SHA-1 of its content.
pub(super) fn broken_pristine(pristine: &Path, stop: &StopFlag) -> io::Result<Option<PathBuf>> {
    for entry in Selection::All.walk(pristine) {
        if stop.requested() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let path = entry?.into_path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".svn-base")) else {
            continue;
        };
        let mut digest = Sha1::new();
        read_all(&mut File::open(&path)?, stop, |bytes| digest.update(bytes))?;
        if hex::encode(digest.finalize()) != name {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Reads the columns of `svn status`: first the item, then its properties; the seventh is a conflict of the tree.
fn says_changed(line: &[u8]) -> bool {
    match line {
        [item, properties, _, _, _, _, tree, b' ', ..] => {
            b"ACDMR!~".contains(item) || b"CM".contains(properties) || *tree == b'C'
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_status() {
        for line in ["X       a b", "    X   file", "", "Performing status on external item at 'a b':"] {
            assert!(!says_changed(line.as_bytes()), "{line}");
        }
        for line in ["M       x", " M      x", "!       x", "!     C x", "      C x", "~       x"] {
            assert!(says_changed(line.as_bytes()), "{line}");
        }
    }
}
