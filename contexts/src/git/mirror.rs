//! The mirror of one repository in the cache: its branches and tags, bare, without a stored remote.
//!
//! An [`Entry`] of the cache. Git's own care (packs and references appear at once or not at all) keeps it whole through an
//! interrupted fetch, so that it is trusted after one.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::Path,
};

use tempfile::TempDir;

use crate::{
    Shell,
    aside::aside,
    cache::{Card, Entry},
    error::Error,
    git::{Git, Target, Want, names, no_such},
    program::args,
};

/// Branches and tags; forced, since both move.
const EVERYTHING: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// A mirror that nobody else works on until it is dropped.
pub(super) struct Mirror<'a> {
    entry: Entry,
    address: &'a OsStr,
    /// Why upstream could not be asked: what the mirror holds has to do.
    pub(super) offline: Option<Error>,
}

impl<'a> Mirror<'a> {
    /// Waits for the lock, then clears away what killed runs have left. With `anew`, what there is will be replaced.
    pub(super) async fn lock(
        address: &'a OsStr,
        anew: bool,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Self, Error> {
        let dir = git.place().to_owned();
        let waiting = || git.note("waiting for another run that works on the same mirror");
        let entry = Entry::lock(&dir, anew, waiting).await?;
        aside(move |_| unlock(&dir))
            .await
            .map_err(Error::io("clear away what a killed git left in", entry.dir()))?;
        Ok(Self { entry, address, offline: None })
    }

    /// The folder it is in.
    pub(super) fn dir(&self) -> &Path {
        self.entry.dir()
    }

    /// The folder that mirrors are in.
    pub(super) fn room(&self) -> &Path {
        self.entry.room()
    }

    /// The commit that is wanted, brought here if it is not here yet.
    pub(super) async fn find(&mut self, want: &Want, git: &mut Git<'_, impl Shell>) -> Result<Target, Error> {
        match self.look_for(want, git).await {
            // It may be there, where nobody could be asked.
            Err(missing @ Error::NoSuchName { .. }) => Err(self.offline.take().unwrap_or(missing)),
            found => found,
        }
    }

    async fn look_for(&mut self, want: &Want, git: &mut Git<'_, impl Shell>) -> Result<Target, Error> {
        match want {
            Want::Default => self.default_branch(git).await,
            Want::Branch(name) => {
                self.update(git).await?;
                let revision = self.named("branch", "refs/heads", name, git).await?;
                Ok(Target { revision, branch: Some(name.clone()) })
            }
            Want::Tag(name) => {
                self.update(git).await?;
                let revision = self.named("tag", "refs/tags", name, git).await?;
                Ok(Target { revision, branch: None })
            }
            Want::Revision(id) => {
                let revision = self.revision(id, git).await?;
                Ok(Target { revision, branch: None })
            }
        }
    }

    /// Asks the other side what it checks out.
    async fn default_branch(&mut self, git: &mut Git<'_, impl Shell>) -> Result<Target, Error> {
        let args = args!["ls-remote", "--symref", "--", self.address, "HEAD"];
        let answer = match git.online("remote_head", self.entry.room(), &args).await {
            Err(error) if error.is_of_the_network() => return self.default_as_last_heard(error, git).await,
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
                self.hear(name).await?;
                let revision = self.named("branch", "refs/heads", name, git).await?;
                Ok(Target { revision, branch: Some(name.to_owned()) })
            }
            // A detached `HEAD`, or a server too old to name the branch.
            (_, Some(id)) => Ok(Target { revision: self.revision(id, git).await?, branch: None }),
            (_, None) => Err(Error::NoDefaultBranch(git.url().clone())),
        }
    }

    /// What it checked out when it was last asked; else `error`, which kept it from being asked now.
    async fn default_as_last_heard(
        &mut self,
        error: Error,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Target, Error> {
        let Some(name) = self.entry.card().and_then(|card| card.default.clone()) else { return Err(error) };
        self.go_offline(error, git);
        let revision = self.named("branch", "refs/heads", &name, git).await?;
        Ok(Target { revision, branch: Some(name) })
    }

    /// Remembers the branch that upstream checks out.
    async fn hear(&mut self, name: &str) -> Result<(), Error> {
        let card = self.entry.card().cloned().unwrap_or_default();
        if card.default.as_deref() == Some(name) {
            return Ok(());
        }
        self.entry.vouch(Card { default: Some(name.to_owned()), ..card }, false).await
    }

    fn go_offline(&mut self, error: Error, git: &mut Git<'_, impl Shell>) {
        git.do_without(&error);
        self.offline = Some(error);
    }

    /// A commit by its id: from the mirror, else with all that is new, else by itself.
    async fn revision(&mut self, id: &str, git: &mut Git<'_, impl Shell>) -> Result<String, Error> {
        if !names::is_revision(id) {
            return Err(Error::NotARevision(id.to_owned()));
        }
        if self.entry.card().is_some()
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
            match git.online("fetch_revision", self.entry.room(), &fetch).await {
                Ok(_) => {
                    if let Some(revision) = self.resolve(id, git).await? {
                        return Ok(revision);
                    }
                }
                Err(error @ Error::Stopped) => return Err(error),
                Err(error) if error.is_of_the_network() => return Err(error),
                // A server that gives nothing but tips.
                Err(_) => {}
            }
        }
        Err(no_such("revision", id, git.url(), self.near("revision", id, git).await?))
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
        Err(no_such(kind, name, git.url(), self.near(kind, name, git).await?))
    }

