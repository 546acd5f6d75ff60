//! What a person sees: headers and verdicts, build output at once with its colours, a status line at the bottom, a summary.
//!
//! The build's stdout goes to stdout and its stderr to stderr; our own words go to stderr.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{
    bottom::{Bottom, columns},
    left_out,
    look::Look,
    screen::{Lines, write},
    tail::{self, Tail},
    upload::{self, UnderWay},
    verdict,
};
use crate::{
    clock::Moment,
    record::{
        Log, RunRecord, StepRecord,
        event::{Event, Stamped, StepHead, Stream},
        follow::Item,
    },
    words,
};

/// Shows one run after another to a person.
#[derive(Debug)]
pub struct Terminal {
    look: Look,
    verbose: bool,
    bottom: Bottom,
    lines: [Lines; 2],
    package: String,
    folder: String,
    steps: Vec<StepHead>,
    current: Option<(usize, Moment)>,
    /// A file of a result is on its way.
    upload: Option<UnderWay>,
    /// A context's command is under way: its output is for the record, and its progress for who watches.
    in_context: bool,
    tail: Tail,
    failed_tail: Option<String>,
}

impl Terminal {
    /// A screen that looks like `look`; `verbose` shows the commands of contexts and where files are.
    pub fn new(look: Look, verbose: bool) -> Self {
        let lines = |stream, keep| Lines::new(stream, keep);
        Self {
            look,
            verbose,
            bottom: Bottom::default(),
            lines: [lines(Stream::Out, look.keep_out), lines(Stream::Err, look.keep_err)],
            package: String::new(),
            folder: String::new(),
            steps: Vec::new(),
            current: None,
            upload: None,
            in_context: false,
            tail: Tail::default(),
            failed_tail: None,
        }
    }

    pub(super) fn look(&self) -> Look {
        self.look
    }

    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    pub(super) fn on(&mut self, item: &Item<'_>) {
        match item {
            Item::Event(stamped) => self.event(stamped),
            Item::Output(output) => {
                let now = Moment::try_from_secs_f64(output.elapsed).unwrap_or_default();
                self.output(output.stream, output.bytes, now);
            }
            Item::Gap(gap) => self.say(&left_out(gap, &self.folder)),
        }
    }

    fn event(&mut self, stamped: &Stamped) {
        let now = Moment::try_from_secs_f64(stamped.elapsed).unwrap_or_default();
        match &stamped.event {
            Event::RunStarted { package, host, arch, folder, steps, .. } => {
                self.package.clone_from(package);
                self.folder.clone_from(folder);
                self.steps.clone_from(steps);
                self.failed_tail = None;
                let bold = self.look.style(Style::new().bold());
                self.say(&format!("{bold}{package}{bold:#} on {host} ({arch})"));
                if self.verbose {
                    self.say(&format!("run folder {folder}"));
                }
            }
            Event::Note { text } => self.say(&format!("note: {}", words::plain(text))),
            Event::StepStarted { step } => self.step_started(*step, now),
            Event::CommandStarted { command, .. } => {
                self.in_context = true;
                if self.verbose {
                    self.say(&format!("+ {command}"));
                }
            }
            Event::StepEnded { step, record } => self.step_ended(*step, record),
            Event::RunEnded { record, .. } => record.iter().for_each(|record| self.run_ended(record)),
            Event::Delivered { server, result_key, page } => {
                self.say(&words::stored(server, result_key.as_deref(), page.as_deref()));
            }
            Event::NotDelivered { server, reason } => {
                let style = self.look.style(AnsiColor::Yellow.on_default().bold());
                self.say(&format!("{style}not delivered{style:#} to {server}: {}", words::plain(reason)));
                self.say("  the result waits in its run folder; `pony-run submit` delivers it");
            }
            Event::Uploading { name, sent, bytes, .. } => {
                self.upload = Some(UnderWay { name: name.clone(), sent: *sent, bytes: *bytes });
                self.open_bar(now);
            }
            Event::Uploaded(uploads) => {
                self.upload = None;
                if self.current.is_none() {
                    self.close_bar();
                }
                for line in upload::lines(uploads) {
                    self.say(&line);
                }
            }
            Event::CommandEnded { .. } => self.in_context = false,
            // Those of several builds are not shown here.
            Event::ChainStarted { .. }
            | Event::Reused { .. }
            | Event::NotBegun { .. }
            | Event::ChainEnded { .. }
            // The record tells of them.
            | Event::CheckedOut { .. }
            | Event::Prepared { .. }
            | Event::Outputs { .. }
            | Event::Spawned { .. } => {}
        }
    }

    pub(super) fn tick(&mut self, now: Moment) {
        self.draw(now);
    }

    pub(super) fn next_tick(&self, now: Moment) -> Option<Moment> {
        let (_, since) = self.current.filter(|_| self.bottom.is_open())?;
        // The elapsed time is shown in whole seconds: just after it changes.
        let shown = now.saturating_sub(since).as_secs();
        Some(since + Moment::from_millis(shown * 1000 + 1010))
    }

    fn step_started(&mut self, step: usize, now: Moment) {
        self.current = Some((step, now));
        self.tail = Tail::default();
        let Some(head) = self.steps.get(step) else { return };
        let bold = self.look.style(AnsiColor::Cyan.on_default().bold());
        let title = format!("[{}/{}] {}", step + 1, self.steps.len(), head.name);
        let width = if self.look.progress { columns() } else { 120 };
        let room = width.saturating_sub(console::measure_text_width(&title) + 2).max(10);
        let line = format!("{bold}{title}{bold:#}  {}", words::one_line(&head.command, room));
        self.say(&line);
        self.open_bar(now);
    }

