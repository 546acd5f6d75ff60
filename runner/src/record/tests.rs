//! Runs that were really recorded, one of each ending, are in `tests/runs`: folded, followed, and cut off anywhere.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::{
    Outcome, RunRecord,
    event::{Event, Stamped, Stream},
    fold::Fold,
    folder::RunFolder,
    follow::{Follower, Item},
    pulse::Pulse,
    recorder::Recorder,
    timed,
};
use crate::{clock::Clock, redactor::Redactor};

const ENDINGS: [&str; 8] =
    ["cancelled", "crashed", "failed", "infra-error", "passed", "quiet", "skipped", "timed-out"];

fn folder(ending: &str) -> RunFolder {
    RunFolder::at(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/runs").join(ending))
}

fn events(ending: &str) -> Vec<u8> {
    fs::read(folder(ending).events()).unwrap()
}

fn size_in(folder: &RunFolder, name: &str) -> Option<u64> {
    fs::metadata(folder.path().join(name)).ok().map(|data| data.len())
}

/// As if the run had been cut off where these lines end.
fn folded(ending: &str, lines: &[u8]) -> Option<RunRecord> {
    Fold::of_lines(lines).unwrap().record(|name| size_in(&folder(ending), name))
}

/// What a step printed, by step, whether its context did, and stream.
type Printed = BTreeMap<(usize, bool, usize), Vec<u8>>;

/// All that a follower tells by now: what was printed, and the events' names.
fn told(follower: &mut Follower) -> (Printed, Vec<String>) {
    let (mut printed, mut names) = (Printed::new(), Vec::new());
    while let Some(item) = follower.next_item().unwrap() {
        match item {
            Item::Event(stamped) => {
                let json = serde_json::to_value(stamped).unwrap();
                names.push(json["event"].as_str().unwrap().to_owned());
            }
            Item::Output(output) => {
                let key = (output.step, output.in_context, output.stream.index());
                printed.entry(key).or_default().extend_from_slice(output.bytes);
            }
            Item::Gap(gap) => panic!("nothing was passed over: {gap:?}"),
        }
    }
    (printed, names)
}

fn bytes_of_logs(folder: &Path) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "out" || ending == "err");
    let mut logs: Vec<Vec<u8>> = files.filter(is_log).map(|path| fs::read(path).unwrap()).collect();
    logs.sort();
    logs
}

#[test]
fn the_events_of_every_ending_fold_to_its_result() {
    for ending in ENDINGS {
        let result = folder(ending).read_result().unwrap();
        assert_eq!(result.outcome.word(), ending);
        assert_eq!(folded(ending, &events(ending)), Some(result), "{ending}");
    }
}

#[test]
fn a_run_that_was_cut_off_keeps_what_runs_it_again() {
    let lines = events("passed");
    let end = lines.windows(20).position(|window| window == b"\"event\":\"step-ended\"").unwrap();
    let begin = lines[..end].iter().rposition(|byte| *byte == b'\n').unwrap();
    let [cut, whole] = [&lines[..begin], &lines[..]].map(|lines| folded("passed", lines).unwrap());
    assert_eq!(cut.outcome, Outcome::Crashed);
    assert!(cut.variables.len() == 1 && cut.recipe_folder.is_some() && cut.environment["DEMO"].is_some());
    assert_eq!((cut.variables, cut.recipe_folder), (whole.variables, whole.recipe_folder));
    assert_eq!((cut.environment_from, cut.secrets), (whole.environment_from, whole.secrets));
}

