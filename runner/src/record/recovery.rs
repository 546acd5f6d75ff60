//! Runs that were cut short (power, `kill -9`, a full disk): found by the next run, recorded as crashed, cleaned up after.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use pony_contexts::{cache::outputs, disk_usage};

use crate::{
    display,
    home::Home,
    jobserver::Jobserver,
    process::os,
    recipe::EnvironmentFrom,
    record::{
        Log, Outcome, RunRecord, StepRecord,
        event::{Event, Stamped},
        folder::{Open, RunFolder, open_runs},
    },
    retained::{self, Kept},
    run::job::MARK,
};

/// A run that had been cut short and is recorded now.
#[derive(Debug)]
pub struct Recovered {
    /// Its folder, not closed yet: it may be delivered.
    pub open: Open,
    /// What is known of it.
    pub record: RunRecord,
    /// Processes it had left running, now killed.
    pub killed: Vec<String>,
}

/// Finds the runs that crashed, kills what they left running, removes their tempdirs, writes their results. Each by itself:
/// of one that cannot be recorded its folder and why.
pub fn recover(home: &Home) -> io::Result<Vec<Result<Recovered, (PathBuf, io::Error)>>> {
    Jobserver::sweep(&home.jobs());
    let mut recovered = Vec::new();
    for open in open_runs(home)? {
        if open.folder.result().exists() {
            // Over and waiting for delivery; it may have been cut short while it tidied up.
            if let Ok(record) = open.folder.read_result() {
                tidy_up(home, &record);
                if record.deliver_to.is_empty() {
                    // Nobody waits for it.
                    let _ = open.active.close();
                }
            }
            continue;
        }
        let killed = os::kill_marked(&format!("{MARK}={}", open.folder.run_id()));
        let path = open.folder.path().to_path_buf();
        match record(home, open, killed) {
            Ok(run) => recovered.extend(run.map(Ok)),
            // One that cannot be recorded does not keep the others from it.
            Err(error) => recovered.push(Err((path, error))),
        }
    }
    Ok(recovered)
}

/// What a run does with its tree at its end.
fn tidy_up(home: &Home, record: &RunRecord) {
    let Some(tempdir) = record.tempdir.as_ref().map(PathBuf::from) else { return };
    if !record.kept && !outputs::is_stored(&tempdir) {
        remove(&tempdir, &record.run_id);
    } else if record.kept && tempdir.is_dir() && !retained::is_noted(home, &record.run_id) {
        let (run_id, since) = (record.run_id.clone(), record.ended);
        let _ = retained::note(home, &Kept { run_id, bytes: disk_usage(&tempdir), tempdir, since });
    }
}

/// Writes the result of a run that crashed. None where it was cut short before its first event: nothing had begun.
fn record(home: &Home, open: Open, killed: Vec<String>) -> io::Result<Option<Recovered>> {
    let Some(record) = crashed(&open.folder) else {
        fs::remove_dir_all(open.folder.path())?;
        open.active.close()?;
        return Ok(None);
    };
    if let Some(tempdir) = &record.tempdir {
        remove(Path::new(tempdir), &record.run_id);
    }
    // It may have been kept in its very last moment.
    let _ = outputs::discard_run(&home.cache(), &record.run_id);
    open.folder.write_result(&record)?;
    Ok(Some(Recovered { open, record, killed }))
}

/// Removes a tempdir, if it is that run's: its name carries the run's id.
fn remove(tempdir: &Path, run_id: &str) {
    let own = tempdir.file_name().is_some_and(|name| name.to_string_lossy().ends_with(run_id));
    if own {
        let _ = outputs::discard(tempdir);
    }
}

fn crashed(folder: &RunFolder) -> Option<RunRecord> {
    let text = fs::read(folder.events()).ok()?;
    // The last line may be half written.
    let events =
        text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Stamped>(line).ok());
    let size = |name: &str| fs::metadata(folder.path().join(name)).ok().map(|data| data.len());
    record_of(events, size)
}

