//! The clone of one repository in the cache: its history without working files.
//!
//! A [`LockedEntry`] of the cache. Mercurial writes many files in one transaction; after a kill only `hg recover` could repair
//! them, so that the entry is not trusted while one runs.
//!
//! Upstream says which changeset a name stands for: the clone also holds what upstream has since taken back, so that its own
//! idea of a branch's tip may be outdated, good enough only where upstream cannot be asked. Bookmarks follow upstream.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
};

use super::{
    names,
    remote::{DEFAULTS, identify},
    tool::{self, Hg, no_such},
};
use crate::{
    blocking::blocking,
    cache::{LockedEntry, Manifest},
    disk::remove_file,
    error::Error,
    program::args,
    shell::Shell,
    source::{revision::RevisionSpec, similar::similar_names},
};

/// Fields of a changeset, separated by characters that no name holds.
const FORMAT: &str = r"--template={node}\x1f{branch}\x1f{join(bookmarks, '\x1e')}\x1f{join(tags, '\x1e')}\n";

/// All names, as [`similar_names`] takes them.
const NAMES: &str =
    r"--template=refs/heads/{branch}\n{bookmarks % 'refs/heads/{bookmark}\n'}{tags % 'refs/tags/{tag}\n'}";

/// The changeset to check out, by what name it was found, and the bookmark to be on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) bookmark: Option<String>,
}

/// A clone that no other run uses until this is dropped.
pub(super) struct CachedClone<'a> {
    entry: LockedEntry,
    address: &'a OsStr,
    /// Why upstream was not asked, if what the clone holds is used without asking.
    pub(super) offline: Option<Error>,
}

/// A changeset of the clone, and its names.
struct NamedChangeset {
    id: String,
    branch: String,
    bookmarks: Vec<String>,
    tags: Vec<String>,
}

impl NamedChangeset {
    fn is_branch(&self, name: &str) -> bool {
        self.branch == name || self.is_bookmark(name)
    }

    fn is_bookmark(&self, name: &str) -> bool {
        self.bookmarks.iter().any(|bookmark| bookmark == name)
    }

    fn is_tag(&self, name: &str) -> bool {
        self.tags.iter().any(|tag| tag == name)
    }
}

