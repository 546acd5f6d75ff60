//! All entries: listed, chosen for pruning, removed, held for a check.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use super::{
    entry::{invalidate, read_manifest, sweep},
    outputs,
    types::{CacheEntry, EntryKind, EntrySummary, Manifest},
};
use crate::disk::{open_lock, read_dir, sibling, try_lock};

/// All entries below `cache`, least recently used first.
pub fn list(cache: &Path) -> io::Result<Vec<CacheEntry>> {
    let mut entries = outputs::list(cache)?;
    for kind in EntryKind::ALL.into_iter().filter(|kind| *kind != EntryKind::Outputs) {
        for found in read_dir(&cache.join(kind.name()))? {
            if found.file_type()?.is_dir() && is_entry(&found.file_name().to_string_lossy()) {
                let dir = found.path();
                entries.push(CacheEntry { kind, summary: summary(&dir), dir });
            }
        }
    }
    let used = |entry: &CacheEntry| entry.summary.as_ref().map(|summary| summary.used);
    entries.sort_by(|a, b| (used(a), &a.dir).cmp(&(used(b), &b.dir)));
    Ok(entries)
}

fn summary(dir: &Path) -> Option<EntrySummary> {
    let used = fs::metadata(sibling(dir, ".json")).and_then(|manifest| manifest.modified()).ok()?;
    let Manifest { address, bytes, .. } = read_manifest(dir)?;
    Some(EntrySummary { address, bytes, used })
}

/// Which of `entries`, in the order of [`list`], must go for the rest to fit into `max_bytes`. The most recently used one
/// stays in any case: the next run needs it.
pub fn prune_candidates(entries: &[CacheEntry], max_bytes: u64) -> &[CacheEntry] {
    let mut total: u64 = entries.iter().map(CacheEntry::bytes).sum();
    let mut count = 0;
    while total > max_bytes && count + 1 < entries.len() {
        total -= entries[count].bytes();
        count += 1;
    }
    &entries[..count]
}

/// Whether a directory is an entry by its name, and not a staging directory.
fn is_entry(name: &str) -> bool {
    let digits = name.rsplit_once('-').map_or("", |(_, digits)| digits);
    digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// An entry of a source that no run uses as long as this is held.
pub(crate) struct HeldEntry<'e> {
    dir: &'e Path,
    _lock: File,
}

impl HeldEntry<'_> {
    /// `None` if the entry is incomplete.
    pub(crate) fn manifest(&self) -> Option<Manifest> {
        read_manifest(self.dir)
    }

    /// Has the next run rebuild the entry.
    pub(crate) fn invalidate(&self) -> io::Result<()> {
        invalidate(self.dir)
    }
}

impl CacheEntry {
    /// `None` if a run uses it.
    pub(crate) fn hold(&self) -> io::Result<Option<HeldEntry<'_>>> {
        let lock = open_lock(&sibling(&self.dir, ".lock"))?;
        Ok(try_lock(&lock)?.then_some(HeldEntry { dir: &self.dir, _lock: lock }))
    }

    /// Removes it unless a run uses it; returns whether it is gone.
    pub fn remove(&self) -> io::Result<bool> {
        if self.kind == EntryKind::Outputs {
            return outputs::remove(&self.dir);
        }
        let Some(held) = self.hold()? else { return Ok(false) };
        held.invalidate()?;
        sweep(&self.dir, false)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn the_least_recently_used_go_first_and_the_last_one_stays() {
        let entry = |name: &str, bytes| {
            let summary = EntrySummary { address: String::new(), bytes, used: UNIX_EPOCH };
            CacheEntry { kind: EntryKind::Git, dir: name.into(), summary: Some(summary) }
        };
        let all = [entry("a", 10), entry("b", 20), entry("c", 30)];
        let gone = |max_bytes| prune_candidates(&all, max_bytes).len();
        assert_eq!((gone(60), gone(59), gone(50), gone(49), gone(0)), (0, 1, 1, 2, 2));
        assert!(prune_candidates(&[], 0).is_empty());
    }
}
