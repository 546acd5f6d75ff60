//! Source `archive`: a packed file, of this machine or downloaded into the cache, unpacked for every run.
//!
//! Nothing is unpacked before the file's SHA-256 has been compared with the recipe's. Where the archive holds one folder and
//! nothing else, the tree is that folder's content. In a tree that lasts, an archive with the same content is not unpacked
//! again, and what steps changed there stays; another content replaces the whole tree, as there is no telling
//! what of it was built and what is left from the old one.

mod unpack;
mod writer;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    Place, Request, Shell,
    aside::{Stop, aside},
    cache::{Card, Entry, beside, place},
    error::Error,
    place::distrust,
    program::{again, do_without, unused},
    record::Checkout,
    shell::{Download, DownloadError, Downloaded},
    tree::{hexadecimal, read_through, remove_tree},
    url::Url,
};

/// What a recipe asks of an archive: `.tar`, `.tar.gz`, `.tar.xz`, `.tar.zst`, `.tar.bz2` (and `.tgz`, `.txz`, …) or `.zip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is: `http://`, `https://`, or a path.
    pub url: Url,
    /// What its SHA-256 must be, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// What the folder of the tree is called; after the address if not given.
    pub dir: Option<String>,
}

/// The packed file, open at its begin.
struct Packed {
    file: File,
    sha256: String,
    /// Why its server was not asked, if it was not.
    offline: Option<String>,
}

/// Makes `tree` of what is wanted. Answers with what was unpacked.
pub(crate) async fn checkout(
    wanted: &Wanted,
    request: &Request,
    tree: &Path,
    shell: &mut impl Shell,
) -> Result<Checkout, Error> {
    let url = &wanted.url;
    let Packed { file, sha256, offline } = bring(wanted, request, shell).await?;
    let note = matches!(request.place, Place::Directory(_)).then(|| beside(tree, ".archive"));
    let same = |note: &PathBuf| tree.exists() && fs::read(note).is_ok_and(|text| text == sha256.as_bytes());
    if !note.as_ref().is_some_and(same) {
        let (tree, url) = (tree.to_owned(), url.clone());
        work(move |stop| put(file, &tree, &url, stop)).await?;
        if let Some(note) = note {
            fs::write(&note, &sha256).map_err(Error::io("write", &note))?;
        }
    }
    Ok(Checkout {
        version_type: "archive",
        version_info: format!("{sha256} {}", name(url)),
        revision: sha256,
        commit_date: String::new(),
        command: format!("Archive({url})"),
        dirty: false,
        offline,
        changes_since_last: None,
        changes_since_success: None,
    })
}

/// The SHA-256 of what would be built now. Asks nobody where the recipe pins it; else brings what is new into the cache.
pub(crate) async fn tip(wanted: &Wanted, request: &Request, shell: &mut impl Shell) -> Result<String, Error> {
    match &wanted.sha256 {
        Some(sha256) => Ok(sha256.clone()),
        None => Ok(bring(wanted, request, shell).await?.sha256),
    }
}

/// The last part of the address.
fn name(url: &Url) -> String {
    let text = url.to_string();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    text.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// Blocking work on its own thread.
async fn work<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    aside(move |stop| Ok(work(stop))).await.map_err(Error::io("work on", "the archive"))?
}

/// Unpacks `file` beside `tree`, then puts the outcome in its place.
fn put(file: File, tree: &Path, url: &Url, stop: &Stop) -> Result<(), Error> {
    let room = beside(tree, ".new");
    distrust(tree)?;
    for old in [&room, tree] {
        remove_tree(old).map_err(io::Error::other).map_err(Error::io("remove", old))?;
    }
    fs::create_dir(&room).map_err(Error::io("create", &room))?;
    let top = unpack::unpack(file, &room, url, stop)?;
    let from = top.map_or(room.clone(), |top| room.join(top));
    fs::rename(&from, tree).map_err(Error::io("put in its place", tree))?;
    if from != room {
        fs::remove_dir(&room).map_err(Error::io("remove", &room))?;
    }
    Ok(())
}

