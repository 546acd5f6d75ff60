//! What a person sees of several builds at once: output with the build's name before each line, a status line for each
//! that runs, the tails of those that failed, and a table of all outcomes last.
//!
//! stdout of the builds goes to stdout and their stderr to stderr; our own words go to stderr.

mod build;
mod paper;
mod summary;

use std::{fs::File, io::Read as _, path::Path};

use anstyle::{AnsiColor, Style};

use self::{
    build::{Build, End, Running, Stage},
    paper::{Paper, Prefix, Process},
    summary::Builds,
};
use super::{
    bottom, left_out,
    look::Look,
    upload::{self, UnderWay},
    verdict,
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
pub struct Several {
    look: Look,
    verbose: bool,
    output: Output,
    paper: Paper,
    builds: Builds,
    /// Places of those that run, in the order in which they began.
    running: Vec<usize>,
    /// A file of a result is on its way.
    upload: Option<UnderWay>,
    began: Moment,
    /// Of the names before lines.
    width: usize,
}

impl Several {
    /// A screen that looks like `look`; `verbose` shows the commands of contexts and where files are.
    pub fn new(look: Look, verbose: bool, output: Output) -> Self {
        Self::on_paper(look, verbose, output, Paper::new(look, Box::new(Process)))
    }

    fn on_paper(look: Look, verbose: bool, output: Output, paper: Paper) -> Self {
        Self {
            look,
            verbose,
            output,
            paper,
            builds: Builds::new(),
            running: Vec::new(),
            upload: None,
            began: Moment::ZERO,
            width: 0,
        }
    }

    pub(super) fn look(&self) -> Look {
        self.look
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
            self.paper.close();
            return;
        }
        let Self { paper, builds, running, upload, look, .. } = self;
        paper.refresh(now, || {
            let running = running.iter().map(|at| (*at, style(*look, *at)));
            let upload = upload.as_ref();
            summary::bottom(builds, running, upload, now, *look, (bottom::columns(), bottom::rows()))
        });
    }

    /// Soon, as long as there is something at the bottom: what is printed until then is shown together.
    pub(super) fn next_tick(&self, now: Moment) -> Option<Moment> {
        self.paper.next_frame(now)
    }

    fn of_all(&mut self, event: &Event, now: Moment) {
        match event {
            Event::ChainStarted { chain, builds } => {
                self.began = now;
                self.builds = builds.iter().map(|head| (head.name.clone(), Build::new(head))).collect();
                self.width = builds
                    .iter()
                    .map(|head| console::measure_text_width(&head.name))
                    .max()
                    .unwrap_or(0)
                    .min(WIDEST);
                if self.verbose {
                    self.say(&Prefix::default(), &format!("{} builds, chain {chain}", builds.len()));
                }
            }
            Event::ChainEnded { .. } => {
                self.paper.close();
                self.say(
                    &Prefix::default(),
                    &summary::at_end(&self.builds, now.saturating_sub(self.began), self.look),
                );
                self.builds.clear();
                self.running.clear();
            }
            Event::Note { text } => self.say(&Prefix::default(), &format!("note: {}", words::plain(text))),
            Event::Delivered { server, result_key, page } => {
                self.say(&Prefix::default(), &words::stored(server, result_key.as_deref(), page.as_deref()));
            }
            Event::NotDelivered { server, reason } => {
                self.say(&Prefix::default(), &not_delivered(server, reason));
            }
            Event::Uploaded(uploads) => {
                for line in upload::lines(uploads) {
                    self.say(&Prefix::default(), &line);
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
        let prefix = Prefix::new(name, self.width, style(self.look, at));
        let (look, verbose) = (self.look, self.verbose);
        let Some((_, build)) = self.builds.get_index_mut(at) else { return };
        match event {
            Event::RunStarted { folder, steps, .. } => {
                build.stage = Stage::Running(Box::new(Running::new(now, folder, steps, look)));
                self.running.push(at);
                if verbose {
                    self.say(&prefix, &format!("run folder {folder}"));
                }
            }
            Event::Note { text } => self.say(&prefix, &format!("note: {}", words::plain(text))),
            Event::StepStarted { step } => {
                let Some(running) = build.running() else { return };
                running.begin_step(*step);
                if self.output == Output::Interleaved
                    && let Some(head) = running.steps.get(*step)
                {
                    let bold = look.style(Style::new().bold());
                    let title = format!("{bold}[{}/{}] {}{bold:#}", step + 1, running.steps.len(), head.name);
                    self.say(&prefix, &title);
                }
            }
            Event::CommandStarted { command, .. } => {
                if let Some(running) = build.running() {
                    running.in_context = true;
                }
                if verbose && self.output == Output::Interleaved {
                    self.say(&prefix, &format!("+ {}", words::plain(command)));
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
                build.over().into_iter().for_each(|over| over.stored.push(stored.clone()));
            }
            Event::NotDelivered { server, reason } => {
                let said = not_delivered(server, reason);
                build.over().into_iter().for_each(|over| over.stored.push(said.clone()));
            }
            Event::Reused { ended, .. } => build.pass_over(End::Reused, build::reused(*ended)),
            Event::NotBegun { reason } => build.pass_over(End::NotBegun, reason.clone()),
            Event::Uploaded(uploads) => {
                build.over().into_iter().for_each(|over| over.stored.push(upload::in_short(uploads)));
                for line in upload::troubles(uploads) {
                    self.say(&prefix, &line);
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
            let whole = running.whole(stream, bytes);
            self.paper.put(stream, &Prefix::new(name, self.width, style(self.look, at)), &whole);
        }
    }

    fn gap(&mut self, name: &str, gap: &Gap) {
        let Some((at, _, build)) = self.builds.get_full_mut(name) else { return };
        let Some(running) = build.running() else { return };
        let text = left_out(gap, &running.folder);
        self.say(&Prefix::new(name, self.width, style(self.look, at)), &text);
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
            self.say(prefix, &verdict::sentence(step, steps, record, self.look));
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
        let style = self.look.outcome(record.outcome, false);
        let why = words::because(record.reason.as_deref());
        let time = if record.outcome == Outcome::Skipped {
            String::new()
        } else {
            format!(" ({})", words::duration(record.duration))
        };
        self.say(prefix, &format!("{style}{}{style:#}{why}{time}", record.outcome.word()));
    }

    /// Ends the lines that a build left open.
    fn close_lines(&mut self, at: usize, prefix: &Prefix) {
        let Some(running) = self.builds.get_index_mut(at).and_then(|(_, build)| build.running()) else {
            return;
        };
        for stream in [Stream::Out, Stream::Err] {
            let rest = running.rest(stream);
            self.paper.put(stream, prefix, &rest);
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
                let whole = running.whole(stream, &piece[..count]);
                self.paper.put(stream, prefix, &whole);
            }
            self.close_lines(at, prefix);
        }
    }

    /// Lines of our own, of no build.
    pub(super) fn line(&mut self, text: &str) {
        self.say(&Prefix::default(), &format!("{text}\n"));
    }

    /// Lines of our own.
    fn say(&mut self, prefix: &Prefix, text: &str) {
        self.paper.put(Stream::Err, prefix, text.as_bytes());
    }
}

/// Of the name of the build at this place, the same from its beginning to its end.
fn style(look: Look, at: usize) -> Style {
    look.style(COLOURS[at % COLOURS.len()].on_default())
}

fn not_delivered(server: &str, reason: &str) -> String {
    format!("not delivered to {server}: {}", words::plain(reason))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use jiff::Timestamp;
    use serde_json::json;

    use super::{paper::Sink, *};
    use crate::{
        display::look::{ColourChoice, Surroundings},
        recipe::StepKind,
        record::Log,
    };

    /// What was written, each piece by itself.
    #[derive(Debug, Clone, Default)]
    struct Seen(Arc<Mutex<Vec<(Stream, String)>>>);

    impl Sink for Seen {
        fn write(&mut self, stream: Stream, bytes: &[u8]) {
            self.0.lock().unwrap().push((stream, String::from_utf8_lossy(bytes).into_owned()));
        }
    }

    impl Seen {
        fn of(&self, stream: Stream) -> String {
            let seen = self.0.lock().unwrap();
            seen.iter().filter(|(other, _)| *other == stream).map(|(_, text)| text.as_str()).collect()
        }
    }

    struct Play {
        several: Several,
        seen: Seen,
        folder: tempfile::TempDir,
    }

    impl Play {
        fn new(output: Output, choice: ColourChoice) -> Self {
            let seen = Seen::default();
            let look = Look::resolve(Surroundings::default(), choice, false);
            let paper = Paper::new(look, Box::new(seen.clone()));
            let several = Several::on_paper(look, false, output, paper);
            Self { several, seen, folder: tempfile::tempdir().unwrap() }
        }

        fn tell(&mut self, build: Option<&str>, elapsed: f64, event: Event) {
            let stamped = Stamped { time: Timestamp::UNIX_EPOCH, elapsed, event };
            self.several.on(build, &Item::Event(&stamped));
        }

        fn chain(&mut self, names: &[&str]) {
            let head =
                |name: &&str| BuildHead { name: (*name).to_owned(), needs: Vec::new(), usual: Some(185.0) };
            let builds = names.iter().map(head).collect();
            self.tell(None, 0.0, Event::ChainStarted { chain: "c1".to_owned(), builds });
        }

        fn begin(&mut self, name: &str) {
            let steps = [json!({"name": "make", "type": "build", "command": "make"})];
            let event = json!({
                "event": "run-started", "run_id": name, "package": name, "tags": [], "host": "h", "arch": "a",
                "recipe": "r", "folder": self.folder.path(), "tempdir": "", "deliver_to": [], "steps": steps,
            });
            self.tell(Some(name), 1.0, serde_json::from_value(event).unwrap());
            self.tell(Some(name), 1.0, Event::StepStarted { step: 0 });
        }

        fn print(&mut self, name: &str, stream: Stream, text: &str) {
            let output = crate::record::follow::Output {
                step: 0,
                in_context: false,
                stream,
                time: Timestamp::UNIX_EPOCH,
                elapsed: 2.0,
                offset: 0,
                bytes: text.as_bytes(),
            };
            self.several.on(Some(name), &Item::Output(output));
        }

        fn end(&mut self, name: &str, outcome: Outcome, reason: Option<&str>, logs: [Option<Log>; 2]) {
            let [out, err] = logs;
            let mut step =
                StepRecord { out, err, ..StepRecord::of("make", StepKind::Build, "make".into(), outcome, 1) };
            step.started = Some(Timestamp::UNIX_EPOCH);
            step.duration = 41.0;
            self.tell(Some(name), 42.0, Event::StepEnded { step: 0, record: Box::new(step.clone()) });
            self.over(name, outcome, reason, &[step]);
        }

        fn over(&mut self, name: &str, outcome: Outcome, reason: Option<&str>, steps: &[StepRecord]) {
            let record = json!({
                "format": 1, "run_id": name, "package": name, "tags": [], "host": "h", "arch": "a",
                "outcome": outcome, "reason": reason, "started": "2026-01-01T00:00:00Z",
                "ended": "2026-01-01T00:00:42Z", "duration": 42.0, "recipe": "r", "steps": steps, "client": "c",
            });
            let record = serde_json::from_value(record).unwrap();
            self.tell(Some(name), 43.0, Event::run_ended(record));
        }

        fn delivered(&mut self, name: &str, key: &str) {
            let (server, result_key) = (EMBEDDED.to_owned(), Some(key.to_owned()));
            self.tell(Some(name), 44.0, Event::Delivered { server, result_key, page: None });
        }
    }

    #[test]
    fn lines_have_the_name_of_their_build_and_are_never_mixed() {
        let mut play = Play::new(Output::Interleaved, ColourChoice::Auto);
        play.chain(&["zlib", "a"]);
        play.begin("zlib");
        play.begin("a");
        play.print("zlib", Stream::Out, "compiling one");
        play.print("a", Stream::Out, "\x1b[31mfirst\x1b[0m\nsec");
        play.print("zlib", Stream::Err, "warning\n");
        play.print("zlib", Stream::Out, ".c\nopen");
        play.print("a", Stream::Out, " 10 %\r100 %\n");
        play.end("zlib", Outcome::Passed, None, [None, None]);
        assert_eq!(
            play.seen.of(Stream::Out),
            "a    | first\nzlib | compiling one.c\na    | 100 %\nzlib | open\n"
        );
        assert_eq!(
            play.seen.of(Stream::Err),
            "zlib | [1/1] make\na    | [1/1] make\nzlib | warning\nzlib | passed (42 s)\n"
        );
        assert!(play.seen.0.lock().unwrap().iter().all(|(_, piece)| piece.ends_with('\n')));
    }

    #[test]
    fn a_line_without_end_is_cut_and_goes_on_with_the_name() {
        let mut play = Play::new(Output::Interleaved, ColourChoice::Auto);
        play.chain(&["a", "b"]);
        play.begin("a");
        for _ in 0..5 {
            play.print("a", Stream::Out, &"x".repeat(30 * 1024));
        }
        play.end("a", Outcome::Passed, None, [None, None]);
        let out = play.seen.of(Stream::Out);
        assert_eq!(out.lines().map(str::len).collect::<Vec<_>>(), [4 + 90 * 1024, 4 + 60 * 1024]);
        assert!(out.lines().all(|line| line.starts_with("a | x")));
    }

    #[test]
    fn a_group_is_read_back_when_its_step_has_ended() {
        let mut play = Play::new(Output::Grouped, ColourChoice::Auto);
        play.chain(&["a"]);
        play.begin("a");
        play.print("a", Stream::Out, "one\n");
        assert_eq!(play.seen.0.lock().unwrap().len(), 0);
        let log = |name: &str, text: &str| {
            std::fs::write(play.folder.path().join(name), text).unwrap();
            Some(Log { file: name.to_owned(), bytes: text.len() as u64 })
        };
        let logs = [log("make.out", "one\ntwo"), log("make.err", "bad\n")];
        play.end("a", Outcome::Failed, Some("at step `make`"), logs);
        let seen = play.seen.0.lock().unwrap();
        let seen: Vec<&str> = seen.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(
            seen,
            [
                "a | [1/1] make failed in 41 s\n",
                "a | one\n",
                "a | two\n",
                "a | bad\n",
                "a | failed at step `make` (42 s)\n"
            ]
        );
    }

    #[test]
    fn what_nobody_wants_to_see_is_seen_where_it_failed() {
        let mut play = Play::new(Output::None, ColourChoice::Auto);
        play.chain(&["zlib", "app", "other[3.13]", "lib", "never"]);
        play.begin("zlib");
        play.print("zlib", Stream::Err, "no rule\n");
        let log = Log { file: "make.err".to_owned(), bytes: 8 };
        play.end("zlib", Outcome::Failed, Some("at step `make`"), [None, Some(log)]);
        play.delivered("zlib", "41");
        play.over("app", Outcome::Skipped, Some("zlib failed at make (result 41)"), &[]);
        play.begin("other[3.13]");
        play.end("other[3.13]", Outcome::Passed, None, [None, None]);
        play.tell(
            Some("other[3.13]"),
            44.0,
            Event::NotDelivered { server: "http://x".to_owned(), reason: "gone\n".to_owned() },
        );
        let reused = Event::Reused { run_id: "r".to_owned(), ended: Timestamp::UNIX_EPOCH };
        play.tell(Some("lib"), 44.0, reused);
        play.tell(Some("never"), 44.0, Event::NotBegun { reason: "stopped".to_owned() });
        play.tell(None, 60.0, Event::ChainEnded { chain: "c1".to_owned() });
        let folder = play.folder.path().display();
        let expected = format!(
            "zlib        | failed at step `make` (42 s)
app         | skipped: zlib failed at make (result 41)
other[3.13] | passed (42 s)

zlib failed at make
last lines:
  | no rule
full log {folder}/make.err (8 B)

  zlib         failed           42 s  at step `make`; result 41
  app          skipped                zlib failed at make (result 41)
  other[3.13]  passed           42 s  not delivered to http://x: gone
  lib          reused                 built 1970-01-01 00:00 UTC
  never        not begun              stopped
what was not delivered waits in its run folder; `pony-run submit` delivers it
1 passed · 1 failed · 1 skipped · 1 reused · 1 not begun in 1 m 00 s
"
        );
        assert_eq!(play.seen.of(Stream::Err), expected);
        assert_eq!(play.seen.of(Stream::Out), "");
    }

    #[test]
    fn names_have_their_colours_and_end_their_lines_with_none() {
        let mut play = Play::new(Output::Interleaved, ColourChoice::Always);
        play.chain(&["a", "b"]);
        play.begin("a");
        play.begin("b");
        play.print("a", Stream::Out, "\x1b[31mred\n");
        play.print("b", Stream::Out, "plain\n");
        let expected = "\x1b[36ma\x1b[0m | \x1b[31mred\x1b[0m\n\x1b[35mb\x1b[0m | plain\n";
        assert_eq!(play.seen.of(Stream::Out), expected);
    }

    #[test]
    fn the_bottom_has_a_line_for_each_that_runs_as_far_as_there_is_room() {
        let mut play = Play::new(Output::Interleaved, ColourChoice::Auto);
        play.chain(&["a", "b", "c", "d", "e", "f"]);
        for name in ["a", "b", "c", "d"] {
            play.begin(name);
        }
        play.end("c", Outcome::Failed, None, [None, None]);
        let bottom = |play: &Play, columns, rows| {
            let Several { builds, running, upload, look, .. } = &play.several;
            let running = running.iter().map(|at| (*at, Style::new()));
            summary::bottom(builds, running, upload.as_ref(), Moment::from_secs(43), *look, (columns, rows))
        };
        let line = |name: &str| format!("{name} · step 1/1 make · 0:42 of usually 3 m 05 s\n");
        let counts = "3 running · 1 failed · 2 to go";
        assert_eq!(bottom(&play, 80, 24), format!("{}{}{}{counts}", line("a"), line("b"), line("d")));
        assert_eq!(bottom(&play, 80, 6), format!("{}… and 2 more\n{counts}", line("a")));
        assert_eq!(bottom(&play, 80, 4), format!("… and 3 more\n{counts}"));
        assert_eq!(bottom(&play, 20, 1), "3 running · 1 faile…");
        let uploading =
            Event::Uploading { server: EMBEDDED.to_owned(), name: "x".to_owned(), sent: 5, bytes: 10 };
        play.tell(Some("c"), 43.0, uploading);
        let upload = "uploading x ━━━━━━━━━━────────── 5 B of 10 B\n";
        assert_eq!(bottom(&play, 80, 8), format!("{}… and 2 more\n{upload}{counts}", line("a")));
        assert_eq!(bottom(&play, 80, 4), format!("{upload}{counts}"));
        assert_eq!(bottom(&play, 20, 3), "3 running · 1 faile…");
    }

    #[test]
    fn what_became_of_files_is_in_the_table_and_what_went_wrong_above_it() {
        let mut play = Play::new(Output::Interleaved, ColourChoice::Auto);
        play.chain(&["a", "b"]);
        play.begin("a");
        play.end("a", Outcome::Passed, None, [None, None]);
        play.delivered("a", "41");
        let refused =
            crate::record::event::RefusedFile { name: "x".to_owned(), reason: "it is empty".to_owned() };
        let uploads = Box::new(crate::record::event::Uploads {
            server: "http://x/".to_owned(),
            files: 2,
            bytes: 2_000,
            refused: vec![refused],
            ..Default::default()
        });
        play.tell(Some("a"), 44.0, Event::Uploaded(uploads.clone()));
        play.tell(None, 45.0, Event::ChainEnded { chain: "c1".to_owned() });
        let all = play.seen.of(Stream::Err);
        assert!(all.contains("\na | note: x was not uploaded to http://x/: it is empty\n"), "{all}");
        assert!(all.contains("42 s  result 41; uploaded 2 files (2.0 kB), 1 refused\n"), "{all}");
        // Of an earlier run.
        play.tell(None, 46.0, Event::Uploaded(uploads));
        let after = play.seen.of(Stream::Err)[all.len()..].to_owned();
        let expected = "uploaded 2 files (2.0 kB)\nnote: x was not uploaded to http://x/: it is empty\n";
        assert_eq!(after, expected);
    }

    #[test]
    fn steps_that_were_not_begun_have_no_tail_of_others() {
        let mut play = Play::new(Output::None, ColourChoice::Auto);
        play.chain(&["a"]);
        play.begin("a");
        play.print("a", Stream::Out, "fine\n");
        let step = |outcome| StepRecord::of("make", StepKind::Build, "make".into(), outcome, 0);
        for outcome in [Outcome::Passed, Outcome::InfraError] {
            play.tell(Some("a"), 3.0, Event::StepEnded { step: 0, record: Box::new(step(outcome)) });
        }
        play.over("a", Outcome::InfraError, None, &[step(Outcome::InfraError)]);
        play.tell(None, 4.0, Event::ChainEnded { chain: "c1".to_owned() });
        assert!(!play.seen.of(Stream::Err).contains("fine"));
    }
}
