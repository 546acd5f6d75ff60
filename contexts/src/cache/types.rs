//! What the cache holds: the kinds of its entries, the manifest of one, and one as a person sees it.

use std::{path::PathBuf, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::tree::disk_usage;

/// What an entry is of; each kind has a folder of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A mirror of a git repository.
    Git,
    /// A clone of a Mercurial repository.
    Hg,
    /// A Subversion working copy.
    Svn,
    /// A downloaded archive.
    Archive,
    /// The outputs of a build.
    Outputs,
}

impl EntryKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Git, Self::Hg, Self::Svn, Self::Archive, Self::Outputs];

    /// Its folder in the cache, which the names of its entries begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Hg => "hg",
            Self::Svn => "svn",
            Self::Archive => "archive",
            Self::Outputs => "chain",
        }
    }
}

/// The manifest of a source's entry. Written last; the file's time is when the entry was last used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Where the source is: an address without credentials.
    pub(crate) address: String,
    /// Disk usage.
    pub(crate) bytes: u64,
    /// The branch that upstream checks out by default, as last heard.
    #[serde(default, rename = "default", skip_serializing_if = "Option::is_none")]
    pub(crate) default_branch: Option<String>,
    /// What upstream called this version (`ETag`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// The SHA-256 of an archive, 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
}

/// An entry in a list of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// What it is of.
    pub kind: EntryKind,
    /// Where it is.
    pub dir: PathBuf,
    /// `None` if it is incomplete.
    pub summary: Option<EntrySummary>,
}

/// What is known of a complete entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySummary {
    /// An address without credentials; of outputs, the build and its revision.
    pub address: String,
    /// Disk usage.
    pub bytes: u64,
    /// When it was last used.
    pub used: SystemTime,
}

impl CacheEntry {
    /// For people: `git/cpython-0123456789ab`.
    pub fn name(&self) -> String {
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        format!("{}/{name}", self.kind.name())
    }

    /// Disk usage, measured if the entry is incomplete.
    pub fn bytes(&self) -> u64 {
        self.summary.as_ref().map_or_else(|| disk_usage(&self.dir), |summary| summary.bytes)
    }
}

/// What a check of an entry found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// All of it is there and as it should be.
    Intact,
    /// It is not, and why, in one line; the next run rebuilds it.
    Damaged(String),
    /// A run uses it, so that it was not checked.
    InUse,
}
