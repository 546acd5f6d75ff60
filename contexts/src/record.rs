//! What preparing a place leaves for the record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a context found out, under the names that results carry it by (`client_info`).
pub type Facts = BTreeMap<String, Fact>;

/// One of them, in a form that every server can show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(String),
    /// Several.
    List(Vec<String>),
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<String>> for Fact {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

/// Revisions of earlier runs of the same slot, ids in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since {
    /// Of the last run.
    pub last: Option<String>,
    /// Of the last success.
    pub last_success: Option<String>,
}

impl Since {
    pub(crate) fn revisions(&self) -> impl Iterator<Item = &str> {
        [&self.last, &self.last_success].into_iter().flatten().map(String::as_str)
    }
}

/// What was checked out, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// `git`, `hg`, `svn` (the protocol's `version_type`) or `archive`.
    pub version_type: &'static str,
    /// The protocol's `version_info`: `git log -1 --pretty=oneline`, `hg id -nib`, `svnversion`; of an archive its SHA-256
    /// and its name.
    pub version_info: String,
    /// The id in full: commit, changeset, revision number, SHA-256.
    pub revision: String,
    /// When it was committed, ISO 8601 with offset; empty if there is no saying.
    pub commit_date: String,
    /// For people: `GitClone(https://…, branch main)`. No credentials.
    pub command: String,
    /// The tree holds changes that are in no commit.
    pub dirty: bool,
    /// Why upstream was not asked, if it was not: what was built is what the cache held.
    pub offline: Option<String>,
    /// What came since the last run; `None` if there was none or its revision is not to be found.
    pub changes_since_last: Option<Changes>,
    /// What came since the last success, as above.
    pub changes_since_success: Option<Changes>,
}

impl Checkout {
    /// Of a clean tree that has `commit` checked out, without what came before it.
    pub(crate) fn of(
        version_type: &'static str,
        version_info: String,
        commit: &Commit,
        command: String,
    ) -> Self {
        Self {
            version_type,
            version_info,
            revision: commit.id.clone(),
            commit_date: commit.date.clone(),
            command,
            dirty: false,
            offline: None,
            changes_since_last: None,
            changes_since_success: None,
        }
    }

    /// In one line, for a person: the commit that is built.
    pub(crate) fn words(&self) -> String {
        let dirty = if self.dirty { " (with uncommitted changes)" } else { "" };
        let offline = if self.offline.is_some() { " (from the cache)" } else { "" };
        let text: String = self.version_info.chars().take(100).collect();
        format!("{text}{dirty}{offline}")
    }
}

/// How many commits are listed.
pub(crate) const COMMITS: usize = 50;
/// How many files are listed.
pub(crate) const FILES: usize = 200;

/// What came between two runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Newest first, at most 50.
    pub commits: Vec<Commit>,
    /// There are more than those.
    #[serde(default)]
    pub more: bool,
    /// Paths of files that differ, from the top of the repository, sorted; at most 200.
    #[serde(default)]
    pub files: Vec<String>,
    /// There are more than those.
    #[serde(default)]
    pub more_files: bool,
}

impl Changes {
    /// Cut to what is listed. Of no `files` it is known that there are too many.
    pub(crate) fn new(mut commits: Vec<Commit>, files: Option<Vec<String>>) -> Self {
        let (more, more_files) =
            (commits.len() > COMMITS, files.as_ref().is_none_or(|files| files.len() > FILES));
        let mut files = files.unwrap_or_default();
        commits.truncate(COMMITS);
        files.truncate(FILES);
        Self { commits, more, files, more_files }
    }
}

/// Paths of an output in which a NUL is behind each.
pub(crate) fn zero_parted(output: &[u8]) -> Vec<String> {
    let paths = String::from_utf8_lossy(output);
    paths.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Id in full.
    pub id: String,
    /// The author's name.
    pub author: String,
    /// When it was committed, ISO 8601 with offset.
    pub date: String,
    /// The first paragraph of its message, on one line.
    pub subject: String,
}
