//! From events to a record: what `result.json` says is the fold of `events.jsonl`, at the end of a run as after a crash.
//! Pure; any beginning of a run's events folds.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    CommandRecord, Log, Outcome, RunRecord, StepRecord,
    event::{Event, Stamped, StepHead},
    folder::{command_stem, step_stem},
    format::{self, ParseError, TooNew},
};

/// Why a run ends whose events have no end.
const CRASHED: &str = "pony-run or the machine went down";

/// The events of a run so far.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    record: Option<RunRecord>,
    is_over: bool,
    /// Seconds since pony-run started, when the run began.
    began: f64,
    heads: Vec<StepHead>,
    /// What the recipe sets for every step, on top of what the context sets.
    recipe_environment: BTreeMap<String, Option<String>>,
    step: Option<UnderWay>,
}

/// A step that has begun and not ended.
#[derive(Debug, Clone)]
struct UnderWay {
    step: usize,
    started: Timestamp,
    commands: Vec<CommandRecord>,
    /// Label and line of the context's command that has begun and not ended.
    command: Option<(String, String)>,
}

impl Fold {
    /// Of the lines of `events.jsonl`. Those that are not known, or were cut off by a crash, are passed over.
    ///
    /// # Errors
    /// When a program wrote them that is too new.
    pub fn of_lines(lines: &[u8]) -> Result<Self, TooNew> {
        let mut fold = Self::default();
        for line in lines.split(|byte| *byte == b'\n') {
            match format::parse(line, Stamped::FORMAT) {
                Ok(stamped) => fold.on(&stamped),
                Err(ParseError::TooNew(error)) => return Err(error),
                Err(ParseError::Json(_)) => {}
            }
        }
        Ok(fold)
    }

    /// Takes the next event.
    pub fn on(&mut self, stamped: &Stamped) {
        let Stamped { time, elapsed, event } = stamped;
        if let Event::RunStarted { steps, environment, .. } = event {
            self.began = *elapsed;
            self.heads.clone_from(steps);
            self.recipe_environment.clone_from(environment);
            self.record = begun(event, *time);
        }
        let Some(record) = &mut self.record else { return };
        record.ended = *time;
        record.duration = ((elapsed - self.began) * 1e6).round() / 1e6;
        match event {
            Event::StepStarted { step } => {
                self.step =
                    Some(UnderWay { step: *step, started: *time, commands: Vec::new(), command: None });
            }
            Event::CommandStarted { label, command, .. } => {
                if let Some(step) = &mut self.step {
                    step.command = Some((label.clone(), command.clone()));
                }
            }
            Event::CommandEnded { label, status, out, err, .. } => {
                if let Some(step) = &mut self.step {
                    let command = step.command.take().map(|(_, line)| line).unwrap_or_default();
                    step.commands.push(CommandRecord {
                        label: label.clone(),
                        command,
                        status: *status,
                        out: out.clone(),
                        err: err.clone(),
                    });
                }
            }
            Event::CheckedOut { checkout, tip } => {
                record.checkout.clone_from(checkout);
                record.tip.clone_from(tip);
            }
            Event::Prepared { cwd, environment, facts } => {
                record.cwd = Some(cwd.clone());
                record.environment.clone_from(environment);
                record.environment.extend(self.recipe_environment.clone());
                record.facts.extend(facts.clone());
            }
            Event::StepEnded { record: step, .. } => {
                self.step = None;
                record.steps.push(StepRecord::clone(step));
            }
            Event::Outputs { outputs } => record.outputs.clone_from(outputs),
            Event::RunEnded { outcome, reason, signal, tempdir, kept, .. } => {
                self.is_over = true;
                record.outcome = *outcome;
                record.reason.clone_from(reason);
                record.signal = *signal;
                record.tempdir.clone_from(tempdir);
                record.kept = *kept;
            }
            _ => {}
        }
    }

    /// Whether the run has come to its end.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The steps that have ended.
    pub fn steps(&self) -> &[StepRecord] {
        self.record.as_ref().map_or(&[], |record| &record.steps)
    }

    /// The commands that the context has run for the step under way.
    pub fn commands(&self) -> &[CommandRecord] {
        self.step.as_ref().map_or(&[], |step| &step.commands)
    }

    /// What the logs of the step under way, or of the command that its context runs, are called, without `.out` and `.err`.
    pub fn stem(&self) -> Option<String> {
        let step = self.step.as_ref()?;
        Some(step.stem(self.heads.get(step.step)?))
    }

