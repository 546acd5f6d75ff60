//! The manifest of a build's stored outputs, and how it is written and read.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::disk::{sibling, write_whole};

/// What is known of stored outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputsManifest {
    /// The cache key, 64 hexadecimal digits: a digest of all inputs of the build.
    pub key: String,
    /// The build's name.
    pub name: String,
    /// The package that servers file it under.
    pub package: String,
    /// The run that made them.
    pub run_id: String,
    /// The revision that was built, if there was one.
    pub revision: Option<String>,
    /// When that run had ended or was about to, as RFC 3339.
    pub ended: String,
    /// Absolute paths, all within the workspace of the run.
    pub outputs: BTreeMap<String, PathBuf>,
    /// Disk usage.
    pub bytes: u64,
}

/// A manifest as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredManifest {
    #[serde(flatten)]
    pub(super) manifest: OutputsManifest,
    /// The workspace was not pruned: a person looks at it, and it is not the cache's to remove.
    #[serde(default, rename = "whole")]
    pub(super) unpruned: bool,
}

impl StoredManifest {
    /// Writes the manifest of `workspace`, which is under a shared lock before anybody can see it.
    pub(super) fn write(&self, workspace: &Path) -> io::Result<File> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        let (path, partial) = (path(workspace), sibling(workspace, ".new-manifest"));
        write_whole(&path, &partial, &text, File::lock_shared)
    }

    pub(super) fn read(mut file: &File) -> Option<Self> {
        let mut text = Vec::new();
        file.read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Where the manifest of `workspace` is.
pub(super) fn path(workspace: &Path) -> PathBuf {
    sibling(workspace, ".json")
}
