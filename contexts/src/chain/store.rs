//! Outputs of builds, kept in the cache under a key: the digest of all that they were made from.
//!
//! `cache/chain/<name>-<run-id>` is a room: the tempdir of the run that built in it. Beside it lies, under the same name with
//! `.json`, its [`Card`], the mark that it is whole; a room without one belongs to its run. `.keys/<key>` is a link to the
//! card, so that finding is one look whatever else there is. Whoever uses an entry holds the shared lock of its card, whoever
//! removes it the exclusive one. An entry is made in the order room, card, link, and goes in the order link, room, card: at
//! no moment does a link lead to the card of half a room. Links are changed by one process at a time (`.lock`).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, MetadataExt, symlink},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::prune::{prune, staying};
use crate::{
    cache::{self, Listed, beside},
    tree::{bytes_of, remove_tree},
    verify::Verdict,
};

/// The folder of the cache, and what its entries are called by.
pub(crate) const KIND: &str = "chain";
/// Most characters of a build's name in the name of its room.
const LONGEST: usize = 40;
/// What a card takes on disk, so that very many entries without outputs have their bound too.
const ITSELF: u64 = 4096;

/// What is known of kept outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// What they were made from, as 64 hexadecimal digits.
    pub key: String,
    /// What made them, for people: the build's name.
    pub name: String,
    /// The package that servers file it under.
    pub package: String,
    /// The run that made them.
    pub run_id: String,
    /// The revision that was built, if there was one.
    pub revision: Option<String>,
    /// When that run had ended or was about to, as RFC 3339.
    pub ended: String,
    /// Absolute paths, all within the room of the run.
    pub outputs: BTreeMap<String, PathBuf>,
    /// What they take on disk.
    pub bytes: u64,
}

/// A card as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    card: Card,
    /// The room was not pruned: the person looks at it, and it is not the cache's to remove.
    #[serde(default)]
    whole: bool,
}

/// Kept outputs that nobody removes until this is dropped.
#[derive(Debug)]
pub struct Found {
    /// What is known of them.
    pub card: Card,
    /// The card's file, under a shared lock.
    _held: File,
}

/// Where the run `run_id` has to build (its tempdir) so that its outputs can be kept. The last part of it ends with `run_id`.
/// Nothing in it but letters, digits and `.+-_`, whatever `name` is: programs stumble over blanks and brackets.
pub fn room(cache: &Path, name: &str, run_id: &str) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".+_".contains(c);
    let words: Vec<&str> = name.split(|c| !is_plain(c)).filter(|word| !word.is_empty()).collect();
    let short: String = words.join("-").trim_start_matches(['.', '-']).chars().take(LONGEST).collect();
    let dash = if short.is_empty() { "" } else { "-" };
    cache.join(KIND).join(format!("{short}{dash}{run_id}"))
}

/// The outputs that were made from what `key` stands for, if all of them are still here. They count as used now.
pub fn find(cache: &Path, key: &str) -> Option<Found> {
    let link = links(cache).join(key);
    key_of(&link)?;
    let held = File::options().read(true).write(true).open(&link).ok()?;
    held.try_lock_shared().ok()?;
    // It may have been removed or replaced before it was locked; if not, nobody does so now.
    let (ours, led_to) = (held.metadata().ok()?, fs::metadata(&link).ok()?);
    let stored = read(&held)?;
    let is_whole = (ours.dev(), ours.ino()) == (led_to.dev(), led_to.ino())
        && stored.card.key == key
        && stored.card.outputs.values().all(|output| output.exists());
    if !is_whole {
        return None;
    }
    // The same byte again: the file's time is when the entry was last used.
    held.write_all_at(b"\n", ours.len().saturating_sub(1)).ok()?;
    Some(Found { card: stored.card, _held: held })
}