    /// The record of a run whose events these are; a run without its end has crashed. `size` tells the size of a log, if it
    /// is there. Nothing where not even the first event is there: nothing had begun.
    pub fn record(&self, size: impl Fn(&str) -> Option<u64>) -> Option<RunRecord> {
        let mut record = self.record.clone()?;
        if self.is_over {
            return Some(record);
        }
        let log = |stem: &str, ending: &str| {
            let file = format!("{stem}.{ending}");
            size(&file).map(|bytes| Log { file, bytes })
        };
        for (index, head) in self.heads.iter().enumerate().skip(record.steps.len()) {
            let skipped = StepRecord {
                reason: Some(CRASHED.to_owned()),
                ..StepRecord::of(&head.name, head.kind, head.command.clone(), Outcome::Skipped, 0)
            };
            let step = match self.step.as_ref().filter(|step| step.step == index) {
                None => skipped,
                Some(step) => {
                    record.reason = Some(format!("{CRASHED} during step `{}`", head.name));
                    step.crashed(head, record.ended, log)
                }
            };
            record.steps.push(step);
        }
        Some(record)
    }
}

impl UnderWay {
    fn stem(&self, head: &StepHead) -> String {
        match &self.command {
            Some((label, _)) => command_stem(self.step, &head.name, self.commands.len() + 1, label),
            None => step_stem(self.step, &head.name),
        }
    }

    fn crashed(
        &self,
        head: &StepHead,
        ended: Timestamp,
        log: impl Fn(&str, &str) -> Option<Log>,
    ) -> StepRecord {
        let stem = self.stem(head);
        let logs = (log(&stem, "out"), log(&stem, "err"));
        let mut commands = self.commands.clone();
        let (out, err) = match &self.command {
            None => logs,
            Some((label, line)) => {
                let (out, err) = logs;
                let (label, command) = (label.clone(), line.clone());
                commands.push(CommandRecord { label, command, status: -1, out, err });
                (None, None)
            }
        };
        StepRecord {
            started: Some(self.started),
            duration: ended.duration_since(self.started).as_secs_f64(),
            out,
            err,
            commands,
            ..StepRecord::of(&head.name, head.kind, head.command.clone(), Outcome::Crashed, -1)
        }
    }
}

