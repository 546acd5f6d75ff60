//! What a person sees of several builds at once: output with the build's name before each line, a status line for each
//! that runs, the tails of those that failed, and a table of all outcomes last.
//!
//! stdout of the builds goes to stdout and their stderr to stderr; our own words go to stderr.

mod build;
mod line_writer;
mod summary;
#[cfg(test)]
mod tests;

use std::{fs::File, io::Read as _, path::Path};

use anstyle::{AnsiColor, Style};

use self::{
    build::{Build, End, Running, Stage},
    line_writer::{LineWriter, Prefix, Process},
    summary::Builds,
};
use super::{
    endings, left_out,
    settings::DisplaySettings,
    status_area,
    upload::{self, UnderWay},
};
use crate::{
    clock::Moment,
    record::{
        Outcome, RunRecord, StepRecord,
        event::{BuildHead, Event, Stamped, Stream},
        follow::{Gap, Item},
    },
    server::EMBEDDED,
    words,
};

/// Names before lines are brought to one width up to this.
const WIDEST: usize = 24;

/// Names of builds, one after another; red is for what failed.
const COLOURS: [AnsiColor; 10] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
    AnsiColor::BrightGreen,
    AnsiColor::BrightYellow,
];

/// `--output`: what is shown of what builds print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// Every line at once, the build's name before it.
    #[default]
    Interleaved,
    /// All of a step when it has ended: what it printed on stdout, then what it printed on stderr.
    Grouped,
    /// Nothing but how each build ended.
    None,
}

/// Shows several builds to a person.
#[derive(Debug)]
pub struct MultiBuildView {
    settings: DisplaySettings,
    verbose: bool,
    output: Output,
    writer: LineWriter,
    builds: Builds,
    /// Places of those that run, in the order in which they began.
    running: Vec<usize>,
    /// A file of a result is on its way.
    upload: Option<UnderWay>,
    began: Moment,
    /// Of the names before lines.
    width: usize,
}

impl MultiBuildView {
    /// `verbose` shows the commands of contexts and where files are.
    pub fn new(settings: DisplaySettings, verbose: bool, output: Output) -> Self {
        Self::with_writer(settings, verbose, output, LineWriter::new(settings, Box::new(Process)))
    }

    fn with_writer(settings: DisplaySettings, verbose: bool, output: Output, writer: LineWriter) -> Self {
        Self {
            settings,
            verbose,
            output,
            writer,
            builds: Builds::new(),
            running: Vec::new(),
            upload: None,
            began: Moment::ZERO,
            width: 0,
        }
    }

    pub(super) fn settings(&self) -> DisplaySettings {
        self.settings
    }

    pub(super) fn on(&mut self, build: Option<&str>, item: &Item<'_>) {
        match item {
            Item::Event(stamped) => self.event(build, stamped),
            Item::Output(output) => {
                let now = Moment::try_from_secs_f64(output.elapsed).unwrap_or_default();
                if let Some(build) = build {
                    self.output(build, output.stream, output.bytes);
                }
                self.tick(now);
            }
            Item::Gap(gap) => {
                if let Some(build) = build {
                    self.gap(build, gap);
                }
            }
        }
    }

    fn event(&mut self, build: Option<&str>, stamped: &Stamped) {
        let now = Moment::try_from_secs_f64(stamped.elapsed).unwrap_or_default();
        match &stamped.event {
            Event::Uploading { name, sent, bytes, .. } => {
                self.upload = Some(UnderWay { name: name.clone(), sent: *sent, bytes: *bytes });
            }
            Event::Uploaded(_) => self.upload = None,
            _ => {}
        }
        match build {
            Some(name) => self.of_build(name, &stamped.event, now),
            None => self.of_all(&stamped.event, now),
        }
        self.tick(now);
    }

    pub(super) fn tick(&mut self, now: Moment) {
        if self.running.is_empty() && self.builds.is_empty() && self.upload.is_none() {
            // After all of them, earlier results may have been on their way.
            self.writer.close();
            return;
        }
        let Self { writer, builds, running, upload, settings, .. } = self;
        writer.refresh(now, || {
            let running = running.iter().map(|at| (*at, style(*settings, *at)));
            let upload = upload.as_ref();
            summary::status(
                builds,
                running,
                upload,
                now,
                *settings,
                (status_area::columns(), status_area::rows()),
            )
        });
    }

    /// Soon, as long as the status area is there: what is printed until then is shown together.
    pub(super) fn next_tick(&self, now: Moment) -> Option<Moment> {
        self.writer.next_frame(now)
    }

