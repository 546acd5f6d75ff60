//! Source `hg`: a clone per repository in the cache, and from it a fresh tree for every run.
//!
//! The clone is brought up to date under a lock, then cloned into the tree (by hard links, where both are on one
//! file system); the lock is given back before the files are checked out. The tree needs nothing of the clone afterwards.
//!
//! What is built is the id that upstream names when asked: names are never looked up as expressions, and a name of the
//! wrong kind does not do. No hook runs, and no configuration of a repository is read, so that one whose extensions are
//! needed to read it must find them in the person's own configuration. Subrepositories are refused: they are
//! addresses that a repository from elsewhere chooses.
//!
//! What the tip is, is asked far more often than anything is built, and `hg` is slow to start. Measured (Mercurial 6.3, Python
//! 3.11, 2 busy cores, `hg serve` on loopback, mean of 8):
//!
//! | way | ms |
//! |---|---|
//! | `hg --version` | 104 |
//! | `hg identify --id --rev default URL` | 215 |
//! | the same with `HGRCPATH=` | 215 |
//! | the same with `HGRCPATH=` and `HGMODULEPOLICY=c` | 177 to 230 |
//! | the same with the extension of ours | 195 to 233 |
//! | the same of a path | 148 |
//! | one request of the wire protocol, `?cmd=lookup&key=default` | 7 |
//!
//! So over http the server is asked without `hg`; whatever it answers but an id, `hg` is asked, which knows of logins,
//! proxies and certificates that the person has set up for it.

mod history;
mod names;
mod store;
mod tool;

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use history::Head;
use store::Store;
use tool::TOOL;

pub use crate::want::Want;

use crate::{
    Request, Shell,
    cache::{blank, place, read_card},
    error::Error,
    place::{discard, distrust},
    program::{Network, Program, args},
    record::{Checkout, Since},
    shell::{Download, DownloadError},
    url::Url,
};

/// Mercurial, called for one source.
type Hg<'a, S> = Program<'a, S>;

/// What a recipe asks of a Mercurial repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub url: Url,
    /// Which changeset of it.
    pub want: Want,
    /// The folder in it that steps run in.
    pub subdir: Option<PathBuf>,
    /// What the folder of the tree is called; after the address if not given.
    pub dir: Option<String>,
}

/// What stands for [`Want::Default`], the first that is there.
const DEFAULTS: [&str; 3] = ["@", "default", "tip"];

/// The changeset to check out, by what name it was found, and the bookmark to be on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    id: String,
    name: Option<String>,
    bookmark: Option<String>,
}

/// Makes `tree` of what is wanted: a fresh one, or the one of an earlier run brought up to date, with all in it that
/// Mercurial does not know. A damaged clone in the cache is made anew, once. Answers with what was checked out.
pub(crate) async fn checkout(
    wanted: &Wanted,
    request: &Request,
    tree: &Path,
    shell: &mut impl Shell,
) -> Result<Checkout, Error> {
    let Wanted { url, want, .. } = wanted;
    let address = request.address(url);
    let mut hg = program(url, &address, request, shell)?;
    let hg = &mut hg;
    let lasting = tree.exists();
    let (target, offline) = match files(tree, lasting, want, &address, false, hg).await {
        Err(Error::Damaged { cache, said, .. }) => {
            hg.anew("clone", &cache, &said);
            // It may be the tree that is, where that lasts.
            discard(tree)?;
            files(tree, false, want, &address, true, hg).await?
        }
        other => other?,
    };
    let command = format!("HgClone({url}, {})", target.name.as_ref().unwrap_or(&target.id));
    let checkout = describe(tree, command, &request.since, hg).await?;
    Ok(Checkout { offline, ..checkout })
}