/// The record of a run that has begun, and no more.
fn begun(event: &Event, time: Timestamp) -> Option<RunRecord> {
    let Event::RunStarted {
        run_id,
        client,
        package,
        tags,
        host,
        arch,
        recipe,
        recipe_folder,
        variables,
        tempdir,
        deliver_to,
        made_from,
        chain,
        needs,
        facts,
        environment_from,
        environment,
        secrets,
        ..
    } = event
    else {
        return None;
    };
    Some(RunRecord {
        format: RunRecord::FORMAT,
        run_id: run_id.clone(),
        package: package.clone(),
        tags: tags.clone(),
        host: host.clone(),
        arch: arch.clone(),
        outcome: Outcome::Crashed,
        reason: Some(CRASHED.to_owned()),
        signal: None,
        started: time,
        ended: time,
        duration: 0.0,
        recipe: recipe.clone(),
        recipe_folder: recipe_folder.clone(),
        variables: variables.clone(),
        checkout: None,
        made_from: (**made_from).clone(),
        tip: None,
        chain: chain.clone(),
        needs: needs.clone(),
        outputs: BTreeMap::new(),
        facts: facts.clone(),
        cwd: None,
        environment_from: *environment_from,
        environment: environment.clone(),
        secrets: secrets.clone(),
        tempdir: Some(tempdir.clone()),
        kept: false,
        steps: Vec::new(),
        deliver_to: deliver_to.clone(),
        client: client.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::recipe::StepKind;

    fn at(second: i64, event: Event) -> Stamped {
        let elapsed = Duration::from_secs(u64::try_from(second).unwrap());
        Stamped::new(event, Timestamp::from_second(1_700_000_000 + second).unwrap(), elapsed)
    }

    fn fold(events: impl IntoIterator<Item = Stamped>) -> Fold {
        let mut fold = Fold::default();
        events.into_iter().for_each(|event| fold.on(&event));
        fold
    }

    fn started() -> Event {
        let head =
            |name| serde_json::json!({"name": name, "type": "build", "command": format!("run {name}")});
        let steps = ["checkout", "make", "test"].map(head);
        let json = serde_json::json!({
            "event": "run-started", "run_id": "r1", "package": "p", "tags": [], "host": "h", "arch": "a",
            "recipe": "p.yaml", "folder": "/f", "tempdir": "/tmp/pony-p-r1", "deliver_to": ["embedded"],
            "environment": {"CC": "gcc", "LANG": "C"},
            "steps": steps,
        });
        serde_json::from_value(json).unwrap()
    }

    fn passed(step: usize, name: &str) -> Event {
        let record = StepRecord::of(name, StepKind::Build, format!("run {name}"), Outcome::Passed, 0);
        Event::StepEnded { step, record: Box::new(record) }
    }

    fn outcomes(record: &RunRecord) -> Vec<Outcome> {
        record.steps.iter().map(|step| step.outcome).collect()
    }

    #[test]
    fn the_step_that_was_under_way_has_crashed_and_the_rest_was_skipped() {
        let fold = fold([
            at(10, started()),
            at(11, Event::StepStarted { step: 0 }),
            at(12, passed(0, "checkout")),
            at(12, Event::StepStarted { step: 1 }),
            at(15, Event::Note { text: "x".into() }),
        ]);
        let record = fold.record(|name| (name == "02-make.out").then_some(77)).unwrap();
        assert_eq!(record.outcome, Outcome::Crashed);
        assert!((record.duration - 5.0).abs() < 1e-9);
        assert_eq!(outcomes(&record), [Outcome::Passed, Outcome::Crashed, Outcome::Skipped]);
        assert_eq!(record.steps[1].out, Some(Log { file: "02-make.out".into(), bytes: 77 }));
        assert_eq!(record.steps[1].err, None);
        assert_eq!(record.deliver_to, ["embedded"]);
    }

    #[test]
    fn the_commands_of_a_context_that_was_cut_off_keep_their_logs() {
        let command = |label: &str| Event::CommandStarted {
            step: 0,
            label: label.into(),
            command: format!("git {label}"),
        };
        let err = Some(Log { file: "01-checkout.1-clone.err".into(), bytes: 5 });
        let fold = fold([
            at(1, started()),
            at(1, Event::StepStarted { step: 0 }),
            at(1, command("clone")),
            at(
                2,
                Event::CommandEnded {
                    step: 0,
                    label: "clone".into(),
                    status: 0,
                    out: None,
                    err: err.clone(),
                },
            ),
            at(2, command("fetch")),
        ]);
        assert_eq!(fold.stem().unwrap(), "01-checkout.2-fetch");
        let record = fold.record(|name| (name == "01-checkout.2-fetch.out").then_some(3)).unwrap();
        let commands = &record.steps[0].commands;
        assert_eq!((commands[0].status, &commands[0].err), (0, &err));
        let out = Log { file: "01-checkout.2-fetch.out".into(), bytes: 3 };
        assert_eq!((commands[1].status, commands[1].out.clone()), (-1, Some(out)));
    }

    #[test]
    fn what_the_recipe_sets_comes_on_top_of_what_the_context_sets() {
        let set = |value: &str| Some(value.to_owned());
        let environment =
            BTreeMap::from([("CC".to_owned(), set("cc")), ("VIRTUAL_ENV".to_owned(), set("/v"))]);
        let facts = serde_json::from_str(r#"{"python": "3.13"}"#).unwrap();
        let prepared = Event::Prepared { cwd: "/tmp/x".into(), environment, facts };
        let record = fold([at(1, started()), at(2, prepared)]).record(|_| None).unwrap();
        let names: Vec<_> =
            record.environment.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
        assert_eq!(names, [("CC", Some("gcc")), ("LANG", Some("C")), ("VIRTUAL_ENV", Some("/v"))]);
        assert_eq!((record.cwd.as_deref(), record.facts.len()), (Some("/tmp/x"), 1));
    }

    #[test]
    fn a_run_that_has_ended_is_what_its_end_says() {
        let end = Event::RunEnded {
            outcome: Outcome::Cancelled,
            reason: Some("stopped".into()),
            signal: Some(15),
            tempdir: None,
            kept: false,
            record: None,
        };
        let fold = fold([at(1, started()), at(2, passed(0, "checkout")), at(3, end)]);
        let record = fold.record(|_| None).unwrap();
        assert!(fold.is_over());
        assert_eq!((record.outcome, record.signal, record.tempdir), (Outcome::Cancelled, Some(15), None));
        assert_eq!(record.steps.len(), 1, "what is not recorded is not made up");
    }

    #[test]
    fn nothing_is_made_of_no_events_and_of_those_of_a_newer_program() {
        assert!(fold([]).record(|_| None).is_none());
        let mut line = serde_json::to_value(at(1, started())).unwrap();
        line["format"] = "2.9".into();
        line["more"] = 1.into();
        assert!(Fold::of_lines(line.to_string().as_bytes()).unwrap().record(|_| None).is_some());
        line["format"] = "3.0".into();
        assert!(Fold::of_lines(line.to_string().as_bytes()).is_err());
    }
}
