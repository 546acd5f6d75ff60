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
pub(crate) mod names;
mod tool;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use history::Head;
use mirror::Mirror;
pub(crate) use tool::{TOOL, UNASKING, unredirected};

pub use crate::want::Want;

use crate::{
    Request, Shell,
    cache::place,
    error::Error,
    place::{discard, distrust},
    program::{Network, Program, args},
    record::{Checkout, Since},
    url::Url,
};

/// Git, called for one source.
pub(crate) type Git<'a, S> = Program<'a, S>;

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
    /// What the folder of the tree is called; after the address if not given.
    pub dir: Option<String>,
}

/// The commit to check out, and the branch to be on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    revision: String,
    branch: Option<String>,
}

/// Makes `tree` of what is wanted: a fresh one, or the one of an earlier run brought up to date, with all in it that git does
/// not know. A damaged mirror is made anew, once. Answers with what was checked out.
pub(crate) async fn checkout(
    wanted: &Wanted,
    request: &Request,
    tree: &Path,
    shell: &mut impl Shell,
) -> Result<Checkout, Error> {
    let url = &wanted.url;
    let address = request.address(url);
    let dir = place(&request.cache, "git", url, &address);
    let mut git = Git::new(&TOOL, url, dir, &request.network, shell);
    let git = &mut git;
    let lasting = tree.exists();
    let (target, offline) = match files(tree, lasting, &wanted.want, &address, false, git).await {
        Err(Error::Damaged { cache, said, .. }) => {
            git.anew("mirror", &cache, &said);
            // It may be the tree that is, where that lasts.
            discard(tree)?;
            files(tree, false, &wanted.want, &address, true, git).await?
        }
        other => other?,
    };
    if wanted.submodules {
        submodules(tree, git).await?;
    }
    let command = display(url, &wanted.want, &target);
    let checkout = describe(tree, command, &request.since, git).await?;
    Ok(Checkout { offline, ..checkout })
}

/// The commit that would be built now, or the first digits of its id where the recipe gives no more; asks nobody where
/// the recipe pins it.
pub(crate) async fn tip(wanted: &Wanted, request: &Request, shell: &mut impl Shell) -> Result<String, Error> {
    let url = &wanted.url;
    let reference = match &wanted.want {
        Want::Revision(id) => return Ok(id.to_lowercase()),
        Want::Default => "HEAD".to_owned(),
        Want::Branch(name) => format!("refs/heads/{name}"),
        Want::Tag(name) => format!("refs/tags/{name}"),
    };
    let address = request.address(url);
    let mut git = Git::new(&TOOL, url, PathBuf::new(), &request.network, shell);
    // A tag that is an object of its own is followed by the commit that it names.
    let peeled = format!("{reference}^{{}}");
    let args = args!["ls-remote", "--", &address, &reference, &peeled];
    let answer = git.online("remote_tip", &request.recipe_dir, &args).await?;
    let answer = String::from_utf8_lossy(&answer);
    let named = |name: &str| {
        let id = answer.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix('\t'));
        id.filter(|id| names::is_id(id)).map(str::to_owned)
    };
    named(&peeled).or_else(|| named(&reference)).ok_or_else(|| match &wanted.want {
        Want::Branch(name) => no_such("branch", name, url, Vec::new()),
        Want::Tag(name) => no_such("tag", name, url, Vec::new()),
        Want::Default | Want::Revision(_) => Error::NoDefaultBranch(url.clone()),
    })
}

fn no_such(kind: &'static str, name: &str, url: &Url, near: Vec<String>) -> Error {
    Error::NoSuchName { program: TOOL.name, kind, name: name.to_owned(), url: url.clone(), near }
}

/// Paths of the files that differ between what was built at `from` and what would be built now; nothing if there is no
/// saying, as after history was rewritten.
pub(crate) async fn moved(
    wanted: &Wanted,
    from: &str,
    request: &Request,
    shell: &mut impl Shell,
) -> Result<Option<Vec<String>>, Error> {
    let url = &wanted.url;
    let address = request.address(url);
    let dir = place(&request.cache, "git", url, &address);
    let mut git = Git::new(&TOOL, url, dir, &request.network, shell);
    let mut mirror = Mirror::lock(&address, false, &mut git).await?;
    let target = mirror.find(&wanted.want, &mut git).await?;
    let room = mirror.room().to_owned();
    let known = mirror::in_mirror(mirror.dir(), &["cat-file", "-e", &format!("{from}^{{commit}}")]);
    if !names::is_id(from) || git.attempt("known", &room, &known).await?.status != 0 {
        return Ok(None);
    }
    let repository = mirror::in_mirror(mirror.dir(), &[]);
    history::files(&repository, &room, from, &target.revision, &mut git).await
}

/// What is wrong with a mirror, if anything is.
pub(crate) async fn verify(dir: &Path, url: &Url, shell: &mut impl Shell) -> Result<Option<String>, Error> {
    let network = Network::default();
    let mut git = Git::new(&TOOL, url, dir.to_owned(), &network, shell);
    let ended = git
        .attempt("verify", dir, &["--git-dir=.", "fsck", "--full", "--no-dangling", "--no-progress"])
        .await?;
    // Two of the bits also stand for commits that upstream made in ways which git frowns on.
    Ok(match git.refusal("verify", &ended) {
        _ if ended.status == 0 => None,
        Error::Command { .. } if ended.status & !(FROWN | PACK) == 0 => None,
        refusal => Some(refusal.to_string()),
    })
}

/// What `git fsck` adds to its exit status for an object that is not as it should be, and for one that is in a pack.
const FROWN: i64 = 1;
const PACK: i64 = 4;

/// The mirror brought up to date, cloned (or fetched from), and the commit checked out.
async fn files(
    tree: &Path,
    lasting: bool,
    want: &Want,
    address: &OsStr,
    anew: bool,
    git: &mut Git<'_, impl Shell>,
) -> Result<(Target, Option<String>), Error> {
    let mut mirror = Mirror::lock(address, anew, git).await?;
    let target = mirror.find(want, git).await?;
    if lasting {
        distrust(tree)?;
        mirror.refresh(tree, git).await?;
    } else {
        mirror.clone_to(tree, target.branch.as_deref(), git).await?;
    }
    let offline = mirror.offline.take().map(|error| error.to_string());
    // From here on the tree stands for itself.
    drop(mirror);
    // Before the files: what fills them in (large file storage) asks the origin.
    git.run("origin", tree, &args!["remote", "set-url", "--", "origin", address]).await?;
    let mut checkout = vec!["checkout", "--quiet", "--force"];
    match &target.branch {
        None => checkout.extend(["--detach", &target.revision]),
        Some(name) if lasting => checkout.extend(["-B", name, &target.revision]),
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
    let checkout = Checkout::of("git", head.version_info(), head.commit(), command);
    Ok(Checkout { changes_since_last, changes_since_success, ..checkout })
}

/// For people, without credentials.
fn display(url: &Url, want: &Want, target: &Target) -> String {
    match (want, &target.branch) {
        (Want::Tag(name), _) | (_, Some(name)) => format!("GitClone({url}, {name})"),
        _ => format!("GitClone({url}, {})", target.revision),
    }
}
