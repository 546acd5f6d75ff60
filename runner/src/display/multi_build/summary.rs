//! What is said of several builds together: the lines of the status area, and the table at the end. Pure.

use std::fmt::Write as _;

use anstyle::Style;
use indexmap::IndexMap;

use super::build::{Build, End, Stage};
use crate::{
    clock::Moment,
    display::{endings, settings::DisplaySettings, tail, upload::UnderWay},
    record::Outcome,
    words,
};

/// Builds by their names, in the order of the graph.
pub(super) type Builds = IndexMap<String, Build>;

/// Names are brought to one width up to this.
const WIDEST: usize = 40;

/// Where a result was not delivered.
const SAVED: &str = "Results that were not delivered are saved. The next run will send them, or run \"pony-run submit\" now.\n";

/// How many builds are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counts {
    running: usize,
    passed: usize,
    failed: usize,
    setup_errors: usize,
    crashed: usize,
    cancelled: usize,
    skipped: usize,
    reused: usize,
    not_started: usize,
    ahead: usize,
}

impl Counts {
    fn of(builds: &Builds) -> Self {
        let mut counts = Self::default();
        for build in builds.values() {
            let count = match &build.stage {
                Stage::Ahead => &mut counts.ahead,
                Stage::Running(_) => &mut counts.running,
                Stage::Finished(finished) => match finished.end {
                    End::Reused => &mut counts.reused,
                    End::NotBegun => &mut counts.not_started,
                    End::Ran(Outcome::Passed) => &mut counts.passed,
                    End::Ran(Outcome::Cancelled) => &mut counts.cancelled,
                    End::Ran(Outcome::Skipped) => &mut counts.skipped,
                    End::Ran(Outcome::InfraError) => &mut counts.setup_errors,
                    End::Ran(Outcome::Crashed) => &mut counts.crashed,
                    End::Ran(Outcome::Failed | Outcome::TimedOut | Outcome::Quiet) => &mut counts.failed,
                },
            };
            *count += 1;
        }
        counts
    }

    /// `3 running · 5 passed · 12 to go`.
    fn text(self, settings: DisplaySettings) -> String {
        let word = |count: usize, word: &str, style: Option<Outcome>| {
            let style = style.map(|outcome| settings.outcome(outcome, false)).unwrap_or_default();
            (count > 0).then(|| format!("{style}{count} {word}{style:#}"))
        };
        let counts = [
            word(self.running, "running", None),
            word(self.passed, "passed", Some(Outcome::Passed)),
            word(self.failed, "failed", Some(Outcome::Failed)),
            word(
                self.setup_errors,
                if self.setup_errors == 1 { "setup error" } else { "setup errors" },
                Some(Outcome::InfraError),
            ),
            word(self.crashed, "crashed", Some(Outcome::Crashed)),
            word(self.cancelled, "cancelled", Some(Outcome::Cancelled)),
            word(self.skipped, "skipped", Some(Outcome::Skipped)),
            word(self.reused, "reused", Some(Outcome::Passed)),
            word(self.not_started, "not started", Some(Outcome::Skipped)),
            word(self.ahead, "to go", None),
        ];
        counts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

/// The lines of the status area, at most half of `rows` and each within `columns`: one for each of `running` (places in
/// `builds`, with the style of their names), as far as there is room, one of a file on its way, and one of counts.
pub(super) fn status(
    builds: &Builds,
    running: impl ExactSizeIterator<Item = (usize, Style)>,
    upload: Option<&UnderWay>,
    now: Moment,
    settings: DisplaySettings,
    (columns, rows): (usize, usize),
) -> String {
    let upload = upload.filter(|_| rows >= 4);
    let room = (rows / 2).max(1) - 1 - usize::from(upload.is_some());
    let all = running.len();
    let shown = if all <= room { all } else { room.saturating_sub(1) };
    let shown_builds: Vec<_> = running
        .take(shown)
        .filter_map(|(at, style)| Some((words::plain(builds.get_index(at)?.0), style, &builds[at])))
        .collect();
    let width = shown_builds.iter().map(|(name, ..)| words::columns(name)).max().unwrap_or(0).min(WIDEST);
    let line = |(name, style, build): &(String, Style, &Build)| {
        let name = words::pad(&format!("{style}{name}{style:#}"), width);
        format!("{name} · {}", build.status(now))
    };
    let mut lines: Vec<String> = shown_builds.iter().map(line).collect();
    if shown < all && room > 0 {
        lines.push(format!("… and {} more", all - shown));
    }
    lines.extend(upload.map(|upload| upload.line(columns)));
    lines.push(Counts::of(builds).text(settings));
    lines.retain(|line| !line.is_empty());
    lines.iter().map(|line| words::fit(line, columns)).collect::<Vec<_>>().join("\n")
}

/// Tails of those that failed, then all outcomes, then their counts.
pub(super) fn at_end(builds: &Builds, took: Moment, settings: DisplaySettings) -> String {
    let mut text = String::new();
    for (name, build) in builds {
        let Stage::Finished(finished) = &build.stage else { continue };
        let Some(evidence) = &finished.evidence else { continue };
        let style = settings.outcome(finished.end.outcome(), false);
        let name = words::plain(name);
        let step = if evidence.step.is_empty() { String::new() } else { format!(" at {}", evidence.step) };
        let _ = writeln!(text, "\n{style}{name} {}{style:#}{step}", finished.end.word());
        if !evidence.tail.is_empty() {
            let _ = write!(text, "last lines:\n{}", tail::quoted(&evidence.tail, settings));
        }
        for log in &evidence.logs {
            let _ = writeln!(text, "{log}");
        }
    }
    let _ = writeln!(text);
    let (mut rows, mut waits) = (Vec::new(), false);
    for (name, build) in builds {
        let (end, duration, notes) = match &build.stage {
            Stage::Finished(finished) => {
                waits |= finished.stored.iter().any(|stored| stored.starts_with("not delivered"));
                let reason = finished.reason.as_deref().map(|reason| words::one_line(reason, 100));
                let notes: Vec<String> = reason.into_iter().chain(finished.stored.iter().cloned()).collect();
                (finished.end, finished.duration, notes.join("; "))
            }
            Stage::Ahead | Stage::Running(_) => (End::NotBegun, None, String::new()),
        };
        let style = settings.outcome(end.outcome(), false);
        rows.push(endings::Row {
            name: words::plain(name),
            ending: format!("{style}{}{style:#}", end.word()),
            time: duration.map(words::duration).unwrap_or_default(),
            notes,
        });
    }
    text.push_str(&endings::table(&rows));
    if waits {
        text.push_str(SAVED);
    }
    let _ = write!(text, "{} in {}", Counts::of(builds).text(settings), words::duration(took.as_secs_f64()));
    text
}
