//! What the last run of each slot was: one small file a slot, so that nothing has to be searched for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

use jiff::Timestamp;
use pony_contexts::EarlierRevisions;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    disk::{self, Lock},
    home::Home,
    inputs::Ingredients,
    record::{Outcome, RunRecord},
};

/// What is remembered of a slot. It can be lost without harm: then nothing is known of earlier runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The last run's id.
    pub run_id: String,
    /// Revision of the last run that had one.
    pub revision: Option<String>,
    /// Revision of the last run that passed.
    pub success: Option<String>,
    /// Upstream's tip that was built last.
    #[serde(default)]
    pub tip: Option<String>,
    /// How the last run went.
    #[serde(default)]
    pub last: Option<LastRun>,
    /// A server keeps the slot for a build of ours that has not run yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reserved: bool,
    /// Seconds that each step took when it last passed.
    pub durations: BTreeMap<String, f64>,
    /// Seconds that the last run that passed took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<f64>,
}

/// How a run went and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub ended: Timestamp,
    /// From what, besides the code.
    pub made_from: Ingredients,
}

impl Memory {
    /// What is remembered of the slot of this package, host, arch and these tags.
    pub fn load(home: &Home, package: &str, host: &str, arch: &str, tags: &[String]) -> Self {
        let path = file(home, package, host, arch, tags);
        fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// What is remembered of a slot.
    pub fn of(home: &Home, slot: &pony_wire::Slot) -> Self {
        Self::load(home, &slot.package, &slot.host, &slot.arch, &slot.tags)
    }

    /// Seconds that a run is to be expected to take: as many as the last that passed, or if none has, as all steps that have,
    /// which is at least something to go by; nothing if there are none.
    pub fn expected(&self) -> Option<f64> {
        self.took.or_else(|| (!self.durations.is_empty()).then(|| self.durations.values().sum()))
    }

    /// What is to be remembered after this run. Pure.
    #[must_use]
    pub fn after(mut self, record: &RunRecord) -> Self {
        // What never began is no run of the slot.
        if record.outcome == Outcome::Skipped {
            return self;
        }
        self.run_id.clone_from(&record.run_id);
        self.reserved = false;
        // Time that was over before there was a tree says nothing of the code.
        let outcome = match record.outcome {
            Outcome::TimedOut | Outcome::Quiet if record.cwd.is_none() => Outcome::InfraError,
            outcome => outcome,
        };
        let made_from = record.made_from.clone();
        self.last = Some(LastRun { outcome, ended: record.ended, made_from });
        // A run that did not get so far says nothing of it.
        self.tip = record.tip.clone().or(self.tip);
        if let Some(checkout) = &record.checkout {
            self.revision = Some(checkout.revision.clone());
            if record.outcome == Outcome::Passed {
                self.success = Some(checkout.revision.clone());
            }
        }
        if record.outcome == Outcome::Passed {
            self.took = Some(record.duration);
        }
        for step in record.steps.iter().filter(|step| step.outcome == Outcome::Passed) {
            self.durations.insert(step.name.clone(), step.duration);
        }
        let known: BTreeSet<&str> = record.steps.iter().map(|step| step.name.as_str()).collect();
        self.durations.retain(|name, _| known.contains(name.as_str()));
        self
    }

    /// Keeps it.
    pub fn save(&self, home: &Home, record: &RunRecord) -> io::Result<()> {
        self.write(&file(home, &record.package, &record.host, &record.arch, &record.tags))
    }

    /// Notes that a server keeps the slot for a build that is to run. Forgotten where it cannot be written.
    pub fn reserve(home: &Home, slot: &pony_wire::Slot) {
        let memory = Self { reserved: true, ..Self::of(home, slot) };
        let path = file(home, &slot.package, &slot.host, &slot.arch, &slot.tags);
        let _ = memory.write(&path);
    }

    fn write(&self, path: &std::path::Path) -> io::Result<()> {
        disk::replace(path, &serde_json::to_vec_pretty(self)?)
    }

    /// For the list of commits since then.
    pub fn since(&self) -> EarlierRevisions {
        EarlierRevisions { last: self.revision.clone(), last_success: self.success.clone() }
    }
}

/// Held by a run of the slot while it is under way; none if another holds it.
pub fn hold(home: &Home, slot: &pony_wire::Slot) -> io::Result<Option<Lock>> {
    Lock::try_take(&file(home, &slot.package, &slot.host, &slot.arch, &slot.tags).with_extension("lock"))
}

fn file(home: &Home, package: &str, host: &str, arch: &str, tags: &[String]) -> PathBuf {
    let tags: BTreeSet<&String> = tags.iter().collect();
    let identity = serde_json::json!([package, host, arch, tags]).to_string();
    let hash = Sha256::digest(identity.as_bytes());
    let hash = hash.iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
    home.slots().join(format!("{}-{hash:016x}.json", crate::record::folder::slug(package)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_after_runs_of_each_outcome() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tests/runs-of-format-1/passed");
        let passed =
            crate::record::folder::RunFolder::at(std::path::Path::new(folder)).read_result().unwrap();
        let before = Memory {
            run_id: "before".to_owned(),
            tip: Some("tip".to_owned()),
            took: Some(7.0),
            reserved: true,
            durations: [("gone".to_owned(), 1.0)].into(),
            ..Memory::default()
        };
        let after = |outcome, cwd: Option<&str>| {
            let record = RunRecord { outcome, cwd: cwd.map(str::to_owned), tip: None, ..passed.clone() };
            before.clone().after(&record)
        };
        for (outcome, cwd, last, took) in [
            (Outcome::Passed, Some("/t"), Outcome::Passed, passed.duration),
            (Outcome::Failed, Some("/t"), Outcome::Failed, 7.0),
            (Outcome::Quiet, Some("/t"), Outcome::Quiet, 7.0),
            // Before there was a tree, time that is over says nothing of the code.
            (Outcome::TimedOut, None, Outcome::InfraError, 7.0),
            (Outcome::Quiet, None, Outcome::InfraError, 7.0),
        ] {
            let memory = after(outcome, cwd);
            assert_eq!((memory.last.unwrap().outcome, memory.took), (last, Some(took)), "{outcome:?}");
            assert_eq!(
                (memory.run_id, memory.tip.as_deref(), memory.reserved),
                (passed.run_id.clone(), Some("tip"), false)
            );
            assert!(!memory.durations.contains_key("gone"));
        }
        assert_eq!(after(Outcome::Skipped, None), before);
    }

    #[test]
    fn the_order_of_tags_does_not_make_another_slot() {
        let home = Home::find(Some(std::path::Path::new("/h")), None).unwrap();
        let file = |tags: [&str; 2]| super::file(&home, "p", "h", "a", &tags.map(str::to_owned));
        assert_eq!(file(["x", "y"]), file(["y", "x"]));
        assert_ne!(file(["x", "y"]), file(["x", "z"]));
    }
}