/// The changeset that would be built now, or the first digits of its id where the recipe gives no more; asks nobody
/// where the recipe pins it. Of what upstream checks out by default only that name is asked which the last checkout
/// found to stand for it.
pub(crate) async fn tip(wanted: &Wanted, request: &Request, shell: &mut impl Shell) -> Result<String, Error> {
    let Wanted { url, want, .. } = wanted;
    let address = request.address(url);
    let heard;
    let (kind, candidates) = match want {
        Want::Revision(id) => return Ok(id.to_lowercase()),
        Want::Branch(name) => ("branch", vec![name.as_str()]),
        Want::Tag(name) => ("tag", vec![name.as_str()]),
        Want::Default => {
            heard = read_card(&place(&request.cache, "hg", url, &address)).and_then(|card| card.default);
            ("branch", heard.as_deref().into_iter().chain(DEFAULTS).collect())
        }
    };
    let mut web = !request.network.offline;
    for name in candidates {
        if want != &Want::Default && !names::is_legal(name) {
            continue;
        }
        let heard = if web { lookup(name, url, request, shell).await? } else { Heard::Unclear };
        web = !matches!(heard, Heard::Unclear);
        let id = match heard {
            Heard::Id(id) => Some(id),
            Heard::Nothing => None,
            Heard::Unclear => {
                ask(name, &address, &request.recipe_dir, &mut program(url, &address, request, shell)?).await?
            }
        };
        if let Some(id) = id {
            return Ok(id);
        }
    }
    Err(match want {
        Want::Branch(name) | Want::Tag(name) => no_such(kind, name, url, Vec::new()),
        Want::Default | Want::Revision(_) => Error::NoDefaultBranch(url.clone()),
    })
}

/// Paths of the files that differ between what was built at `from` and what would be built now; nothing if there is no
/// saying, as when `from` is not known.
pub(crate) async fn moved(
    wanted: &Wanted,
    from: &str,
    request: &Request,
    shell: &mut impl Shell,
) -> Result<Option<Vec<String>>, Error> {
    let address = request.address(&wanted.url);
    let mut hg = program(&wanted.url, &address, request, shell)?;
    let mut store = Store::lock(&address, false, &mut hg).await?;
    let target = store.find(&wanted.want, &mut hg).await?;
    if !names::is_id(from) {
        return Ok(None);
    }
    let known = format!("--rev=present({from})");
    let args = args!["--repository", store.dir(), "log", &known, "--template={node}"];
    if hg.run("known", store.dir(), &args).await?.is_empty() {
        return Ok(None);
    }
    history::files(store.dir(), from, &target.id, &mut hg).await
}

/// What is wrong with a clone of the cache, if anything is.
pub(crate) async fn verify(dir: &Path, url: &Url, shell: &mut impl Shell) -> Result<Option<String>, Error> {
    let network = Network::default();
    let extension = tool::install(dir.parent().unwrap_or(dir))?;
    let mut hg = Hg::new(&TOOL, url, dir.to_owned(), &network, shell).with(tool::words(&extension));
    let ended = hg.attempt("verify", dir, &args!["--repository", dir, "verify", "--quiet"]).await?;
    Ok((ended.status != 0).then(|| hg.refusal("verify", &ended).to_string()))
}

fn program<'a, S: Shell>(
    url: &'a Url,
    address: &OsStr,
    request: &'a Request,
    shell: &'a mut S,
) -> Result<Hg<'a, S>, Error> {
    let dir = place(&request.cache, "hg", url, address);
    let extension = tool::install(&request.cache.join("hg"))?;
    Ok(Program::new(&TOOL, url, dir, &request.network, shell).with(tool::words(&extension)))
}

/// The id in full of what upstream calls `name`, if there is such a thing.
async fn ask(
    name: &str,
    address: &OsStr,
    cwd: &Path,
    hg: &mut Hg<'_, impl Shell>,
) -> Result<Option<String>, Error> {
    // A server looks up nothing but names and ids; a repository of this machine is asked in the language of expressions.
    let rev =
        if hg.url().is_local() { format!("--rev={}", names::quoted(name)) } else { format!("--rev={name}") };
    let args = args!["identify", "--template={node}\\n", &rev, "--", address];
    let answer = match hg.online("remote_tip", cwd, &args).await {
        Ok(answer) => answer,
        Err(Error::Command { said, .. })
            if store::is_unknown(&said) || said.contains("ambiguous identifier") =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().map(str::trim).find(|line| names::is_id(line)).map(str::to_owned))
}