impl<'a> CachedClone<'a> {
    /// Waits for the lock. With `rebuild`, a clone that is there will be replaced.
    pub(super) async fn lock(
        address: &'a OsStr,
        rebuild: bool,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Self, Error> {
        let dir = hg.entry_dir().to_owned();
        let waiting = || hg.note("waiting for another run that uses the same clone");
        let entry = LockedEntry::lock(&dir, rebuild, waiting).await?;
        if entry.manifest().is_some() {
            // The messages of hg about these could as well be about upstream.
            for part in [".hg/requires", ".hg/store"] {
                if !dir.join(part).exists() {
                    let (url, detail) = (hg.url().clone(), format!("no `{part}`"));
                    return Err(Error::Damaged { url, detail, cache: dir });
                }
            }
        }
        Ok(Self { entry, address, offline: None })
    }

    /// The folder it is in.
    pub(super) fn dir(&self) -> &Path {
        self.entry.dir()
    }

    /// The changeset to build, pulled if it is not in the clone yet.
    pub(super) async fn find(
        &mut self,
        spec: &RevisionSpec,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Target, Error> {
        match self.look_for(spec, hg).await {
            // Upstream, which could not be asked, may have it.
            Err(missing @ Error::NoSuchName { .. }) => Err(self.offline.take().unwrap_or(missing)),
            found => found,
        }
    }

    async fn look_for(&mut self, spec: &RevisionSpec, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        match spec {
            RevisionSpec::Default => self.default(hg).await,
            RevisionSpec::Branch(name) => {
                let answer = self.update_and_identify("branch", name, hg).await?;
                self.named("branch", name, answer, hg).await
            }
            RevisionSpec::Tag(name) => {
                let answer = self.update_and_identify("tag", name, hg).await?;
                self.named("tag", name, answer, hg).await
            }
            RevisionSpec::Revision(id) => self.revision(id, hg).await,
        }
    }

    /// The changeset that upstream checks out by default.
    async fn default(&mut self, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        for name in DEFAULTS {
            match identify(name, self.address, self.entry.parent(), hg).await {
                Ok(Some(id)) => {
                    self.update(hg).await?;
                    if self.offline.is_some() {
                        return self.default_from_clone(name, hg).await;
                    }
                    self.remember_default(name).await?;
                    return self.default_is(name, &id, hg).await;
                }
                Ok(None) => {}
                Err(error) if error.is_network_error() => {
                    return self.cached_default(error, hg).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::NoDefaultBranch(hg.url().clone()))
    }

    async fn default_is(&self, name: &str, id: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        let Some(found) = self.look(id, hg).await? else {
            return Err(no_such("revision", id, hg.url(), Vec::new()));
        };
        let bookmark = found.is_bookmark(name).then(|| name.to_owned());
        Ok(Target { id: found.id, name: Some(name.to_owned()), bookmark })
    }

    /// The default when upstream was last asked; without one `error`, which kept it from being asked now.
    async fn cached_default(&mut self, error: Error, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        let Some(name) = self.entry.manifest().and_then(|manifest| manifest.default_branch.clone()) else {
            return Err(error);
        };
        self.use_cache(error, hg);
        self.default_from_clone(&name, hg).await
    }

    /// The changeset that the clone holds under the name of the default.
    async fn default_from_clone(&self, name: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        match self.look(&names::quoted(name), hg).await? {
            Some(found) => self.default_is(name, &found.id, hg).await,
            None => Err(no_such("branch", name, hg.url(), Vec::new())),
        }
    }

    /// Remembers the name of the default.
    async fn remember_default(&mut self, name: &str) -> Result<(), Error> {
        let manifest = self.entry.manifest().cloned().unwrap_or_default();
        if manifest.default_branch.as_deref() == Some(name) {
            return Ok(());
        }
        self.entry.commit(Manifest { default_branch: Some(name.to_owned()), ..manifest }, false).await
    }

    fn use_cache(&mut self, error: Error, hg: &mut Hg<'_, impl Shell>) {
        hg.fall_back_to_cache(&error);
        self.offline = Some(error);
    }

    /// Upstream's answer for `name`, after a pull; `None` where upstream cannot be asked.
    async fn update_and_identify(
        &mut self,
        kind: &'static str,
        name: &str,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Option<String>, Error> {
        if !names::is_legal(name) {
            return Err(no_such(kind, name, hg.url(), Vec::new()));
        }
        match identify(name, self.address, self.entry.parent(), hg).await {
            Ok(Some(id)) => {
                self.update(hg).await?;
                // A changeset that could not be pulled is not in the clone.
                Ok(Some(id).filter(|_| self.offline.is_none()))
            }
            Ok(None) => Err(no_such(kind, name, hg.url(), self.similar(kind, name, hg).await?)),
            Err(error) if error.is_network_error() && self.entry.manifest().is_some() => {
                self.use_cache(error, hg);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The changeset that `name` stands for. Upstream's `answer` is used unless it took the name for another kind of name, or for
    /// the first digits of an id.
    async fn named(
        &self,
        kind: &'static str,
        name: &str,
        answer: Option<String>,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Target, Error> {
        let is_it =
            |found: &NamedChangeset| if kind == "tag" { found.is_tag(name) } else { found.is_branch(name) };
        let mut found = match answer {
            Some(id) => self.look(&id, hg).await?.filter(is_it),
            None => None,
        };
        if found.is_none() {
            let quoted = names::quoted(&format!("literal:{name}"));
            let sets = if kind == "tag" {
                vec![format!("tag({quoted})")]
            } else {
                // The tip of a branch is its newest head, a closed one only if all are.
                let (open, all) =
                    (format!("branch({quoted}) and head() and not closed()"), format!("branch({quoted})"));
                vec![format!("bookmark({quoted})"), format!("last({open})"), format!("last({all})")]
            };
            for set in sets {
                found = self.look(&set, hg).await?.filter(is_it);
                if found.is_some() {
                    break;
                }
            }
        }
        let Some(found) = found else {
            return Err(no_such(kind, name, hg.url(), self.similar(kind, name, hg).await?));
        };
        let bookmark = (kind == "branch" && found.is_bookmark(name)).then(|| name.to_owned());
        Ok(Target { id: found.id, name: Some(name.to_owned()), bookmark })
    }

    /// A changeset by its id: from the clone, else after a pull.
    async fn revision(&mut self, id: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        if !names::is_revision(id) {
            return Err(Error::NotARevision(id.to_owned()));
        }
        let set = format!("id({id})");
        let target = |found: NamedChangeset| Target { id: found.id, name: None, bookmark: None };
        if self.entry.manifest().is_some()
            && let Some(found) = self.look(&set, hg).await?
        {
            return Ok(target(found));
        }
        self.update(hg).await?;
        let found = self.look(&set, hg).await?;
        found.map(target).ok_or_else(|| no_such("revision", id, hg.url(), Vec::new()))
    }

    /// The one changeset of a revision set, if there is one.
    async fn look(&self, set: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Option<NamedChangeset>, Error> {
        let set = format!("--rev={set}");
        let args = args!["--repository", self.dir(), "log", "--limit=1", &set, FORMAT];
        let output = hg.attempt("resolve", self.entry.parent(), &args).await?;
        if output.status == 0 {
            return Ok(parse(&String::from_utf8_lossy(&output.stdout)));
        }
        match hg.failure("resolve", &output) {
            Error::Command { detail, .. } if tool::is_unknown(&detail) => Ok(None),
            Error::Command { detail, .. } if detail.contains("ambiguous identifier") => {
                let name = set.trim_start_matches("--rev=id(").trim_end_matches(')').to_owned();
                Err(Error::Ambiguous { name, url: hg.url().clone() })
            }
            error => Err(error),
        }
    }

    /// Names in the clone that are like this one.
    async fn similar(
        &self,
        kind: &str,
        name: &str,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Vec<String>, Error> {
        if self.entry.manifest().is_none() {
            return Ok(Vec::new());
        }
        let named = "--rev=head() + bookmark() + tag()";
        let args = args!["--repository", self.dir(), "log", named, NAMES];
        let listed = hg.attempt("names", self.entry.parent(), &args).await?;
        let mut lines: Vec<_> =
            listed.stdout.split(|&byte| byte == b'\n').map(String::from_utf8_lossy).collect();
        lines.sort();
        lines.dedup();
        Ok(similar_names(kind, name, &lines.join("\n")))
    }

    /// Pulls everything, and upstream's bookmarks; creates the clone if none can be used. After a network error, what the clone
    /// holds is used.
    async fn update(&mut self, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let address = hg.url().to_string();
        let Some(manifest) = self.entry.manifest().cloned() else { return self.create(hg).await };
        self.entry.invalidate()?;
        let before = fingerprint(self.dir());
        let pull = pull(self.dir(), self.address);
        let mut pulled = hg.online("cache_update", self.entry.parent(), &pull).await;
        if let Err(error) = &pulled
            && !matches!(error, Error::Stopped)
            && self.recover(hg).await?
            && matches!(error, Error::Damaged { .. })
        {
            pulled = hg.online("cache_update", self.entry.parent(), &pull).await;
        }
        match pulled {
            Ok(_) => {
                let changed = fingerprint(self.dir()) != before;
                self.entry.commit(Manifest { address, ..manifest }, changed).await
            }
            // Its changes have been undone.
            Err(error) if error.is_network_error() => {
                self.entry.commit(manifest, false).await?;
                self.use_cache(error, hg);
                Ok(())
            }
            Err(error @ (Error::Stopped | Error::Damaged { .. })) => Err(error),
            Err(error) => {
                self.entry.commit(manifest, false).await?;
                Err(error)
            }
        }
    }

    /// Undoes the changes of a pull that was killed for being quiet too long; false if there are none.
    async fn recover(&self, hg: &mut Hg<'_, impl Shell>) -> Result<bool, Error> {
        if !self.dir().join(".hg/store/journal").exists() {
            return Ok(false);
        }
        let args = args!["--repository", self.dir(), "recover", "--no-verify"];
        hg.run("recover", self.entry.parent(), &args).await.map(|_| true)
    }

    async fn create(&mut self, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let address = hg.url().to_string();
        hg.note(&format!(
            "creating a clone of `{address}` in the cache; later runs pull only new changesets"
        ));
        let new = self.entry.staging_dir()?;
        let clone = args!["clone", "--noupdate", "--", self.address, new.path()];
        hg.online("create cache", self.entry.parent(), &clone).await?;
        self.entry.publish(new)?;
        self.entry.commit(Manifest { address, ..Manifest::default() }, true).await
    }

    /// Clones the clone to `tree`, with no files checked out.
    pub(super) async fn clone_to(&self, tree: &Path, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let clone = args!["clone", "--noupdate", "--", self.dir(), tree];
        hg.run("clone", self.entry.parent(), &clone).await.map(drop)
    }

    /// Pulls what the clone holds into a tree that was cloned from it before.
    pub(super) async fn refresh(&self, tree: &Path, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let locked = tree.to_owned();
        blocking(move |_| unlock(&locked)).await.map_err(Error::io("unlock", tree))?;
        hg.run("refresh", tree, &pull(tree, self.dir().as_os_str())).await.map(drop)
    }
}

/// A pull into `dir` of all that `from` has. Bookmarks become the same as there.
fn pull(dir: &Path, from: &OsStr) -> Vec<OsString> {
    let mut path = OsString::from("--config=paths.pony=");
    path.push(from);
    let mirror = OsStr::new("--config=paths.pony:bookmarks.mode=mirror");
    args!["--repository", dir, &path, mirror, "pull", "pony"].map(OsStr::to_owned).to_vec()
}

/// Changes with what the clone holds.
fn fingerprint(dir: &Path) -> Option<u64> {
    fs::metadata(dir.join(".hg/store/00changelog.i")).ok().map(|file| file.len())
}

/// Removes the locks of a killed hg from a tree. Only for who holds the tree.
fn unlock(tree: &Path) -> std::io::Result<()> {
    for lock in [".hg/wlock", ".hg/store/lock"] {
        remove_file(&tree.join(lock))?;
    }
    Ok(())
}

/// Reads [`FORMAT`].
fn parse(text: &str) -> Option<NamedChangeset> {
    let mut fields = text.trim_end_matches('\n').split('\u{1f}');
    let list = |text: &str| text.split('\u{1e}').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let id = fields.next().filter(|id| names::is_id(id))?.to_owned();
    Some(NamedChangeset {
        id,
        branch: fields.next()?.to_owned(),
        bookmarks: list(fields.next()?),
        tags: list(fields.next()?),
    })
}
