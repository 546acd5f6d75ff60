//! What a person sees: headings and endings, build output at once, a status area at the bottom, a summary.
//!
//! The build's stdout goes to stdout and its stderr to stderr; our own words go to stderr.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::{
    endings, left_out, output,
    settings::DisplaySettings,
    status_area::{StatusArea, columns},
    stream::BuildStream,
    tail::{self, Tail},
    upload::{self, UnderWay},
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
    settings: DisplaySettings,
    verbose: bool,
    status_area: StatusArea,
    streams: [BuildStream; 2],
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
    /// `verbose` shows the commands of contexts and where files are.
    pub fn new(settings: DisplaySettings, verbose: bool) -> Self {
        let DisplaySettings { status_area, out_is_terminal, keep_out, keep_err, .. } = settings;
        let stream = |stream, keep, is_terminal: bool| {
            if status_area && is_terminal {
                BuildStream::lines(stream, keep)
            } else {
                BuildStream::bytes(stream, keep)
            }
        };
        Self {
            settings,
            verbose,
            status_area: StatusArea::default(),
            streams: [stream(Stream::Out, keep_out, out_is_terminal), stream(Stream::Err, keep_err, true)],
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

    pub(super) fn settings(&self) -> DisplaySettings {
        self.settings
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
            Item::Gap(gap) => self.message(&left_out(gap, &self.folder)),
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
                let bold = self.settings.style(Style::new().bold());
                self.message(&format!("{bold}{package}{bold:#} on {host} ({arch})"));
                if self.verbose {
                    self.message(&format!("run folder {folder}"));
                }
            }
            Event::Note { text } => self.message(&format!("note: {}", words::plain(text))),
            Event::StepStarted { step } => self.step_started(*step, now),
            Event::CommandStarted { command, .. } => {
                self.in_context = true;
                if self.verbose {
                    self.message(&format!("+ {command}"));
                }
            }
            Event::StepEnded { step, record } => self.step_ended(*step, record),
            Event::RunEnded { record, .. } => record.iter().for_each(|record| self.run_ended(record)),
            Event::Delivered { server, result_key, page } => {
                self.message(&endings::stored(server, result_key.as_deref(), page.as_deref()));
            }
            Event::NotDelivered { server, reason } => {
                let style = self.settings.style(AnsiColor::Yellow.on_default().bold());
                self.message(&format!("{style}not delivered{style:#} to {server}: {}", words::plain(reason)));
                self.message(endings::SAVED);
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
                    self.message(&line);
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
        let (_, since) = self.current.filter(|_| self.status_area.is_open())?;
        // The elapsed time is shown in whole seconds: just after it changes.
        let shown = now.saturating_sub(since).as_secs();
        Some(since + Moment::from_millis(shown * 1000 + 1010))
    }

    fn step_started(&mut self, step: usize, now: Moment) {
        self.current = Some((step, now));
        self.tail = Tail::default();
        let Some(head) = self.steps.get(step) else { return };
        let bold = self.settings.style(AnsiColor::Cyan.on_default().bold());
        let title = format!("[{}/{}] {}", step + 1, self.steps.len(), head.name);
        let width = if self.settings.status_area { columns() } else { 120 };
        let room = width.saturating_sub(words::columns(&title) + 2).max(10);
        let line = format!("{bold}{title}{bold:#}  {}", words::one_line(&head.command, room));
        self.message(&line);
        self.open_bar(now);
    }

    fn output(&mut self, stream: Stream, bytes: &[u8], now: Moment) {
        self.tail.push(bytes);
        let watched = stream == Stream::Err && self.settings.status_area;
        if self.in_context && !watched && !self.verbose {
            return;
        }
        self.streams[stream.index()].show(bytes, &self.status_area);
        self.draw(now);
    }

    fn step_ended(&mut self, step: usize, record: &StepRecord) {
        self.close_bar();
        self.current = None;
        self.message(&endings::step(step, self.steps.len(), record, self.settings));
        // Taken: what it printed is not what a step printed that never begins.
        let tail = std::mem::take(&mut self.tail);
        if endings::is_bad(record) {
            self.failed_tail.get_or_insert_with(|| tail.lines());
        }
    }

    fn run_ended(&mut self, record: &RunRecord) {
        self.close_bar();
        let mut text = String::from("\n");
        let row = |step: &StepRecord| endings::Row {
            name: words::plain(&step.name),
            ending: endings::word(step, self.settings),
            time: step.started.map(|_| words::duration(step.duration)).unwrap_or_default(),
            notes: endings::step_reason(step).map(|reason| words::one_line(&reason, 100)).unwrap_or_default(),
        };
        text.push_str(&endings::table(&record.steps.iter().map(row).collect::<Vec<_>>()));
        if let Some(culprit) = record.culprit()
            && let Some(tail) = self.failed_tail.take().filter(|tail| !tail.is_empty())
        {
            let _ = write!(text, "last lines of {}:\n{}", culprit.name, tail::quoted(&tail, self.settings));
        }
        let (ending, reason) = endings::run(record);
        let style = self.settings.outcome(record.outcome, false);
        let (package, time) = (&record.package, words::duration(record.duration));
        let _ = writeln!(text, "{style}{package} {ending}{style:#}{reason} ({time})");
        let logs: Vec<&Log> = record.culprit().into_iter().flat_map(StepRecord::logs).collect();
        for log in &logs {
            let _ = writeln!(text, "full log {}/{} ({})", self.folder, log.file, words::bytes(log.bytes));
        }
        if logs.is_empty() {
            let _ = writeln!(text, "logs     {}", self.folder);
        }
        if let Some(line) = endings::kept(record) {
            let _ = writeln!(text, "{line}");
        }
        self.message(text.trim_end_matches('\n'));
    }

    /// One or more lines of our own, on stderr.
    pub(super) fn message(&mut self, text: &str) {
        self.finish_lines();
        self.status_area.above(|| {
            let mut text = text.to_owned();
            text.push('\n');
            output::write(Stream::Err, text.as_bytes());
        });
    }

    fn open_bar(&mut self, now: Moment) {
        if !self.settings.status_area {
            return;
        }
        if !self.status_area.is_open() {
            self.status_area = StatusArea::open();
        }
        self.draw(now);
    }

    fn close_bar(&mut self) {
        self.status_area.close();
        self.finish_lines();
    }

    /// Ends an output line that the build left open, so that ours begin at the left.
    fn finish_lines(&mut self) {
        let [out, err] = &mut self.streams;
        let ends_out = self.settings.out_is_err;
        self.status_area.above(|| {
            out.finish(ends_out);
            err.finish(true);
        });
    }

    fn draw(&self, now: Moment) {
        if !self.status_area.is_open() {
            return;
        }
        let columns = columns();
        let open = self.streams.iter().map(BuildStream::open).filter(|open| !open.is_empty());
        let open = open.map(|open| words::fit(&open, columns));
        let upload = self.upload.as_ref().map(|upload| upload.line(columns));
        let lines: Vec<String> = open.chain(upload).chain(self.status(now, columns)).collect();
        self.status_area.show(lines.join("\n"));
    }

    /// The line of the step that is under way.
    fn status(&self, now: Moment, columns: usize) -> Option<String> {
        let (step, since) = self.current?;
        let head = self.steps.get(step)?;
        let elapsed = words::elapsed(now.saturating_sub(since), head.usual);
        let status =
            format!("{} · step {}/{} {} · {elapsed}", self.package, step + 1, self.steps.len(), head.name);
        let style = self.settings.style(Style::new().bold());
        Some(format!("{style}{}{style:#}", words::fit(&status, columns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::settings::{ColourChoice, Environment};
    use crate::recipe::StepKind;
    use crate::record::Outcome;

    #[test]
    fn what_one_step_printed_is_not_the_tail_of_another() {
        let settings = DisplaySettings::resolve(Environment::default(), ColourChoice::Never, false);
        let mut terminal = Terminal::new(settings, false);
        terminal.tail.push(b"Cloning\n");
        let step = |name, outcome| StepRecord::of(name, StepKind::Setup, "x".to_owned(), outcome, 0);
        terminal.step_ended(0, &step("checkout", Outcome::Passed));
        terminal.step_ended(1, &step("never begun", Outcome::InfraError));
        assert_eq!(terminal.failed_tail.as_deref(), Some(""));
    }
}
