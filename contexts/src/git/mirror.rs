//! The mirror of one repository in the cache: its branches and tags, bare, without a stored remote.
//!
//! `cache/git/<basename>-<12 hex digits of the address's SHA-256>`, and beside it the `.lock` that whoever works on it
//! holds. A mirror is made under another name and renamed when it is complete, so one that bears its name is whole; git's
//! own care (packs and references appear at once or not at all) keeps it so through an interrupted fetch.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::{
    Shell,
    aside::{aside, lock},
    error::Error,
    git::{Git, Target, Want, command::args, names},
    tree::remove_tree,
    url::Url,
};

/// Branches and tags; forced, since both move.
const EVERYTHING: [&str; 2] = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];

/// Where the mirror of `url`, whose address is `address`, has its place.
pub(super) fn place(cache: &Path, url: &Url, address: &OsStr) -> PathBuf {
    let digest = Sha256::digest(address.as_encoded_bytes());
    let start = digest.iter().take(6).fold(0_u64, |start, byte| start << 8 | u64::from(*byte));
    cache.join("git").join(format!("{}-{start:012x}", url.basename()))
}

/// A mirror that nobody else works on until it is dropped.
pub(super) struct Mirror<'a> {
    /// The folder that mirrors are in.
    room: PathBuf,
    address: &'a OsStr,
    /// Complete, as far as is known.
    usable: bool,
    _lock: File,
}

impl<'a> Mirror<'a> {
    /// Waits for the lock, then clears away what killed runs have left. With `anew`, what there is will be replaced.
    pub(super) async fn lock(
        address: &'a OsStr,
        anew: bool,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Self, Error> {
        let dir = git.mirror().to_owned();
        let room = dir.parent().unwrap_or(&dir).to_owned();
        fs::create_dir_all(&room).map_err(Error::io("create", &room))?;
        let path = suffixed(&dir, ".lock");
        let held = lock(&path, || git.note("waiting for another run that works on the same mirror"))
            .await
            .map_err(Error::io("lock", &path))?;
        sweep(&dir).map_err(Error::io("clear away what a killed run left beside", &dir))?;
        Ok(Self { room, address, usable: !anew && dir.is_dir(), _lock: held })
    }

    /// The commit that is wanted, brought here if it is not here yet.
    pub(super) async fn find(&mut self, want: &Want, git: &mut Git<'_, impl Shell>) -> Result<Target, Error> {
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
        let answer = git.run("remote_head", &self.room, &args).await?;
        let answer = String::from_utf8_lossy(&answer);
        let head = |line: &str| line.strip_suffix("\tHEAD").map(str::to_owned);
        let head: Vec<String> = answer.lines().filter_map(head).collect();
        let branch = head.iter().find_map(|name| name.strip_prefix("ref: refs/heads/"));
        let commit = head.iter().find(|id| names::is_id(id));
        match (branch, commit) {
            (Some(name), Some(_)) => {
                self.update(git).await?;
                let revision = self.named("branch", "refs/heads", name, git).await?;
                Ok(Target { revision, branch: Some(name.to_owned()) })
            }
            // A detached `HEAD`, or a server too old to name the branch.
            (_, Some(id)) => Ok(Target { revision: self.revision(id, git).await?, branch: None }),
            (_, None) => Err(Error::NoDefaultBranch(git.url().clone())),
        }
    }

    /// A commit by its id: from the mirror, else with all that is new, else by itself.
    async fn revision(&mut self, id: &str, git: &mut Git<'_, impl Shell>) -> Result<String, Error> {
        if !names::is_revision(id) {
            return Err(Error::NotARevision(id.to_owned()));
        }
        if self.usable
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
            let ended =
                git.attempt("fetch_revision", &self.room, &self.fetch(git.mirror(), &[&spec])).await?;
            if ended.status == 0
                && let Some(revision) = self.resolve(id, git).await?
            {
                return Ok(revision);
            }
        }
        Err(Error::NoSuchName {
            kind: "revision",
            name: id.to_owned(),
            url: git.url().clone(),
            near: self.near("revision", id, git).await?,
        })
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
        let near = self.near(kind, name, git).await?;
        Err(Error::NoSuchName { kind, name: name.to_owned(), url: git.url().clone(), near })
    }

