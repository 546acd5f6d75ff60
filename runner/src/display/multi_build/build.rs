//! One of several builds, as far as the screen has to know it. Pure.

use jiff::Timestamp;
use pony_wire::text::{Controls, Lines};

use crate::{
    clock::Moment,
    display::{endings, settings::DisplaySettings, stream, tail::Tail},
    record::{
        Outcome, RunRecord, StepRecord,
        event::{BuildHead, StepHead, Stream},
    },
    words,
};

/// What is kept of a tail until the end, where thousands may have failed.
const KEPT_TAIL: usize = 16 * 1024;

/// A build and how far it is.
#[derive(Debug)]
pub(super) struct Build {
    /// Seconds it took last time.
    pub(super) usual: Option<f64>,
    pub(super) stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// It has not begun.
    Ahead,
    Running(Box<Running>),
    Finished(Box<FinishedBuild>),
}

/// A build that runs.
#[derive(Debug)]
pub(super) struct Running {
    since: Moment,
    /// Its run folder.
    pub(super) folder: String,
    pub(super) steps: Vec<StepHead>,
    step: Option<usize>,
    /// A context's command is under way: its output is for the record.
    pub(super) in_context: bool,
    lines: [Lines; 2],
    tail: Tail,
    failed: Option<String>,
}

/// A build that has ended, or never begins.
#[derive(Debug)]
pub(super) struct FinishedBuild {
    pub(super) end: End,
    /// Seconds.
    pub(super) duration: Option<f64>,
    /// A sentence where the word alone does not say it.
    pub(super) reason: Option<String>,
    /// Where the result is, or why it is not.
    pub(super) stored: Vec<String>,
    /// What to look at if it failed.
    pub(super) evidence: Option<Evidence>,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Ran(Outcome),
    Reused,
    NotBegun,
}

/// What tells why a build failed.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) step: String,
    pub(super) tail: String,
    /// Paths and sizes; the folder's path alone, if nothing was printed.
    pub(super) logs: Vec<String>,
}

impl Build {
    pub(super) fn new(head: &BuildHead) -> Self {
        Self { usual: head.usual, stage: Stage::Ahead }
    }

    pub(super) fn running(&mut self) -> Option<&mut Running> {
        if let Stage::Running(running) = &mut self.stage { Some(running) } else { None }
    }

    pub(super) fn finished(&mut self) -> Option<&mut FinishedBuild> {
        if let Stage::Finished(finished) = &mut self.stage { Some(finished) } else { None }
    }

    /// It has ended by a run of its own.
    pub(super) fn end(&mut self, record: &RunRecord) {
        let evidence = match &mut self.stage {
            Stage::Running(running) => running.evidence(record),
            Stage::Ahead | Stage::Finished(_) => None,
        };
        self.stage = Stage::Finished(Box::new(FinishedBuild {
            end: End::Ran(record.outcome),
            duration: (record.outcome != Outcome::Skipped).then_some(record.duration),
            reason: endings::run_reason(record),
            stored: Vec::new(),
            evidence,
        }));
    }

    /// It has ended without a run of its own.
    pub(super) fn pass_over(&mut self, end: End, reason: String) {
        let finished =
            FinishedBuild { end, duration: None, reason: Some(reason), stored: Vec::new(), evidence: None };
        self.stage = Stage::Finished(Box::new(finished));
    }

    /// Its line in the status area while it runs, but for its name.
    pub(super) fn status(&self, now: Moment) -> String {
        let Stage::Running(running) = &self.stage else { return String::new() };
        let step = running.step.and_then(|step| Some((step, running.steps.get(step)?)));
        let step = match step {
            Some((at, head)) => format!("step {}/{} {}", at + 1, running.steps.len(), head.name),
            None => "begins".to_owned(),
        };
        format!("{step} · {}", words::elapsed(now.saturating_sub(running.since), self.usual))
    }
}

impl Running {
    pub(super) fn new(since: Moment, folder: &str, steps: &[StepHead], settings: DisplaySettings) -> Self {
        let lines = |keep, is_terminal: bool| {
            let is_terminal = is_terminal && settings.status_area;
            Lines::new(keep, if is_terminal { Controls::Hide } else { Controls::Keep })
        };
        Self {
            since,
            folder: folder.to_owned(),
            steps: steps.to_vec(),
            step: None,
            in_context: false,
            lines: [lines(settings.keep_out, settings.out_is_terminal), lines(settings.keep_err, true)],
            tail: Tail::default(),
            failed: None,
        }
    }

    pub(super) fn begin_step(&mut self, step: usize) {
        self.step = Some(step);
        self.tail = Tail::default();
    }

    /// Keeps the end of what is printed.
    pub(super) fn remember(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
    }

    /// The lines that are complete with `bytes`.
    pub(super) fn complete(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let mut complete = Vec::new();
        self.lines[stream.index()].push(bytes, |line| stream::draw(&line, &mut complete));
        complete
    }

    /// The line that was left open.
    pub(super) fn rest(&mut self, stream: Stream) -> Vec<u8> {
        let mut rest = Vec::new();
        self.lines[stream.index()].finish(|line| stream::draw(&line, &mut rest));
        rest
    }

    pub(super) fn end_step(&mut self, record: &StepRecord) {
        self.in_context = false;
        // Taken: what it printed is not what a step printed that never begins.
        let tail = std::mem::take(&mut self.tail);
        if endings::is_bad(record) && self.failed.is_none() {
            let lines = tail.lines();
            let kept = (lines.len().saturating_sub(KEPT_TAIL)..=lines.len())
                .find(|at| lines.is_char_boundary(*at))
                .unwrap_or_default();
            self.failed = Some(lines[kept..].to_owned());
        }
    }

    fn evidence(&mut self, record: &RunRecord) -> Option<Evidence> {
        if matches!(record.outcome, Outcome::Passed | Outcome::Skipped | Outcome::Cancelled) {
            return None;
        }
        let culprit = record.culprit();
        let log = |log: &crate::record::Log| {
            format!("full log {}/{} ({})", self.folder, log.file, words::bytes(log.bytes))
        };
        let mut logs: Vec<String> = culprit.into_iter().flat_map(StepRecord::logs).map(log).collect();
        if logs.is_empty() {
            logs.push(format!("logs     {}", self.folder));
        }
        logs.extend(endings::kept(record));
        let at = |step: &StepRecord| {
            let reason = endings::step_reason(step).map(|reason| format!(": {reason}"));
            format!("{}{}", step.name, reason.unwrap_or_default())
        };
        Some(Evidence {
            step: culprit.map(at).unwrap_or_default(),
            tail: self.failed.take().unwrap_or_default(),
            logs,
        })
    }
}

impl End {
    /// As it is said.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ran(outcome) => endings::outcome(outcome),
            Self::Reused => "reused",
            Self::NotBegun => "not started",
        }
    }

    /// The outcome that it looks like.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Ran(outcome) => outcome,
            Self::Reused => Outcome::Passed,
            Self::NotBegun => Outcome::Skipped,
        }
    }
}

/// Why a build is not run again.
pub(super) fn reused(ended: Timestamp) -> String {
    format!("built {}", ended.strftime("%Y-%m-%d %H:%M UTC"))
}
