//! Source `hg`: a clone per repository in the cache, and from it a fresh tree for every run.
//!
//! The clone is brought up to date under a lock, then cloned into the tree (by hard links, where both are on one
//! file system); the lock is given back before the files are checked out. The tree needs nothing of the clone afterwards.
//!
//! The id that upstream gives for a name is built: names are never evaluated as expressions, and a name of the wrong kind is an
//! error. No hook runs, and no configuration of a repository is read, so that one whose extensions are
//! needed to read it must find them in the person's own configuration. Subrepositories are refused: they are
//! addresses that a repository from elsewhere chooses.
//!
//! The tip is asked for far more often than anything is built, and `hg` is slow to start. Measured (Mercurial 6.3, Python
//! 3.11, 2 busy cores, `hg serve` on loopback, mean of 8):
//!
//! | way | ms |
//! |---|---|
//! | `hg --version` | 104 |
//! | `hg identify --id --rev default URL` | 215 |
//! | the same with `HGRCPATH=` | 215 |
//! | the same with `HGRCPATH=` and `HGMODULEPOLICY=c` | 177 to 230 |
//! | the same with our extension | 195 to 233 |
//! | the same of a path | 148 |
//! | one request of the wire protocol, `?cmd=lookup&key=default` | 7 |
//!
//! So over http the server is asked without `hg`; after any answer but an id `hg` is asked, which knows of logins, proxies and
//! certificates that the person has set up for it.
#![expect(clippy::disallowed_methods, reason = "a configuration of Mercurial is written here")]

mod clone;
mod history;
mod names;
mod remote;
mod tool;

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use clone::{CachedClone, Target};
use history::Head;
use remote::{DEFAULTS, LookupAnswer, identify, lookup};
use tool::{Hg, no_such};

use super::{
    context::SourceContext,
    kind::SourceKind,
    revision::RevisionSpec,
    tree::{Destination, PendingTree, SourceTree, discard, invalidate},
};
use crate::{
    cache::{EntryKind, Manifest, read_manifest},
    checkout::{Checkout, EarlierRevisions},
    error::Error,
    program::{Network, args},
    shell::Shell,
    url::Url,
};

/// A Mercurial repository, as a recipe describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HgSpec {
    /// Where it is.
    pub url: Url,
    /// Which changeset of it.
    pub revision: RevisionSpec,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// Name of the tree's folder [default: after the address].
    pub dir: Option<String>,
}

impl SourceKind for HgSpec {
    const CACHED_AS: Option<EntryKind> = Some(EntryKind::Hg);

    fn url(&self) -> Option<&Url> {
        Some(&self.url)
    }

    fn pinned(&self) -> Option<&str> {
        self.revision.pinned()
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
        let checkout = self.checkout(&tree.path, context, shell).await;
        // Mercurial changes a tree only after it has spoken to upstream.
        tree.finish(checkout, self.subdir.as_deref(), true)
    }

    /// The changeset's id, or its first digits. Of the names that can be the default, the one that was at the last checkout is
    /// asked for first.
    async fn tip(
        &self,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        let url = &self.url;
        let entry_dir = context.entry_dir(EntryKind::Hg, url);
        let default;
        let (kind, candidates) = match &self.revision {
            RevisionSpec::Revision(id) => return Ok(Some(id.to_lowercase())),
            RevisionSpec::Branch(name) => ("branch", vec![name.as_str()]),
            RevisionSpec::Tag(name) => ("tag", vec![name.as_str()]),
            RevisionSpec::Default => {
                default = read_manifest(&entry_dir).and_then(|manifest| manifest.default_branch);
                ("branch", default.as_deref().into_iter().chain(DEFAULTS).collect())
            }
        };
        let mut over_http = !context.network.offline;
        for name in candidates {
            if self.revision != RevisionSpec::Default && !names::is_legal(name) {
                continue;
            }
            let answer = if over_http {
                lookup(name, url, &entry_dir, context.network, shell).await?
            } else {
                LookupAnswer::Unclear
            };
            over_http = !matches!(answer, LookupAnswer::Unclear);
            let id = match answer {
                LookupAnswer::Id(id) => Some(id),
                LookupAnswer::Unknown => None,
                LookupAnswer::Unclear => {
                    let address = context.address(url);
                    identify(name, &address, context.recipe_dir, &mut self.hg(context, shell)?).await?
                }
            };
            if id.is_some() {
                return Ok(id);
            }
        }
        Err(match &self.revision {
            RevisionSpec::Branch(name) | RevisionSpec::Tag(name) => no_such(kind, name, url, Vec::new()),
            RevisionSpec::Default | RevisionSpec::Revision(_) => Error::NoDefaultBranch(url.clone()),
        })
    }

