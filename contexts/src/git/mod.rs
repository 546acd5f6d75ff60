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

mod command;
mod history;
mod mirror;
mod names;
mod refusal;

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use command::args;
pub(crate) use command::{Git, unredirected};
use history::Head;
pub use history::{Changes, Commit};
use mirror::Mirror;

use crate::{Request, Shell, Since, error::Error, tree::remove_tree, url::Url};

/// What a recipe asks of a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub url: Url,
    /// Which commit of it.
    pub want: Want,
    /// Check out submodules too, and theirs.
    pub submodules: bool,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
}

/// Which commit to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// The tip of the branch that the repository checks out by default.
    Default,
    /// The tip of a branch.
    Branch(String),
    /// The commit that a tag names.
    Tag(String),
    /// A commit by its id, in full or its first digits.
    Revision(String),
}

/// What was checked out, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// `git`: the protocol's `version_type`.
    pub version_type: &'static str,
    /// `git log -1 --pretty=oneline`: the protocol's `version_info`.
    pub version_info: String,
    /// The commit's id in full.
    pub revision: String,
    /// When it was committed, ISO 8601 with offset.
    pub commit_date: String,
    /// For people: `GitClone(https://…, branch main)`. No credentials.
    pub command: String,
    /// Commits since the last run, newest first; `None` if there was none or its revision is not to be found.
    pub changes_since_last: Option<Changes>,
    /// Commits since the last success, as above.
    pub changes_since_success: Option<Changes>,
}

/// A fresh tree.
pub(crate) struct Tree {
    /// Where steps run: its top, or `subdir` in it.
    pub(crate) cwd: PathBuf,
    pub(crate) checkout: Checkout,
}

/// The commit to check out, and the branch to be on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    revision: String,
    branch: Option<String>,
}

/// Makes a fresh tree of what is wanted in the directory `room`. A damaged mirror is made anew, once.
pub(crate) async fn prepare(
    wanted: &Wanted,
    request: &Request,
    room: &Path,
    shell: &mut impl Shell,
) -> Result<Tree, Error> {
    let url = &wanted.url;
    let address = url.address(&request.recipe_dir, request.home.as_deref());
    let mut git = Git::new(url, mirror::place(&request.cache, url, &address), shell);
    let git = &mut git;
    let tree = room.join(url.basename());
    let target = match fresh_tree(&tree, &wanted.want, &address, false, git).await {
        Err(Error::Damaged { mirror, said, .. }) => {
            git.note(&format!("the mirror `{}` is damaged ({said}): making it anew", mirror.display()));
            remove_tree(&tree).map_err(std::io::Error::other).map_err(Error::io("remove", &tree))?;
            fresh_tree(&tree, &wanted.want, &address, true, git).await?
        }
        other => other?,
    };
    if wanted.submodules {
        submodules(&tree, git).await?;
    }
    let cwd = match &wanted.subdir {
        Some(subdir) => inside(&tree, subdir, url, &target.revision)?,
        None => tree.clone(),
    };
    let checkout = describe(&tree, display(url, &wanted.want, &target), &request.since, git).await?;
    Ok(Tree { cwd, checkout })
}

/// The mirror brought up to date, cloned, and the commit checked out.
async fn fresh_tree(
    tree: &Path,
    want: &Want,
    address: &OsStr,
    anew: bool,
    git: &mut Git<'_, impl Shell>,
) -> Result<Target, Error> {
    let mut mirror = Mirror::lock(address, anew, git).await?;
    let target = mirror.find(want, git).await?;
    mirror.clone_to(tree, target.branch.as_deref(), git).await?;
    // From here on the tree stands for itself.
    drop(mirror);
    // Before the files: what fills them in (large file storage) asks the origin.
    git.run("origin", tree, &args!["remote", "set-url", "--", "origin", address]).await?;
    let mut checkout = vec!["checkout", "--quiet", "--force"];
    if target.branch.is_none() {
        checkout.extend(["--detach", &target.revision]);
    }
    git.run("checkout", tree, &checkout).await?;
    Ok(target)
}

/// Checks out submodules, and theirs. Paths of this machine are allowed as their addresses only where the
/// repository itself is one: one from elsewhere has no business with what lies here.
async fn submodules(tree: &Path, git: &mut Git<'_, impl Shell>) -> Result<(), Error> {
    let local = if git.url().is_local() { "always" } else { "never" };
    let allow = format!("protocol.file.allow={local}");
    let args = ["-c", &allow, "submodule", "--quiet", "update", "--init", "--recursive"];
    git.run("submodules", tree, &args).await.map(drop)
}

/// Reads the record of what is checked out in `tree`.
pub(crate) async fn describe(
    tree: &Path,
    command: String,
    since: &Since,
    git: &mut Git<'_, impl Shell>,
) -> Result<Checkout, Error> {
    let head = Head::read(tree, since, git).await?;
    let changes_since_last = head.since(since.last.as_deref(), tree, git).await?;
    let changes_since_success = if since.last == since.last_success {
        changes_since_last.clone()
    } else {
        head.since(since.last_success.as_deref(), tree, git).await?
    };
    Ok(Checkout {
        version_type: "git",
        version_info: head.version_info(),
        revision: head.commit().id.clone(),
        commit_date: head.commit().date.clone(),
        command,
        changes_since_last,
        changes_since_success,
    })
}

/// `subdir` of the tree, which no link may lead out of.
fn inside(tree: &Path, subdir: &Path, url: &Url, revision: &str) -> Result<PathBuf, Error> {
    let shown = subdir.display().to_string();
    if !subdir.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(Error::SubdirOutside(shown));
    }
    let dir = tree.join(subdir);
    if !dir.is_dir() {
        return Err(Error::NoSubdir { subdir: shown, url: url.clone(), revision: revision.to_owned() });
    }
    let real = |path: &Path| path.canonicalize().map_err(Error::io("look into", path));
    if real(&dir)?.starts_with(real(tree)?) { Ok(dir) } else { Err(Error::SubdirOutside(shown)) }
}

/// For people, without credentials.
fn display(url: &Url, want: &Want, target: &Target) -> String {
    match (want, &target.branch) {
        (Want::Tag(name), _) | (_, Some(name)) => format!("GitClone({url}, {name})"),
        _ => format!("GitClone({url}, {})", target.revision),
    }
}
