//! The clone of one repository in the cache: its history without working files.
//!
//! An [`Entry`] of the cache. Mercurial writes many files in one transaction, of which a kill leaves what only
//! `hg recover` would mend, so that the entry is not trusted while one runs.
//!
//! Upstream says which changeset a name stands for: the clone also holds what upstream has since taken back, so that its own idea
//! of a branch's tip may be an old one, good enough only where nobody can be asked. Bookmarks are made to be upstream's.

use std::{ffi::OsStr, fs, path::Path};

use crate::{
    Shell,
    aside::aside,
    cache::{Card, Entry},
    error::Error,
    git::names::near,
    hg::{DEFAULTS, Hg, Target, Want, ask, names, no_such},
    program::args,
};

/// What is known of one changeset, its fields parted by characters that no name holds.
const FORMAT: &str = r"--template={node}\x1f{branch}\x1f{join(bookmarks, '\x1e')}\x1f{join(tags, '\x1e')}\n";

/// What there is to be named, as `near` wants it.
const NAMES: &str =
    r"--template=refs/heads/{branch}\n{bookmarks % 'refs/heads/{bookmark}\n'}{tags % 'refs/tags/{tag}\n'}";

/// A clone that nobody else works on until it is dropped.
pub(super) struct Store<'a> {
    entry: Entry,
    address: &'a OsStr,
    /// Why upstream could not be asked: what the clone holds has to do.
    pub(super) offline: Option<Error>,
}

/// A changeset of the clone, and what names it.
struct Found {
    id: String,
    branch: String,
    bookmarks: Vec<String>,
    tags: Vec<String>,
}