proptest! {
    #[test]
    fn any_beginning_of_any_run_gives_a_record(ending in 0..ENDINGS.len(), cut in any::<prop::sample::Index>()) {
        let (ending, lines) = (ENDINGS[ending], events(ENDINGS[ending]));
        let cut = cut.index(lines.len() + 1);
        let first = lines.iter().position(|byte| *byte == b'\n').unwrap();
        let record = folded(ending, &lines[..cut]);
        prop_assert_eq!(record.is_some(), cut >= first, "cut at {}", cut);
        if let Some(record) = record {
            let whole = folded(ending, &lines).unwrap();
            let is_whole = lines[cut..].iter().all(|byte| *byte == b'\n');
            prop_assert_eq!(is_whole && record == whole, is_whole);
            let names = |record: &RunRecord| -> Vec<String> {
                record.steps.iter().map(|step| step.name.clone()).collect()
            };
            prop_assert_eq!(names(&record), names(&whole));
        }
    }

    #[test]
    fn whoever_follows_a_run_that_grows_is_told_what_one_who_comes_late_is(
        ending in 0..ENDINGS.len(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let from = folder(ENDINGS[ending]);
        let dir = tempfile::tempdir().unwrap();
        let mut late = Follower::new(from.clone());
        let (printed, names) = told(&mut late);
        // The logs are there before the events that end them; the events come piece by piece.
        for entry in fs::read_dir(from.path()).unwrap().map(Result::unwrap) {
            if entry.path() != from.events() {
                fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
            }
        }
        let lines = events(ENDINGS[ending]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(lines.len())).collect();
        cuts.push(lines.len());
        cuts.sort_unstable();
        let to = RunFolder::at(dir.path());
        let mut follower = Follower::new(to.clone());
        let (mut so_far, mut heard) = (Printed::new(), Vec::new());
        for cut in cuts {
            fs::write(to.events(), &lines[..cut]).unwrap();
            let (more, named) = told(&mut follower);
            for (key, bytes) in more {
                so_far.entry(key).or_default().extend(bytes);
            }
            heard.extend(named);
        }
        prop_assert_eq!((so_far, heard), (printed, names));
    }
}

#[test]
fn a_follower_tells_every_byte_of_every_log_and_the_record_last() {
    for ending in ENDINGS {
        let folder = folder(ending);
        let mut follower = Follower::new(folder.clone());
        let (printed, names) = told(&mut follower);
        let mut printed: Vec<Vec<u8>> = printed.into_values().collect();
        printed.sort();
        assert_eq!(printed, bytes_of_logs(folder.path()), "{ending}");
        let is_over = ending != "crashed";
        assert_eq!(
            (follower.is_over(), names.last().unwrap() == "run-ended"),
            (is_over, is_over),
            "{ending}"
        );
    }
}

/// A folder in which a step prints, its recorder, and one who follows it.
fn live(dir: &Path) -> (Recorder, Follower) {
    let folder = RunFolder::at(dir);
    let recorder =
        Recorder::create(folder.clone(), Clock::start(), Redactor::default(), Pulse::default()).unwrap();
    let follower = Follower::live(folder, recorder.live());
    (recorder, follower)
}

fn begin(recorder: &mut Recorder) {
    let line = events("failed");
    let line = line.split(|byte| *byte == b'\n').next().unwrap();
    recorder.event(serde_json::from_slice::<Stamped>(line).unwrap().event);
    recorder.event(Event::StepStarted { step: 0 });
}

fn next_output(follower: &mut Follower) -> Option<(Stream, u64, Vec<u8>)> {
    loop {
        match follower.next_item().unwrap()? {
            Item::Output(output) => return Some((output.stream, output.offset, output.bytes.to_vec())),
            Item::Event(_) | Item::Gap(_) => {}
        }
    }
}

#[test]
fn output_is_told_as_it_comes_and_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut recorder, mut follower) = live(dir.path());
    begin(&mut recorder);
    assert_eq!(next_output(&mut follower), None);
    recorder.output(Stream::Out, b"one ");
    assert_eq!(next_output(&mut follower), Some((Stream::Out, 0, b"one ".to_vec())));
    recorder.output(Stream::Err, b"odd\n");
    recorder.output(Stream::Out, b"two ");
    recorder.output(Stream::Out, b"three\n");
    assert_eq!(next_output(&mut follower), Some((Stream::Err, 0, b"odd\n".to_vec())));
    assert_eq!(next_output(&mut follower), Some((Stream::Out, 4, b"two three\n".to_vec())));
    assert_eq!((next_output(&mut follower), follower.is_over()), (None, false));
    drop(recorder);
    assert_eq!((next_output(&mut follower), follower.is_over()), (None, true), "its writer is gone");
}

