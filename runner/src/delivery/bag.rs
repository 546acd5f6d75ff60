//! A run as the two bags that servers take (`add_results` of the pony-build protocol).
#![expect(clippy::disallowed_methods, reason = "servers get local wall clocks")]

use std::fs;

use jiff::{Timestamp, tz::TimeZone};
use pony_contexts::{Changes, InfoValue, Stage};
use pony_wire::{
    ClientInfo, Slot, StepResult, Struct, Value,
    text::{self, Colours},
};

use crate::{
    record::{Log, NeedRecord, Outcome, RunRecord, StepRecord, folder::RunFolder},
    server::WALL_CLOCK,
};

/// The slot that a run belongs to.
pub(crate) fn slot(record: &RunRecord) -> Slot {
    Slot {
        package: record.package.clone(),
        host: record.host.clone(),
        arch: record.arch.clone(),
        tags: record.tags.clone(),
    }
}

/// What the bags are made from, besides the logs.
#[derive(Debug)]
pub(super) struct Bags<'b> {
    pub(super) record: &'b RunRecord,
    /// The keys of the results of its needs on the server, where they are known.
    pub(super) need_keys: &'b [Option<String>],
    /// The package as the server files it.
    pub(super) package: String,
    /// The key for files, for a server that lets its clients choose it.
    pub(super) upload_key: Option<String>,
}

impl Bags<'_> {
    /// The two bags; `text` gives as much of a log as is sent.
    pub(super) fn make(&self, text: &mut dyn FnMut(&Log) -> String) -> (ClientInfo, Vec<StepResult>) {
        let mut text = |log: &Option<Log>| log.as_ref().map(&mut *text).unwrap_or_default();
        let steps = self.record.steps.iter().filter(|step| step.outcome != Outcome::Skipped);
        let steps = steps.map(|step| step_result(self.record, step, &mut text)).collect();
        let mut client_info = client_info(self.record, self.need_keys);
        client_info.slot.package.clone_from(&self.package);
        if let Some(key) = &self.upload_key {
            client_info.extra.insert("upload_key".to_owned(), string(key));
        }
        (client_info, steps)
    }
}

/// The largest recipe that is sent with a result.
const LARGEST_RECIPE: u64 = 100_000;

/// The recipe's text, for replays, or why it is not sent.
pub(super) fn recipe(folder: &RunFolder) -> Struct {
    let path = folder.recipe();
    let size = fs::metadata(&path).map_or(0, |data| data.len());
    let (key, text) = if size > LARGEST_RECIPE {
        let why = format!(
            "it has {size} bytes, more than the {LARGEST_RECIPE} that are sent; it is in {}",
            path.display()
        );
        ("recipe_left_out", why)
    } else {
        match fs::read_to_string(&path) {
            Ok(text) if !text.is_empty() => ("recipe_text", text),
            // A run that crashed at once has none.
            Ok(_) | Err(_) => return Struct::new(),
        }
    };
    [(key.to_owned(), string(&text))].into()
}

fn client_info(record: &RunRecord, need_keys: &[Option<String>]) -> ClientInfo {
    let mut extra = Struct::new();
    let mut put = |key: &str, value: Value| {
        extra.insert(key.to_owned(), value);
    };
    for (name, value) in &record.facts {
        put(name, fact(value));
    }
    put("duration", Value::Double(record.duration));
    put("start_time", string(&wall_clock(record.started)));
    put("end_time", string(&wall_clock(record.ended)));
    put("run_id", string(&record.run_id));
    put("outcome", string(record.outcome.word()));
    put("client", string(&record.client));
    put("recipe", string(&record.recipe));
    if let Some(folder) = &record.recipe_folder {
        put("recipe_folder", string(folder));
    }
    if !record.variables.is_empty() {
        let variables = record.variables.iter().map(|(name, value)| (name.clone(), string(value)));
        put("variables", Value::Struct(variables.collect()));
    }
    if let Some(reason) = &record.reason {
        put("reason", string(reason));
    }
    if let Some(tempdir) = &record.tempdir {
        put("tempdir", string(tempdir));
    }
    if let Some(checkout) = &record.checkout {
        put("revision", string(&checkout.revision));
        put("commit_date", string(&checkout.commit_date));
        put("dirty", Value::Bool(checkout.dirty));
        if let Some(why) = &checkout.offline {
            put("offline", string(why));
        }
        let changes = [
            ("changes", "changed_files", &checkout.changes_since_last),
            ("changes_since_success", "changed_files_since_success", &checkout.changes_since_success),
        ];
        for (key, files_key, changes) in changes {
            if let Some(changes) = changes {
                put(key, commits(changes));
                put(files_key, files(changes));
            }
        }
    }
    if let Some(chain) = &record.chain {
        put("chain", string(chain));
    }
    if !record.needs.is_empty() {
        let keys = need_keys.iter().map(Option::as_deref).chain(std::iter::repeat(None));
        put(
            "needs",
            Value::Array(record.needs.iter().zip(keys).map(|(need, key)| needed(need, key)).collect()),
        );
    }
    let skipped: Vec<Value> = record
        .steps
        .iter()
        .filter(|step| step.outcome == Outcome::Skipped)
        .map(|step| string(&format!("{}: {}", step.name, step.reason.as_deref().unwrap_or_default())))
        .collect();
    if !skipped.is_empty() {
        put("skipped", Value::Array(skipped));
    }
    ClientInfo { slot: slot(record), success: Some(record.outcome == Outcome::Passed), extra }
}