    /// What is called somewhat like `name`.
    async fn near(
        &self,
        kind: &str,
        name: &str,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Vec<String>, Error> {
        let format = ["for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags"];
        let listed = git.attempt("names", self.entry.room(), &in_mirror(self.entry.dir(), &format)).await?;
        Ok(names::near(kind, name, &String::from_utf8_lossy(&listed.stdout)))
    }

    /// The commit that `name` stands for in the mirror, if it does.
    async fn resolve(&self, name: &str, git: &mut Git<'_, impl Shell>) -> Result<Option<String>, Error> {
        let peeled = format!("{name}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled];
        let ended = git.attempt("resolve", self.entry.room(), &in_mirror(self.entry.dir(), &args)).await?;
        let answer = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
        if ended.status == 0 {
            // A short id is overshadowed by a branch of that name.
            let by_name =
                names::is_revision(name) && !names::is_id(name) && !answer.starts_with(&name.to_lowercase());
            return Ok((!by_name).then_some(answer));
        }
        match git.refusal("resolve", &ended) {
            error @ Error::Damaged { .. } if ended.status == 128 => Err(error),
            _ if String::from_utf8_lossy(&ended.stderr).contains("is ambiguous") => {
                Err(Error::Ambiguous { name: name.to_owned(), url: git.url().clone() })
            }
            _ => Ok(None),
        }
    }

    /// Fetches all branches and tags, and forgets those that are gone; makes the mirror if there is none to be used.
    /// Where the network keeps it from that, what the mirror holds has to do.
    async fn update(&mut self, git: &mut Git<'_, impl Shell>) -> Result<(), Error> {
        let address = git.url().to_string();
        if let Some(card) = self.entry.card().cloned() {
            let fetch = self.fetch(self.entry.dir(), &EVERYTHING);
            return match git.online("cache_update", self.entry.room(), &fetch).await {
                Ok(_) => self.entry.vouch(Card { address, ..card }, true).await,
                Err(error) if error.is_of_the_network() => {
                    self.go_offline(error, git);
                    Ok(())
                }
                Err(error) => Err(error),
            };
        }
        git.note(&format!("making a mirror of `{address}` in the cache; later runs fetch only what is new"));
        let new = match self.made("sha1", git).await {
            Err(Error::Command { said, .. }) if said.contains("mismatched algorithms") => {
                self.made("sha256", git).await?
            }
            other => other?,
        };
        self.entry.publish(new)?;
        self.entry.vouch(Card { address, ..Card::default() }, true).await
    }

    /// A complete mirror under a name of its own; it goes away again if this ends early.
    async fn made(&self, format: &str, git: &mut Git<'_, impl Shell>) -> Result<TempDir, Error> {
        let new = self.entry.blank()?;
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
        git.run("create cache", self.entry.room(), &init).await?;
        git.online("cache_update", self.entry.room(), &self.fetch(dir, &EVERYTHING)).await?;
        git.run("cache_pack", self.entry.room(), &in_mirror(dir, &["pack-refs", "--all"])).await?;
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
        // What says nothing for long is taken for dead, and a person waits for the first.
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
        git.run("clone", self.entry.room(), &words).await.map(drop)
    }

    /// Brings what the mirror holds to a tree that was cloned from it before.
    pub(super) async fn refresh(&self, tree: &Path, git: &mut Git<'_, impl Shell>) -> Result<(), Error> {
        let inner = tree.join(".git");
        aside(move |_| unlock(&inner))
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
        // A commit that no branch holds came here under a name of its own.
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

/// Removes the lock files of gits that were killed from a repository. Only for who holds that.
fn unlock(dir: &Path) -> io::Result<()> {
    let mut dirs = vec![dir.to_owned(), dir.join("refs"), dir.join("objects/info")];
    while let Some(next) = dirs.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                // The top is looked at, but not into its objects, which are many.
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
