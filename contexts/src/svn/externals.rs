//! `svn:externals`: folders of other places that a working copy brings along.
//!
//! They are fetched after the working copy itself, and only if none of them names a path of this machine, unless
//! the repository itself is one. Externals of externals are looked at after they were fetched, before anything is built.
//! The login that the address holds is given to the server of that address alone, see [`Keys`].

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    Svn,
    asked::{Asked, Info},
    keys::Keys,
    xml::{Element, unreadable},
};
use crate::{Shell, error::Error, program::args, shell::is_whole};

/// Whether the working copy `dir` has any; an error if one of them may not be followed.
pub(super) async fn defined(dir: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<bool, Error> {
    const LABEL: &str = "externals";
    let args = ["propget", "--xml", "--recursive", "--", "svn:externals", "."];
    let output = svn.run(LABEL, dir, &args).await?;
    let targets = whole(&output).ok_or_else(|| unreadable(LABEL))?;
    let properties = targets.all("target").flat_map(|target| target.all("property"));
    let mut any = false;
    for property in properties {
        any = true;
        if !svn.url().is_local()
            && let Some(external) = property.text().lines().find(|line| is_local(line))
        {
            return Err(refused(external, svn));
        }
    }
    Ok(any)
}

/// Fetches them all, and theirs.
pub(super) async fn bring(
    dir: &Path,
    asked: &Asked,
    info: &Info,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(), Error> {
    const LABEL: &str = "externals_info";
    let keys = Keys::make(asked, info, svn).await?;
    let revision = info.revision.to_string();
    let mut args = args!["update", "--force", "--accept", "postpone", "--revision", &revision].to_vec();
    args.extend(keys.iter().flat_map(Keys::option));
    args.extend(args!["--", "."]);
    svn.log_in(false);
    let brought = svn.online_mending("update_externals", dir, &args, Some("cleanup")).await;
    svn.log_in(true);
    drop(keys);
    brought.map_err(|error| match error {
        // It is not this repository that is not there.
        Error::NoSuchRepository { said, .. } => {
            Error::Command { step: "update_externals".to_owned(), status: 1, said }
        }
        error => error,
    })?;
    if svn.url().is_local() {
        return Ok(());
    }
    let externals = list(dir, svn).await?;
    // A few at a time: an answer has its bounds, and so has a command line.
    for some in externals.chunks(20) {
        let mut args: Vec<OsString> = ["info", "--xml", "--"].map(Into::into).to_vec();
        args.extend(some.iter().map(|path| operand(path)));
        let output = svn.run(LABEL, dir, &args).await?;
        let entries = whole(&output).ok_or_else(|| unreadable(LABEL))?;
        for entry in entries.all("entry") {
            let url = Info::of(entry).ok_or_else(|| unreadable(LABEL))?.url;
            if is_local(&url) {
                return Err(refused(&url, svn));
            }
        }
    }
    Ok(())
}

/// The folders that they were brought to, theirs too.
pub(super) async fn list(dir: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<Vec<PathBuf>, Error> {
    const LABEL: &str = "externals_list";
    let output = svn.run(LABEL, dir, &["status", "--quiet", "--xml", "--", "."]).await?;
    let targets = whole(&output).ok_or_else(|| unreadable(LABEL))?;
    let external = |entry: &Element| {
        let item = entry.child("wc-status")?.attribute("item")?;
        entry.attribute("path").filter(|_| item == "external").map(PathBuf::from)
    };
    Ok(targets.all("target").flat_map(|target| target.all("entry")).filter_map(external).collect())
}

/// A path as svn takes it, with no revision after it.
pub(super) fn operand(path: &Path) -> OsString {
    let mut operand = path.as_os_str().to_owned();
    operand.push("@");
    operand
}

/// The one element of an output, unless that was too long to be given back whole.
pub(super) fn whole(output: &[u8]) -> Option<Element> {
    Some(output)
        .filter(|output| is_whole(output))
        .and_then(|output| Element::read(&String::from_utf8_lossy(output)))
}

fn refused(external: &str, svn: &Svn<'_, impl Shell>) -> Error {
    Error::LocalExternal { url: svn.url().clone(), external: external.trim().to_owned() }
}

/// Whether a line of the property names a path of this machine. The address may be any of its words, and quoted.
fn is_local(line: &str) -> bool {
    let scheme = |word: &str| {
        let word = word.trim_start_matches(['"', '\'', '\\']);
        word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:"))
    };
    !line.trim_start().starts_with('#') && line.split_whitespace().any(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_machine_are_known() {
        for (line, local) in [
            ("file:///srv/x ext", true),
            ("ext file:///srv/x", true),
            ("ext -r5 file:///srv/x", true),
            ("-r 5 \"FILE:///srv/a b@7\" \"my ext\"", true),
            ("^/lib ext", false),
            ("../file: ext", false),
            ("//host/file:x ext", false),
            ("https://host/lib ext", false),
            ("# file:///srv/x ext", false),
        ] {
            assert_eq!(is_local(line), local, "{line}");
        }
    }
}