    async fn changed_files(
        &self,
        from: &str,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<Vec<String>>, Error> {
        let address = context.address(&self.url);
        let mut hg = self.hg(context, shell)?;
        let mut clone = CachedClone::lock(&address, false, &mut hg).await?;
        let target = clone.find(&self.revision, &mut hg).await?;
        if !names::is_id(from) {
            return Ok(None);
        }
        let known = format!("--rev=present({from})");
        let args = args!["--repository", clone.dir(), "log", &known, "--template={node}"];
        if hg.run("known", clone.dir(), &args).await?.is_empty() {
            return Ok(None);
        }
        history::files(clone.dir(), from, &target.id, &mut hg).await
    }

    async fn damage(
        dir: &Path,
        url: &Url,
        _: &Manifest,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        let network = Network::default();
        let mut hg = tool::hg(url, dir.to_owned(), &network, shell)?;
        let output = hg.attempt("verify", dir, &args!["--repository", dir, "verify", "--quiet"]).await?;
        Ok((output.status != 0).then(|| hg.failure("verify", &output).to_string()))
    }
}

impl HgSpec {
    fn hg<'a, S: Shell>(&'a self, context: &SourceContext<'a>, shell: &'a mut S) -> Result<Hg<'a, S>, Error> {
        tool::hg(&self.url, context.entry_dir(EntryKind::Hg, &self.url), context.network, shell)
    }

    /// Makes a fresh `tree`, or brings one that is there up to date; files that Mercurial does not track stay in it. A damaged
    /// clone in the cache is rebuilt, once.
    async fn checkout(
        &self,
        tree: &Path,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Checkout, Error> {
        let address = context.address(&self.url);
        let hg = &mut self.hg(context, shell)?;
        let update = tree.exists();
        let (target, offline) = match files(tree, update, &self.revision, &address, false, hg).await {
            Err(Error::Damaged { cache, detail, .. }) => {
                hg.note_rebuild("clone", &cache, &detail);
                // The damage may be in the tree, where that persists.
                discard(tree)?;
                files(tree, false, &self.revision, &address, true, hg).await?
            }
            other => other?,
        };
        let command = format!("HgClone({}, {})", self.url, target.name.as_ref().unwrap_or(&target.id));
        let checkout = describe(tree, command, context.earlier, hg).await?;
        Ok(Checkout { offline, ..checkout })
    }
}

/// The clone brought up to date, cloned (or pulled from), and the changeset checked out.
async fn files(
    tree: &Path,
    update: bool,
    revision: &RevisionSpec,
    address: &OsStr,
    rebuild: bool,
    hg: &mut Hg<'_, impl Shell>,
) -> Result<(Target, Option<String>), Error> {
    let mut clone = CachedClone::lock(address, rebuild, hg).await?;
    let target = clone.find(revision, hg).await?;
    if update {
        invalidate(tree)?;
        clone.refresh(tree, hg).await?;
    } else {
        clone.clone_to(tree, hg).await?;
    }
    let offline = clone.offline.take().map(|error| error.to_string());
    // From here on the tree is independent of it.
    drop(clone);
    if !update {
        let config = tree.join(".hg/hgrc");
        let text = [b"[paths]\ndefault = ", address.as_encoded_bytes(), b"\n"].concat();
        fs::write(&config, text).map_err(Error::io("write", &config))?;
    }
    // What fills files in (large file storage) asks upstream.
    let mut path = OsString::from("--config=paths.default=");
    path.push(address);
    let name = target.bookmark.as_ref().filter(|name| names::is_plain(name)).unwrap_or(&target.id);
    let rev = format!("--rev={name}");
    hg.run("checkout", tree, &args!["--repository", tree, &path, "update", "--clean", &rev]).await?;
    Ok((target, offline))
}

/// Describes what is checked out in `tree`.
async fn describe(
    tree: &Path,
    command: String,
    earlier: &EarlierRevisions,
    hg: &mut Hg<'_, impl Shell>,
) -> Result<Checkout, Error> {
    let head = Head::read(tree, earlier, hg).await?;
    let changes_since_last = head.since(earlier.last.as_deref(), tree, hg).await?;
    let changes_since_success = if earlier.last == earlier.last_success {
        changes_since_last.clone()
    } else {
        head.since(earlier.last_success.as_deref(), tree, hg).await?
    };
    let checkout = Checkout::of("hg", head.version_info(), head.commit(), command);
    Ok(Checkout { changes_since_last, changes_since_success, ..checkout })
}