fn step_result(
    record: &RunRecord,
    step: &StepRecord,
    text: &mut impl FnMut(&Option<Log>) -> String,
) -> StepResult {
    let mut extra = Struct::new();
    let output = text(&step.out);
    let mut errout = text(&step.err);
    for command in &step.commands {
        let mut key = command.label.clone();
        let mut count = 1;
        while extra.contains_key(&key) {
            count += 1;
            key = format!("{} {count}", command.label);
        }
        let members = [
            ("status", Value::Int(command.status)),
            ("command", string(&command.command)),
            ("output", Value::String(text(&command.out))),
            ("errout", Value::String(text(&command.err))),
        ];
        extra.insert(key, Value::Struct(members.map(|(name, value)| (name.to_owned(), value)).into()));
    }
    if let Some(checkout) = record.checkout.as_ref().filter(|_| step.name == Stage::Checkout.name()) {
        extra.insert("version_type".to_owned(), string(&checkout.version_type));
        extra.insert("version_info".to_owned(), string(&checkout.version_info));
    }
    extra.insert("outcome".to_owned(), string(step.outcome.word()));
    if let Some(started) = step.started {
        extra.insert("start_time".to_owned(), string(&wall_clock(started)));
    }
    if let Some(reason) = &step.reason {
        // For servers that show only output.
        if step.outcome != Outcome::Passed && errout.is_empty() {
            errout = clean(reason);
        }
        extra.insert("reason".to_owned(), string(reason));
    }
    if step.allowed_to_fail {
        extra.insert("allow_failure".to_owned(), Value::Bool(true));
    }
    if !step.leaked.is_empty() {
        extra
            .insert("leaked".to_owned(), Value::Array(step.leaked.iter().map(|name| string(name)).collect()));
    }
    let is_upload = !step.artifacts.is_empty();
    if is_upload {
        #[expect(clippy::cast_precision_loss, reason = "the protocol sends sizes as doubles")]
        let size = step.artifacts.iter().map(|artifact| artifact.bytes).sum::<u64>() as f64;
        extra.insert("filesize".to_owned(), Value::Double(size));
        let files = step.artifacts.iter().map(|artifact| string(&artifact.name)).collect();
        extra.insert("files".to_owned(), Value::Array(files));
        extra.insert("description".to_owned(), string(step.description.as_deref().unwrap_or_default()));
        if step.hidden {
            extra.insert("visible".to_owned(), Value::Bool(false));
        }
    }
    StepResult {
        status: Some(step.status),
        name: Some(clean(&step.name)),
        kind: Some(if is_upload { "file_upload".to_owned() } else { step.kind.to_string() }),
        command: Some(clean(&step.command)),
        output: Some(output),
        errout: Some(errout),
        duration: Some(step.duration),
        extra,
    }
}

fn needed(need: &NeedRecord, key: Option<&str>) -> Value {
    let mut members = Struct::new();
    members.insert("name".to_owned(), string(&need.name));
    members.insert("package".to_owned(), string(&need.package));
    members.insert("outcome".to_owned(), string(need.outcome.word()));
    members.insert("reused".to_owned(), Value::Bool(need.reused));
    let known = [("revision", need.revision.as_deref()), ("result_key", key)];
    members.extend(known.into_iter().filter_map(|(name, text)| Some((name.to_owned(), string(text?)))));
    Value::Struct(members)
}

fn commits(changes: &Changes) -> Value {
    let commit = |commit: &pony_contexts::Commit| {
        let members = [
            ("id", &commit.id),
            ("author", &commit.author),
            ("date", &commit.date),
            ("subject", &commit.subject),
        ];
        Value::Struct(members.map(|(name, text)| (name.to_owned(), string(text))).into())
    };
    Value::Array(changes.commits.iter().map(commit).collect())
}

/// Paths; `…` as the last one if there are more.
fn files(changes: &Changes) -> Value {
    let more = changes.more_files.then_some("…");
    Value::Array(changes.files.iter().map(String::as_str).chain(more).map(string).collect())
}

fn fact(fact: &InfoValue) -> Value {
    match fact {
        InfoValue::Flag(flag) => Value::Bool(*flag),
        InfoValue::Text(text) => string(text),
        InfoValue::List(list) => Value::Array(list.iter().map(|text| string(text)).collect()),
    }
}

fn wall_clock(time: Timestamp) -> String {
    time.to_zoned_datetime(TimeZone::system()).strftime(WALL_CLOCK).to_string()
}

fn string(text: &str) -> Value {
    Value::String(clean(text))
}

fn clean(text: &str) -> String {
    text::clean(text.as_bytes(), Colours::Strip)
}
