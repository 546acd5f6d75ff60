//! What a build is made from besides the code, and the key that stands for all of it.

use std::collections::BTreeMap;

use pony_contexts::ClientInfo;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What a run is made from, besides the code. Another one makes another build.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingredients {
    /// Digest of the resolved recipe.
    pub recipe: String,
    /// What of the machine builds depend on: its platform and its distribution's release.
    pub machine: String,
    /// Of each build that it needs, by what it is called there, what stands for it; none if that cannot be told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<String, Option<String>>,
}

impl Ingredients {
    /// Of a resolved recipe on this machine.
    pub fn new(resolved: &str, machine: String) -> Self {
        let digest = Sha256::digest(resolved.as_bytes());
        // Half of it tells recipes apart.
        let recipe = digest.iter().take(16).fold(0_u128, |recipe, byte| recipe << 8 | u128::from(*byte));
        Self { recipe: format!("{recipe:032x}"), machine, needs: BTreeMap::new() }
    }

    /// What stands for a build of the code at `tip` in a context of which these `facts` are known, as 64 hexadecimal
    /// digits; nothing while that cannot be told of a build that it needs.
    pub fn content(&self, tip: Option<&str>, facts: &ClientInfo) -> Option<String> {
        if self.needs.values().any(Option::is_none) {
            return None;
        }
        Some(hexadecimal(&serde_json::json!([self, tip, facts]).to_string()))
    }

    /// What its outputs are kept under, where its needs were made by these runs: they may lead to where those lie.
    pub fn key<'r>(content: &str, runs: impl Iterator<Item = &'r str>) -> String {
        hexadecimal(&serde_json::json!([content, runs.collect::<Vec<_>>()]).to_string())
    }

    /// What stands for one run and no other.
    pub fn of_nothing_else(run_id: &str) -> String {
        hexadecimal(run_id)
    }
}

fn hexadecimal(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
