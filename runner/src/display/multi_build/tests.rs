//! The screen of several builds, fed with events.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::json;

use super::{line_writer::Sink, *};
use crate::{
    display::settings::{ColourChoice, Environment},
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
    view: MultiBuildView,
    seen: Seen,
    folder: tempfile::TempDir,
}

impl Play {
    fn new(output: Output, choice: ColourChoice) -> Self {
        let seen = Seen::default();
        let settings = DisplaySettings::resolve(Environment::default(), choice, false);
        let writer = LineWriter::new(settings, Box::new(seen.clone()));
        let view = MultiBuildView::with_writer(settings, false, output, writer);
        Self { view, seen, folder: tempfile::tempdir().unwrap() }
    }

    fn tell(&mut self, build: Option<&str>, elapsed: f64, event: Event) {
        let stamped = Stamped { time: Timestamp::UNIX_EPOCH, elapsed, event };
        self.view.on(build, &Item::Event(&stamped));
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
        self.view.on(Some(name), &Item::Output(output));
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
    assert_eq!(out.lines().map(str::len).collect::<Vec<_>>(), [4 + 64 * 1024, 4 + 64 * 1024, 4 + 22 * 1024]);
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

  zlib         failed       42 s  at step `make`; result 41
  app          skipped            zlib failed at make (result 41)
  other[3.13]  passed       42 s  not delivered to http://x: gone
  lib          reused             built 1970-01-01 00:00 UTC
  never        not started        stopped
Results that were not delivered are saved. The next run will send them, or run \"pony-run submit\" now.
1 passed · 1 failed · 1 skipped · 1 reused · 1 not started in 1 min 00 s
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
fn the_status_area_has_a_line_for_each_that_runs_as_far_as_there_is_room() {
    let mut play = Play::new(Output::Interleaved, ColourChoice::Auto);
    play.chain(&["a", "b", "c", "d", "e", "f"]);
    for name in ["a", "b", "c", "d"] {
        play.begin(name);
    }
    play.end("c", Outcome::Failed, None, [None, None]);
    let status = |play: &Play, columns, rows| {
        let MultiBuildView { builds, running, upload, settings, .. } = &play.view;
        let running = running.iter().map(|at| (*at, Style::new()));
        summary::status(builds, running, upload.as_ref(), Moment::from_secs(43), *settings, (columns, rows))
    };
    let line = |name: &str| format!("{name} · step 1/1 make · 0:42 (usually 3 min 05 s)\n");
    let counts = "3 running · 1 failed · 2 to go";
    assert_eq!(status(&play, 80, 24), format!("{}{}{}{counts}", line("a"), line("b"), line("d")));
    assert_eq!(status(&play, 80, 6), format!("{}… and 2 more\n{counts}", line("a")));
    assert_eq!(status(&play, 80, 4), format!("… and 3 more\n{counts}"));
    assert_eq!(status(&play, 20, 1), "3 running · 1 faile…");
    let uploading =
        Event::Uploading { server: EMBEDDED.to_owned(), name: "x".to_owned(), sent: 5, bytes: 10 };
    play.tell(Some("c"), 43.0, uploading);
    let upload = "uploading x ━━━━━━━━━━────────── 5 B of 10 B\n";
    assert_eq!(status(&play, 80, 8), format!("{}… and 2 more\n{upload}{counts}", line("a")));
    assert_eq!(status(&play, 80, 4), format!("{upload}{counts}"));
    assert_eq!(status(&play, 20, 3), "3 running · 1 faile…");
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
