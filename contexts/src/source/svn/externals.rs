//! `svn:externals`: folders of other places that a working copy brings along.
//!
//! They are fetched after the working copy itself, and only if none of them names a path of this machine, unless the repository
//! itself is on it. Externals of externals are checked after they were fetched, before anything is built. The login in the
//! address is given to the server of that address alone, see [`StoredLogin`].

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    login::StoredLogin,
    target::{Info, SvnTarget},
    tool::Svn,
    xml::{Element, parse, unreadable},
};
use crate::{error::Error, program::args, shell::Shell};

/// Whether the working copy `dir` has any; an error if one of them must not be followed.
pub(super) async fn defined(dir: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<bool, Error> {
    const LABEL: &str = "externals";
    let args = ["propget", "--xml", "--recursive", "--", "svn:externals", "."];
    let output = svn.run(LABEL, dir, &args).await?;
    let targets = parse(&output).ok_or_else(|| unreadable(LABEL))?;
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
pub(super) async fn fetch(
    dir: &Path,
    target: &SvnTarget,
    info: &Info,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<(), Error> {
    const LABEL: &str = "externals_info";
    let login = StoredLogin::store(target, info, svn).await?;
    let revision = info.revision.to_string();
    let mut args = args!["update", "--force", "--accept", "postpone", "--revision", &revision].to_vec();
    args.extend(login.iter().flat_map(StoredLogin::option));
    args.extend(args!["--", "."]);
    svn.log_in(false);
    let brought = svn.online_with_cleanup("update_externals", dir, &args, Some("cleanup")).await;
    svn.log_in(true);
    drop(login);
    brought.map_err(|error| match error {
        // It is not this repository that is not there.
        Error::NoSuchRepository { detail, .. } => {
            Error::Command { step: "update_externals".to_owned(), status: 1, detail }
        }
        error => error,
    })?;
    if svn.url().is_local() {
        return Ok(());
    }
    let externals = list(dir, svn).await?;
    // A few at a time: the captured output is limited, and so is a command line.
    for some in externals.chunks(20) {
        let mut args: Vec<OsString> = ["info", "--xml", "--"].map(Into::into).to_vec();
        args.extend(some.iter().map(|path| operand(path)));
        let output = svn.run(LABEL, dir, &args).await?;
        let entries = parse(&output).ok_or_else(|| unreadable(LABEL))?;
        for entry in entries.all("entry") {
            let url = Info::of(entry).ok_or_else(|| unreadable(LABEL))?.url;
            if is_local(&url) {
                return Err(refused(&url, svn));
            }
        }
    }
    Ok(())
}

/// The folders of externals, and of theirs.
pub(super) async fn list(dir: &Path, svn: &mut Svn<'_, impl Shell>) -> Result<Vec<PathBuf>, Error> {
    const LABEL: &str = "externals_list";
    let output = svn.run(LABEL, dir, &["status", "--quiet", "--xml", "--", "."]).await?;
    let targets = parse(&output).ok_or_else(|| unreadable(LABEL))?;
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