/// The result of a run of which these events are known; `size` tells the size of a file in its folder. Pure.
fn record_of(events: impl Iterator<Item = Stamped>, size: impl Fn(&str) -> Option<u64>) -> Option<RunRecord> {
    let mut record: Option<RunRecord> = None;
    let mut under_way: Option<(usize, Timestamp)> = None;
    let mut heads = Vec::new();
    let mut first = 0.0;
    for Stamped { time, elapsed, event } in events {
        match event {
            Event::RunStarted {
                run_id,
                package,
                tags,
                host,
                arch,
                recipe,
                tempdir,
                deliver_to,
                made_from,
                chain,
                needs,
                steps,
                ..
            } => {
                first = elapsed;
                heads = steps;
                record = Some(RunRecord {
                    format: 1,
                    run_id,
                    package,
                    tags,
                    host,
                    arch,
                    outcome: Outcome::Crashed,
                    reason: Some("pony-run or the machine went down".to_owned()),
                    signal: None,
                    started: time,
                    ended: time,
                    duration: 0.0,
                    recipe,
                    recipe_folder: None,
                    variables: std::collections::BTreeMap::new(),
                    checkout: None,
                    made_from: *made_from,
                    tip: None,
                    chain,
                    needs,
                    outputs: std::collections::BTreeMap::new(),
                    facts: pony_contexts::ClientInfo::new(),
                    cwd: None,
                    environment_from: EnvironmentFrom::default(),
                    environment: std::collections::BTreeMap::new(),
                    secrets: Vec::new(),
                    tempdir: Some(tempdir),
                    kept: false,
                    steps: Vec::new(),
                    deliver_to,
                    client: concat!("pony-run ", env!("CARGO_PKG_VERSION")).to_owned(),
                });
            }
            Event::StepStarted { step } => under_way = Some((step, time)),
            Event::StepEnded { record: step, .. } => {
                under_way = None;
                if let Some(record) = &mut record {
                    record.steps.push(*step);
                }
            }
            _ => {}
        }
        if let Some(record) = &mut record {
            record.ended = time;
            record.duration = elapsed - first;
        }
    }
    let record = record.as_mut()?;
    for (index, head) in heads.iter().enumerate().skip(record.steps.len()) {
        let mut step = StepRecord::of(&head.name, head.kind, head.command.clone(), Outcome::Skipped, 0);
        if let Some((_, started)) = under_way.filter(|(under_way, _)| *under_way == index) {
            let log = |ending: &str| {
                let file = format!("{}.{ending}", display::stem(index, &head.name));
                size(&file).map(|bytes| Log { file, bytes })
            };
            step = StepRecord {
                outcome: Outcome::Crashed,
                status: -1,
                started: Some(started),
                duration: (record.ended.duration_since(started)).as_secs_f64(),
                out: log("out"),
                err: log("err"),
                ..step
            };
            record.reason = Some(format!("pony-run or the machine went down during step `{}`", head.name));
        } else {
            step.reason = Some("pony-run or the machine went down".to_owned());
        }
        record.steps.push(step);
    }
    Some(record.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{recipe::StepKind, record::event::StepHead};

    fn at(second: i64, event: Event) -> Stamped {
        let elapsed = Duration::from_secs(u64::try_from(second).unwrap());
        Stamped::new(event, Timestamp::from_second(1_700_000_000 + second).unwrap(), elapsed)
    }

    fn started() -> Event {
        let head = |name: &str| StepHead {
            name: name.into(),
            kind: StepKind::Build,
            command: format!("run {name}"),
            usual: None,
        };
        Event::RunStarted {
            run_id: "r1".into(),
            package: "p".into(),
            tags: vec![],
            host: "h".into(),
            arch: "a".into(),
            recipe: "p.yaml".into(),
            folder: "/f".into(),
            tempdir: "/tmp/pony-p-r1".into(),
            deliver_to: vec!["embedded".into()],
            made_from: Box::default(),
            chain: None,
            needs: Vec::new(),
            steps: ["one", "two", "three"].map(head).into(),
        }
    }

    #[test]
    fn the_step_that_was_under_way_has_crashed_and_the_rest_was_skipped() {
        let one = StepRecord::of("one", StepKind::Build, "run one".into(), Outcome::Passed, 0);
        let events = [
            at(10, started()),
            at(11, Event::StepStarted { step: 0 }),
            at(12, Event::StepEnded { step: 0, record: Box::new(one) }),
            at(12, Event::StepStarted { step: 1 }),
            at(15, Event::Note { text: "x".into() }),
        ];
        let record = record_of(events.into_iter(), |name| (name == "02-two.out").then_some(77)).unwrap();
        assert_eq!(record.outcome, Outcome::Crashed);
        assert!((record.duration - 5.0).abs() < 1e-9);
        let outcomes: Vec<Outcome> = record.steps.iter().map(|step| step.outcome).collect();
        assert_eq!(outcomes, [Outcome::Passed, Outcome::Crashed, Outcome::Skipped]);
        assert_eq!(record.steps[1].out, Some(Log { file: "02-two.out".into(), bytes: 77 }));
        assert_eq!(record.steps[1].err, None);
        assert_eq!(record.deliver_to, ["embedded"]);
    }

    #[test]
    fn nothing_is_made_of_no_events() {
        assert!(record_of(std::iter::empty(), |_| None).is_none());
    }
}