/// Keeps the outputs of a run that passed: they are found by the card's key from now on, which sets its `bytes`. `room` is that
/// of the run ([`room`]); without outputs it need not be there. Of what is in it only outputs stay, unless `whole`; where an
/// output is a link, or lies behind one, what that leads to in the room stays too; links in an output are not looked at. An older entry of the same key goes. Blocks.
///
/// # Errors
/// Outputs that are not there or not in the room, and what the file system says. Nothing is found by the key then that was not
/// before.
pub fn keep(cache: &Path, room: &Path, mut card: Card, whole: bool) -> io::Result<Found> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let link = links(cache).join(&card.key);
    if key_of(&link) != Some(&card.key) {
        return Err(wrong("the key is none"));
    }
    if room.parent() != Some(&cache.join(KIND)) {
        return Err(wrong("not a room of this cache"));
    }
    let stays = staying(room, card.outputs.values())?;
    if !whole {
        prune(room, &stays);
    }
    card.bytes = bytes_of(room);
    let stored = Stored { card, whole };

    fs::create_dir_all(links(cache))?;
    let turn = turn(cache)?;
    let held = vouch(room, &stored)?;
    let before = fs::read_link(&link).ok().filter(|before| *before != to(room));
    lead(&link, room)?;
    drop(turn);
    if let Some(before) = before.as_ref().and_then(|card| card.file_stem()) {
        // What cannot go now, because a build uses it, goes when the cache is next listed.
        let _ = remove(&room.with_file_name(before), Which::Unled);
    }
    Ok(Found { card: stored.card, _held: held })
}

/// Whether the outputs of the run that built in `tempdir` were kept: the tempdir is the cache's then, no longer the run's.
pub fn is_kept(tempdir: &Path) -> bool {
    beside(tempdir, ".json").exists()
}

/// Removes the tempdir of a run, and with it, if its outputs were kept there, their entry. False if a build uses them: then
/// all stays. Nothing there is no error. Blocks.
pub fn discard(tempdir: &Path) -> io::Result<bool> {
    remove(tempdir, Which::Room)
}

/// Removes what the run `run_id` has kept, whatever its build was called: a run that crashed just after it has made nothing that
/// counts. Looks through all entries by their names. Blocks.
pub fn discard_of(cache: &Path, run_id: &str) -> io::Result<()> {
    for entry in cache::read_dir(&cache.join(KIND))? {
        let dir = entry.path().with_extension("");
        let is_its_card = entry.path().extension().is_some_and(|extension| extension == "json")
            && dir.file_name().is_some_and(|name| name.to_string_lossy().ends_with(run_id));
        if is_its_card {
            discard(&dir)?;
        }
    }
    Ok(())
}

/// All entries, in no order. What nothing leads to any more, or whose room is gone, is removed.
///
/// Measured with 2,000 entries on the disk's cache, not optimised: 50 ms, as every card is read (`keep` 0.3 ms, `find` 25 µs each).
/// So this is asked once in a while, not once a build.
pub(crate) fn list(cache: &Path) -> io::Result<Vec<Listed>> {
    let (mut listed, mut keys, mut strays) = (Vec::new(), BTreeSet::new(), Vec::new());
    for entry in cache::read_dir(&cache.join(KIND))? {
        let path = entry.path();
        match path.extension().and_then(OsStr::to_str) {
            Some("json") => {}
            Some("new-card") => {
                strays.push(path);
                continue;
            }
            _ => continue,
        }
        // Another process may have removed it.
        let Ok(file) = File::open(&path) else { continue };
        let dir = path.with_extension("");
        let stored = read(&file);
        let is_current = stored.as_ref().is_some_and(|stored| {
            let is_there = stored.card.outputs.is_empty() || dir.is_dir();
            is_there && leads(&links(cache).join(&stored.card.key), &dir)
        });
        if !is_current && remove(&dir, Which::Unled).unwrap_or(false) {
            continue;
        }
        let Some(Stored { card, whole }) = stored else { continue };
        let bytes = ITSELF + if whole { 0 } else { card.bytes };
        let revision = card.revision.map(|revision| format!(" at {revision:.12}")).unwrap_or_default();
        let address = format!("{}{revision}", card.name);
        keys.insert(card.key);
        let card = cache::Card { address, bytes, ..cache::Card::default() };
        let used = file.metadata().and_then(|card| card.modified()).ok();
        listed.push(Listed { kind: KIND.to_owned(), dir, card: Some(card), used });
    }
    let mut found = cache::read_dir(&links(cache))?;
    found.retain(|link| link.file_name().to_str().is_none_or(|key| !keys.contains(key)));
    strays.extend(found.iter().map(fs::DirEntry::path));
    if !strays.is_empty() {
        let _turn = turn(cache)?;
        // Whoever writes one has the turn: these are what kills have left.
        for stray in strays.iter().filter(|stray| key_of(stray).is_none() || !stray.exists()) {
            bear_absence(fs::remove_file(stray))?;
        }
    }
    Ok(listed)
}

