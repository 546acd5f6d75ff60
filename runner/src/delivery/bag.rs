//! A run as the two bags that servers take (`add_results` of the pony-build protocol).

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

/// What bags are made from, besides the logs.
#[derive(Debug)]
pub(super) struct Bags<'b> {
    /// The run.
    pub(super) record: &'b RunRecord,
    /// The keys that the server gave to the builds that it needs, as far as they are there.
    pub(super) need_keys: &'b [Option<String>],
    /// The package as the server has to be told it.
    pub(super) package: String,
    /// With what files can be added to the result, for a server that lets its clients choose.
    pub(super) upload_key: Option<String>,
}

impl Bags<'_> {
    /// The two bags; `text` gives a log as far as it goes along.
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

/// The largest recipe that goes along with a result.
const LARGEST_RECIPE: u64 = 100_000;

/// What results carry so that they can be run again: the text of the recipe that lies in the run folder, or why it is not there.
pub(super) fn recipe(folder: &RunFolder) -> Struct {
    let path = folder.recipe();
    let size = fs::metadata(&path).map_or(0, |data| data.len());
    let (key, text) = if size > LARGEST_RECIPE {
        let why = format!(
            "it has {size} bytes, and no more than {LARGEST_RECIPE} go along; it is in {}",
            path.display()
        );
        ("recipe_left_out", why)
    } else {
        match fs::read_to_string(&path) {
            Ok(text) if !text.is_empty() => ("recipe_text", text),
            // Nothing is told of what a run that crashed at once has not written.
            Ok(_) | Err(_) => return Struct::new(),
        }
    };
    [(key.to_owned(), string(&text))].into()
}

/// No more than about `most` steps: those that passed, but for the first and the last ones, are told of together; where that does
/// not do, all others too. Pure.
pub(super) fn together(steps: Vec<StepResult>, most: usize) -> Vec<StepResult> {
    if steps.len() <= most {
        return steps;
    }
    let passed = |step: &StepResult| step.status == Some(0) && step.kind.as_deref() != Some("file_upload");
    let others = steps.iter().filter(|step| !passed(step)).count();
    if others < most { join_middle(steps, most - others, passed) } else { join_middle(steps, most, |_| true) }
}

/// Of the steps that `may` be joined the first and the last ones, `kept` in all, stay as they are; runs of the rest become one.
fn join_middle(steps: Vec<StepResult>, kept: usize, may: impl Fn(&StepResult) -> bool) -> Vec<StepResult> {
    let count = steps.iter().filter(|step| may(step)).count();
    let middle = kept / 2..count.saturating_sub(kept - kept / 2);
    let (mut all, mut run, mut place) = (Vec::new(), Vec::new(), 0);
    for step in steps {
        let is_joined = may(&step) && middle.contains(&place);
        place += usize::from(may(&step));
        if is_joined {
            run.push(step);
        } else {
            all.extend(joined(std::mem::take(&mut run)));
            all.push(step);
        }
    }
    all.extend(joined(run));
    all
}

/// Several steps as one, which has the first status of them that is not 0.
fn joined(mut steps: Vec<StepResult>) -> Option<StepResult> {
    const NAMED: usize = 100;
    if steps.len() <= 1 {
        return steps.pop();
    }
    let name = |step: &StepResult| step.name.clone().unwrap_or_default();
    let (first, last) =
        (steps.first().map(name).unwrap_or_default(), steps.last().map(name).unwrap_or_default());
    let line = |step: &StepResult| {
        let seconds = step.duration.unwrap_or_default();
        format!("{} ({seconds:.1} s, status {})", name(step), step.status.unwrap_or_default())
    };
    let mut lines: Vec<String> = steps.iter().take(NAMED).map(line).collect();
    if steps.len() > NAMED {
        lines.push(format!("… and {} more", steps.len() - NAMED));
    }
    let status = steps.iter().filter_map(|step| step.status).find(|status| *status != 0).unwrap_or(0);
    let mut extra = Struct::new();
    if status != 0
        && steps.iter().all(|step| step.status == Some(0) || step.extra.contains_key("allow_failure"))
    {
        extra.insert("allow_failure".to_owned(), Value::Bool(true));
    }
    Some(StepResult {
        status: Some(status),
        name: Some(format!("{} steps, {first} to {last}", steps.len())),
        kind: steps[0].kind.clone(),
        command: Some(format!("(told of together: all {} would be more than the server takes)", steps.len())),
        output: Some(lines.join("\n") + "\n"),
        errout: Some(String::new()),
        duration: Some(steps.iter().filter_map(|step| step.duration).sum()),
        extra,
    })
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

/// Paths, and as the last of them that there are more.
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

/// Local wall clock in the one form that every server's date parser reads.
fn wall_clock(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime(WALL_CLOCK).to_string()
}

fn string(text: &str) -> Value {
    Value::String(clean(text))
}

fn clean(text: &str) -> String {
    text::clean(text.as_bytes(), Colours::Strip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(statuses: &[i64]) -> Vec<StepResult> {
        let step = |(index, status): (usize, &i64)| StepResult {
            name: Some(format!("s{index}")),
            status: Some(*status),
            duration: Some(0.5),
            ..StepResult::default()
        };
        statuses.iter().enumerate().map(step).collect()
    }

    fn told(statuses: &[i64], most: usize) -> Vec<(String, i64)> {
        let together = together(steps(statuses), most).into_iter();
        together.map(|step| (step.name.unwrap(), step.status.unwrap())).collect()
    }

    #[test]
    fn what_passed_in_a_row_is_told_of_as_one() {
        let row = |name: &str, status| (name.to_owned(), status);
        assert_eq!(told(&[0, 0, 3], 3).len(), 3);
        let rows = [row("s0", 0), row("2 steps, s1 to s2", 0), row("s3", 3), row("s4", 0), row("s5", 0)];
        assert_eq!(told(&[0, 0, 0, 3, 0, 0], 4), rows);
        let many = together(steps(&vec![0; 10_000]), 1_000);
        assert_eq!(many.len(), 1_001);
        assert!((many[500].duration.unwrap() - 4500.0).abs() < 1e-6);
        let output = many[500].output.as_ref().unwrap();
        assert!(
            output.starts_with("s500 (0.5 s, status 0)\n") && output.ends_with("… and 8900 more\n"),
            "{output}"
        );
    }

    #[test]
    fn where_nothing_passes_the_ends_stay() {
        let told = told(&[1, 2, 3, 4, 5, 6], 2);
        let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["s0", "4 steps, s1 to s4", "s5"]);
        assert_eq!(told[1].1, 2);
    }
}
