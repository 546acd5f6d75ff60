//! What servers know: questions put to them in their dialects (`ask`), what they answer as types (this file, `read`), and that as a
//! table or as JSON (`say`, `table`, `traits`). All but `ask` is pure.

pub mod ask;
mod read;
pub mod say;
pub mod table;
pub mod traits;

use jiff::Timestamp;
use pony_wire::{Slot, Tagset, visible_tags};
use serde_json::{Map, Value as Json};

/// How a build went, as far as a server tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It did not run, because of another one.
    Skipped,
    /// Somebody stopped it.
    Cancelled,
    /// The result does not say.
    Unknown,
}

/// What follows from a [`Status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The code is all right.
    Green,
    /// It is not.
    Red,
    /// That result says nothing of the code.
    Unknown,
}

/// A result without its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its key on the server, where it has one.
    pub key: Option<String>,
    /// Of what, built where, under which tags.
    pub slot: Slot,
    /// How it went.
    pub status: Status,
    /// Where a failed build failed.
    pub failed_step: Option<String>,
    /// When it came to the server, by its clock; on devmason, when it ended, by the client's.
    pub received: Option<Timestamp>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Where people look at it.
    pub page: Option<String>,
}

/// A step of a result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// What people call it.
    pub name: String,
    /// `setup`, `build`, …; empty if the result does not say.
    pub kind: String,
    /// As one line; empty if the result does not say.
    pub command: String,
    /// As the protocol has it.
    pub status: Option<i64>,
    /// It did not end well.
    pub failed: bool,
    /// That did not fail the build.
    pub allowed: bool,
    /// Seconds.
    pub duration: Option<f64>,
    /// What it printed.
    pub output: String,
    /// What it printed on stderr.
    pub errout: String,
}

/// A whole result.
#[derive(Debug, Clone, PartialEq)]
pub struct Full {
    /// In short.
    pub row: Row,
    /// In order.
    pub steps: Vec<Step>,
    /// Every key of the client's bag, as plain JSON.
    pub client_info: Map<String, Json>,
}

/// A package of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name; on devmason its slug.
    pub name: String,
    /// How its slots are, where the server says.
    pub status: Option<Status>,
    /// How many slots it has, and how many of them fail, where the server says.
    pub slots: Option<(u64, u64)>,
    /// When its newest result came, where the server says.
    pub latest: Option<Timestamp>,
}

impl Status {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Passed, Self::Failed, Self::Skipped, Self::Cancelled, Self::Unknown];

    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// Of a word of ours.
    fn of_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.word() == word).unwrap_or(Self::Unknown)
    }

    /// What follows from it.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Passed => Verdict::Green,
            Self::Failed => Verdict::Red,
            Self::Skipped | Self::Cancelled | Self::Unknown => Verdict::Unknown,
        }
    }
}

impl Verdict {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Red => "red",
            Self::Unknown => "unknown",
        }
    }

    /// Of several: red if any is, else unknown if any is, or if there are none.
    pub fn of(all: impl IntoIterator<Item = Self>) -> Self {
        let mut verdict = None;
        for one in all {
            verdict = Some(match (verdict, one) {
                (Some(Self::Red), _) | (_, Self::Red) => Self::Red,
                (Some(Self::Unknown), _) | (_, Self::Unknown) => Self::Unknown,
                _ => Self::Green,
            });
        }
        verdict.unwrap_or(Self::Unknown)
    }
}

impl Full {
    /// The step that failed the build.
    pub fn culprit(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.failed && !step.allowed)
    }
}

/// The slot that a tagset stands for.
pub fn slot_of(package: &str, tagset: &Tagset) -> Slot {
    let entry =
        |name: &str| tagset.iter().find_map(|tag| tag.strip_prefix(name)).unwrap_or_default().to_owned();
    Slot {
        package: package.to_owned(),
        host: entry("__host="),
        arch: entry("__arch="),
        tags: visible_tags(tagset).map(str::to_owned).collect(),
    }
}

/// Whether a slot has all of these tags, `__host=NAME` and `__arch=NAME` included.
pub fn has_tags(slot: &Slot, wanted: &[String]) -> bool {
    let tagset = slot.tagset();
    wanted.iter().all(|tag| tagset.contains(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn red_wins_and_nothing_is_not_green() {
        use Verdict::{Green, Red, Unknown};
        for (all, verdict) in [
            (vec![], Unknown),
            (vec![Green], Green),
            (vec![Green, Unknown], Unknown),
            (vec![Unknown, Red, Green], Red),
        ] {
            assert_eq!(Verdict::of(all), verdict);
        }
    }

    #[test]
    fn a_tagset_is_a_slot_and_tags_narrow_down() {
        let tagset: Tagset =
            ["__host=h", "__arch=a", "__package=p", "fast", "__odd"].map(str::to_owned).into();
        let slot = slot_of("p", &tagset);
        assert_eq!(
            (slot.host.as_str(), slot.arch.as_str(), &slot.tags[..]),
            ("h", "a", &["fast".to_owned()][..])
        );
        let has =
            |tags: &[&str]| has_tags(&slot, &tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert!(has(&[]) && has(&["fast", "__host=h"]) && !has(&["slow"]) && !has(&["fast", "__arch=b"]));
    }
}
