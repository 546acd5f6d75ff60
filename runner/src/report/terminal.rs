//! What a person sees: headers and verdicts, build output at once with its colours, a status line at the bottom, a summary.
//!
//! The build's stdout goes to stdout and its stderr to stderr; our own words go to stderr.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, Write},
};

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{look::Look, words};
use crate::{
    clock::Moment,
    event::{Event, Stamped, StepHead, Stream},
    record::{Log, Outcome, RunRecord, StepRecord},
    report::{bottom::Bottom, screen::Lines},
    submit::EMBEDDED,
};

/// Lines of a failed step that the summary repeats.
const TAIL_LINES: usize = 20;
/// Most bytes kept for them.
const TAIL_BYTES: usize = 64 * 1024;

/// Shows one run after another to a person.
#[derive(Debug)]
pub struct Terminal {
    look: Look,
    verbose: bool,
    bar: Option<ProgressBar>,
    lines: [Lines; 2],
    package: String,
    folder: String,
    steps: Vec<StepHead>,
    current: Option<(usize, Moment)>,
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
            bar: None,
            lines: [lines(Stream::Out, look.keep_out), lines(Stream::Err, look.keep_err)],
            package: String::new(),
            folder: String::new(),
            steps: Vec::new(),
            current: None,
            in_context: false,
            tail: Tail::default(),
            failed_tail: None,
        }
    }

    pub(super) fn on(&mut self, stamped: &Stamped) {
        let now = Moment::try_from_secs_f64(stamped.elapsed).unwrap_or_default();
        match &stamped.event {
            Event::RunStarted { package, host, arch, folder, steps, .. } => {
                self.package.clone_from(package);
                self.folder.clone_from(folder);
                self.steps.clone_from(steps);
                self.failed_tail = None;
                let bold = self.style(Style::new().bold());
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
            Event::Output { stream, bytes, .. } => self.output(*stream, bytes, now),
            Event::StepEnded { step, record } => self.step_ended(*step, record),
            Event::RunEnded { record } => self.run_ended(record),
            Event::Delivered { server, result_key, page } => {
                let key = result_key
                    .as_ref()
                    .map(|key| format!(" as result {}", words::plain(key)))
                    .unwrap_or_default();
                let line = match page {
                    Some(page) if server == EMBEDDED => {
                        format!("stored{key} on this machine; `pony-serve` shows it at {page}")
                    }
                    Some(page) => format!("stored{key}: {page}"),
                    None => format!("stored{key} on {server}"),
                };
                self.say(&line);
            }
            Event::NotDelivered { server, reason } => {
                let style = self.style(AnsiColor::Yellow.on_default().bold());
                self.say(&format!("{style}not delivered{style:#} to {server}: {}", words::plain(reason)));
                self.say("  the result waits in its run folder; `pony-run submit` delivers it");
            }
            Event::CommandEnded { .. } => self.in_context = false,
            Event::Spawned { .. } => {}
        }
    }

    pub(super) fn tick(&mut self, now: Moment) {
        self.draw(now);
    }

    pub(super) fn next_tick(&self, now: Moment) -> Option<Moment> {
        self.bar.as_ref()?;
        let (_, since) = self.current?;
        // The elapsed time is shown in whole seconds: just after it changes.
        let shown = now.saturating_sub(since).as_secs();
        Some(since + Moment::from_millis(shown * 1000 + 1010))
    }

    fn step_started(&mut self, step: usize, now: Moment) {
        self.current = Some((step, now));
        self.tail = Tail::default();
        let Some(head) = self.steps.get(step) else { return };
        let bold = self.style(AnsiColor::Cyan.on_default().bold());
        let title = format!("[{}/{}] {}", step + 1, self.steps.len(), head.name);
        let width = if self.look.progress { columns() } else { 120 };
        let room = width.saturating_sub(console::measure_text_width(&title) + 2).max(10);
        let line = format!("{bold}{title}{bold:#}  {}", words::one_line(&head.command, room));
        self.say(&line);
        if self.look.progress {
            // Drawn by us, when something changed: no thread of its own.
            let bar = ProgressBar::with_draw_target(
                None,
                ProgressDrawTarget::term_like_with_hz(Box::new(Bottom::stderr()), 60),
            );
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            self.bar = Some(bar);
            self.draw(now);
        }
    }

    fn output(&mut self, stream: Stream, bytes: &[u8], now: Moment) {
        self.tail.push(bytes);
        let watched = stream == Stream::Err && self.look.progress;
        if self.in_context && !watched && !self.verbose {
            return;
        }
        let lines = &mut self.lines[stream.index()];
        let on_screen = stream == Stream::Err || self.look.out_is_screen;
        match &self.bar {
            Some(bar) if on_screen => {
                let whole = lines.whole(bytes);
                if !whole.is_empty() {
                    bar.suspend(|| lines.write(&whole));
                }
                self.draw(now);
            }
            _ => lines.pass(bytes),
        }
    }

    fn step_ended(&mut self, step: usize, record: &StepRecord) {
        self.close_bar();
        self.current = None;
        let number = format!("[{}/{}]", step + 1, self.steps.len());
        let verdict = self.verdict(record);
        let reason =
            record.reason.as_ref().map(|reason| format!(": {}", words::plain(reason))).unwrap_or_default();
        let time = if record.started.is_some() {
            format!(" in {}", words::duration(record.duration))
        } else {
            String::new()
        };
        self.say(&format!("{number} {} {verdict}{time}{reason}", record.name));
        if !record.leaked.is_empty() {
            let style = self.style(AnsiColor::Yellow.on_default());
            self.say(&format!(
                "  {style}it left processes running, now killed{style:#}: {}",
                words::plain(&record.leaked.join(", "))
            ));
        }
        // Taken: what it printed is not what a step printed that never begins.
        let tail = std::mem::take(&mut self.tail);
        if !matches!(record.outcome, Outcome::Passed | Outcome::Skipped) && !record.allowed_to_fail {
            self.failed_tail.get_or_insert_with(|| tail.lines());
        }
    }

    fn run_ended(&mut self, record: &RunRecord) {
        self.close_bar();
        let style = self.outcome_style(record.outcome, false);
        let reason =
            record.reason.as_ref().map(|reason| format!(" {}", words::plain(reason))).unwrap_or_default();
        let reason = if reason.starts_with(" at step") { reason } else { reason.replacen(' ', ": ", 1) };
        let mut text = String::new();
        let width = record.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0).min(40);
        let _ = writeln!(text);
        for step in &record.steps {
            let verdict = self.verdict(step);
            // Colour codes have no width; the padding is counted on the bare word.
            let pad = " ".repeat(12_usize.saturating_sub(verdict_word(step).chars().count()));
            let time = step.started.map(|_| words::duration(step.duration)).unwrap_or_default();
            let why = step.reason.as_deref().map(|reason| words::one_line(reason, 100)).unwrap_or_default();
            let line = format!("  {:width$}  {verdict}{pad}{time:>9}  {why}", step.name);
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if let Some(culprit) = record.culprit()
            && let Some(tail) = self.failed_tail.take().filter(|tail| !tail.is_empty())
        {
            let dim = self.style(Style::new().dimmed());
            let _ = writeln!(text, "last lines of {}:", culprit.name);
            for line in tail.lines() {
                let _ = writeln!(text, "  {dim}|{dim:#} {line}");
            }
        }
        let _ = writeln!(
            text,
            "{style}{} {}{style:#}{reason} ({})",
            record.package,
            record.outcome.word(),
            words::duration(record.duration)
        );
        let logs = record.culprit().into_iter().flat_map(|step| {
            let commands = step.commands.iter().flat_map(|command| [&command.out, &command.err]);
            commands.chain([&step.out, &step.err]).flatten()
        });
        let logs: Vec<&Log> = logs.collect();
        for log in &logs {
            let _ = writeln!(text, "full log {}/{} ({})", self.folder, log.file, words::bytes(log.bytes));
        }
        if logs.is_empty() {
            let _ = writeln!(text, "logs     {}", self.folder);
        }
        if let Some(tempdir) = record.tempdir.as_ref().filter(|_| record.kept) {
            let _ = writeln!(
                text,
                "tree     {tempdir} (kept; `pony-run shell {}` opens a shell in it)",
                record.run_id
            );
        }
        self.say(text.trim_end_matches('\n'));
    }

    /// One or more lines of our own, on stderr.
    fn say(&mut self, text: &str) {
        self.finish_lines();
        let write = || {
            let mut text = text.to_owned();
            text.push('\n');
            let _ = io::stderr().lock().write_all(text.as_bytes());
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn close_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.finish_lines();
    }

    /// Ends an output line that the build left open, so that ours begin at the left.
    fn finish_lines(&mut self) {
        let both = self.look.out_is_screen;
        let [out, err] = &mut self.lines;
        let mut write = || {
            out.finish(both);
            err.finish(true);
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn draw(&self, now: Moment) {
        let (Some(bar), Some((step, since))) = (&self.bar, self.current) else { return };
        let Some(head) = self.steps.get(step) else { return };
        let columns = columns();
        let elapsed = clock_face(now.saturating_sub(since).as_secs());
        let usual =
            head.usual.map(|usual| format!(" of usually {}", words::duration(usual))).unwrap_or_default();
        let status = format!(
            "{} · step {}/{} {} · {elapsed}{usual}",
            self.package,
            step + 1,
            self.steps.len(),
            head.name
        );
        let status = console::truncate_str(&status, columns, "…").into_owned();
        let style = self.style(Style::new().bold());
        let mut text = String::new();
        for lines in &self.lines {
            let open = lines.open();
            if !open.is_empty() {
                let _ = writeln!(text, "{}\x1b[0m", console::truncate_str(&open, columns, "…"));
            }
        }
        let _ = write!(text, "{style}{status}{style:#}");
        bar.set_message(text);
        bar.tick();
    }

    fn verdict(&self, step: &StepRecord) -> String {
        let style = self.outcome_style(step.outcome, step.allowed_to_fail);
        format!("{style}{}{style:#}", verdict_word(step))
    }

    fn outcome_style(&self, outcome: Outcome, allowed: bool) -> Style {
        let colour = match outcome {
            Outcome::Passed => AnsiColor::Green,
            Outcome::Failed | Outcome::TimedOut | Outcome::Quiet if !allowed => AnsiColor::Red,
            Outcome::Skipped => AnsiColor::BrightBlack,
            _ => AnsiColor::Yellow,
        };
        self.style(colour.on_default().bold())
    }

    fn style(&self, style: Style) -> Style {
        if self.look.colour { style } else { Style::new() }
    }
}

/// Columns that a line may have on this terminal without touching its edge.
fn columns() -> usize {
    usize::from(console::Term::stderr().size().1.max(20)) - 1
}

fn verdict_word(step: &StepRecord) -> String {
    let allowed = step.allowed_to_fail && !matches!(step.outcome, Outcome::Passed | Outcome::Skipped);
    format!("{}{}", step.outcome.word(), if allowed { " (allowed)" } else { "" })
}

/// Elapsed time as on a stopwatch: `0:07`, `12:30`, `1:02:03`.
fn clock_face(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// The end of what a step printed, both streams as they came.
#[derive(Debug, Default)]
struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        let chunk = &chunk[chunk.len().saturating_sub(TAIL_BYTES)..];
        let over = (self.bytes.len() + chunk.len()).saturating_sub(TAIL_BYTES);
        self.bytes.drain(..over);
        self.bytes.extend(chunk);
    }

    /// The last lines as plain text.
    fn lines(&self) -> String {
        let bytes: Vec<u8> = self.bytes.iter().copied().collect();
        let text = pony_wire::text::clean(&bytes, pony_wire::text::Colours::Strip);
        let mut lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::StepKind;
    use crate::report::look::{ColourChoice, Surroundings};

    #[test]
    fn the_tail_is_the_last_twenty_lines_without_colours() {
        let mut tail = Tail::default();
        for line in 0..5000 {
            tail.push(format!("\x1b[31mline {line}\x1b[0m\n").as_bytes());
        }
        let lines = tail.lines();
        assert_eq!(lines.lines().count(), 20);
        assert!(lines.ends_with("line 4998\nline 4999"));
        assert!(tail.bytes.len() <= TAIL_BYTES);
    }

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

    #[test]
    fn stopwatch() {
        assert_eq!([clock_face(7), clock_face(750), clock_face(3723)], ["0:07", "12:30", "1:02:03"]);
    }
}
