//! The end of a build that hands something on: its outputs are looked for and stay, the rest of its tree goes.

use std::{fs, io, path::PathBuf};

use indexmap::IndexMap;
use pony_contexts::cache::outputs::{self, OutputsManifest, StoredOutputs};

/// Outputs that cannot be handed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutputsError {
    /// Some are not there.
    #[error("the build did not make its {}", missing(.0))]
    Missing(Vec<(String, PathBuf)>),
    /// They cannot be kept.
    #[error("the outputs cannot be kept: {0}")]
    Keep(#[from] io::Error),
}

fn missing(outputs: &[(String, PathBuf)]) -> String {
    let word = if outputs.len() == 1 { "output" } else { "outputs" };
    let named: Vec<String> =
        outputs.iter().map(|(name, path)| format!("`{name}` (`{}`)", path.display())).collect();
    format!("{word} {}", named.join(", "))
}

/// Where outputs are made, and where they are kept.
#[derive(Debug)]
pub(super) struct Place {
    /// Where steps run: in the room.
    pub(super) tree: PathBuf,
    /// The cache.
    pub(super) cache: PathBuf,
    /// The run's room in it.
    pub(super) room: PathBuf,
    /// All of the tree stays, to be looked at.
    pub(super) whole: bool,
}

/// Keeps `outputs`, each a name and a path in the tree, as `manifest` says. Blocks.
pub(super) fn keep(
    outputs: &IndexMap<String, PathBuf>,
    place: &Place,
    mut manifest: OutputsManifest,
) -> Result<StoredOutputs, OutputsError> {
    let is_missing = |path: &PathBuf| fs::symlink_metadata(place.tree.join(path)).is_err();
    let missing: Vec<(String, PathBuf)> = outputs
        .iter()
        .filter(|(_, path)| is_missing(path))
        .map(|(name, path)| (name.clone(), path.clone()))
        .collect();
    if !missing.is_empty() {
        return Err(OutputsError::Missing(missing));
    }
    let made = outputs.iter().map(|(name, path)| (name.clone(), place.tree.join(path)));
    manifest.outputs = made.collect();
    Ok(outputs::store(&place.cache, &place.room, manifest, place.whole)?)
}
