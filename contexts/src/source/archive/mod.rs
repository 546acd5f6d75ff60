//! Source `archive`: a packed file, of this machine or downloaded into the cache, unpacked for every run.
//!
//! Nothing is unpacked before the file's SHA-256 has been compared with the recipe's. Where the archive holds one folder and
//! nothing else, the tree is that folder's content. In a persistent tree an archive with the same content is not unpacked
//! again, and changes by steps stay; another content replaces the whole tree, as built files cannot be told from those of the
//! old archive.
#![expect(clippy::disallowed_methods, reason = "archives are stored here")]

mod download;
mod unpack;
mod writer;

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use download::{Packed, blocking_archive_work, digested, expect_digest, fetch_cached, is_unchanged};

use super::{
    context::SourceContext,
    kind::SourceKind,
    tree::{Destination, PendingTree, SourceTree, invalidate},
};
use crate::{
    blocking::StopFlag,
    cache::{EntryKind, Manifest},
    checkout::Checkout,
    disk::sibling,
    error::Error,
    shell::Shell,
    tree::remove_tree,
    url::Url,
};

/// An archive, as a recipe describes it: `.tar`, `.tar.gz`, `.tar.xz`, `.tar.zst`, `.tar.bz2` (and `.tgz`, `.txz`, …) or `.zip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSpec {
    /// Where it is: `http://`, `https://`, or a path.
    pub url: Url,
    /// What its SHA-256 must be, 64 lower-case hexadecimal digits.
    pub sha256: Option<String>,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// Name of the tree's folder [default: after the address].
    pub dir: Option<String>,
}

impl SourceKind for ArchiveSpec {
    const CACHED_AS: Option<EntryKind> = Some(EntryKind::Archive);

    fn url(&self) -> Option<&Url> {
        Some(&self.url)
    }

    fn pinned(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    fn in_place(&self, _: &SourceContext<'_>) -> Result<PathBuf, Error> {
        Err(Error::HereNeedsPath(self.url.clone()))
    }

    async fn obtain(
        &self,
        destination: Destination<'_>,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<SourceTree, Error> {
        let tree = PendingTree::open(&self.url, self.dir.as_deref(), destination, context, shell).await?;
        let checkout = self.checkout(&tree, context, shell).await;
        // A tree is changed only once the archive is here.
        tree.finish(checkout, self.subdir.as_deref(), true)
    }

    /// The archive's SHA-256. Downloads the archive unless the recipe gives its SHA-256.
    async fn tip(
        &self,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        match &self.sha256 {
            Some(sha256) => Ok(Some(sha256.clone())),
            None => Ok(Some(self.packed(context, shell).await?.sha256)),
        }
    }

    async fn changed_files(
        &self,
        _: &str,
        _: &SourceContext<'_>,
        _: &mut impl Shell,
    ) -> Result<Option<Vec<String>>, Error> {
        Ok(None)
    }

    async fn damage(
        dir: &Path,
        url: &Url,
        manifest: &Manifest,
        _: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        let path = dir.join(url.basename());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => return Ok(Some(format!("cannot read `{}`: {error}", path.display()))),
        };
        let unchanged = is_unchanged(&digested(file).await?, manifest);
        Ok((!unchanged).then(|| "its SHA-256 has changed".to_owned()))
    }
}

impl ArchiveSpec {
    async fn checkout(
        &self,
        tree: &PendingTree,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Checkout, Error> {
        let Packed { file, sha256, offline } = self.packed(context, shell).await?;
        // Beside a persistent tree: the SHA-256 of the archive that was unpacked there.
        let note = tree.persists().then(|| sibling(&tree.path, ".archive"));
        let is_same =
            |note: &PathBuf| tree.path.exists() && fs::read(note).is_ok_and(|text| text == sha256.as_bytes());
        if !note.as_ref().is_some_and(is_same) {
            let (path, url) = (tree.path.clone(), self.url.clone());
            blocking_archive_work(move |stop| unpack_to(file, &path, &url, stop)).await?;
            if let Some(note) = note {
                fs::write(&note, &sha256).map_err(Error::io("write", &note))?;
            }
        }
        Ok(Checkout {
            version_type: "archive",
            version_info: format!("{sha256} {}", file_name(&self.url)),
            revision: sha256,
            commit_date: String::new(),
            command: format!("Archive({})", self.url),
            dirty: false,
            offline,
            changes_since_last: None,
            changes_since_success: None,
        })
    }

    /// The packed file, with the SHA-256 that the recipe gives.
    async fn packed(&self, context: &SourceContext<'_>, shell: &mut impl Shell) -> Result<Packed, Error> {
        let (url, pinned) = (&self.url, self.sha256.as_deref());
        if !url.is_local() {
            return fetch_cached(url, pinned, context, shell).await;
        }
        let address = context.address(url);
        let text = address.to_string_lossy();
        let path = text.strip_prefix("file://").map_or_else(|| PathBuf::from(&address), PathBuf::from);
        let file = match File::open(&path) {
            Ok(file) if file.metadata().is_ok_and(|data| data.is_file()) => file,
            Ok(_) => return Err(Error::NoSuchFile { url: url.clone(), detail: "not a file".to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoSuchFile { url: url.clone(), detail: error.to_string() });
            }
            Err(error) => return Err(Error::io("open", path)(error)),
        };
        expect_digest(digested(file).await?, url, pinned)
    }
}

/// The last part of the address.
fn file_name(url: &Url) -> String {
    let text = url.to_string();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    text.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}

/// Unpacks `file` beside `tree`, then replaces it.
fn unpack_to(file: File, tree: &Path, url: &Url, stop: &StopFlag) -> Result<(), Error> {
    let staging = sibling(tree, ".new");
    invalidate(tree)?;
    for old in [&staging, tree] {
        remove_tree(old).map_err(io::Error::other).map_err(Error::io("remove", old))?;
    }
    fs::create_dir(&staging).map_err(Error::io("create", &staging))?;
    let top = unpack::unpack(file, &staging, url, stop)?;
    let from = top.map_or(staging.clone(), |top| staging.join(top));
    fs::rename(&from, tree).map_err(Error::io("create", tree))?;
    if from != staging {
        fs::remove_dir(&staging).map_err(Error::io("remove", &staging))?;
    }
    Ok(())
}
