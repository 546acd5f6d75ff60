//! Asking upstream which changeset a name stands for.

use std::{ffi::OsStr, fs, io::Read, path::Path};

use super::{
    names,
    tool::{self, Hg},
};
use crate::{
    cache::staging_dir,
    error::Error,
    program::{Network, args},
    shell::{Download, DownloadError, Shell},
    url::Url,
};

/// What a plain clone checks out: the first of these that exists.
pub(super) const DEFAULTS: [&str; 3] = ["@", "default", "tip"];

/// Asks `hg` for the id of `name`, in full; `None` if upstream has no such name.
pub(super) async fn identify(
    name: &str,
    address: &OsStr,
    cwd: &Path,
    hg: &mut Hg<'_, impl Shell>,
) -> Result<Option<String>, Error> {
    // A server looks up names and ids only; for a repository of this machine the option is an expression.
    let rev =
        if hg.url().is_local() { format!("--rev={}", names::quoted(name)) } else { format!("--rev={name}") };
    let args = args!["identify", "--template={node}\\n", &rev, "--", address];
    let answer = match hg.online("remote_tip", cwd, &args).await {
        Ok(answer) => answer,
        Err(Error::Command { detail, .. })
            if tool::is_unknown(&detail) || detail.contains("ambiguous identifier") =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().map(str::trim).find(|line| names::is_id(line)).map(str::to_owned))
}

/// What came of a [`lookup`].
pub(super) enum LookupAnswer {
    Id(String),
    /// There is no such name.
    Unknown,
    /// No Mercurial server, or one that wants more than an address.
    Unclear,
}

/// Asks a web server for the id of `name`, without `hg`. The command `lookup` of the wire protocol (`hg help
/// internals.wireprotocol`) answers with `1 ` and the id, or with `0 ` and a message.
pub(super) async fn lookup(
    name: &str,
    url: &Url,
    entry_dir: &Path,
    network: &Network,
    shell: &mut impl Shell,
) -> Result<LookupAnswer, Error> {
    let Some(url) = url.with_query(&format!("cmd=lookup&key={}", names::escaped(name))) else {
        return Ok(LookupAnswer::Unclear);
    };
    // What a kill leaves of it is swept away with the entry. So may another run sweep it, and then hg is asked.
    let dir = staging_dir(entry_dir)?;
    let to = dir.path().join("answer");
    let (label, quiet_timeout) = ("remote_lookup".to_owned(), network.quiet_timeout);
    let download = Download { label, url, to: to.clone(), known: None, quiet_timeout };
    match shell.download(download).await {
        Ok(_) => {}
        Err(DownloadError::Stopped) => return Err(Error::Stopped),
        Err(_) => return Ok(LookupAnswer::Unclear),
    }
    // A web page can have any length.
    let mut answer = String::new();
    let read = fs::File::open(&to).and_then(|file| file.take(256).read_to_string(&mut answer));
    Ok(match answer.trim_end().split_once(' ') {
        _ if read.is_err() => LookupAnswer::Unclear,
        Some(("1", id)) if names::is_id(id) => LookupAnswer::Id(id.to_owned()),
        Some(("0", message)) if tool::is_unknown(message) => LookupAnswer::Unknown,
        _ => LookupAnswer::Unclear,
    })
}