#[test]
fn what_a_crash_left_without_an_entry_is_told_when_its_writer_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (mut recorder, mut follower) = live(dir.path());
    begin(&mut recorder);
    recorder.output(Stream::Out, b"whole\n");
    fs::OpenOptions::new()
        .append(true)
        .open(dir.path().join("01-make.out"))
        .and_then(|mut log| std::io::Write::write_all(&mut log, b"rest"))
        .unwrap();
    assert_eq!(next_output(&mut follower).unwrap().2, b"whole\n");
    assert_eq!(next_output(&mut follower), None);
    drop(recorder);
    assert_eq!(next_output(&mut follower), Some((Stream::Out, 6, b"rest".to_vec())));
}

#[test]
fn who_is_far_behind_can_pass_over_all_but_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (mut recorder, mut follower) = live(dir.path());
    begin(&mut recorder);
    let line = b"a line of text of some length, again and again\n".repeat(1000);
    for _ in 0..100 {
        recorder.output(Stream::Out, &line);
        recorder.output(Stream::Err, b"!\n");
    }
    next_output(&mut follower).unwrap();
    let before = follower.unread().unwrap();
    let gap = follower.skip(200_000).unwrap().unwrap();
    let left = follower.unread().unwrap();
    assert_eq!((gap.step, gap.bytes() + left), (0, before));
    assert!((100_000..=200_000).contains(&left), "{left}");
    assert_eq!((&gap.passed[0].file[..], gap.passed.len()), ("01-make.out", 2));
    let mut rest = 0;
    while let Some((stream, offset, bytes)) = next_output(&mut follower) {
        rest += bytes.len() as u64;
        assert!(offset >= gap.passed[stream.index()].range.end);
    }
    assert_eq!(rest, left);
    assert_eq!(follower.skip(0).unwrap(), None);
}

#[test]
fn a_log_is_printed_with_the_time_of_each_line_and_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut recorder, _) = live(dir.path());
    begin(&mut recorder);
    recorder.output(Stream::Out, b"com");
    recorder.output(Stream::Err, b"warning\n");
    recorder.output(Stream::Out, b"piled\nnext\n");
    recorder.output(Stream::Out, b"open");
    let mut text = Vec::new();
    timed::print(&RunFolder::at(dir.path()), "01-make", &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().map(|line| line.trim_start().split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["! warning", "| compiled", "| next", "| open"]);
    assert!(text.lines().all(|line| line.trim_start().starts_with("0.0")), "{text}");
}

#[test]
fn newer_majors_are_refused_and_newer_minors_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::at(dir.path());
    let of_version = |ending: &str, version: &str| {
        let (events, result) = (events(ending), fs::read_to_string(self::folder(ending).result()).unwrap());
        let events = String::from_utf8(events).unwrap();
        fs::write(folder.events(), events.replace("\"2.0\"", &format!("\"{version}\""))).unwrap();
        fs::write(folder.result(), result.replace("\"1.1\"", &format!("\"{version}\""))).unwrap();
    };
    of_version("skipped", "2.9");
    assert!(told(&mut Follower::new(folder.clone())).1.len() > 1);
    let error = folder.read_result().unwrap_err().to_string();
    assert!(error.contains("its format is 2.9, and this version reads formats up to 1.x"), "{error}");
    of_version("skipped", "1.9");
    assert_eq!(folder.read_result().unwrap().outcome, Outcome::Skipped);
    of_version("skipped", "3.0");
    let error = Follower::new(folder).next_item().unwrap_err().to_string();
    assert!(error.starts_with("its format is 3.0"), "{error}");
}
