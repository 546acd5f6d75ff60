//! The mirror of one repository in the cache: its branches and tags, bare, without a stored remote.
//!
//! A [`LockedEntry`] of the cache. Packs and references appear at once or not at all, so that the mirror is trusted after an
//! interrupted fetch.
#![expect(clippy::disallowed_methods, reason = "mirrors are made here")]

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::Path,
};

use tempfile::TempDir;

use super::{
    names,
    tool::{Git, no_such},
};
use crate::{
    blocking::blocking,
    cache::{LockedEntry, Manifest},
    disk::read_dir,
    error::Error,
    program::args,
    shell::Shell,
    source::{revision::RevisionSpec, similar::similar_names},
};

/// Branches and tags; forced, since both move.
const EVERYTHING: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// The commit to check out, and the branch to be on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) revision: String,
    pub(super) branch: Option<String>,
}

/// A mirror that nobody else works on until it is dropped.
pub(super) struct Mirror<'a> {
    entry: LockedEntry,
    address: &'a OsStr,
    /// Why upstream was not asked, if what the mirror holds is used without asking.
    pub(super) offline: Option<Error>,
}

impl<'a> Mirror<'a> {
    /// Waits for the lock, then clears away what killed runs have left. With `rebuild`, a mirror that is there will be replaced.
    pub(super) async fn lock(
        address: &'a OsStr,
        rebuild: bool,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Self, Error> {
        let dir = git.entry_dir().to_owned();
        let waiting = || git.note("waiting for another run that uses the same mirror");
        let entry = LockedEntry::lock(&dir, rebuild, waiting).await?;
        blocking(move |_| unlock(&dir))
            .await
            .map_err(Error::io("clear away what a killed git left in", entry.dir()))?;
        Ok(Self { entry, address, offline: None })
    }

    /// The folder it is in.
    pub(super) fn dir(&self) -> &Path {
        self.entry.dir()
    }

    /// The folder that mirrors are in.
    pub(super) fn parent(&self) -> &Path {
        self.entry.parent()
    }

    /// The commit to build, fetched if it is not in the mirror yet.
    pub(super) async fn find(
        &mut self,
        spec: &RevisionSpec,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Target, Error> {
        match self.look_for(spec, git).await {
            // Upstream, which could not be asked, may have it.
            Err(missing @ Error::NoSuchName { .. }) => Err(self.offline.take().unwrap_or(missing)),
            found => found,
        }
    }

    async fn look_for(
        &mut self,
        spec: &RevisionSpec,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Target, Error> {
        match spec {
            RevisionSpec::Default => self.default_branch(git).await,
            RevisionSpec::Branch(name) => {
                self.update(git).await?;
                let revision = self.named("branch", "refs/heads", name, git).await?;
                Ok(Target { revision, branch: Some(name.clone()) })
            }
            RevisionSpec::Tag(name) => {
                self.update(git).await?;
                let revision = self.named("tag", "refs/tags", name, git).await?;
                Ok(Target { revision, branch: None })
            }
            RevisionSpec::Revision(id) => {
                let revision = self.revision(id, git).await?;
                Ok(Target { revision, branch: None })
            }
        }
    }

    /// Asks upstream which branch it checks out.
    async fn default_branch(&mut self, git: &mut Git<'_, impl Shell>) -> Result<Target, Error> {
        let args = args!["ls-remote", "--symref", "--", self.address, "HEAD"];
        let answer = match git.online("remote_head", self.entry.parent(), &args).await {
            Err(error) if error.is_network_error() => return self.cached_default(error, git).await,
            answer => answer?,
        };
        let answer = String::from_utf8_lossy(&answer);
        let head = |line: &str| line.strip_suffix("\tHEAD").map(str::to_owned);
        let head: Vec<String> = answer.lines().filter_map(head).collect();
        let branch = head.iter().find_map(|name| name.strip_prefix("ref: refs/heads/"));
        let commit = head.iter().find(|id| names::is_id(id));
        match (branch, commit) {
            (Some(name), Some(_)) => {
                self.update(git).await?;
                self.remember_default(name).await?;
                let revision = self.named("branch", "refs/heads", name, git).await?;
                Ok(Target { revision, branch: Some(name.to_owned()) })
            }
            // A detached `HEAD`, or a server too old to name the branch.
            (_, Some(id)) => Ok(Target { revision: self.revision(id, git).await?, branch: None }),
            (_, None) => Err(Error::NoDefaultBranch(git.url().clone())),
        }
    }

    /// The branch that upstream checked out when it was last asked; without one `error`, which kept it from being asked now.
    async fn cached_default(&mut self, error: Error, git: &mut Git<'_, impl Shell>) -> Result<Target, Error> {
        let Some(name) = self.entry.manifest().and_then(|manifest| manifest.default_branch.clone()) else {
            return Err(error);
        };
        self.use_cache(error, git);
        let revision = self.named("branch", "refs/heads", &name, git).await?;
        Ok(Target { revision, branch: Some(name) })
    }

    /// Remembers the branch that upstream checks out.
    async fn remember_default(&mut self, name: &str) -> Result<(), Error> {
        let manifest = self.entry.manifest().cloned().unwrap_or_default();
        if manifest.default_branch.as_deref() == Some(name) {
            return Ok(());
        }
        self.entry.commit(Manifest { default_branch: Some(name.to_owned()), ..manifest }, false).await
    }

    fn use_cache(&mut self, error: Error, git: &mut Git<'_, impl Shell>) {
        git.fall_back_to_cache(&error);
        self.offline = Some(error);
    }

    /// A commit by its id: from the mirror, else after a fetch of everything, else fetched alone.
    async fn revision(&mut self, id: &str, git: &mut Git<'_, impl Shell>) -> Result<String, Error> {
        if !names::is_revision(id) {
            return Err(Error::NotARevision(id.to_owned()));
        }
        if self.entry.manifest().is_some()
            && let Some(revision) = self.resolve(id, git).await?
        {
            return Ok(revision);
        }
        self.update(git).await?;
        if let Some(revision) = self.resolve(id, git).await? {
            return Ok(revision);
        }
        if names::is_id(id) {
            // Under a name, so that the mirror keeps it.
            let spec = format!("+{id}:refs/pony/{id}");
            let fetch = self.fetch(self.entry.dir(), &[&spec]);
            match git.online("fetch_revision", self.entry.parent(), &fetch).await {
                Ok(_) => {
                    if let Some(revision) = self.resolve(id, git).await? {
                        return Ok(revision);
                    }
                }
                Err(error @ Error::Stopped) => return Err(error),
                Err(error) if error.is_network_error() => return Err(error),
                // A server that gives nothing but tips.
                Err(_) => {}
            }
        }
        Err(no_such("revision", id, git.url(), self.similar("revision", id, git).await?))
    }

    /// The commit that a branch or tag of the mirror names.
    async fn named(
        &self,
        kind: &'static str,
        space: &str,
        name: &str,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<String, Error> {
        if names::is_legal(name)
            && let Some(revision) = self.resolve(&format!("{space}/{name}"), git).await?
        {
            return Ok(revision);
        }
        Err(no_such(kind, name, git.url(), self.similar(kind, name, git).await?))
    }

    /// Branches and tags with a name like this.
    async fn similar(
        &self,
        kind: &str,
        name: &str,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Vec<String>, Error> {
        let format = ["for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags"];
        let listed = git.attempt("names", self.entry.parent(), &in_mirror(self.entry.dir(), &format)).await?;
        Ok(similar_names(kind, name, &String::from_utf8_lossy(&listed.stdout)))
    }

    /// The commit that `name` stands for in the mirror, if there is one.
    async fn resolve(&self, name: &str, git: &mut Git<'_, impl Shell>) -> Result<Option<String>, Error> {
        let peeled = format!("{name}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled];
        let output = git.attempt("resolve", self.entry.parent(), &in_mirror(self.entry.dir(), &args)).await?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status == 0 {
            // A short id is overshadowed by a branch of that name.
            let by_name =
                names::is_revision(name) && !names::is_id(name) && !answer.starts_with(&name.to_lowercase());
            return Ok((!by_name).then_some(answer));
        }
        match git.failure("resolve", &output) {
            error @ Error::Damaged { .. } if output.status == 128 => Err(error),
            _ if String::from_utf8_lossy(&output.stderr).contains("is ambiguous") => {
                Err(Error::Ambiguous { name: name.to_owned(), url: git.url().clone() })
            }
            _ => Ok(None),
        }
    }

    /// Fetches all branches and tags, and removes those that are gone upstream; creates the mirror if none can be used. After a
    /// network error, what the mirror holds is used.
    async fn update(&mut self, git: &mut Git<'_, impl Shell>) -> Result<(), Error> {
        let address = git.url().to_string();
        if let Some(manifest) = self.entry.manifest().cloned() {
            let fetch = self.fetch(self.entry.dir(), &EVERYTHING);
            return match git.online("cache_update", self.entry.parent(), &fetch).await {
                Ok(_) => self.entry.commit(Manifest { address, ..manifest }, true).await,
                Err(error) if error.is_network_error() => {
                    self.use_cache(error, git);
                    Ok(())
                }
                Err(error) => Err(error),
            };
        }
        git.note(&format!(
            "creating a mirror of `{address}` in the cache; later runs fetch only new commits"
        ));
        let new = match self.create("sha1", git).await {
            Err(Error::Command { detail, .. }) if detail.contains("mismatched algorithms") => {
                self.create("sha256", git).await?
            }
            other => other?,
        };
        self.entry.publish(new)?;
        self.entry.commit(Manifest { address, ..Manifest::default() }, true).await
    }

    /// A complete mirror under a name of its own; it goes away again if this ends early.
    async fn create(&self, format: &str, git: &mut Git<'_, impl Shell>) -> Result<TempDir, Error> {
        let new = self.entry.staging_dir()?;
        let dir = new.path();
        // No template: no hooks. The branch that `HEAD` names is not to be there.
        let format = format!("--object-format={format}");
        let init = args![
            "-c",
            "init.defaultBranch=none",
            "init",
            "--bare",
            "--quiet",
            "--template=",
            &format,
            "--",
            dir
        ];
        git.run("create cache", self.entry.parent(), &init).await?;
        git.online("cache_update", self.entry.parent(), &self.fetch(dir, &EVERYTHING)).await?;
        git.run("cache_pack", self.entry.parent(), &in_mirror(dir, &["pack-refs", "--all"])).await?;
        Ok(new)
    }

    /// A fetch into `dir`. The address is an argument: no remote is stored.
    fn fetch(&self, dir: &Path, specs: &[&str]) -> Vec<OsString> {
        // Always a pack, which appears whole: of single objects, a killed git may leave a commit without its files.
        let config =
            ["-c", "fetch.unpackLimit=1", "-c", "gc.autoDetach=false", "-c", "maintenance.autoDetach=false"];
        let mut words: Vec<OsString> = config.map(OsString::from).to_vec();
        words.extend(in_mirror(
            dir,
            &["fetch", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--update-shallow"],
        ));
        // Before what is new, as a branch may become a folder of branches. Never with a single commit, whose name upstream
        // does not know.
        if specs == EVERYTHING {
            words.push("--prune".into());
        }
        // A command without output is stopped after a while, and a person waits for the first fetch.
        words.push("--progress".into());
        words.extend(["--".into(), self.address.to_owned()]);
        words.extend(specs.iter().map(OsString::from));
        words
    }

    /// Clones the mirror to `tree`, with no files checked out, on `branch` if one is given.
    pub(super) async fn clone_to(
        &self,
        tree: &Path,
        branch: Option<&str>,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<(), Error> {
        let branch = branch.map(|name| format!("--branch={name}"));
        // The mirror is a path, which a person may have forbidden for addresses. And no collection in the background that
        // holds the tree when it is to be removed.
        let mut words = args![
            "-c",
            "protocol.file.allow=always",
            "clone",
            "--local",
            "--no-checkout",
            "--quiet",
            "--origin=origin",
            "--template=",
            "-c",
            "gc.auto=0"
        ]
        .to_vec();
        words.extend(branch.as_ref().map(OsStr::new));
        words.extend(args!["--", self.entry.dir(), tree]);
        git.run("clone", self.entry.parent(), &words).await.map(drop)
    }

    /// Fetches what the mirror holds into a tree that was cloned from it before.
    pub(super) async fn refresh(&self, tree: &Path, git: &mut Git<'_, impl Shell>) -> Result<(), Error> {
        let inner = tree.join(".git");
        blocking(move |_| unlock(&inner))
            .await
            .map_err(Error::io("clear away what a killed git left in", tree))?;
        let mut words = args![
            "-c",
            "protocol.file.allow=always",
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--prune",
            "--",
            self.entry.dir()
        ]
        .to_vec();
        words.extend(args!["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]);
        // Commits that are on no branch are in the mirror under these names.
        words.extend(args!["+refs/pony/*:refs/pony/*"]);
        git.run("refresh", tree, &words).await.map(drop)
    }
}

/// Git's arguments, for work on the bare repository `dir`.
pub(super) fn in_mirror(dir: &Path, words: &[&str]) -> Vec<OsString> {
    let mut first = OsString::from("--git-dir=");
    first.push(dir);
    [first].into_iter().chain(words.iter().map(OsString::from)).collect()
}

/// Removes the lock files of killed gits from a repository. Only for who holds its lock.
fn unlock(dir: &Path) -> io::Result<()> {
    let mut dirs = vec![dir.to_owned(), dir.join("refs"), dir.join("objects/info")];
    while let Some(next) = dirs.pop() {
        for entry in read_dir(&next)? {
            if entry.file_type()?.is_dir() {
                // The top is looked at, but not its objects, which are many.
                if next != dir {
                    dirs.push(entry.path());
                }
            } else if entry.path().extension().is_some_and(|end| end == "lock") {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}
