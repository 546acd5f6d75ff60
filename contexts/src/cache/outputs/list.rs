//! All stored outputs, and whether those of one build are still there.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io,
    path::Path,
};

use super::{
    links,
    manifest::{self, StoredManifest},
    remove::{Removal, remove_entry},
};
use crate::{
    cache::types::{CacheEntry, EntryKind, EntrySummary, Health},
    disk::{read_dir, remove_file, try_lock},
};

/// Disk usage of a manifest, so that very many entries without outputs are pruned too.
pub(super) const MANIFEST_BYTES: u64 = 4096;

/// All entries, in no order. Those that no key links to, and those whose workspace is gone, are removed.
///
/// Measured with 2,000 entries on the disk's cache, not optimised: 50 ms, as every manifest is read (`store` 0.3 ms, `find`
/// 25 µs each). So this is called once in a while, not for each build.
pub(in crate::cache) fn list(cache: &Path) -> io::Result<Vec<CacheEntry>> {
    let (mut entries, mut keys, mut strays) = (Vec::new(), BTreeSet::new(), Vec::new());
    for found in read_dir(&cache.join(EntryKind::Outputs.name()))? {
        let path = found.path();
        match path.extension().and_then(OsStr::to_str) {
            Some("json") => {}
            Some(extension) if extension.starts_with("new-") => {
                strays.push(path);
                continue;
            }
            _ => continue,
        }
        // Another process may have removed it.
        let Ok(file) = File::open(&path) else { continue };
        let dir = path.with_extension("");
        let stored = StoredManifest::read(&file);
        let is_current = stored.as_ref().is_some_and(|StoredManifest { manifest, .. }| {
            let is_there = manifest.outputs.is_empty() || dir.is_dir();
            is_there && links::points_to(&links::beside(&dir, &manifest.key), &dir)
        });
        if !is_current && remove_entry(&dir, Removal::IfUnlinked).unwrap_or(false) {
            continue;
        }
        let Some(StoredManifest { manifest, unpruned }) = stored else { continue };
        let Ok(used) = file.metadata().and_then(|manifest| manifest.modified()) else { continue };
        let bytes = MANIFEST_BYTES + if unpruned { 0 } else { manifest.bytes };
        let revision = manifest.revision.map(|revision| format!(" at {revision:.12}")).unwrap_or_default();
        let address = format!("{}{revision}", manifest.name);
        keys.insert(manifest.key);
        let summary = Some(EntrySummary { address, bytes, used });
        entries.push(CacheEntry { kind: EntryKind::Outputs, dir, summary });
    }
    let mut found = read_dir(&links::dir(cache))?;
    found.retain(|link| link.file_name().to_str().is_none_or(|key| !keys.contains(key)));
    strays.extend(found.iter().map(fs::DirEntry::path));
    if !strays.is_empty() {
        let _lock = links::lock(cache)?;
        // Whoever writes one holds the lock: these are what kills have left.
        for stray in strays.iter().filter(|stray| links::key_of(stray).is_none() || !stray.exists()) {
            remove_file(stray)?;
        }
    }
    Ok(entries)
}

/// Whether all outputs of the entry `dir` are there.
pub(crate) fn verify(dir: &Path) -> io::Result<Health> {
    let file = File::open(manifest::path(dir))?;
    if !try_lock(&file)? {
        return Ok(Health::InUse);
    }
    let stored = StoredManifest::read(&file);
    let problem = match &stored {
        None => "its manifest cannot be read".to_owned(),
        Some(stored) => match stored.manifest.outputs.iter().find(|(_, path)| !path.exists()) {
            None => return Ok(Health::Intact),
            Some((name, path)) => format!("its output `{name}` is gone (`{}`)", path.display()),
        },
    };
    if let Some(stored) = &stored {
        links::unlink(dir, &stored.manifest.key)?;
    }
    Ok(Health::Damaged(problem))
}
