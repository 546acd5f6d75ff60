//! What was checked out, and what changed since earlier runs.

use serde::{Deserialize, Serialize};

/// Revisions of earlier runs of the same slot, ids in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EarlierRevisions {
    /// Of the last run.
    pub last: Option<String>,
    /// Of the last success.
    pub last_success: Option<String>,
}

impl EarlierRevisions {
    pub(crate) fn revisions(&self) -> impl Iterator<Item = &str> {
        [&self.last, &self.last_success].into_iter().flatten().map(String::as_str)
    }
}

/// What was checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// `git`, `hg`, `svn` (the protocol's `version_type`) or `archive`.
    pub version_type: &'static str,
    /// The protocol's `version_info`: `git log -1 --pretty=oneline`, `hg id -nib`, `svnversion`; of an archive its SHA-256
    /// and its name.
    pub version_info: String,
    /// The id in full: commit, changeset, revision number, SHA-256.
    pub revision: String,
    /// When it was committed, ISO 8601 with offset; empty if unknown.
    pub commit_date: String,
    /// For people: `GitClone(https://…, branch main)`. No credentials.
    pub command: String,
    /// The tree has uncommitted changes.
    pub dirty: bool,
    /// Why upstream was not asked, if the cache was used without asking.
    pub offline: Option<String>,
    /// Changes since the last run; `None` if there was none or its revision is unknown.
    pub changes_since_last: Option<Changes>,
    /// Changes since the last success, as above.
    pub changes_since_success: Option<Changes>,
}

impl Checkout {
    /// Of a clean tree that has `commit` checked out, without changes since earlier runs.
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

    /// One line for a person.
    pub(crate) fn summary(&self) -> String {
        let dirty = if self.dirty { " (with uncommitted changes)" } else { "" };
        let offline = if self.offline.is_some() { " (from the cache)" } else { "" };
        let text: String = self.version_info.chars().take(100).collect();
        format!("{text}{dirty}{offline}")
    }
}

/// How many commits are listed.
pub(crate) const MAX_COMMITS: usize = 50;
/// How many files are listed.
const MAX_FILES: usize = 200;

/// Changes between two runs.
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
    /// Shortens both lists; without `files` there are too many.
    pub(crate) fn new(mut commits: Vec<Commit>, files: Option<Vec<String>>) -> Self {
        let (more, more_files) =
            (commits.len() > MAX_COMMITS, files.as_ref().is_none_or(|files| files.len() > MAX_FILES));
        let mut files = files.unwrap_or_default();
        commits.truncate(MAX_COMMITS);
        files.truncate(MAX_FILES);
        Self { commits, more, files, more_files }
    }
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
