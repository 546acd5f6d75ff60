//! The cache of sources: one entry for each, kept between runs. What is kept of builds (`chain/store`) is listed, bounded and
//! removed with them.
//!
//! `cache/<kind>/<basename>-<12 hex digits of the address's SHA-256>` is an entry, a directory. Beside it lie, under the same
//! name, `.lock`, which whoever works on it holds; `.json`, its [`Card`], the mark that it is whole; and, while an
//! entry is being made or thrown away, directories named `.new-…`. An entry without its card is what a killed run left
//! half-made: the next that takes the lock throws it away.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    aside::{aside, lock},
    chain::store,
    error::Error,
    tree::{bytes_of, remove_tree},
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
    /// The SHA-256 of an archive, 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// An entry as whoever looks after the cache sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// `git`, `hg`, `svn`, `archive`; of a build's outputs `chain`.
    pub kind: String,
    /// Where it is.
    pub dir: PathBuf,
    /// What is known of it; nothing if it is half-made.
    pub card: Option<Card>,
    /// When it was last used; nothing if it is half-made.
    pub used: Option<SystemTime>,
}

impl Listed {
    /// How it is called: `git/cpython-0123456789ab`.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        format!("{}/{name}", self.kind)
    }

    /// What it takes on disk.
    pub fn bytes(&self) -> u64 {
        self.card.as_ref().map_or_else(|| bytes_of(&self.dir), |card| card.bytes)
    }

    /// Takes it for the only one that works on it; nothing if somebody does.
    pub(crate) fn hold(&self) -> io::Result<Option<File>> {
        let path = beside(&self.dir, ".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes it, unless somebody works on it; whether it is gone.
    pub fn remove(&self) -> io::Result<bool> {
        if self.kind == store::KIND {
            return store::forget(&self.dir);
        }
        let Some(_held) = self.hold()? else { return Ok(false) };
        self.distrust()?;
        sweep(&self.dir, false)?;
        Ok(true)
    }

    /// The next run makes it anew.
    pub(crate) fn distrust(&self) -> io::Result<()> {
        match fs::remove_file(beside(&self.dir, ".json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// All entries below `cache`, the one that was not used for longest first.
pub fn list(cache: &Path) -> io::Result<Vec<Listed>> {
    let mut listed = store::list(cache)?;
    for kind in read_dir(cache)? {
        if !kind.file_type()?.is_dir() || kind.file_name() == store::KIND {
            continue;
        }
        for entry in read_dir(&kind.path())? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type()?.is_dir() || !is_entry(&name) {
                continue;
            }
            let dir = entry.path();
            let used = fs::metadata(beside(&dir, ".json")).and_then(|card| card.modified()).ok();
            let kind = kind.file_name().to_string_lossy().into_owned();
            listed.push(Listed { kind, card: read_card(&dir), dir, used });
        }
    }
    listed.sort_by(|a, b| (a.used, &a.dir).cmp(&(b.used, &b.dir)));
    Ok(listed)
}

/// Which of `listed`, in the order of [`list`], are to go so that no more than `most` bytes stay. The one that was used
/// last stays in any case: the next run needs it.
pub fn surplus(listed: &[Listed], most: u64) -> &[Listed] {
    let mut total: u64 = listed.iter().map(Listed::bytes).sum();
    let mut gone = 0;
    while total > most && gone + 1 < listed.len() {
        total -= listed[gone].bytes();
        gone += 1;
    }
    &listed[..gone]
}

/// Whether a directory is an entry by its name, and not one that is being made or thrown away.
fn is_entry(name: &str) -> bool {
    let digits = name.rsplit_once('-').map_or("", |(_, digits)| digits);
    digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn read_dir(dir: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
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
        match &entry.card {
            // Its time says when it was last used.
            Some(card) => entry.write(card)?,
            None => entry.distrust()?,
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
        blank(&self.dir)
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
        card.bytes = if let Some(bytes) = known.filter(|_| !changed) {
            bytes
        } else {
            let dir = self.dir.clone();
            aside(move |_| Ok(bytes_of(&dir))).await.map_err(Error::io("measure", &self.dir))?
        };
        self.write(&card)?;
        self.card = Some(card);
        // What was there before goes now; what cannot go is tried again by the next run.
        let dir = self.dir.clone();
        let _ = aside(move |_| sweep(&dir, true)).await;
        Ok(())
    }
}

impl Entry {
    fn write(&self, card: &Card) -> Result<(), Error> {
        let path = beside(&self.dir, ".json");
        let partial = beside(&self.dir, ".new-card");
        let text = serde_json::to_vec(card).map_err(io::Error::other);
        text.and_then(|text| fs::write(&partial, text))
            .and_then(|()| fs::rename(&partial, &path))
            .map_err(Error::io("write", &path))
    }
}

/// A directory beside the entry `dir`. What a kill leaves of it is removed by whoever locks the entry next, so that it is
/// safe only for who holds the lock; others must bear that it goes.
pub(crate) fn blank(dir: &Path) -> Result<TempDir, Error> {
    let (room, name) = (room(dir), dir.file_name().unwrap_or_default().to_string_lossy());
    fs::create_dir_all(room).map_err(Error::io("create", room))?;
    tempfile::Builder::new()
        .prefix(&format!("{name}.new-"))
        .tempdir_in(room)
        .map_err(Error::io("create a directory in", room))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, bytes: u64) -> Listed {
        let card = Card { bytes, ..Card::default() };
        Listed { kind: "git".into(), dir: name.into(), card: Some(card), used: None }
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_the_last_one_stays() {
        let all = [listed("a", 10), listed("b", 20), listed("c", 30)];
        let gone = |most| surplus(&all, most).len();
        assert_eq!((gone(60), gone(59), gone(50), gone(49), gone(0)), (0, 1, 1, 2, 2));
        assert!(surplus(&[], 0).is_empty());
    }

    #[tokio::test]
    async fn an_entry_without_its_card_is_thrown_away() {
        let room = tempfile::tempdir().unwrap();
        let dir = room.path().join("git/x.new-y-0123456789ab");
        let nobody = || panic!("nobody holds it");
        let mut entry = Entry::lock(&dir, false, nobody).await.unwrap();
        assert!(entry.card().is_none());
        let new = entry.blank().unwrap();
        fs::write(new.path().join("file"), "x").unwrap();
        entry.publish(new).unwrap();
        let card = Card { address: "here".into(), ..Card::default() };
        entry.vouch(card, true).await.unwrap();
        drop(entry);

        let entry = Entry::lock(&dir, false, nobody).await.unwrap();
        assert!(entry.card().is_some_and(|card| card.address == "here" && card.bytes > 0));
        assert_eq!(list(room.path()).unwrap()[0].name(), "git/x.new-y-0123456789ab");
        // As when it is killed now.
        entry.distrust().unwrap();
        assert!(!list(room.path()).unwrap()[0].remove().unwrap(), "it is held");
        drop(entry);
        let entry = Entry::lock(&dir, false, nobody).await.unwrap();
        assert!(entry.card().is_none() && !dir.exists());
        drop(entry);
        assert!(list(room.path()).unwrap().is_empty());
    }
}
