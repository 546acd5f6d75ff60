//! A packed file, downloaded into the cache, and its SHA-256.

use std::{collections::BTreeSet, fs::File, io, path::Path};

use sha2::{Digest, Sha256};

use crate::{
    blocking::{StopFlag, blocking},
    cache::{EntryKind, LockedEntry, Manifest},
    error::Error,
    program::{Network, fall_back_to_cache, retry_after},
    shell::{Download, DownloadError, Downloaded, Shell, unique_label},
    source::context::SourceContext,
    tree::read_all,
    url::Url,
};

/// A packed file, open at its begin.
pub(super) struct Packed {
    pub(super) file: File,
    pub(super) sha256: String,
    /// Why its server was not asked, if the cached file is used without asking.
    pub(super) offline: Option<String>,
}

/// The file at `url`, from the cache where its server says that it has not changed, or where it has the SHA-256 that is
/// `pinned`.
pub(super) async fn fetch_cached(
    url: &Url,
    pinned: Option<&str>,
    context: &SourceContext<'_>,
    shell: &mut impl Shell,
) -> Result<Packed, Error> {
    let dir = context.entry_dir(EntryKind::Archive, url);
    let waiting = || shell.note("waiting for another run that downloads the same file");
    let mut entry = LockedEntry::lock(&dir, false, waiting).await?;
    let mut cached = match (File::open(dir.join(url.basename())), entry.manifest()) {
        (Ok(file), Some(manifest)) => {
            Some(digested(file).await?).filter(|packed| is_unchanged(packed, manifest))
        }
        _ => None,
    };
    if let Some(pinned) = pinned {
        if let Some(packed) = cached.take_if(|packed| packed.sha256 == *pinned) {
            entry.commit(entry.manifest().cloned().unwrap_or_default(), false).await?;
            return Ok(packed);
        }
        // It has another SHA-256: its server is not asked whether it is the newest.
        cached = None;
    }
    match fetch(url, pinned, cached.is_some(), &mut entry, context.network, shell).await {
        Ok(Some(packed)) => Ok(packed),
        Ok(None) => cached.ok_or_else(|| Error::NotUnpacked {
            url: url.clone(),
            detail: "its server says that it has not changed, but it was never downloaded".to_owned(),
        }),
        Err(error) if error.is_network_error() => match cached {
            Some(packed) => {
                fall_back_to_cache(&error, shell);
                Ok(Packed { offline: Some(error.to_string()), ..packed })
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Downloads the file into `entry`; `None` if it has not changed since it was `cached`.
async fn fetch(
    url: &Url,
    pinned: Option<&str>,
    cached: bool,
    entry: &mut LockedEntry,
    network: &Network,
    shell: &mut impl Shell,
) -> Result<Option<Packed>, Error> {
    if network.offline {
        return Err(Error::Offline(url.clone()));
    }
    let manifest = entry.manifest().cloned().unwrap_or_default();
    let new = entry.staging_dir()?;
    let to = new.path().join(url.basename());
    let known = manifest.version.clone().filter(|_| cached);
    let mut delays = network.retry_delays.iter();
    let mut labels = BTreeSet::new();
    let downloaded = loop {
        let download = Download {
            label: unique_label(&mut labels, "download"),
            url: url.clone(),
            to: to.clone(),
            known: known.clone(),
            quiet_timeout: network.quiet_timeout,
        };
        match shell.download(download).await {
            Ok(downloaded) => break downloaded,
            Err(error) => retry_after(failure(error, url, &to), &mut delays, shell).await?,
        }
    };
    let address = url.to_string();
    match downloaded {
        Downloaded::Unchanged => {
            entry.commit(Manifest { address, ..manifest }, false).await?;
            Ok(None)
        }
        Downloaded::New { version } => {
            let file = File::open(&to).map_err(Error::io("open", &to))?;
            let packed = expect_digest(digested(file).await?, url, pinned)?;
            entry.publish(new)?;
            let sha256 = Some(packed.sha256.clone());
            entry.commit(Manifest { address, version, sha256, ..Manifest::default() }, true).await?;
            Ok(Some(packed))
        }
    }
}

fn failure(error: DownloadError, url: &Url, to: &Path) -> Error {
    let url = url.clone();
    match error {
        DownloadError::NoSuchHost(detail) => Error::NoSuchHost { url, detail },
        DownloadError::Unreachable(detail) => Error::Unreachable { url, detail },
        DownloadError::NotFound(detail) => Error::NoSuchFile { url, detail },
        DownloadError::Login(detail) => Error::Authentication { program: None, url, detail },
        DownloadError::Refused(detail) => Error::Refused { url, detail },
        DownloadError::Write(error) => Error::io("write", to)(error),
        DownloadError::Stopped => Error::Stopped,
    }
}

/// Whether the file has the SHA-256 of the manifest.
pub(super) fn is_unchanged(packed: &Packed, manifest: &Manifest) -> bool {
    manifest.sha256.as_ref().is_none_or(|sha256| *sha256 == packed.sha256)
}

/// The file with its SHA-256, at its begin again.
pub(super) async fn digested(mut file: File) -> Result<Packed, Error> {
    blocking_archive_work(move |stop| {
        let mut digest = Sha256::new();
        read_all(&mut file, stop, |bytes| digest.update(bytes)).map_err(Error::io("read", "the archive"))?;
        io::Seek::rewind(&mut file).map_err(Error::io("read", "the archive"))?;
        Ok(Packed { file, sha256: hex::encode(digest.finalize()), offline: None })
    })
    .await
}

/// The file, if it has the SHA-256 that is `pinned`.
pub(super) fn expect_digest(packed: Packed, url: &Url, pinned: Option<&str>) -> Result<Packed, Error> {
    match pinned {
        Some(expected) if expected != packed.sha256 => {
            Err(Error::WrongDigest { url: url.clone(), expected: expected.to_owned(), found: packed.sha256 })
        }
        _ => Ok(packed),
    }
}

/// Blocking work on its own thread.
pub(super) async fn blocking_archive_work<T: Send + 'static>(
    work: impl FnOnce(&StopFlag) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    blocking(move |stop| Ok(work(stop))).await.map_err(Error::io("work on", "the archive"))?
}