/// The file, here and with the SHA-256 that it should have.
async fn bring(wanted: &Wanted, request: &Request, shell: &mut impl Shell) -> Result<Packed, Error> {
    let Wanted { url, sha256: pinned, .. } = wanted;
    let address = request.address(url);
    if url.is_local() {
        let text = address.to_string_lossy();
        let path = text.strip_prefix("file://").map_or_else(|| PathBuf::from(&address), PathBuf::from);
        let file = match File::open(&path) {
            Ok(file) if file.metadata().is_ok_and(|data| data.is_file()) => file,
            Ok(_) => return Err(Error::NoSuchFile { url: url.clone(), said: "it is no file".to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoSuchFile { url: url.clone(), said: error.to_string() });
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        let packed = digested(file, None).await?;
        return checked(packed, url, pinned.as_deref());
    }
    let dir = place(&request.cache, "archive", url, &address);
    let waiting = || shell.note("waiting for another run that downloads the same file");
    let mut entry = Entry::lock(&dir, false, waiting).await?;
    let path = dir.join(url.basename());
    let mut cached = match (File::open(&path), entry.card()) {
        (Ok(file), Some(card)) => Some(digested(file, None).await?).filter(|packed| is_of(packed, card)),
        _ => None,
    };
    if let Some(pinned) = pinned {
        if let Some(packed) = cached.take_if(|packed| packed.sha256 == *pinned) {
            entry.vouch(entry.card().cloned().unwrap_or_default(), false).await?;
            return Ok(packed);
        }
        // What is here will not do, so that it is not asked whether it is the newest.
        cached = None;
    }
    match fetch(url, pinned.as_deref(), cached.is_some(), &mut entry, request, shell).await {
        Ok(Some(packed)) => Ok(packed),
        Ok(None) => cached.ok_or_else(|| Error::NotUnpacked {
            url: url.clone(),
            said: "its server says that it has not changed, but it was never brought here".to_owned(),
        }),
        Err(error) if error.is_of_the_network() => match cached {
            Some(packed) => {
                do_without(&error, shell);
                Ok(Packed { offline: Some(error.to_string()), ..packed })
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Whether the file is still the one that was brought.
fn is_of(packed: &Packed, card: &Card) -> bool {
    card.sha256.as_ref().is_none_or(|sha256| *sha256 == packed.sha256)
}

/// What is wrong with a file in the cache, if anything is.
pub(crate) async fn verify(dir: &Path, url: &Url, card: &Card) -> Result<Option<String>, Error> {
    let path = dir.join(url.basename());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) => return Ok(Some(format!("`{}` cannot be read: {error}", path.display()))),
    };
    let whole = is_of(&digested(file, None).await?, card);
    Ok((!whole).then(|| "its SHA-256 is not what it was".to_owned()))
}

/// Downloads the file into `entry`; nothing if it has not changed since it was `cached`.
async fn fetch(
    url: &Url,
    pinned: Option<&str>,
    cached: bool,
    entry: &mut Entry,
    request: &Request,
    shell: &mut impl Shell,
) -> Result<Option<Packed>, Error> {
    let network = &request.network;
    if network.offline {
        return Err(Error::Offline(url.clone()));
    }
    let card = entry.card().cloned().unwrap_or_default();
    let new = entry.blank()?;
    let to = new.path().join(url.basename());
    let known = card.version.clone().filter(|_| cached);
    let mut waits = network.waits.iter();
    let mut labels = BTreeSet::new();
    let downloaded = loop {
        let download = Download {
            label: unused(&mut labels, "download"),
            url: url.clone(),
            to: to.clone(),
            known: known.clone(),
            silence: network.silence,
        };
        match shell.download(download).await {
            Ok(downloaded) => break downloaded,
            Err(error) => again(failure(error, url, &to), &mut waits, shell).await?,
        }
    };
    let address = url.to_string();
    match downloaded {
        Downloaded::Unchanged => {
            entry.vouch(Card { address, ..card }, false).await?;
            Ok(None)
        }
        Downloaded::New { version } => {
            let file = File::open(&to).map_err(Error::io("open", &to))?;
            let packed = checked(digested(file, None).await?, url, pinned)?;
            entry.publish(new)?;
            let sha256 = Some(packed.sha256.clone());
            entry.vouch(Card { address, version, sha256, ..Card::default() }, true).await?;
            Ok(Some(packed))
        }
    }
}

fn failure(error: DownloadError, url: &Url, to: &Path) -> Error {
    let url = url.clone();
    match error {
        DownloadError::NoSuchHost(said) => Error::NoSuchHost { url, said },
        DownloadError::Unreachable(said) => Error::Unreachable { url, said },
        DownloadError::NotFound(said) => Error::NoSuchFile { url, said },
        DownloadError::Login(said) => Error::Authentication { program: None, url, said },
        DownloadError::Refused(said) => Error::Refused { url, said },
        DownloadError::Write(error) => Error::io("write", to)(error),
        DownloadError::Stopped => Error::Stopped,
    }
}

/// The file with its SHA-256, at its begin again.
async fn digested(mut file: File, offline: Option<String>) -> Result<Packed, Error> {
    work(move |stop| {
        let mut digest = Sha256::new();
        read_through(&mut file, stop, |bytes| digest.update(bytes))
            .map_err(Error::io("read", "the archive"))?;
        io::Seek::rewind(&mut file).map_err(Error::io("read", "the archive"))?;
        Ok(Packed { file, sha256: hexadecimal(&digest.finalize()), offline })
    })
    .await
}

/// The file, if it is the one that the recipe means.
fn checked(packed: Packed, url: &Url, pinned: Option<&str>) -> Result<Packed, Error> {
    match pinned {
        Some(wanted) if wanted != packed.sha256 => {
            Err(Error::WrongDigest { url: url.clone(), wanted: wanted.to_owned(), found: packed.sha256 })
        }
        _ => Ok(packed),
    }
}
