//! The working copy of one address: in the cache, an [`Entry`], and in a directory that lasts.
//!
//! Svn changes a working copy file by file. An entry is distrusted before every change and vouched for after it: one that
//! a kill left half-made is made anew.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use sha1::{Digest, Sha1};

use super::{
    Svn,
    asked::{Asked, Info},
    externals,
    tool::explain,
    xml::unreadable,
};
use crate::{
    Shell,
    aside::{Stop, aside},
    cache::{Card, Entry},
    error::Error,
    place::distrust,
    tree::{CopyError, Selection, copy_tree, hexadecimal, read_through},
};

/// What a working copy now holds.
pub(super) struct Built {
    pub(super) info: Info,
    /// Why upstream was not asked.
    pub(super) offline: Option<Error>,
    /// What was built before was of another repository: its revisions mean nothing here.
    pub(super) replaced: bool,
    /// It came out of a cache that was not changed when it was made.
    pub(super) should_be_clean: bool,
}

/// Noted of an entry whose files are changed in svn's eyes as soon as they are checked out, as those are that were
/// committed with other ends of lines than their properties say.
const NEVER_CLEAN: &str = "never clean";

const WAITING: &str = "waiting for another run that works on the same working copy";

/// What upstream has of what is asked for.
pub(super) async fn upstream(
    label: &str,
    asked: &Asked,
    cwd: &Path,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<Info, Error> {
    let args = ["info", "--xml", "--revision", &asked.revision().to_string(), "--", &asked.target()];
    let output = svn.online(label, cwd, &args).await.map_err(|error| explain(error, asked))?;
    let info = Info::read(&output).ok_or_else(|| unreadable(label))?;
    if info.kind == "dir" {
        return Ok(info);
    }
    Err(Error::NoSuchFolder {
        url: asked.url.clone(),
        revision: info.revision.to_string(),
        said: format!("it is a {}", info.kind),
    })
}

/// What upstream has; where it cannot be asked, what `held` is, if that will do.
async fn wanted(
    asked: &Asked,
    cwd: &Path,
    held: Option<&Info>,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(Info, Option<Error>), Error> {
    match upstream("info", asked, cwd, svn).await {
        Ok(info) => Ok((info, None)),
        Err(error) if error.is_of_the_network() => match held.filter(|held| asked.is_met_by(held)) {
            Some(held) => {
                svn.note(&format!("building what is here already, revision {}: {error}", held.revision));
                Ok((held.clone(), Some(error)))
            }
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// What the working copy `dir` is of.
async fn held(label: &str, dir: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<Info, Error> {
    // Svn would look for one in the folders above.
    if !dir.join(".svn/wc.db").is_file() {
        return Err(Error::Damaged {
            url: svn.url().clone(),
            said: "no working copy".to_owned(),
            cache: svn.place().to_owned(),
        });
    }
    let output = svn.run(label, dir, &["info", "--xml", "--", "."]).await?;
    Info::read(&output).ok_or_else(|| unreadable(label))
}

/// Brings the working copy in the cache to what is asked for, makes one if there is none to be used, and copies it to `tree`.
/// With `anew`, what there is will be replaced.
pub(super) async fn fresh(
    asked: &Asked,
    tree: &Path,
    anew: bool,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<Built, Error> {
    let dir = svn.place().to_owned();
    let waiting = || svn.note(WAITING);
    let mut entry = Entry::lock(&dir, anew, waiting).await?;
    let mut held = if entry.card().is_some() { Some(held("cache_info", &dir, svn).await?) } else { None };
    let should_be_clean = entry.card().is_some_and(|card| card.version.as_deref() != Some(NEVER_CLEAN));
    let room = entry.room().to_owned();
    let (info, offline) = wanted(asked, &room, held.as_ref(), svn).await?;
    let replaced = held.as_ref().is_some_and(|held| held.is_of_another_than(&info, asked.revision()));
    if replaced {
        svn.note(&format!("`{}` is another repository than it was: making the working copy anew", asked.url));
        held = None;
    }
    if offline.is_none() {
        match held {
            Some(held) => update(asked, &held, &info, &mut entry, svn).await?,
            None => make(asked, &info, &mut entry, svn).await?,
        }
    }
    let (from, to) = (dir.clone(), tree.to_owned());
    // The tree is seen by others of its own right; the entry is not.
    aside(move |stop| Ok(copy_tree(&from, &to, Selection::All, stop)))
        .await
        .map_err(Error::io("copy", &dir))?
        .map_err(|CopyError { path, source }| gone(&path, source, svn))?;
    Ok(Built { info, offline, replaced, should_be_clean })
}

/// The words for a copy that stopped at `path`: what is not there any more is damage.
fn gone(path: &Path, source: io::Error, svn: &Svn<'_, impl Shell>) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound if path.starts_with(svn.place()) => Error::Damaged {
            url: svn.url().clone(),
            said: format!("`{}` is not there", path.display()),
            cache: svn.place().to_owned(),
        },
        _ => Error::io("copy", path)(source),
    }
}

/// A complete working copy, put in the entry's place when it is.
async fn make(
    asked: &Asked,
    info: &Info,
    entry: &mut Entry,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(), Error> {
    svn.note(&format!(
        "making a working copy of `{}` in the cache; later runs bring only what is new",
        asked.url
    ));
    let new = entry.blank()?;
    let revision = info.revision.to_string();
    let args = ["checkout", "--ignore-externals", "--revision", &revision, "--", &info.target(), "."];
    svn.online_mending("create cache", new.path(), &args, Some("cleanup")).await?;
    if externals::defined(new.path(), svn).await? {
        externals::bring(new.path(), asked, info, svn).await?;
    }
    let version = is_changed(new.path(), svn).await?.then(|| NEVER_CLEAN.to_owned());
    entry.publish(new)?;
    let address = asked.url.to_string();
    entry.vouch(Card { address, version, ..Card::default() }, true).await
}

/// The entry, which is as `held` says, brought to `info`.
async fn update(
    asked: &Asked,
    held: &Info,
    info: &Info,
    entry: &mut Entry,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(), Error> {
    let card = entry.card().cloned().unwrap_or_default();
    let dir = entry.dir().to_owned();
    let moved = held.url != info.url || held.revision != info.revision;
    if moved {
        entry.distrust()?;
        switch("cache_update", &dir, info, svn).await?;
    }
    let externals = externals::defined(&dir, svn).await?;
    if externals {
        entry.distrust()?;
        externals::bring(&dir, asked, info, svn).await?;
    }
    entry.vouch(card, moved || externals).await
}

/// The working copy `dir` brought to another revision or folder, but for its externals. What the same name lies in
/// the way of is taken over.
async fn switch(label: &str, dir: &Path, info: &Info, svn: &mut Svn<'_, impl Shell>) -> Result<(), Error> {
    let revision = info.revision.to_string();
    let args = [
        "switch",
        "--ignore-ancestry",
        "--ignore-externals",
        "--force",
        "--accept",
        "postpone",
        "--revision",
        &revision,
        "--",
        &info.target(),
        ".",
    ];
    match svn.online_mending(label, dir, &args, Some("cleanup")).await {
        // Upstream has just said that it has this one: it is the revision of the working copy that it has not.
        Err(Error::NoSuchRepository { url, said, .. }) if said.contains("160006: ") => {
            Err(Error::Damaged { url, said, cache: dir.to_owned() })
        }
        other => other.map(drop),
    }
}

/// Brings `tree`, which is there from an earlier run, to what is asked for, straight from upstream. What svn does not know
/// in it stays; changes of what it knows do not.
pub(super) async fn refresh(
    asked: &Asked,
    tree: &Path,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<Built, Error> {
    let held = held("tree_info", tree, svn).await?;
    let (info, offline) = wanted(asked, tree, Some(&held), svn).await?;
    let unusable = |said: &str, svn: &Svn<'_, _>| Error::Damaged {
        url: svn.url().clone(),
        said: said.to_owned(),
        cache: tree.to_owned(),
    };
    if held.is_of_another_than(&info, asked.revision()) {
        return Err(unusable("of another repository", svn));
    }
    distrust(tree)?;
    revert(tree, &[], svn).await?;
    if offline.is_none() {
        switch("update", tree, &info, svn).await?;
        if externals::defined(tree, svn).await? {
            let dir = svn.place().to_owned();
            // What is put beside the entry for a moment is not to be cleared away by another run.
            let waiting = || svn.note(WAITING);
            let _entry = Entry::lock(&dir, false, waiting).await?;
            externals::bring(tree, asked, &info, svn).await?;
        }
    }
    if is_changed(tree, svn).await? {
        let externals = externals::list(tree, svn).await?;
        revert(tree, &externals, svn).await?;
        if is_changed(tree, svn).await? {
            return Err(unusable("something lies in the way of its files", svn));
        }
    }
    Ok(Built { info, offline, replaced: false, should_be_clean: false })
}

/// Undoes what was changed of the files that svn knows, in `tree` and its `externals`.
async fn revert(tree: &Path, externals: &[PathBuf], svn: &mut Svn<'_, impl Shell>) -> Result<(), Error> {
    let mut args: Vec<_> = ["revert", "--recursive", "--quiet", "--", "."].map(Into::into).to_vec();
    args.extend(externals.iter().map(|path| externals::operand(path)));
    svn.run("revert", tree, &args).await.map(drop)
}

/// Whether files that svn knows are changed, missing, in conflict, …, in `tree` or its externals.
async fn is_changed(tree: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<bool, Error> {
    // Not as XML, which has all files in it that svn does not know.
    let output = svn.run("status", tree, &["status", "--quiet", "--", "."]).await?;
    Ok(output.split(|byte| *byte == b'\n').any(says_changed))
}

/// Whether the files of an entry are not as they were when it was vouched for.
pub(super) async fn is_changed_since(
    card: &Card,
    dir: &Path,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<bool, Error> {
    held("cache_info", dir, svn).await?;
    Ok(is_changed(dir, svn).await? && card.version.as_deref() != Some(NEVER_CLEAN))
}

/// The first file of `pristine` whose content is not the one that its name is the SHA-1 of.
pub(super) fn broken_pristine(pristine: &Path, stop: &Stop) -> io::Result<Option<PathBuf>> {
    for entry in Selection::All.walk(pristine) {
        if stop.asked() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let path = entry?.into_path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".svn-base")) else {
            continue;
        };
        let mut digest = Sha1::new();
        read_through(&mut File::open(&path)?, stop, |bytes| digest.update(bytes))?;
        if hexadecimal(&digest.finalize()) != name {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Reads the columns of `svn status`: first the item, then its properties; the seventh is a conflict of the tree.
fn says_changed(line: &[u8]) -> bool {
    match line {
        [item, properties, _, _, _, _, tree, b' ', ..] => {
            b"ACDMR!~".contains(item) || b"CM".contains(properties) || *tree == b'C'
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_the_status() {
        for line in ["X       a b", "    X   file", "", "Performing status on external item at 'a b':"] {
            assert!(!says_changed(line.as_bytes()), "{line}");
        }
        for line in ["M       x", " M      x", "!       x", "!     C x", "      C x", "~       x"] {
            assert!(says_changed(line.as_bytes()), "{line}");
        }
    }
}