    fn of_all(&mut self, event: &Event, now: Moment) {
        match event {
            Event::ChainStarted { chain, builds } => {
                self.began = now;
                self.builds = builds.iter().map(|head| (head.name.clone(), Build::new(head))).collect();
                self.width =
                    builds.iter().map(|head| words::columns(&head.name)).max().unwrap_or(0).min(WIDEST);
                if self.verbose {
                    self.message(&Prefix::default(), &format!("{} builds, chain {chain}", builds.len()));
                }
            }
            Event::ChainEnded { .. } => {
                self.writer.close();
                self.message(
                    &Prefix::default(),
                    &summary::at_end(&self.builds, now.saturating_sub(self.began), self.settings),
                );
                self.builds.clear();
                self.running.clear();
            }
            Event::Note { text } => {
                self.message(&Prefix::default(), &format!("note: {}", words::plain(text)));
            }
            Event::Delivered { server, result_key, page } => {
                self.message(
                    &Prefix::default(),
                    &endings::stored(server, result_key.as_deref(), page.as_deref()),
                );
            }
            Event::NotDelivered { server, reason } => {
                self.message(&Prefix::default(), &not_delivered(server, reason));
            }
            Event::Uploaded(uploads) => {
                for line in upload::lines(uploads) {
                    self.message(&Prefix::default(), &line);
                }
            }
            _ => {}
        }
    }

    fn of_build(&mut self, name: &str, event: &Event, now: Moment) {
        let at = self.builds.get_index_of(name).unwrap_or_else(|| {
            let head = BuildHead { name: name.to_owned(), needs: Vec::new(), usual: None };
            self.builds.insert_full(name.to_owned(), Build::new(&head)).0
        });
        let prefix = Prefix::new(name, self.width, style(self.settings, at));
        let (settings, verbose) = (self.settings, self.verbose);
        let Some((_, build)) = self.builds.get_index_mut(at) else { return };
        match event {
            Event::RunStarted { folder, steps, .. } => {
                build.stage = Stage::Running(Box::new(Running::new(now, folder, steps, settings)));
                self.running.push(at);
                if verbose {
                    self.message(&prefix, &format!("run folder {folder}"));
                }
            }
            Event::Note { text } => self.message(&prefix, &format!("note: {}", words::plain(text))),
            Event::StepStarted { step } => {
                let Some(running) = build.running() else { return };
                running.begin_step(*step);
                if self.output == Output::Interleaved
                    && let Some(head) = running.steps.get(*step)
                {
                    let bold = settings.style(Style::new().bold());
                    let title = format!("{bold}[{}/{}] {}{bold:#}", step + 1, running.steps.len(), head.name);
                    self.message(&prefix, &title);
                }
            }
            Event::CommandStarted { command, .. } => {
                if let Some(running) = build.running() {
                    running.in_context = true;
                }
                if verbose && self.output == Output::Interleaved {
                    self.message(&prefix, &format!("+ {}", words::plain(command)));
                }
            }
            Event::CommandEnded { .. } => {
                if let Some(running) = build.running() {
                    running.in_context = false;
                }
                self.close_lines(at, &prefix);
            }
            Event::StepEnded { step, record } => self.step_ended(at, &prefix, *step, record),
            Event::RunEnded { record, .. } => {
                if let Some(record) = record {
                    self.run_ended(at, &prefix, record);
                }
            }
            Event::Delivered { server, result_key, page } => {
                let key = result_key.as_ref().map(|key| format!("result {}", words::plain(key)));
                let stored = match (key, page) {
                    (Some(key), _) if server == EMBEDDED => key,
                    (None, _) if server == EMBEDDED => "stored".to_owned(),
                    (_, Some(page)) => page.clone(),
                    (Some(key), None) => format!("{key} on {server}"),
                    (None, None) => format!("stored on {server}"),
                };
                build.finished().into_iter().for_each(|finished| finished.stored.push(stored.clone()));
            }
            Event::NotDelivered { server, reason } => {
                let said = not_delivered(server, reason);
                build.finished().into_iter().for_each(|finished| finished.stored.push(said.clone()));
            }
            Event::Reused { ended, .. } => build.pass_over(End::Reused, build::reused(*ended)),
            Event::NotBegun { reason } => build.pass_over(End::NotBegun, reason.clone()),
            Event::Uploaded(uploads) => {
                build
                    .finished()
                    .into_iter()
                    .for_each(|finished| finished.stored.push(upload::in_short(uploads)));
                for line in upload::troubles(uploads) {
                    self.message(&prefix, &line);
                }
            }
            Event::Spawned { .. }
            | Event::CheckedOut { .. }
            | Event::Prepared { .. }
            | Event::Outputs { .. }
            | Event::Uploading { .. }
            | Event::ChainStarted { .. }
            | Event::ChainEnded { .. } => {}
        }
    }

