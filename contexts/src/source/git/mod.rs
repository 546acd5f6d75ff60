//! Source `git`: a mirror per repository in the cache, and from it a fresh tree for every run.
//!
//! The mirror is brought up to date under a lock, then cloned into the tree without its files; that is short, and the
//! lock is given back before the files are checked out. Objects are shared by hard links, or copied where the tree is on
//! another file system. The tree needs nothing of the mirror afterwards, so a later prune, repack or rebuild of the mirror
//! cannot hurt a running build, as it could with `--shared` or a work tree of the mirror.
//!
//! Measured on 20,000 files in 1,000 directories, 200 commits, 41 MB packed (git 2.47, ext4, 2 busy cores; CPU time of one
//! fresh tree, median of 3; in brackets the wall clock):
//!
//! | way | CPU s | |
//! |---|---|---|
//! | local clone, hard links | 1.57 (4.1) | taken; 0.006 (0.04) of it under the lock, the rest writes the files |
//! | the same, `checkout.workers=0` | 1.50 (3.7) | no gain here |
//! | `clone --shared` | 1.38 (3.5) | breaks when the mirror prunes |
//! | `worktree add` | 1.32 (3.3) | breaks when the mirror is rebuilt, and leaves its mark there |
//! | `archive \| tar` | 1.43 (3.7) | no history, no submodules |
//! | `clone file://` | 3.50 (9.2) | copies all objects |
//!
//! A fetch without news, from a path: 12 ms for all branches and tags, 11 ms for one branch. With 10,000 references it
//! is 88 ms against 23 ms (and 295 ms before they were packed, which is why a new mirror packs them). So everything is
//! fetched always: it costs little, tags are never stale, a branch that became a folder of branches is no obstacle, and the
//! runs that want different branches share one mirror.

mod history;
mod mirror;
mod names;
mod tool;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use history::Head;
use mirror::{Mirror, Target};
use tool::no_such;
pub(crate) use tool::{Git, NON_INTERACTIVE, TOOL, unset_redirects};

use super::{
    context::SourceContext,
    kind::SourceKind,
    revision::RevisionSpec,
    tree::{Destination, PendingTree, SourceTree, discard, invalidate},
};
use crate::{
    cache::{EntryKind, Manifest},
    checkout::{Checkout, EarlierRevisions},
    error::Error,
    program::{Network, args},
    shell::Shell,
    url::Url,
};

/// A git repository, as a recipe describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSpec {
    /// Where it is.
    pub url: Url,
    /// Which commit of it.
    pub revision: RevisionSpec,
    /// Check out submodules too, and theirs.
    pub submodules: bool,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// Name of the tree's folder [default: after the address].
    pub dir: Option<String>,
}

impl SourceKind for GitSpec {
    const CACHED_AS: Option<EntryKind> = Some(EntryKind::Git);

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
        // Git changes a tree only after it has spoken to upstream.
        tree.finish(checkout, self.subdir.as_deref(), true)
    }

    /// The commit's id, or its first digits.
    async fn tip(
        &self,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        let reference = match &self.revision {
            RevisionSpec::Revision(id) => return Ok(Some(id.to_lowercase())),
            RevisionSpec::Default => "HEAD".to_owned(),
            RevisionSpec::Branch(name) => format!("refs/heads/{name}"),
            RevisionSpec::Tag(name) => format!("refs/tags/{name}"),
        };
        let address = context.address(&self.url);
        let mut git = self.git(context, shell);
        // An annotated tag is followed by the commit that it names.
        let peeled = format!("{reference}^{{}}");
        let args = args!["ls-remote", "--", &address, &reference, &peeled];
        let answer = git.online("remote_tip", context.recipe_dir, &args).await?;
        let answer = String::from_utf8_lossy(&answer);
        let named = |name: &str| {
            let id = answer.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix('\t'));
            id.filter(|id| names::is_id(id)).map(str::to_owned)
        };
        named(&peeled).or_else(|| named(&reference)).map(Some).ok_or_else(|| match &self.revision {
            RevisionSpec::Branch(name) => no_such("branch", name, &self.url, Vec::new()),
            RevisionSpec::Tag(name) => no_such("tag", name, &self.url, Vec::new()),
            RevisionSpec::Default | RevisionSpec::Revision(_) => Error::NoDefaultBranch(self.url.clone()),
        })
    }

    async fn changed_files(
        &self,
        from: &str,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Option<Vec<String>>, Error> {
        let address = context.address(&self.url);
        let mut git = self.git(context, shell);
        let mut mirror = Mirror::lock(&address, false, &mut git).await?;
        let target = mirror.find(&self.revision, &mut git).await?;
        let cwd = mirror.parent().to_owned();
        let known = mirror::in_mirror(mirror.dir(), &["cat-file", "-e", &format!("{from}^{{commit}}")]);
        if !names::is_id(from) || git.attempt("known", &cwd, &known).await?.status != 0 {
            return Ok(None);
        }
        let repository = mirror::in_mirror(mirror.dir(), &[]);
        history::files(&repository, &cwd, from, &target.revision, &mut git).await
    }

    async fn damage(
        dir: &Path,
        url: &Url,
        _: &Manifest,
        shell: &mut impl Shell,
    ) -> Result<Option<String>, Error> {
        let network = Network::default();
        let mut git = Git::new(&TOOL, url, dir.to_owned(), &network, shell);
        let args = ["--git-dir=.", "fsck", "--full", "--no-dangling", "--no-progress"];
        let output = git.attempt("verify", dir, &args).await?;
        // Two of the bits also stand for commits that upstream made in ways which git frowns on.
        Ok(match git.failure("verify", &output) {
            _ if output.status == 0 => None,
            Error::Command { .. } if output.status & !(FROWN | PACK) == 0 => None,
            failure => Some(failure.to_string()),
        })
    }
}