/// What came of a [`lookup`].
enum Heard {
    Id(String),
    /// There is no such name.
    Nothing,
    /// No server of Mercurial's, or one that wants more than an address.
    Unclear,
}

/// Asks a web server what it calls `name`. The command `lookup` of the wire protocol (`hg help internals.wireprotocol`)
/// answers with `1 ` and the id, or with `0 ` and a message.
async fn lookup(name: &str, url: &Url, request: &Request, shell: &mut impl Shell) -> Result<Heard, Error> {
    let Some(asked) = url.with_query(&format!("cmd=lookup&key={}", names::escaped(name))) else {
        return Ok(Heard::Unclear);
    };
    // What a kill leaves of it goes with what it leaves of the entry. So may another run remove it, in which case hg is asked.
    let room = blank(&place(&request.cache, "hg", url, &request.address(url)))?;
    let to = room.path().join("answer");
    let (label, silence) = ("remote_lookup".to_owned(), request.network.silence);
    let download = Download { label, url: asked, to: to.clone(), known: None, silence };
    match shell.download(download).await {
        Ok(_) => {}
        Err(DownloadError::Stopped) => return Err(Error::Stopped),
        Err(_) => return Ok(Heard::Unclear),
    }
    // A page of any length is no answer.
    let mut answer = String::new();
    let read = fs::File::open(&to).and_then(|file| file.take(256).read_to_string(&mut answer));
    Ok(match answer.trim_end().split_once(' ') {
        _ if read.is_err() => Heard::Unclear,
        Some(("1", id)) if names::is_id(id) => Heard::Id(id.to_owned()),
        Some(("0", why)) if store::is_unknown(why) => Heard::Nothing,
        _ => Heard::Unclear,
    })
}

fn no_such(kind: &'static str, name: &str, url: &Url, near: Vec<String>) -> Error {
    Error::NoSuchName { program: TOOL.name, kind, name: name.to_owned(), url: url.clone(), near }
}

/// The clone brought up to date, cloned (or pulled from), and the changeset checked out.
async fn files(
    tree: &Path,
    lasting: bool,
    want: &Want,
    address: &OsStr,
    anew: bool,
    hg: &mut Hg<'_, impl Shell>,
) -> Result<(Target, Option<String>), Error> {
    let mut store = Store::lock(address, anew, hg).await?;
    let target = store.find(want, hg).await?;
    if lasting {
        distrust(tree)?;
        store.refresh(tree, hg).await?;
    } else {
        store.clone_to(tree, hg).await?;
    }
    let offline = store.offline.take().map(|error| error.to_string());
    // From here on the tree stands for itself.
    drop(store);
    if !lasting {
        let config = tree.join(".hg/hgrc");
        let text = [b"[paths]\ndefault = ", address.as_encoded_bytes(), b"\n"].concat();
        fs::write(&config, text).map_err(Error::io("write", &config))?;
    }
    // What fills files in (large file storage) asks upstream.
    let mut path = std::ffi::OsString::from("--config=paths.default=");
    path.push(address);
    let name = target.bookmark.as_ref().filter(|name| names::is_plain(name)).unwrap_or(&target.id);
    let rev = format!("--rev={name}");
    hg.run("checkout", tree, &args!["--repository", tree, &path, "update", "--clean", &rev]).await?;
    Ok((target, offline))
}

/// Reads the record of what is checked out in `tree`.
async fn describe(
    tree: &Path,
    command: String,
    since: &Since,
    hg: &mut Hg<'_, impl Shell>,
) -> Result<Checkout, Error> {
    let head = Head::read(tree, since, hg).await?;
    let changes_since_last = head.since(since.last.as_deref(), tree, hg).await?;
    let changes_since_success = if since.last == since.last_success {
        changes_since_last.clone()
    } else {
        head.since(since.last_success.as_deref(), tree, hg).await?
    };
    let checkout = Checkout::of("hg", head.version_info(), head.commit(), command);
    Ok(Checkout { changes_since_last, changes_since_success, ..checkout })
}