impl Found {
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

impl<'a> Store<'a> {
    /// Waits for the lock. With `anew`, what there is will be replaced.
    pub(super) async fn lock(
        address: &'a OsStr,
        anew: bool,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Self, Error> {
        let dir = hg.place().to_owned();
        let waiting = || hg.note("waiting for another run that works on the same clone");
        let entry = Entry::lock(&dir, anew, waiting).await?;
        if entry.card().is_some() {
            // What hg says of these could as well be about upstream.
            for part in [".hg/requires", ".hg/store"] {
                if !dir.join(part).exists() {
                    let (url, said) = (hg.url().clone(), format!("no `{part}`"));
                    return Err(Error::Damaged { url, said, cache: dir });
                }
            }
        }
        Ok(Self { entry, address, offline: None })
    }

    /// The folder it is in.
    pub(super) fn dir(&self) -> &Path {
        self.entry.dir()
    }

    /// The changeset that is wanted, brought here if it is not here yet.
    pub(super) async fn find(&mut self, want: &Want, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        match self.look_for(want, hg).await {
            // It may be there, where nobody could be asked.
            Err(missing @ Error::NoSuchName { .. }) => Err(self.offline.take().unwrap_or(missing)),
            found => found,
        }
    }

    async fn look_for(&mut self, want: &Want, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        match want {
            Want::Default => self.default(hg).await,
            Want::Branch(name) => {
                let asked = self.ask("branch", name, hg).await?;
                self.named("branch", name, asked, hg).await
            }
            Want::Tag(name) => {
                let asked = self.ask("tag", name, hg).await?;
                self.named("tag", name, asked, hg).await
            }
            Want::Revision(id) => self.revision(id, hg).await,
        }
    }

    /// What upstream checks out by default.
    async fn default(&mut self, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        for name in DEFAULTS {
            match ask(name, self.address, self.entry.room(), hg).await {
                Ok(Some(id)) => {
                    self.update(hg).await?;
                    if self.offline.is_some() {
                        return self.default_as_held(name, hg).await;
                    }
                    self.hear(name).await?;
                    return self.default_is(name, &id, hg).await;
                }
                Ok(None) => {}
                Err(error) if error.is_of_the_network() => {
                    return self.default_as_last_heard(error, hg).await;
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

    /// What it checked out when it was last asked; else `error`, which kept it from being asked now.
    async fn default_as_last_heard(
        &mut self,
        error: Error,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Target, Error> {
        let Some(name) = self.entry.card().and_then(|card| card.default.clone()) else { return Err(error) };
        self.go_offline(error, hg);
        self.default_as_held(&name, hg).await
    }

    /// What the clone holds under the name of what is built by default.
    async fn default_as_held(&self, name: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        match self.look(&names::quoted(name), hg).await? {
            Some(found) => self.default_is(name, &found.id, hg).await,
            None => Err(no_such("branch", name, hg.url(), Vec::new())),
        }
    }

    /// Remembers what upstream checks out.
    async fn hear(&mut self, name: &str) -> Result<(), Error> {
        let card = self.entry.card().cloned().unwrap_or_default();
        if card.default.as_deref() == Some(name) {
            return Ok(());
        }
        self.entry.vouch(Card { default: Some(name.to_owned()), ..card }, false).await
    }

    fn go_offline(&mut self, error: Error, hg: &mut Hg<'_, impl Shell>) {
        hg.do_without(&error);
        self.offline = Some(error);
    }

    /// Upstream's answer for `name`, and what is new; nothing where nobody can be asked.
    async fn ask(
        &mut self,
        kind: &'static str,
        name: &str,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Option<String>, Error> {
        if !names::is_legal(name) {
            return Err(no_such(kind, name, hg.url(), Vec::new()));
        }
        match ask(name, self.address, self.entry.room(), hg).await {
            Ok(Some(id)) => {
                self.update(hg).await?;
                // What could not be brought is not here, whatever it is called there.
                Ok(Some(id).filter(|_| self.offline.is_none()))
            }
            Ok(None) => Err(no_such(kind, name, hg.url(), self.near(kind, name, hg).await?)),
            Err(error) if error.is_of_the_network() && self.entry.card().is_some() => {
                self.go_offline(error, hg);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The changeset that `name` stands for. Upstream's answer is good unless it took the name for another kind of name, or
    /// for the first digits of an id.
    async fn named(
        &self,
        kind: &'static str,
        name: &str,
        asked: Option<String>,
        hg: &mut Hg<'_, impl Shell>,
    ) -> Result<Target, Error> {
        let is_it = |found: &Found| if kind == "tag" { found.is_tag(name) } else { found.is_branch(name) };
        let mut found = match asked {
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
            return Err(no_such(kind, name, hg.url(), self.near(kind, name, hg).await?));
        };
        let bookmark = (kind == "branch" && found.is_bookmark(name)).then(|| name.to_owned());
        Ok(Target { id: found.id, name: Some(name.to_owned()), bookmark })
    }

    /// A changeset by its id: from the clone, else with all that is new.
    async fn revision(&mut self, id: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Target, Error> {
        if !names::is_revision(id) {
            return Err(Error::NotARevision(id.to_owned()));
        }
        let set = format!("id({id})");
        let target = |found: Found| Target { id: found.id, name: None, bookmark: None };
        if self.entry.card().is_some()
            && let Some(found) = self.look(&set, hg).await?
        {
            return Ok(target(found));
        }
        self.update(hg).await?;
        let found = self.look(&set, hg).await?;
        found.map(target).ok_or_else(|| no_such("revision", id, hg.url(), Vec::new()))
    }

    /// The one changeset of a revision set, if there is one.
    async fn look(&self, set: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Option<Found>, Error> {
        let set = format!("--rev={set}");
        let args = args!["--repository", self.dir(), "log", "--limit=1", &set, FORMAT];
        let ended = hg.attempt("resolve", self.entry.room(), &args).await?;
        if ended.status == 0 {
            return Ok(parse(&String::from_utf8_lossy(&ended.stdout)));
        }
        match hg.refusal("resolve", &ended) {
            Error::Command { said, .. } if is_unknown(&said) => Ok(None),
            Error::Command { said, .. } if said.contains("ambiguous identifier") => {
                let name = set.trim_start_matches("--rev=id(").trim_end_matches(')').to_owned();
                Err(Error::Ambiguous { name, url: hg.url().clone() })
            }
            error => Err(error),
        }
    }

    /// What is called somewhat like `name`, of what the clone holds.
    async fn near(&self, kind: &str, name: &str, hg: &mut Hg<'_, impl Shell>) -> Result<Vec<String>, Error> {
        if self.entry.card().is_none() {
            return Ok(Vec::new());
        }
        let named = "--rev=head() + bookmark() + tag()";
        let args = args!["--repository", self.dir(), "log", named, NAMES];
        let listed = hg.attempt("names", self.entry.room(), &args).await?;
        let mut lines: Vec<_> =
            listed.stdout.split(|&byte| byte == b'\n').map(String::from_utf8_lossy).collect();
        lines.sort();
        lines.dedup();
        Ok(near(kind, name, &lines.join("\n")))
    }

    /// Brings all that is new, and upstream's bookmarks; makes the clone if there is none to be used. Where the network
    /// keeps it from that, what the clone holds has to do.
    async fn update(&mut self, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let address = hg.url().to_string();
        let Some(card) = self.entry.card().cloned() else { return self.make(hg).await };
        self.entry.distrust()?;
        let before = fingerprint(self.dir());
        let pull = pull(self.dir(), self.address);
        let mut pulled = hg.online("cache_update", self.entry.room(), &pull).await;
        if let Err(error) = &pulled
            && !matches!(error, Error::Stopped)
            && self.recover(hg).await?
            && matches!(error, Error::Damaged { .. })
        {
            pulled = hg.online("cache_update", self.entry.room(), &pull).await;
        }
        match pulled {
            Ok(_) => {
                let changed = fingerprint(self.dir()) != before;
                self.entry.vouch(Card { address, ..card }, changed).await
            }
            // What it changed has been put back.
            Err(error) if error.is_of_the_network() => {
                self.entry.vouch(card, false).await?;
                self.go_offline(error, hg);
                Ok(())
            }
            Err(error @ (Error::Stopped | Error::Damaged { .. })) => Err(error),
            Err(error) => {
                self.entry.vouch(card, false).await?;
                Err(error)
            }
        }
    }

    /// Puts back what a pull changed that was killed for its silence; true if there was such a thing.
    async fn recover(&self, hg: &mut Hg<'_, impl Shell>) -> Result<bool, Error> {
        if !self.dir().join(".hg/store/journal").exists() {
            return Ok(false);
        }
        let args = args!["--repository", self.dir(), "recover", "--no-verify"];
        hg.run("recover", self.entry.room(), &args).await.map(|_| true)
    }

    async fn make(&mut self, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let address = hg.url().to_string();
        hg.note(&format!("making a clone of `{address}` in the cache; later runs pull only what is new"));
        let new = self.entry.blank()?;
        let clone = args!["clone", "--noupdate", "--", self.address, new.path()];
        hg.online("create cache", self.entry.room(), &clone).await?;
        self.entry.publish(new)?;
        self.entry.vouch(Card { address, ..Card::default() }, true).await
    }

    /// Clones the clone to `tree`, with no files checked out.
    pub(super) async fn clone_to(&self, tree: &Path, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let clone = args!["clone", "--noupdate", "--", self.dir(), tree];
        hg.run("clone", self.entry.room(), &clone).await.map(drop)
    }

    /// Brings what the clone holds to a tree that was cloned from it before.
    pub(super) async fn refresh(&self, tree: &Path, hg: &mut Hg<'_, impl Shell>) -> Result<(), Error> {
        let tree_was_killed = tree.to_owned();
        aside(move |_| unlock(&tree_was_killed)).await.map_err(Error::io("unlock", tree))?;
        hg.run("refresh", tree, &pull(tree, self.dir().as_os_str())).await.map(drop)
    }
}

/// A pull into `dir` of all that `from` has. Bookmarks are made to be the same there and here.
fn pull(dir: &Path, from: &OsStr) -> Vec<std::ffi::OsString> {
    let mut path = std::ffi::OsString::from("--config=paths.pony=");
    path.push(from);
    let mirror = OsStr::new("--config=paths.pony:bookmarks.mode=mirror");
    args!["--repository", dir, &path, mirror, "pull", "pony"].map(OsStr::to_owned).to_vec()
}

/// Changes with what the clone holds.
fn fingerprint(dir: &Path) -> Option<u64> {
    fs::metadata(dir.join(".hg/store/00changelog.i")).ok().map(|file| file.len())
}

/// Removes locks that a killed hg has left in a tree. Only for who holds the tree.
fn unlock(tree: &Path) -> std::io::Result<()> {
    for lock in [".hg/wlock", ".hg/store/lock"] {
        match fs::remove_file(tree.join(lock)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// What hg says of a name that is not there.
pub(super) fn is_unknown(said: &str) -> bool {
    said.starts_with("unknown revision")
        || said.ends_with("does not exist")
        || said.contains("filtered revision")
}

/// Reads [`FORMAT`].
fn parse(text: &str) -> Option<Found> {
    let mut fields = text.trim_end_matches('\n').split('\u{1f}');
    let list = |text: &str| text.split('\u{1e}').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let id = fields.next().filter(|id| names::is_id(id))?.to_owned();
    Some(Found {
        id,
        branch: fields.next()?.to_owned(),
        bookmarks: list(fields.next()?),
        tags: list(fields.next()?),
    })
}
