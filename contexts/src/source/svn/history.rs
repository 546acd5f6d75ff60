//! The revisions since an earlier run, from `svn log` and `svn diff`.

use std::path::Path;

use super::{
    target::Info,
    tool::Svn,
    xml::{Element, parse, parse_all, unreadable},
};
use crate::{
    checkout::{Changes, Commit, EarlierRevisions, MAX_COMMITS},
    error::Error,
    shell::Shell,
    url::decoded,
};

/// One revision, with the paths that it touched.
struct LogEntry {
    revision: u64,
    commit: Commit,
    files: Vec<String>,
}

/// The revisions since the last run and since the last success; `None` where that is unknown.
#[derive(Default)]
pub(super) struct History {
    pub(super) since_last: Option<Changes>,
    pub(super) since_success: Option<Changes>,
}

impl History {
    /// Asks upstream, once. Without an answer there is no history, but no error either.
    pub(super) async fn read(
        earlier: &EarlierRevisions,
        info: &Info,
        cwd: &Path,
        svn: &mut Svn<'_, impl Shell>,
    ) -> Result<Self, Error> {
        let number = |text: &Option<String>| {
            text.as_deref().and_then(|text| text.parse::<u64>().ok()).filter(|number| *number <= info.changed)
        };
        let (last, success) = (number(&earlier.last), number(&earlier.last_success));
        let Some(oldest) = last.into_iter().chain(success).min() else { return Ok(Self::default()) };
        let mut entries = Vec::new();
        if oldest < info.changed {
            let (range, limit) = (format!("{}:{}", info.changed, oldest + 1), (MAX_COMMITS + 1).to_string());
            let args =
                ["log", "--xml", "--verbose", "--limit", &limit, "--revision", &range, "--", &info.target()];
            match svn.online("log", cwd, &args).await {
                Ok(output) => entries = read(&String::from_utf8_lossy(&output), info),
                Err(Error::Stopped) => return Err(Error::Stopped),
                Err(error) => {
                    svn.note(&format!("no changes recorded: {error}"));
                    return Ok(Self::default());
                }
            }
        }
        let changes = |earlier| changes(&entries, earlier);
        Ok(Self { since_last: last.map(changes), since_success: success.map(changes) })
    }
}

/// What came after the revision `earlier`.
fn changes(entries: &[LogEntry], earlier: u64) -> Changes {
    let newer = || entries.iter().filter(|entry| entry.revision > earlier);
    let commits = newer().map(|entry| entry.commit.clone()).collect();
    let mut files: Vec<_> = newer().flat_map(|entry| entry.files.clone()).collect();
    files.sort();
    files.dedup();
    let changes = Changes::new(commits, Some(files));
    Changes { more_files: changes.more_files || changes.more, ..changes }
}

/// Reads the output of `svn log --xml -v`. Incomplete entries of a shortened output are skipped.
fn read(output: &str, info: &Info) -> Vec<LogEntry> {
    let top = decoded(info.url.strip_prefix(&info.root).unwrap_or_default());
    let entry = |element: &Element| {
        let id = element.attribute("revision")?.to_owned();
        let text = |name| element.text_of(name).unwrap_or_default().to_owned();
        let message = text("msg");
        let subject = message.trim().lines().next().unwrap_or_default().trim_end().to_owned();
        let commit = Commit { id, author: text("author"), date: text("date"), subject };
        let paths = element.child("paths").into_iter().flat_map(|paths| paths.all("path"));
        let files = paths.filter_map(|path| below(&top, path.text(), path.attribute("kind")));
        Some(LogEntry { revision: commit.id.parse().ok()?, commit, files: files.collect() })
    };
    parse_all(output, "logentry").iter().filter_map(entry).collect()
}

/// `path` as it is from `top` on, if it is in it; a folder with a slash at its end, `./` for the top.
fn below(top: &str, path: &str, kind: Option<&str>) -> Option<String> {
    let path = path.strip_prefix(top)?;
    let path = match path.strip_prefix('/') {
        Some(path) => path,
        None if path.is_empty() => ".",
        // `/trunk-2` is not in `/trunk`.
        None => return None,
    };
    let end = if kind == Some("dir") { "/" } else { "" };
    Some(format!("{path}{end}"))
}

/// Paths that differ between the revision `from` of a folder and its current state `info`; `None` if there is no way to tell.
pub(super) async fn changed_files(
    from: u64,
    info: &Info,
    cwd: &Path,
    svn: &mut Svn<'_, impl Shell>,
) -> Result<Option<Vec<String>>, Error> {
    let range = format!("{from}:{}", info.revision);
    let args = ["diff", "--summarize", "--xml", "--revision", &range, "--", &info.target()];
    let output = match svn.online("changed_files", cwd, &args).await {
        Ok(output) => output,
        // It did not exist in that revision.
        Err(Error::NoSuchRepository { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    // A shortened one has a gap.
    let Some(read) = parse(&output) else { return Ok(None) };
    let paths = read.child("paths").ok_or_else(|| unreadable("changed_files"))?;
    let top = decoded(&info.url);
    let path = |path: &Element| below(&top, &decoded(path.text()), path.attribute("kind"));
    let mut paths: Vec<_> = paths.all("path").filter_map(path).collect();
    paths.sort();
    Ok(Some(paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_from_the_top_of_the_folder() {
        for (path, kind, shown) in [
            ("/trunk/a b/c", "file", Some("a b/c")),
            ("/trunk/a", "dir", Some("a/")),
            ("/trunk", "dir", Some("./")),
            ("/trunk-2/a", "file", None),
            ("/lib/a", "file", None),
        ] {
            assert_eq!(below("/trunk", path, Some(kind)).as_deref(), shown, "{path}");
        }
        assert_eq!(below("", "/trunk/a", None).as_deref(), Some("trunk/a"));
    }
}
