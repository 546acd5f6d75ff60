//! Results as servers report them: the same types for every kind of server.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pony_wire::{Slot, StepResult, StoredResult, Tagset, Value, visible_tags};
use serde_json::{Map, Value as Json};

/// How a build went, as far as a server reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Passed,
    Failed,
    /// It did not run, because of another build.
    Skipped,
    Cancelled,
    /// The result does not say.
    Unknown,
}

/// A result without its steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summary {
    /// Its key on the server, where it has one.
    pub(crate) key: Option<String>,
    pub(crate) slot: Slot,
    pub(crate) status: Status,
    /// The step that failed the build.
    pub(crate) failed_step: Option<String>,
    /// When it came to the server, by the server's clock; on devmason, when it ended, by the client's.
    pub(crate) received: Option<Timestamp>,
    /// Seconds.
    pub(crate) duration: Option<f64>,
    /// Its page for people.
    pub(crate) page: Option<String>,
}

/// A step of a result. Empty texts: the result does not say.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Step {
    pub(crate) name: String,
    /// `setup`, `build`, …
    pub(crate) kind: String,
    /// As one line.
    pub(crate) command: String,
    /// As the protocol has it.
    pub(crate) status: Option<i64>,
    pub(crate) failed: bool,
    /// Its failure did not fail the build.
    pub(crate) allowed_to_fail: bool,
    /// Seconds.
    pub(crate) duration: Option<f64>,
    pub(crate) output: String,
    pub(crate) errout: String,
}

/// A whole result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FullResult {
    pub(crate) summary: Summary,
    /// In order.
    pub(crate) steps: Vec<Step>,
    /// Every key of the client's bag, as plain JSON.
    pub(crate) client_info: Map<String, Json>,
}

/// The last result of a slot; whole where the server gives no less.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LastResult {
    pub(crate) summary: Summary,
    pub(crate) full: Option<FullResult>,
}

/// A package of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageSummary {
    /// On devmason its slug.
    pub(crate) name: String,
    /// Of its slots together, where the server reports it.
    pub(crate) status: Option<Status>,
    /// How many slots it has, and how many of them fail, where the server reports it.
    pub(crate) slots: Option<(u64, u64)>,
    /// When its newest result came, where the server reports it.
    pub(crate) latest: Option<Timestamp>,
}

impl Status {
    const ALL: [Self; 5] = [Self::Passed, Self::Failed, Self::Skipped, Self::Cancelled, Self::Unknown];

    /// The word in JSON and in tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }

    /// A word that is not one of ours is unknown.
    pub(super) fn from_word(word: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.word() == word).unwrap_or(Self::Unknown)
    }
}

impl FullResult {
    /// The step that failed the build.
    pub(crate) fn culprit(&self) -> Option<&Step> {
        culprit(&self.steps)
    }
}

impl From<FullResult> for LastResult {
    fn from(full: FullResult) -> Self {
        Self { summary: full.summary.clone(), full: Some(full) }
    }
}

/// A result as the calls of XML-RPC give it.
impl From<StoredResult> for FullResult {
    fn from(stored: StoredResult) -> Self {
        let StoredResult { receipt, client_info, results } = stored;
        let steps: Vec<Step> =
            results.iter().enumerate().map(|(index, result)| step(index, result)).collect();
        let member = |key: &str| client_info.extra.get(key);
        let status = match (client_info.success, member("outcome").and_then(Value::as_str)) {
            (_, Some("skipped")) => Status::Skipped,
            (_, Some("cancelled")) => Status::Cancelled,
            (Some(true), _) => Status::Passed,
            (Some(false), _) => Status::Failed,
            (None, _) => Status::Unknown,
        };
        let summary = Summary {
            key: Some(receipt.result_key),
            slot: client_info.slot.clone(),
            status,
            failed_step: failed_step(status, &steps),
            received: seconds(receipt.time),
            duration: member("duration").and_then(Value::as_f64).filter(|seconds| *seconds >= 0.0),
            page: None,
        };
        let client_info = match serde_json::to_value(client_info.to_value()) {
            Ok(Json::Object(members)) => members,
            _ => Map::new(),
        };
        Self { summary, steps, client_info }
    }
}

fn step(index: usize, result: &StepResult) -> Step {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Step {
        name: step_name(result.name.as_deref(), index),
        kind: text(&result.kind),
        command: text(&result.command),
        status: result.status,
        failed: result.status.is_some_and(|status| status != 0),
        allowed_to_fail: result.extra.get("allow_failure") == Some(&Value::Bool(true)),
        duration: result.duration.filter(|seconds| *seconds >= 0.0),
        output: result.shown_output().to_owned(),
        errout: text(&result.errout),
    }
}

pub(super) fn step_name(name: Option<&str>, index: usize) -> String {
    name.map_or_else(|| format!("step {}", index + 1), str::to_owned)
}

pub(super) fn failed_step(status: Status, steps: &[Step]) -> Option<String> {
    culprit(steps).filter(|_| status == Status::Failed).map(|step| step.name.clone())
}

fn culprit(steps: &[Step]) -> Option<&Step> {
    steps.iter().find(|step| step.failed && !step.allowed_to_fail)
}

fn seconds(time: f64) -> Option<Timestamp> {
    let since = jiff::SignedDuration::try_from_secs_f64(time).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(since).ok()
}

pub(super) fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

pub(super) fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// The slot that a tagset stands for.
pub(super) fn slot_of(package: &str, tagset: &Tagset) -> Slot {
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
pub(super) fn has_tags(slot: &Slot, tags: &[String]) -> bool {
    let tagset: BTreeSet<String> = slot.tagset().into_iter().collect();
    tags.iter().all(|tag| tagset.contains(tag))
}

/// The body of a recorded answer.
#[cfg(test)]
pub(super) fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/../wire/tests/recorded/{name}.response.http", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let body = &bytes[end + 4..];
    let mut plain = Vec::new();
    match body {
        [0x1f, 0x8b, ..] => std::io::copy(&mut flate2::read::GzDecoder::new(body), &mut plain).unwrap(),
        _ => return body.to_vec(),
    };
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_result_of_2009_is_read() {
        let answer = pony_wire::decode_answer(&recorded("2009/get-last-result-for-tagset")).unwrap().unwrap();
        let full = FullResult::from(StoredResult::from_last_result(answer).unwrap().unwrap());
        assert_eq!(full.summary.slot.package, "hello-git");
        assert_eq!(full.summary.status, Status::Passed);
        assert!(full.summary.received.is_some() && full.summary.key.is_some(), "{full:#?}");
        assert!(!full.steps.is_empty() && full.culprit().is_none());
        assert_eq!(full.client_info["package"], "hello-git");
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

    #[test]
    fn times_and_words_that_make_no_sense_are_unknown() {
        assert!(seconds(f64::NAN).is_none() && seconds(1e300).is_none());
        assert_eq!(Status::from_word("brown"), Status::Unknown);
    }
}
