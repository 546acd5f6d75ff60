//! Trees that are kept to be looked at, and which of them have been kept for long enough.
//!
//! `runs/.kept/<run-id>` notes each, so that nobody has to read runs that have long been done.
#![expect(clippy::disallowed_methods, reason = "retained trees are moved and removed here")]

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{disk, home::Home, process::group};

/// One tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which run's.
    pub run_id: String,
    /// Where it is.
    pub tempdir: PathBuf,
    /// What it takes on disk.
    pub bytes: u64,
    /// Since when it is kept.
    pub since: Timestamp,
}

/// How much of them stays.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At most so many trees.
    pub count: usize,
    /// Older ones go.
    pub age: Duration,
    /// Of all trees together.
    pub bytes: u64,
}

/// Notes a tree that is kept, or its size when that is known. Others read while this writes.
pub fn note(home: &Home, kept: &Kept) -> io::Result<()> {
    fs::create_dir_all(home.kept())?;
    disk::replace(&home.kept().join(&kept.run_id), &serde_json::to_vec(kept)?)
}

/// Whether that run's tree is noted.
pub fn is_noted(home: &Home, run_id: &str) -> bool {
    home.kept().join(run_id).exists()
}

/// Forgets one, if it is gone.
pub fn forget(home: &Home, kept: &Kept) {
    if !kept.tempdir.exists() {
        let _ = fs::remove_file(home.kept().join(&kept.run_id));
    }
}

/// The trees that are still there, newest first. Notes of those that are gone are removed.
pub fn list(home: &Home) -> io::Result<Vec<Kept>> {
    let mut kept: Vec<Kept> = Vec::new();
    for entry in fs::read_dir(home.kept())? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let note = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        match note.filter(|note| note.tempdir.is_dir()) {
            Some(note) => kept.push(note),
            // Another run may have been quicker.
            None => {
                let _ = fs::remove_file(&path);
            }
        }
    }
    kept.sort_by(|a, b| (b.since, &b.run_id).cmp(&(a.since, &a.run_id)));
    Ok(kept)
}

/// Which of `kept`, newest first, have to go.
pub fn surplus(kept: &[Kept], limits: Limits, now: Timestamp) -> Vec<&Kept> {
    let mut bytes = 0;
    let mut gone = Vec::new();
    for (index, tree) in kept.iter().enumerate() {
        let age = Duration::try_from(now.duration_since(tree.since)).unwrap_or_default();
        bytes += tree.bytes;
        // The newest one is what somebody is about to look at, however large it is.
        let too_much = index > 0 && bytes > limits.bytes;
        if index >= limits.count || age > limits.age || too_much {
            bytes -= tree.bytes;
            gone.push(tree);
        }
    }
    gone
}

/// Whether somebody is in the tree: a shell that was opened there.
pub fn is_in_use(tempdir: &Path) -> bool {
    group::is_anybody_in(tempdir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(day: i64, bytes: u64) -> Kept {
        let since = Timestamp::from_second(day * 86_400).unwrap();
        Kept { run_id: format!("r{day}"), tempdir: "/nowhere".into(), bytes, since }
    }

    #[test]
    fn count_age_and_size_are_bounds() {
        let kept = [tree(20, 5), tree(19, 100), tree(18, 5), tree(10, 1), tree(1, 1)];
        let now = Timestamp::from_second(20 * 86_400 + 60).unwrap();
        let gone = |count, days: u64, bytes| {
            let limits = Limits { count, age: Duration::from_hours(days * 24), bytes };
            surplus(&kept, limits, now).iter().map(|tree| tree.run_id.clone()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(gone(10, 100, 1000), "");
        assert_eq!(gone(2, 100, 1000), "r18 r10 r1");
        assert_eq!(gone(10, 12, 1000), "r1");
        // One that is too large goes, smaller and older ones may stay.
        assert_eq!(gone(10, 100, 50), "r19");
        assert_eq!(gone(10, 100, 0), "r19 r18 r10 r1");
        assert_eq!(gone(0, 100, 1000), "r20 r19 r18 r10 r1");
    }
}
