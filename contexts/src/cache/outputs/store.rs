//! Storing the outputs of a run, and finding them again.
#![expect(clippy::disallowed_methods, reason = "outputs are stored here")]

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    links,
    manifest::{self, OutputsManifest, StoredManifest},
    prune::{prune, retained_paths},
    remove::{Removal, remove_entry},
};
use crate::{cache::types::EntryKind, tree::disk_usage};

/// Longest part of a build's name in the name of its workspace, in characters.
const MAX_NAME: usize = 40;

/// Outputs that nobody removes until this is dropped.
#[derive(Debug)]
pub struct StoredOutputs {
    /// What is known of them.
    pub manifest: OutputsManifest,
    /// The manifest's file, under a shared lock.
    _lock: File,
}

/// Where the run `run_id` has to build (its tempdir) so that its outputs can be stored. Its last part ends with `run_id`, and
/// has nothing in it but letters, digits and `.+-_`, whatever `name` is: programs stumble over blanks and brackets.
pub fn workspace(cache: &Path, name: &str, run_id: &str) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+_".contains(c);
    let words: Vec<&str> = name.split(|c| !is_plain(c)).filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").trim_start_matches(['.', '-']).chars().take(MAX_NAME).collect();
    let dash = if short.is_empty() { "" } else { "-" };
    cache.join(EntryKind::Outputs.name()).join(format!("{short}{dash}{run_id}"))
}

/// The outputs that are stored under `key`, if all of them are still there. They count as used now.
pub fn find(cache: &Path, key: &str) -> Option<StoredOutputs> {
    let link = links::dir(cache).join(key);
    links::key_of(&link)?;
    let file = File::options().read(true).write(true).open(&link).ok()?;
    file.try_lock_shared().ok()?;
    // It may have been removed or replaced before it was locked; if not, nobody does so now.
    let (ours, linked) = (file.metadata().ok()?, fs::metadata(&link).ok()?);
    let StoredManifest { manifest, .. } = StoredManifest::read(&file)?;
    let is_complete = (ours.dev(), ours.ino()) == (linked.dev(), linked.ino())
        && manifest.key == key
        && manifest.outputs.values().all(|output| output.exists());
    if !is_complete {
        return None;
    }
    // The same byte again: the file's time is when the entry was last used.
    file.write_all_at(b"\n", ours.len().saturating_sub(1)).ok()?;
    Some(StoredOutputs { manifest, _lock: file })
}

/// Stores the outputs of a run that passed under the manifest's key, and sets the manifest's `bytes`. `workspace` is that of
/// the run ([`workspace`]); without outputs it need not be there. The rest of it is removed unless it is to stay
/// `unpruned`. Where an output is a link, or lies behind one, its target in the workspace stays too; links inside an output
/// are not followed. An older entry of the same key is removed.
///
/// # Errors
/// Outputs that are absent or outside the workspace, and errors of the file system. What the key stood for before is then
/// unchanged.
pub fn store(
    cache: &Path,
    workspace: &Path,
    mut manifest: OutputsManifest,
    unpruned: bool,
) -> io::Result<StoredOutputs> {
    let invalid = |message: &str| io::Error::new(io::ErrorKind::InvalidInput, message.to_owned());
    let link = links::dir(cache).join(&manifest.key);
    if links::key_of(&link) != Some(&manifest.key) {
        return Err(invalid("not a cache key"));
    }
    if workspace.parent() != Some(&cache.join(EntryKind::Outputs.name())) {
        return Err(invalid("not a workspace of this cache"));
    }
    let retained = retained_paths(workspace, manifest.outputs.values())?;
    if !unpruned {
        prune(workspace, &retained);
    }
    manifest.bytes = disk_usage(workspace);
    let stored = StoredManifest { manifest, unpruned };

    fs::create_dir_all(links::dir(cache))?;
    let turn = links::lock(cache)?;
    let lock = stored.write(workspace)?;
    let older = fs::read_link(&link).ok().filter(|older| *older != links::target(workspace));
    links::link(&link, workspace)?;
    drop(turn);
    if let Some(older) = older.as_ref().and_then(|manifest| manifest.file_stem()) {
        // What cannot go now, because a build uses it, goes when the cache is next listed.
        let _ = remove_entry(&workspace.with_file_name(older), Removal::IfUnlinked);
    }
    Ok(StoredOutputs { manifest: stored.manifest, _lock: lock })
}

/// Whether outputs of the run that built in `tempdir` are stored there: the tempdir is then the cache's, no longer the
/// run's.
pub fn is_stored(tempdir: &Path) -> bool {
    manifest::path(tempdir).exists()
}
