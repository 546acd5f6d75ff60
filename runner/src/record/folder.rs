//! Run folders: what lies where, written once, readable at any moment.
//!
//! `runs/<package>/<run-id>/` holds `recipe.yaml`, `events.jsonl`, `NN-step.out`, `NN-step.err`, `artifacts/`,
//! `result.json` and a `receipt-<server>.json` for each server that has it. `runs/.active/<run-id>` names the folder
//! while the run is not closed: locked, it is under way; unlocked without a result, it crashed; unlocked with a result, it
//! waits for delivery. What has to be looked after is found there without reading what has long been done.
#![expect(clippy::disallowed_methods, reason = "run folders are made here")]

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    RunRecord,
    format::{self, ParseError},
};
use crate::{
    disk::{self, Lock},
    home::Home,
};

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

/// That a run is not closed yet; holds the lock while it is under way.
#[derive(Debug)]
pub struct Active {
    marker: PathBuf,
    _lock: Lock,
}

/// A run that is not closed: crashed or waiting for delivery.
#[derive(Debug)]
pub struct Open {
    /// Its folder.
    pub folder: RunFolder,
    /// Nobody else can take it up while this is held.
    pub active: Active,
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file.
    #[error("cannot read `{}`: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in it.
    #[error("cannot read the result `{}`: {source}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ParseError,
    },
}

impl RunFolder {
    /// Makes the folder of a new run and marks the run as under way.
    pub fn create(home: &Home, package: &str, run_id: &str) -> io::Result<(Self, Active)> {
        let relative = Path::new(&slug(package)).join(run_id);
        let path = home.runs().join(&relative);
        let marker = home.active().join(run_id);
        // In sight only once it is locked: an unlocked marker is one of a crashed run.
        let unseen = home.active().join(format!(".{run_id}"));
        let lock = Lock::create(&marker, &unseen, relative.as_os_str().as_encoded_bytes())?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        Ok((Self { path }, Active { marker, _lock: lock }))
    }

    /// Where the folder of a run is.
    pub fn of(home: &Home, package: &str, run_id: &str) -> Self {
        Self { path: home.runs().join(slug(package)).join(run_id) }
    }

    /// The folder of the run with this id, if there is one.
    pub fn by_id(home: &Home, run_id: &str) -> Option<Self> {
        // An id is one file name.
        if run_id.is_empty() || run_id.contains('/') || run_id.starts_with('.') {
            return None;
        }
        let packages = fs::read_dir(home.runs()).ok()?.filter_map(Result::ok);
        let path = packages.map(|package| package.path().join(run_id)).find(|path| path.is_dir())?;
        Some(Self { path })
    }