    /// What is called somewhat like `name`.
    async fn near(
        &self,
        kind: &str,
        name: &str,
        git: &mut Git<'_, impl Shell>,
    ) -> Result<Vec<String>, Error> {
        let format = ["for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags"];
        let listed = git.attempt("names", &self.room, &in_mirror(git.mirror(), &format)).await?;
        Ok(names::near(kind, name, &String::from_utf8_lossy(&listed.stdout)))
    }

    /// The commit that `name` stands for in the mirror, if it does.
    async fn resolve(&self, name: &str, git: &mut Git<'_, impl Shell>) -> Result<Option<String>, Error> {
        let peeled = format!("{name}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled];
        let ended = git.attempt("resolve", &self.room, &in_mirror(git.mirror(), &args)).await?;
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
    async fn update(&mut self, git: &mut Git<'_, impl Shell>) -> Result<(), Error> {
        if self.usable {
            let fetch = self.fetch(git.mirror(), &EVERYTHING);
            return git.run("cache_update", &self.room, &fetch).await.map(drop);
        }
        git.note(&format!(
            "making a mirror of `{}` in the cache; later runs fetch only what is new",
            git.url()
        ));
        let new = match self.made("sha1", git).await {
            Err(Error::Command { said, .. }) if said.contains("mismatched algorithms") => {
                self.made("sha256", git).await?
            }
            other => other?,
        };
        let dir = git.mirror().to_owned();
        replace(&dir, &new.keep()).map_err(Error::io("put a new mirror in the place of", &dir))?;
        self.usable = true;
        // What was there before goes now; what cannot go is tried again by the next run.
        let _ = aside(move |_| sweep(&dir)).await;
        Ok(())
    }

    /// A complete mirror under a name of its own; it goes away again if this ends early.
    async fn made(&self, format: &str, git: &mut Git<'_, impl Shell>) -> Result<TempDir, Error> {
        let name = git.mirror().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let new = tempfile::Builder::new()
            .prefix(&format!("{name}.new-"))
            .tempdir_in(&self.room)
            .map_err(Error::io("create a directory in", &self.room))?;
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
        git.run("create cache", &self.room, &init).await?;
        git.run("cache_update", &self.room, &self.fetch(dir, &EVERYTHING)).await?;
        git.run("cache_pack", &self.room, &in_mirror(dir, &["pack-refs", "--all"])).await?;
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
        // The first is long, and a person waits for it.
        if !self.usable {
            words.push("--progress".into());
        }
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
        let mirror = git.mirror().to_owned();
        words.extend(args!["--", &mirror, tree]);
        git.run("clone", &self.room, &words).await.map(drop)
    }
}

/// Git's arguments, for work on the bare repository `dir`.
fn in_mirror(dir: &Path, words: &[&str]) -> Vec<OsString> {
    let mut first = OsString::from("--git-dir=");
    first.push(dir);
    [first].into_iter().chain(words.iter().map(OsString::from)).collect()
}

/// `dir` with `suffix` added to its name.
fn suffixed(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Puts `new` in the place of `dir`; what was there gets a name that [`sweep`] removes.
fn replace(dir: &Path, new: &Path) -> io::Result<()> {
    if dir.is_dir() {
        fs::rename(dir, suffixed(new, ".old"))?;
    }
    fs::rename(new, dir)
}

/// Removes unfinished and replaced mirrors, and the lock files of gits that were killed. Only for who holds the lock.
fn sweep(dir: &Path) -> io::Result<()> {
    let (Some(room), Some(name)) = (dir.parent(), dir.file_name()) else { return Ok(()) };
    let prefix = format!("{}.new-", name.to_string_lossy());
    for entry in fs::read_dir(room)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            remove_tree(&entry.path()).map_err(io::Error::other)?;
        }
    }
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