impl GitSpec {
    fn git<'a, S: Shell>(&'a self, context: &SourceContext<'a>, shell: &'a mut S) -> Git<'a, S> {
        Git::new(&TOOL, &self.url, context.entry_dir(EntryKind::Git, &self.url), context.network, shell)
    }

    /// Makes a fresh `tree`, or brings one that is there up to date; files that git does not track stay in it. A damaged mirror
    /// is rebuilt, once.
    async fn checkout(
        &self,
        tree: &Path,
        context: &SourceContext<'_>,
        shell: &mut impl Shell,
    ) -> Result<Checkout, Error> {
        let address = context.address(&self.url);
        let git = &mut self.git(context, shell);
        let update = tree.exists();
        let (target, offline) = match files(tree, update, &self.revision, &address, false, git).await {
            Err(Error::Damaged { cache, detail, .. }) => {
                git.note_rebuild("mirror", &cache, &detail);
                // The damage may be in the tree, where that persists.
                discard(tree)?;
                files(tree, false, &self.revision, &address, true, git).await?
            }
            other => other?,
        };
        if self.submodules {
            submodules(tree, git).await?;
        }
        let command = command_line(&self.url, &self.revision, &target);
        let checkout = describe(tree, command, context.earlier, git).await?;
        Ok(Checkout { offline, ..checkout })
    }
}

/// What `git fsck` adds to its exit status for an object that is not as it should be, and for one that is in a pack.
const FROWN: i64 = 1;
const PACK: i64 = 4;

/// The mirror brought up to date, cloned (or fetched from), and the commit checked out.
async fn files(
    tree: &Path,
    update: bool,
    revision: &RevisionSpec,
    address: &OsStr,
    rebuild: bool,
    git: &mut Git<'_, impl Shell>,
) -> Result<(Target, Option<String>), Error> {
    let mut mirror = Mirror::lock(address, rebuild, git).await?;
    let target = mirror.find(revision, git).await?;
    if update {
        invalidate(tree)?;
        mirror.refresh(tree, git).await?;
    } else {
        mirror.clone_to(tree, target.branch.as_deref(), git).await?;
    }
    let offline = mirror.offline.take().map(|error| error.to_string());
    // From here on the tree is independent of it.
    drop(mirror);
    // Before the files: what fills them in (large file storage) asks the origin.
    git.run("origin", tree, &args!["remote", "set-url", "--", "origin", address]).await?;
    let mut checkout = vec!["checkout", "--quiet", "--force"];
    match &target.branch {
        None => checkout.extend(["--detach", &target.revision]),
        Some(name) if update => checkout.extend(["-B", name, &target.revision]),
        // The clone is on it already.
        Some(_) => {}
    }
    git.run("checkout", tree, &checkout).await?;
    Ok((target, offline))
}

/// Checks out submodules, and theirs. Paths of this machine are allowed as their addresses only where the
/// repository itself is one: one from elsewhere has no business with what lies here.
async fn submodules(tree: &Path, git: &mut Git<'_, impl Shell>) -> Result<(), Error> {
    let local = if git.url().is_local() { "always" } else { "never" };
    let allow = format!("protocol.file.allow={local}");
    let args = ["-c", &allow, "submodule", "update", "--init", "--recursive", "--force", "--progress"];
    git.online("submodules", tree, &args).await.map(drop)
}

/// Describes what is checked out in `tree`.
pub(crate) async fn describe(
    tree: &Path,
    command: String,
    earlier: &EarlierRevisions,
    git: &mut Git<'_, impl Shell>,
) -> Result<Checkout, Error> {
    let head = Head::read(tree, earlier, git).await?;
    let changes_since_last = head.since(earlier.last.as_deref(), tree, git).await?;
    let changes_since_success = if earlier.last == earlier.last_success {
        changes_since_last.clone()
    } else {
        head.since(earlier.last_success.as_deref(), tree, git).await?
    };
    let checkout = Checkout::of("git", head.version_info(), head.commit(), command);
    Ok(Checkout { changes_since_last, changes_since_success, ..checkout })
}

/// For people, without credentials.
fn command_line(url: &Url, revision: &RevisionSpec, target: &Target) -> String {
    match (revision, &target.branch) {
        (RevisionSpec::Tag(name), _) | (_, Some(name)) => format!("GitClone({url}, {name})"),
        _ => format!("GitClone({url}, {})", target.revision),
    }
}
