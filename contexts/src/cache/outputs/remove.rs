//! Removing stored outputs, with or without the workspace that they lie in.

use std::{fs::File, io, path::Path};

use super::{
    links,
    manifest::{self, StoredManifest},
};
use crate::{
    cache::types::EntryKind,
    disk::{read_dir, remove_file, try_lock},
    tree::remove_tree,
};

/// Removes the tempdir of a run, and its entry if outputs are stored there. False if a build uses them: then all stays. An
/// absent one is no error.
pub fn discard(tempdir: &Path) -> io::Result<bool> {
    remove_entry(tempdir, Removal::WithWorkspace)
}

/// Removes what the run `run_id` has stored, whatever its build was called: a run that crashed just after it has no result.
/// Looks at the names of all entries.
pub fn discard_run(cache: &Path, run_id: &str) -> io::Result<()> {
    for found in read_dir(&cache.join(EntryKind::Outputs.name()))? {
        let dir = found.path().with_extension("");
        let is_its_manifest = found.path().extension().is_some_and(|extension| extension == "json")
            && dir.file_name().is_some_and(|name| name.to_string_lossy().ends_with(run_id));
        if is_its_manifest {
            discard(&dir)?;
        }
    }
    Ok(())
}

/// Removes the entry `dir`, unless a build uses it; returns whether it is gone.
pub(in crate::cache) fn remove(dir: &Path) -> io::Result<bool> {
    remove_entry(dir, Removal::Entry)
}

/// How much of an entry is removed, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// All but an unpruned workspace.
    Entry,
    /// The same, unless its key links to it.
    IfUnlinked,
    /// All, the workspace in any case.
    WithWorkspace,
}

pub(super) fn remove_entry(dir: &Path, removal: Removal) -> io::Result<bool> {
    let path = manifest::path(dir);
    let file = match File::open(&path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(file) = &file
        && !try_lock(file)?
    {
        return Ok(false);
    }
    let stored = file.as_ref().and_then(StoredManifest::read);
    if let Some(StoredManifest { manifest, .. }) = &stored {
        let is_there = manifest.outputs.is_empty() || dir.is_dir();
        let link = links::beside(dir, &manifest.key);
        if removal == Removal::IfUnlinked && is_there && links::points_to(&link, dir) {
            return Ok(false);
        }
        links::unlink(dir, &manifest.key)?;
    }
    // Without a manifest it is its run's; one that cannot be read is what a power cut left.
    let is_ours = file.is_some() && stored.is_none_or(|stored| !stored.unpruned);
    if is_ours || removal == Removal::WithWorkspace {
        remove_tree(dir).map_err(io::Error::other)?;
    }
    if file.is_some() {
        remove_file(&path)?;
    }
    Ok(true)
}