    /// A folder that is there.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name: the run's id.
    pub fn run_id(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The recipe as resolved, to be run again: what was known only when it began stands in it by name.
    pub fn recipe(&self) -> PathBuf {
        self.path.join("recipe.yaml")
    }

    /// The events, one JSON object a line.
    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// The result; there as soon as the run has ended, never half written.
    pub fn result(&self) -> PathBuf {
        self.path.join("result.json")
    }

    /// Copies of what upload steps collected.
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// Writes `result.json`: on disk, whole, when this returns.
    pub fn write_result(&self, record: &RunRecord) -> io::Result<()> {
        disk::write_json(&self.result(), record)
    }

    /// Reads `result.json`.
    pub fn read_result(&self) -> Result<RunRecord, ReadError> {
        let path = self.result();
        let text = fs::read(&path).map_err(|source| ReadError::File { path: path.clone(), source })?;
        format::parse(&text, RunRecord::FORMAT).map_err(|source| ReadError::Content { path, source })
    }

    /// The folder of another run that is kept in the same home.
    #[must_use]
    pub fn other(&self, package: &str, run_id: &str) -> Self {
        let runs = self.path.parent().and_then(Path::parent).unwrap_or(&self.path);
        Self { path: runs.join(slug(package)).join(run_id) }
    }
}

impl Active {
    /// The run needs no more looking after: it is delivered, or nobody wants it delivered.
    pub fn close(self) -> io::Result<()> {
        match fs::remove_file(&self.marker) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The runs that are neither under way nor closed, oldest first, each taken up when its turn comes. Markers that lead nowhere are
/// removed.
pub fn open_runs(home: &Home) -> io::Result<impl Iterator<Item = Open> + use<>> {
    let entries = fs::read_dir(home.active())?.filter_map(Result::ok);
    let is_unseen = |entry: &fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    let (unseen, seen): (Vec<_>, Vec<_>) = entries.partition(is_unseen);
    for entry in unseen {
        // Of a run that was killed before it was in sight: nothing had begun.
        if Lock::try_existing(&entry.path()).is_some() {
            let _ = fs::remove_file(entry.path());
        }
    }
    let mut markers: Vec<PathBuf> = seen.iter().map(fs::DirEntry::path).collect();
    markers.sort();
    let runs = home.runs();
    Ok(markers.into_iter().filter_map(move |marker| take_up(marker, &runs)))
}

fn take_up(marker: PathBuf, runs: &Path) -> Option<Open> {
    let lock = Lock::try_existing(&marker)?;
    let folder = fs::read_to_string(&marker).ok().filter(|text| !text.is_empty()).map(|text| runs.join(text));
    let active = Active { marker, _lock: lock };
    if let Some(path) = folder.filter(|folder| folder.is_dir()) {
        Some(Open { folder: RunFolder { path }, active })
    } else {
        let _ = active.close();
        None
    }
}

/// What the logs of a step are called, without `.out`, `.err` and `.idx`; steps are counted from 0.
pub fn step_stem(step: usize, name: &str) -> String {
    format!("{:02}-{}", step + 1, slug(name))
}

/// What those of a command of the context are called that runs in this step as the `place`th, from 1.
pub(super) fn command_stem(step: usize, name: &str, place: usize, label: &str) -> String {
    format!("{}.{place}-{}", step_stem(step, name), slug(label))
}

/// `text` as one file name, readable and different for different texts.
pub fn slug(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '_' })
        .take(60)
        .collect();
    if plain == text && !text.is_empty() && !text.starts_with('.') {
        return plain;
    }
    let hash = Sha256::digest(text.as_bytes());
    format!("{}-{}", plain.trim_start_matches('.'), hex::encode(&hash[..4]))
}

/// A new run's id: sorts by time, unique on this machine.
pub fn new_run_id(now: Timestamp, random: u32) -> String {
    format!("{}-{random:08x}", now.strftime("%Y%m%dT%H%M%S%3fZ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path()), None).unwrap();
        home.make().unwrap();
        (dir, home)
    }

    #[test]
    fn a_run_under_way_is_left_alone_and_a_dropped_one_is_found() {
        let (_dir, home) = home();
        let (folder, active) = RunFolder::create(&home, "p/q", "r1").unwrap();
        assert!(open_runs(&home).unwrap().next().is_none());
        drop(active);
        let open: Vec<Open> = open_runs(&home).unwrap().collect();
        assert_eq!(open[0].folder, folder);
        for open in open {
            open.active.close().unwrap();
        }
        assert!(open_runs(&home).unwrap().next().is_none());
    }

    #[test]
    fn different_texts_never_share_a_name() {
        assert_eq!(slug("python"), "python");
        assert_ne!(slug("a/b"), slug("a_b"));
        assert_ne!(slug("a/b"), slug("a:b"));
        assert!(!slug("../..").contains('/') && !slug("..").starts_with('.'));
        assert!(!slug("").is_empty());
        assert!(slug(&"x".repeat(500)).len() < 100);
    }

    #[test]
    fn a_marker_that_leads_nowhere_is_removed() {
        let (_dir, home) = home();
        fs::write(home.active().join("r9"), "gone/r9").unwrap();
        assert!(open_runs(&home).unwrap().next().is_none());
        assert!(!home.active().join("r9").exists());
    }
}