    fn output(&mut self, name: &str, stream: Stream, bytes: &[u8]) {
        let Some((at, _, build)) = self.builds.get_full_mut(name) else { return };
        let Some(running) = build.running() else { return };
        running.remember(bytes);
        if self.output == Output::Interleaved && (self.verbose || !running.in_context) {
            let complete = running.complete(stream, bytes);
            self.writer.put(stream, &Prefix::new(name, self.width, style(self.settings, at)), &complete);
        }
    }

    fn gap(&mut self, name: &str, gap: &Gap) {
        let Some((at, _, build)) = self.builds.get_full_mut(name) else { return };
        let Some(running) = build.running() else { return };
        let text = left_out(gap, &running.folder);
        let prefix = Prefix::new(name, self.width, style(self.settings, at));
        self.close_lines(at, &prefix);
        self.message(&prefix, &text);
    }

    fn step_ended(&mut self, at: usize, prefix: &Prefix, step: usize, record: &StepRecord) {
        self.close_lines(at, prefix);
        let Some(running) = self.builds.get_index_mut(at).and_then(|(_, build)| build.running()) else {
            return;
        };
        running.end_step(record);
        let (steps, folder) = (running.steps.len(), running.folder.clone());
        let tells = match (self.output, record.outcome) {
            (_, Outcome::Skipped) | (Output::None, _) => false,
            (Output::Interleaved, Outcome::Passed) => !record.leaked.is_empty(),
            (Output::Interleaved | Output::Grouped, _) => true,
        };
        if tells {
            self.message(prefix, &endings::step(step, steps, record, self.settings));
        }
        if self.output == Output::Grouped {
            self.read_back(at, prefix, Path::new(&folder), record);
        }
    }

    fn run_ended(&mut self, at: usize, prefix: &Prefix, record: &RunRecord) {
        self.close_lines(at, prefix);
        self.running.retain(|running| *running != at);
        if let Some((_, build)) = self.builds.get_index_mut(at) {
            build.end(record);
        }
        let (ending, why) = endings::run(record);
        let style = self.settings.outcome(record.outcome, false);
        let time = if record.outcome == Outcome::Skipped {
            String::new()
        } else {
            format!(" ({})", words::duration(record.duration))
        };
        self.message(prefix, &format!("{style}{ending}{style:#}{why}{time}"));
    }

    /// Ends the lines that a build left open.
    fn close_lines(&mut self, at: usize, prefix: &Prefix) {
        let Some(running) = self.builds.get_index_mut(at).and_then(|(_, build)| build.running()) else {
            return;
        };
        for stream in [Stream::Out, Stream::Err] {
            let rest = running.rest(stream);
            self.writer.put(stream, prefix, &rest);
        }
    }

    /// Shows what a step printed, from the run folder: it may be more than memory should hold.
    fn read_back(&mut self, at: usize, prefix: &Prefix, folder: &Path, record: &StepRecord) {
        let own = [(Stream::Out, &record.out), (Stream::Err, &record.err)];
        let verbose = self.verbose;
        let commands = record.commands.iter().filter(|_| verbose);
        let logs = commands.flat_map(|command| [(Stream::Out, &command.out), (Stream::Err, &command.err)]);
        for (stream, log) in logs.chain(own) {
            let Some(log) = log else { continue };
            let Ok(mut file) = File::open(folder.join(&log.file)) else { continue };
            let mut piece = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = file.read(&mut piece) {
                let Some((_, build)) = self.builds.get_index_mut(at) else { return };
                let Some(running) = build.running() else { return };
                let complete = running.complete(stream, &piece[..count]);
                self.writer.put(stream, prefix, &complete);
            }
            self.close_lines(at, prefix);
        }
    }

    /// Lines of our own, of no build.
    pub(super) fn line(&mut self, text: &str) {
        self.message(&Prefix::default(), &format!("{text}\n"));
    }

    /// Lines of our own.
    fn message(&mut self, prefix: &Prefix, text: &str) {
        self.writer.put(Stream::Err, prefix, text.as_bytes());
    }
}

/// Of the name of the build at this place, the same from its beginning to its end.
fn style(settings: DisplaySettings, at: usize) -> Style {
    settings.style(COLOURS[at % COLOURS.len()].on_default())
}

fn not_delivered(server: &str, reason: &str) -> String {
    format!("not delivered to {server}: {}", words::plain(reason))
}