/// Removes the entry `dir`, unless a build uses it; whether it is gone.
pub(crate) fn forget(dir: &Path) -> io::Result<bool> {
    remove(dir, Which::Any)
}

/// Whether all outputs of the entry `dir` are there.
pub(crate) fn verify(dir: &Path) -> io::Result<Verdict> {
    let held = File::open(beside(dir, ".json"))?;
    match held.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Verdict::InUse),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let stored = read(&held);
    let why = match &stored {
        None => "there is no telling what it is of".to_owned(),
        Some(stored) => match stored.card.outputs.iter().find(|(_, path)| !path.exists()) {
            None => return Ok(Verdict::Whole),
            Some((name, path)) => format!("its output `{name}` is gone (`{}`)", path.display()),
        },
    };
    if let Some(stored) = &stored {
        unlead(dir, &stored.card.key)?;
    }
    Ok(Verdict::Damaged(why))
}

/// What of an entry is to go, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// All but a room that somebody looks at.
    Any,
    /// The same, if nothing leads to it.
    Unled,
    /// All, the room in any case.
    Room,
}

fn remove(dir: &Path, which: Which) -> io::Result<bool> {
    let card = beside(dir, ".json");
    let held = match File::open(&card) {
        Ok(held) => Some(held),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    match held.as_ref().map(File::try_lock) {
        None | Some(Ok(())) => {}
        Some(Err(TryLockError::WouldBlock)) => return Ok(false),
        Some(Err(TryLockError::Error(error))) => return Err(error),
    }
    let stored = held.as_ref().and_then(read);
    if let Some(stored) = &stored {
        let is_there = stored.card.outputs.is_empty() || dir.is_dir();
        if which == Which::Unled && is_there && leads(&link_beside(dir, &stored.card.key), dir) {
            return Ok(false);
        }
        unlead(dir, &stored.card.key)?;
    }
    // Without a card it is its run's, and without one that can be read a power cut came between.
    let is_ours = held.is_some() && stored.is_none_or(|stored| !stored.whole);
    if is_ours || which == Which::Room {
        remove_tree(dir).map_err(io::Error::other)?;
    }
    if held.is_some() {
        bear_absence(fs::remove_file(card))?;
    }
    Ok(true)
}

/// Writes the card of `room`, which is held from its first moment on.
fn vouch(room: &Path, stored: &Stored) -> io::Result<File> {
    let partial = beside(room, ".new-card");
    let mut text = serde_json::to_vec(stored)?;
    text.push(b'\n');
    let mut held = File::options().create(true).truncate(true).read(true).write(true).open(&partial)?;
    held.write_all(&text)?;
    held.lock_shared()?;
    fs::rename(&partial, beside(room, ".json"))?;
    Ok(held)
}

/// Has `link` lead to the card of `room`. Only for who has the turn.
fn lead(link: &Path, room: &Path) -> io::Result<()> {
    let unseen = link.with_file_name(".new");
    bear_absence(fs::remove_file(&unseen))?;
    symlink(to(room), &unseen)?;
    fs::rename(unseen, link)
}

/// Has nothing lead to the card of `dir`.
fn unlead(dir: &Path, key: &str) -> io::Result<()> {
    let Some(cache) = dir.parent().and_then(Path::parent) else { return Ok(()) };
    let _turn = turn(cache)?;
    let link = link_beside(dir, key);
    if leads(&link, dir) { bear_absence(fs::remove_file(link)) } else { Ok(()) }
}

fn leads(link: &Path, room: &Path) -> bool {
    fs::read_link(link).is_ok_and(|found| found == to(room))
}

/// What a link to the card of `room` says.
fn to(room: &Path) -> PathBuf {
    beside(&Path::new("..").join(room.file_name().unwrap_or_default()), ".json")
}

fn links(cache: &Path) -> PathBuf {
    cache.join(KIND).join(".keys")
}

fn link_beside(room: &Path, key: &str) -> PathBuf {
    room.with_file_name(".keys").join(key)
}

/// `path`'s last part, if it is a key.
fn key_of(path: &Path) -> Option<&str> {
    let key = path.file_name()?.to_str()?;
    (key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(key)
}

/// The right to change links, for a moment.
fn turn(cache: &Path) -> io::Result<File> {
    let path = cache.join(KIND).join(".lock");
    let lock = File::options().create(true).truncate(false).write(true).open(path)?;
    lock.lock()?;
    Ok(lock)
}

fn read(mut card: &File) -> Option<Stored> {
    let mut text = Vec::new();
    card.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn bear_absence(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    /// A cache in which a run has built.
    struct Cache(TempDir);

    impl Cache {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        /// The room of a run that has built `out` and `lib.a`.
        fn built(&self, run_id: &str) -> PathBuf {
            let room = room(self.path(), "zlib", run_id);
            fs::create_dir_all(room.join("tree/out/bin")).unwrap();
            for file in ["tree/out/bin/z", "tree/lib.a", "tree/z.o"] {
                fs::write(room.join(file), "x").unwrap();
            }
            room
        }

        fn keep(&self, run_id: &str) -> Found {
            let room = self.built(run_id);
            keep(self.path(), &room, card(&room), false).unwrap()
        }

        fn find(&self) -> Option<Found> {
            find(self.path(), KEY)
        }

        /// All that is in the folder of chains.
        fn names(&self) -> Vec<String> {
            let mut names = Vec::new();
            for dir in ["", ".keys"] {
                for entry in cache::read_dir(&self.path().join(KIND).join(dir)).unwrap() {
                    names.push(format!("{dir}{}", entry.file_name().to_string_lossy()));
                }
            }
            names.retain(|name| ![".keys", ".lock"].contains(&name.as_str()));
            names.sort();
            names
        }
    }

    fn card(room: &Path) -> Card {
        let run_id = room.file_name().unwrap().to_str().unwrap().rsplit('-').next().unwrap().to_owned();
        Card {
            key: KEY.to_owned(),
            name: "zlib(shared=no)".to_owned(),
            package: "zlib".to_owned(),
            run_id,
            revision: Some("0123456789abcdef".to_owned()),
            ended: "2026-01-31T12:00:00Z".to_owned(),
            outputs: [("prefix", "tree/out"), ("static", "tree/lib.a")]
                .map(|(name, path)| (name.to_owned(), room.join(path)))
                .into(),
            bytes: 0,
        }
    }

    #[test]
    fn what_was_kept_is_found_until_it_is_removed() {
        let cache = Cache::new();
        assert!(cache.find().is_none());
        let kept = cache.keep("r1");
        assert!(kept.card.bytes > 0);
        let room = cache.path().join("chain/zlib-r1");
        assert!(is_kept(&room) && !is_kept(&room.join("tree")));
        assert!(room.join("tree/out/bin/z").exists() && !room.join("tree/z.o").exists());

        let old = std::time::UNIX_EPOCH;
        File::options().write(true).open(beside(&room, ".json")).unwrap().set_modified(old).unwrap();
        let (one, two) = (cache.find().unwrap(), cache.find().unwrap());
        assert_eq!((&one.card, &two.card), (&kept.card, &kept.card));
        let [listed] = &list(cache.path()).unwrap()[..] else { panic!() };
        assert!(listed.used.unwrap() > old, "it was used now");
        assert_eq!((listed.name().as_str(), listed.bytes()), ("chain/zlib-r1", ITSELF + kept.card.bytes));
        assert_eq!(listed.card.as_ref().unwrap().address, "zlib(shared=no) at 0123456789ab");

        // As long as anybody uses it, nobody removes it.
        for used in [kept, one, two] {
            assert!(!listed.remove().unwrap() && !discard(&room).unwrap());
            assert_eq!(verify(&room).unwrap(), Verdict::InUse);
            drop(used);
        }
        assert_eq!(verify(&room).unwrap(), Verdict::Whole);
        assert!(listed.remove().unwrap());
        assert!(cache.find().is_none());
        assert_eq!(cache.names(), [""; 0]);
    }

    #[test]
    fn a_kill_leaves_a_whole_entry_or_nothing_that_is_found() {
        // How far making it came: room, pruned, card half-written, card, link half-made, link.
        for made in 0..=5 {
            let cache = Cache::new();
            let room = cache.built("r1");
            let stored = Stored { card: card(&room), whole: false };
            fs::create_dir_all(links(cache.path())).unwrap();
            if made >= 1 {
                prune(&room, &staying(&room, stored.card.outputs.values()).unwrap());
            }
            if made == 2 {
                fs::write(beside(&room, ".new-card"), "{").unwrap();
            }
            if made >= 3 {
                vouch(&room, &stored).unwrap();
            }
            if made == 4 {
                symlink(to(&room), links(cache.path()).join(".new")).unwrap();
            }
            if made == 5 {
                lead(&links(cache.path()).join(KEY), &room).unwrap();
            }
            assert_eq!(cache.find().is_some(), made == 5, "{made}");
            // The next run records the crash, and removes what it has left.
            assert!(discard(&room).unwrap());
            assert!(list(cache.path()).unwrap().is_empty());
            assert_eq!(cache.names(), [""; 0], "{made}");
            // And builds anew.
            cache.keep("r2");
            assert_eq!(cache.find().unwrap().card.run_id, "r2");
        }
        // How far removing it came: link, some of the room, the room, card.
        for removed in 1..=4 {
            let cache = Cache::new();
            cache.keep("r1");
            let room = cache.path().join("chain/zlib-r1");
            unlead(&room, KEY).unwrap();
            if removed >= 2 {
                fs::remove_file(room.join("tree/out/bin/z")).unwrap();
            }
            if removed >= 3 {
                remove_tree(&room).unwrap();
            }
            if removed == 4 {
                fs::remove_file(beside(&room, ".json")).unwrap();
            }
            assert!(cache.find().is_none(), "{removed}");
            assert!(list(cache.path()).unwrap().is_empty());
            assert_eq!(cache.names(), [""; 0], "{removed}");
        }
    }

    #[test]
    fn what_is_not_whole_is_not_found() {
        type Harm = fn(&Path, &Path);
        let harms: [(Harm, bool); 5] = [
            (|room, _| remove_tree(&room.join("tree/out")).unwrap(), true),
            (|room, _| fs::remove_file(room.join("tree/lib.a")).unwrap(), true),
            (|room, _| remove_tree(room).unwrap(), false),
            (|room, _| fs::write(beside(room, ".json"), "{").unwrap(), false),
            (|room, _| fs::remove_file(beside(room, ".json")).unwrap(), false),
        ];
        for (index, (harm, is_listed)) in harms.into_iter().enumerate() {
            let cache = Cache::new();
            cache.keep("r1");
            let room = cache.path().join("chain/zlib-r1");
            harm(&room, cache.path());
            assert!(cache.find().is_none(), "{index}");
            let listed = list(cache.path()).unwrap();
            assert_eq!(listed.len(), usize::from(is_listed), "{index}");
            if is_listed {
                let Verdict::Damaged(why) = verify(&room).unwrap() else { panic!() };
                assert!(why.contains("is gone (`/"), "{why}");
                // Nothing leads to it any more.
                assert!(list(cache.path()).unwrap().is_empty());
            }
            // A room without a card is its run's.
            assert_eq!(cache.names().is_empty(), index < 4, "{index}");
        }
    }

    #[test]
    fn a_newer_one_takes_the_place_of_an_older_one() {
        let cache = Cache::new();
        drop(cache.keep("r1"));
        let newer = cache.keep("r2");
        assert_eq!(cache.names(), [&format!(".keys{KEY}"), "zlib-r2", "zlib-r2.json"]);
        // While it is used it stays, and goes later.
        cache.keep("r3");
        assert_eq!(cache.find().unwrap().card.run_id, "r3");
        assert!(newer.card.outputs["prefix"].join("bin/z").exists());
        assert_eq!(list(cache.path()).unwrap().len(), 2);
        drop(newer);
        assert_eq!(list(cache.path()).unwrap().len(), 1);
        assert_eq!(cache.names(), [&format!(".keys{KEY}"), "zlib-r3", "zlib-r3.json"]);
    }

    #[test]
    fn what_is_held_stays_whatever_others_do() {
        let cache = Cache::new();
        let is_there = |found: &Found| {
            assert!(found.card.outputs.values().all(|output| output.exists()), "{:?}", found.card);
            assert!(found.card.outputs["prefix"].join("bin/z").exists());
        };
        let work = |worker: usize| {
            let mut held = None;
            for turn in 0..40 {
                match (worker + turn) % 4 {
                    0 => held = Some(cache.keep(&format!("r{worker}x{turn}"))),
                    1 => held = cache.find().or(held),
                    2 => {
                        for listed in list(cache.path()).unwrap() {
                            // Another may be about to remove the same.
                            let _ = listed.remove();
                        }
                    }
                    _ => drop(list(cache.path()).unwrap()),
                }
                held.iter().for_each(is_there);
            }
        };
        let work = &work;
        std::thread::scope(|scope| {
            for worker in 0..4 {
                scope.spawn(move || work(worker));
            }
        });
        for listed in list(cache.path()).unwrap() {
            assert!(listed.remove().unwrap());
        }
        assert_eq!(cache.names(), [""; 0]);
    }

    #[test]
    fn without_outputs_there_is_no_room() {
        let cache = Cache::new();
        let room = room(cache.path(), "zlib", "r1");
        let card = Card { outputs: BTreeMap::new(), ..card(&room) };
        for is_there in [false, true] {
            if is_there {
                cache.built("r1");
            }
            keep(cache.path(), &room, card.clone(), false).unwrap();
            assert!(cache.find().unwrap().card.outputs.is_empty());
            assert_eq!(list(cache.path()).unwrap().len(), 1);
            assert_eq!(cache.names(), [&format!(".keys{KEY}"), "zlib-r1.json"]);
        }
    }

    #[test]
    fn a_tree_that_somebody_looks_at_is_not_the_caches() {
        let cache = Cache::new();
        let room = cache.built("r1");
        keep(cache.path(), &room, card(&room), true).unwrap();
        assert!(room.join("tree/z.o").exists() && cache.find().is_some());
        let [listed] = &list(cache.path()).unwrap()[..] else { panic!() };
        assert_eq!(listed.bytes(), ITSELF);
        assert!(listed.remove().unwrap());
        assert!(cache.find().is_none() && room.join("tree/z.o").exists());
        assert!(discard(&room).unwrap() && !room.exists());
    }

    #[test]
    fn what_cannot_be_kept() {
        let cache = Cache::new();
        let room = cache.built("r1");
        let other = tempfile::tempdir().unwrap();
        let gone = [("prefix".to_owned(), room.join("tree/gone"))].into();
        for (room, card, why) in [
            (room.as_path(), Card { key: "../x".to_owned(), ..card(&room) }, "the key is none"),
            (other.path(), card(&room), "not a room of this cache"),
            (&room, Card { outputs: gone, ..card(&room) }, "No such file"),
        ] {
            let error = keep(cache.path(), room, card, false).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(room.join("tree/z.o").exists(), "nothing was pruned");
        assert!(find(cache.path(), "../x").is_none());
    }

    #[test]
    fn rooms_have_plain_names_that_end_with_their_run() {
        for (name, expected) in [
            ("zlib", "zlib-r1"),
            ("app[3.13, sqlite]", "app-3.13-sqlite-r1"),
            ("../a/zlib(shared=no)", "a-zlib-shared-no-r1"),
            ("é", "r1"),
            (&"x".repeat(200), &format!("{}-r1", "x".repeat(LONGEST))),
        ] {
            assert_eq!(room(Path::new("/c"), name, "r1"), Path::new("/c/chain").join(expected));
        }
    }
}
