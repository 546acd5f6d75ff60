//! The cache of sources: one entry for each, kept between runs.
//!
//! `cache/<kind>/<basename>-<12 hex digits of the address's SHA-256>` is an entry, a directory. Beside it lie, under the same
//! name, `.lock`, which whoever works on it holds; `.json`, its [`Card`], the mark that it is whole; and, while an
//! entry is being made or thrown away, directories named `.new-…`. An entry without its card is what a killed run left
//! half-made: the next that takes the lock throws it away.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    aside::{aside, lock},
    error::Error,
    tree::{remove_tree, size},
    url::Url,
};

/// What is known of an entry. Written last; the file's time is when the entry was last used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Of what it is: an address without credentials.
    pub address: String,
    /// What it takes on disk.
    pub bytes: u64,
    /// What upstream builds by default (a branch), as last heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What upstream called this version (`ETag`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Where the entry of `url`, whose address is `address`, has its place.
pub(crate) fn place(cache: &Path, kind: &str, url: &Url, address: &OsStr) -> PathBuf {
    let digest = Sha256::digest(address.as_encoded_bytes());
    let start = digest.iter().take(6).fold(0_u64, |start, byte| start << 8 | u64::from(*byte));
    cache.join(kind).join(format!("{}-{start:012x}", url.basename()))
}

/// An entry that nobody else works on until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    dir: PathBuf,
    /// Whole, as far as is known.
    card: Option<Card>,
    _lock: File,
}

impl Entry {
    /// Waits for the lock on the entry `dir`, telling `waiting` if it has to, then clears away what killed runs have left.
    /// With `anew`, what there is will be thrown away.
    pub(crate) async fn lock(dir: &Path, anew: bool, waiting: impl FnOnce()) -> Result<Self, Error> {
        let room = room(dir);
        fs::create_dir_all(room).map_err(Error::io("create", room))?;
        let path = beside(dir, ".lock");
        let held = lock(&path, waiting).await.map_err(Error::io("lock", &path))?;
        let card = if anew { None } else { read_card(dir) };
        let entry = Self { dir: dir.to_owned(), card, _lock: held };
        if entry.card.is_none() {
            entry.distrust()?;
        }
        let dir = entry.dir.clone();
        let whole = entry.card.is_some();
        let swept = aside(move |_| sweep(&dir, whole)).await;
        swept.map_err(Error::io("clear away what a killed run left beside", &entry.dir))?;
        Ok(entry)
    }

    /// Where it is, or will be.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder that entries of its kind are in; it exists.
    pub(crate) fn room(&self) -> &Path {
        room(&self.dir)
    }

    /// What is known of it; nothing if there is none that can be used.
    pub(crate) fn card(&self) -> Option<&Card> {
        self.card.as_ref()
    }

    /// A directory to make the entry in, for [`Entry::publish`]. It goes away again if this ends early.
    pub(crate) fn blank(&self) -> Result<TempDir, Error> {
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        tempfile::Builder::new()
            .prefix(&format!("{name}.new-"))
            .tempdir_in(self.room())
            .map_err(Error::io("create a directory in", self.room()))
    }

    /// Puts what was made in the entry's place. To be followed by [`Entry::vouch`].
    pub(crate) fn publish(&mut self, new: TempDir) -> Result<(), Error> {
        self.card = None;
        self.distrust()?;
        let new = new.keep();
        let put = || -> io::Result<()> {
            if self.dir.is_dir() {
                fs::rename(&self.dir, beside(&new, ".old"))?;
            }
            fs::rename(&new, &self.dir)
        };
        put().map_err(Error::io("put a new entry in the place of", &self.dir))
    }

    /// From now on, until [`Entry::vouch`], a kill leaves an entry that the next run throws away. Before every change that
    /// a kill may leave half-made.
    pub(crate) fn distrust(&self) -> Result<(), Error> {
        match fs::remove_file(beside(&self.dir, ".json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("change the cache at", &self.dir)(error))
            }
            _ => Ok(()),
        }
    }

    /// The entry is whole and in use now, and this is known of it. With `changed` its size is taken again.
    pub(crate) async fn vouch(&mut self, mut card: Card, changed: bool) -> Result<(), Error> {
        let known = self.card.as_ref().map(|card| card.bytes);
        card.bytes = match known.filter(|_| !changed) {
            Some(bytes) => bytes,
            None => {
                let dir = self.dir.clone();
                aside(move |_| Ok(size(&dir))).await.map_err(Error::io("measure", &self.dir))?
            }
        };
        let path = beside(&self.dir, ".json");
        let write = || -> io::Result<()> {
            let partial = beside(&self.dir, ".new-card");
            fs::write(&partial, serde_json::to_vec(&card).map_err(io::Error::other)?)?;
            fs::rename(&partial, &path)
        };
        write().map_err(Error::io("write", &path))?;
        self.card = Some(card);
        // What was there before goes now; what cannot go is tried again by the next run.
        let dir = self.dir.clone();
        let _ = aside(move |_| sweep(&dir, true)).await;
        Ok(())
    }
}

fn room(dir: &Path) -> &Path {
    dir.parent().unwrap_or(dir)
}

/// `dir` with `suffix` added to its name.
pub(crate) fn beside(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What is known of the entry `dir`, if it is whole.
pub(crate) fn read_card(dir: &Path) -> Option<Card> {
    let text = fs::read(beside(dir, ".json")).ok()?;
    serde_json::from_slice(&text).ok().filter(|_| dir.is_dir())
}

/// Removes unfinished and replaced entries, and the entry itself unless it is `whole`. Only for who holds the lock.
fn sweep(dir: &Path, whole: bool) -> io::Result<()> {
    if !whole {
        remove_tree(dir).map_err(io::Error::other)?;
    }
    let (Some(room), Some(name)) = (dir.parent(), dir.file_name()) else { return Ok(()) };
    let prefix = format!("{}.new-", name.to_string_lossy());
    for entry in fs::read_dir(room)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            remove_tree(&entry.path()).map_err(io::Error::other)?;
        }
    }
    Ok(())
}
