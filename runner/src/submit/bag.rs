//! A run folder as the two bags that servers take (`add_results` of the pony-build protocol).

use std::{collections::HashMap, io, path::Path};

use jiff::{Timestamp, tz::TimeZone};
use pony_contexts::{Changes, Fact, Stage};
use pony_wire::{
    Call, ClientInfo, Slot, StepResult, Struct, Value,
    text::{self, Colours},
};

use super::excerpt;
use crate::record::{Log, NeedRecord, Outcome, RunRecord, StepRecord};

/// A 2010 server refuses 5,000,000 bytes; headers and a margin off.
const REQUEST_LIMIT: usize = 4_800_000;
/// What all logs of a result may come to, before XML's own words.
const TEXT_BUDGET: u64 = 1_000_000;

/// The slot that a run belongs to.
pub fn slot(record: &RunRecord) -> Slot {
    Slot {
        package: record.package.clone(),
        host: record.host.clone(),
        arch: record.arch.clone(),
        tags: record.tags.clone(),
    }
}

/// The document of the call that submits the run in `folder`, with as much of its logs as servers take. `need_keys` are the
/// keys that the server gave to the builds that it needs, as far as they are there.
///
/// # Errors
/// When a log cannot be read.
pub fn add_results(
    record: &RunRecord,
    folder: &Path,
    need_keys: &[Option<String>],
    colours: Colours,
) -> io::Result<Vec<u8>> {
    let mut budget = TEXT_BUDGET;
    loop {
        let request = build(record, folder, need_keys, colours, budget)?.encode();
        // Text full of `&` and `<` grows on its way; then less of it goes.
        if budget < 1000 || request.len() <= REQUEST_LIMIT {
            return Ok(request);
        }
        budget /= 2;
    }
}

fn logs(record: &RunRecord) -> impl Iterator<Item = &Log> {
    record.steps.iter().flat_map(|step| {
        let commands = step.commands.iter().flat_map(|command| [&command.out, &command.err]);
        [&step.out, &step.err].into_iter().chain(commands).flatten()
    })
}

fn build(
    record: &RunRecord,
    folder: &Path,
    need_keys: &[Option<String>],
    colours: Colours,
    budget: u64,
) -> io::Result<Call> {
    let sizes: Vec<u64> = logs(record).map(|log| log.bytes).collect();
    let limit = excerpt::fair_share(&sizes, budget);
    let mut texts = HashMap::new();
    for log in logs(record) {
        let path = folder.join(&log.file);
        let whole = format!("{}:{}", record.host, path.display());
        texts.insert(log.file.as_str(), excerpt::read(&path, limit, &whole, colours)?);
    }
    let mut text = |log: &Option<Log>| -> String {
        log.as_ref().and_then(|log| texts.remove(log.file.as_str())).unwrap_or_default()
    };
    let results = record.steps.iter().filter(|step| step.outcome != Outcome::Skipped);
    let results = results.map(|step| step_result(record, step, &mut text)).collect();
    Ok(Call::AddResults { client_info: client_info(record, need_keys), results })
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
    if let Some(reason) = &step.reason {
        // Where there is no output to say it, servers that know only output say it too.
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

/// Paths, and as the last of them that there are more.
fn files(changes: &Changes) -> Value {
    let more = changes.more_files.then_some("…");
    Value::Array(changes.files.iter().map(String::as_str).chain(more).map(string).collect())
}

fn fact(fact: &Fact) -> Value {
    match fact {
        Fact::Flag(flag) => Value::Bool(*flag),
        Fact::Text(text) => string(text),
        Fact::List(list) => Value::Array(list.iter().map(|text| string(text)).collect()),
    }
}

/// Local wall clock in the one form that every server's date parser reads.
fn wall_clock(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn string(text: &str) -> Value {
    Value::String(clean(text))
}

fn clean(text: &str) -> String {
    text::clean(text.as_bytes(), Colours::Strip)
}