    fn output(&mut self, stream: Stream, bytes: &[u8], now: Moment) {
        self.tail.push(bytes);
        let watched = stream == Stream::Err && self.look.progress;
        if self.in_context && !watched && !self.verbose {
            return;
        }
        let lines = &mut self.lines[stream.index()];
        let on_screen = stream == Stream::Err || self.look.out_is_screen;
        if !on_screen || !self.bottom.is_open() {
            lines.pass(bytes);
            return;
        }
        let whole = lines.whole(bytes);
        if !whole.is_empty() {
            self.bottom.above(|| lines.write(&whole));
        }
        self.draw(now);
    }

    fn step_ended(&mut self, step: usize, record: &StepRecord) {
        self.close_bar();
        self.current = None;
        self.say(&verdict::sentence(step, self.steps.len(), record, self.look));
        // Taken: what it printed is not what a step printed that never begins.
        let tail = std::mem::take(&mut self.tail);
        if verdict::is_bad(record) {
            self.failed_tail.get_or_insert_with(|| tail.lines());
        }
    }

    fn run_ended(&mut self, record: &RunRecord) {
        self.close_bar();
        let style = self.look.outcome(record.outcome, false);
        let reason = words::because(record.reason.as_deref());
        let mut text = String::new();
        let width = record.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0).min(40);
        let _ = writeln!(text);
        for step in &record.steps {
            let verdict = verdict::word(step, self.look, 12);
            let time = step.started.map(|_| words::duration(step.duration)).unwrap_or_default();
            let why = step.reason.as_deref().map(|reason| words::one_line(reason, 100)).unwrap_or_default();
            let line = format!("  {:width$}  {verdict}{time:>9}  {why}", step.name);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if let Some(culprit) = record.culprit()
            && let Some(tail) = self.failed_tail.take().filter(|tail| !tail.is_empty())
        {
            let _ = write!(text, "last lines of {}:\n{}", culprit.name, tail::quoted(&tail, self.look));
        }
        let _ = writeln!(
            text,
            "{style}{} {}{style:#}{reason} ({})",
            record.package,
            record.outcome.word(),
            words::duration(record.duration)
        );
        let logs: Vec<&Log> = record.culprit().into_iter().flat_map(StepRecord::logs).collect();
        for log in &logs {
            let _ = writeln!(text, "full log {}/{} ({})", self.folder, log.file, words::bytes(log.bytes));
        }
        if logs.is_empty() {
            let _ = writeln!(text, "logs     {}", self.folder);
        }
        if let Some(line) = verdict::kept(record) {
            let _ = writeln!(text, "{line}");
        }
        self.say(text.trim_end_matches('\n'));
    }

    /// One or more lines of our own, on stderr.
    pub(super) fn say(&mut self, text: &str) {
        self.finish_lines();
        self.bottom.above(|| {
            let mut text = text.to_owned();
            text.push('\n');
            write(Stream::Err, text.as_bytes());
        });
    }

    fn open_bar(&mut self, now: Moment) {
        if !self.look.progress {
            return;
        }
        if !self.bottom.is_open() {
            self.bottom = Bottom::open();
        }
        self.draw(now);
    }

    fn close_bar(&mut self) {
        self.bottom.close();
        self.finish_lines();
    }

    /// Ends an output line that the build left open, so that ours begin at the left.
    fn finish_lines(&mut self) {
        let both = self.look.out_is_screen;
        let [out, err] = &mut self.lines;
        self.bottom.above(|| {
            out.finish(both);
            err.finish(true);
        });
    }

    fn draw(&self, now: Moment) {
        if !self.bottom.is_open() {
            return;
        }
        let columns = columns();
        let open = self.lines.iter().map(Lines::open).filter(|open| !open.is_empty());
        let open = open.map(|open| format!("{}\x1b[0m", console::truncate_str(&open, columns, "…")));
        let upload = self.upload.as_ref().map(|upload| upload.line(columns));
        let lines: Vec<String> = open.chain(upload).chain(self.status(now, columns)).collect();
        self.bottom.show(lines.join("\n"));
    }

    /// The line of the step that is under way.
    fn status(&self, now: Moment, columns: usize) -> Option<String> {
        let (step, since) = self.current?;
        let head = self.steps.get(step)?;
        let elapsed = words::elapsed(now.saturating_sub(since), head.usual);
        let status =
            format!("{} · step {}/{} {} · {elapsed}", self.package, step + 1, self.steps.len(), head.name);
        let style = self.look.style(Style::new().bold());
        Some(format!("{style}{}{style:#}", console::truncate_str(&status, columns, "…")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::look::{ColourChoice, Surroundings};
    use crate::recipe::StepKind;
    use crate::record::Outcome;

    #[test]
    fn what_one_step_printed_is_not_the_tail_of_another() {
        let look = Look::resolve(Surroundings::default(), ColourChoice::Never, false);
        let mut terminal = Terminal::new(look, false);
        terminal.tail.push(b"Cloning\n");
        let step = |name, outcome| StepRecord::of(name, StepKind::Setup, "x".to_owned(), outcome, 0);
        terminal.step_ended(0, &step("checkout", Outcome::Passed));
        terminal.step_ended(1, &step("never begun", Outcome::InfraError));
        assert_eq!(terminal.failed_tail.as_deref(), Some(""));
    }
}
