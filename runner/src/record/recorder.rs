//! The run folder's writer, and the only thing that the run loop writes: events as JSON lines, output as raw bytes with
//! their chunk index, and in the end the result. It waits for the disk and for nobody else.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
};

use super::{
    Log, RunRecord,
    event::{Event, Stamped, Stream},
    fold::Fold,
    folder::RunFolder,
    index::IndexWriter,
    pulse::{Live, Pulse},
};
use crate::{
    clock::{Clock, Moment},
    redactor::Redactor,
};

/// Records one run.
#[derive(Debug)]
pub struct Recorder {
    folder: RunFolder,
    clock: Clock,
    redactor: Redactor,
    events: File,
    logs: Logs,
    fold: Fold,
    live: Live,
    broken: Option<io::Error>,
}

/// The logs of the step or command under way, each made when it has something to hold.
#[derive(Debug, Default)]
struct Logs {
    stem: String,
    began: Moment,
    out: Option<OpenLog>,
    err: Option<OpenLog>,
    index: Option<IndexWriter>,
}

#[derive(Debug)]
struct OpenLog {
    name: String,
    file: File,
    bytes: u64,
}

/// A run that is over, as far as it could be recorded.
#[derive(Debug)]
pub struct Recorded {
    /// What `result.json` says.
    pub record: RunRecord,
    /// Why the run folder is not whole (a full disk).
    pub broken: Option<io::Error>,
}

impl Recorder {
    /// Begins to record into `folder`. Secrets that `redactor` knows are in nothing of it; `pulse` beats whenever it grows.
    pub fn create(folder: RunFolder, clock: Clock, redactor: Redactor, pulse: Pulse) -> io::Result<Self> {
        let events = new_file(&folder, "events.jsonl")?;
        let (live, fold, logs) = (Live::new(pulse), Fold::default(), Logs::default());
        Ok(Self { folder, clock, redactor, events, logs, fold, live, broken: None })
    }

    /// What readers in this process have to know.
    pub fn live(&self) -> Live {
        self.live.clone()
    }

    /// Records that this has happened now.
    pub fn event(&mut self, event: Event) {
        let stamped = self.stamped(event);
        self.fold.on(&stamped);
        if matches!(stamped.event, Event::StepStarted { .. } | Event::CommandStarted { .. }) {
            let stem = self.fold.stem().unwrap_or_default();
            self.logs = Logs { stem, began: self.clock.now(), ..Logs::default() };
        }
        self.write(&stamped);
    }

    /// Records what the step or command under way has printed just now. It must have gone through the redactor already.
    pub fn output(&mut self, stream: Stream, bytes: &[u8]) {
        if self.broken.is_some() || bytes.is_empty() {
            return;
        }
        let time = self.clock.now().saturating_sub(self.logs.began);
        match self.logs.write(&self.folder, stream, bytes, time) {
            Ok(()) => self.live.pulse.beat(),
            Err(error) => self.broken = Some(error),
        }
    }

    /// What the step or command under way has printed so far: stdout, stderr; nothing where it printed nothing.
    pub fn logs(&self) -> (Option<Log>, Option<Log>) {
        let log = |open: &Option<OpenLog>| {
            open.as_ref().map(|open| Log { file: open.name.clone(), bytes: open.bytes })
        };
        (log(&self.logs.out), log(&self.logs.err))
    }

    /// What is recorded so far.
    pub fn so_far(&self) -> &Fold {
        &self.fold
    }

    /// Why the run can be recorded no longer (a full disk); what came before is there.
    pub fn broken(&self) -> Option<&io::Error> {
        self.broken.as_ref()
    }

    /// Writes the result, then `end`, the run's last event: whoever sees that finds the result there.
    pub fn finish(mut self, end: Event) -> Recorded {
        let end = self.stamped(end);
        self.fold.on(&end);
        let Some(record) = self.fold.record(|_| None) else {
            unreachable!("a run begins with its first event")
        };
        if let Err(error) = self.folder.write_result(&record) {
            self.broken.get_or_insert(error);
        }
        self.write(&end);
        Recorded { record, broken: self.broken.take() }
    }

    fn stamped(&self, event: Event) -> Stamped {
        // Every event is plain data that survives the way through JSON; if one ever does not, it is not recorded unmasked.
        let redacted = self.redactor.data(event).unwrap_or_else(|_| Event::Note {
            text: "(an event that could not be masked is not shown)".to_owned(),
        });
        Stamped::new(redacted, self.clock.wall(), self.clock.now())
    }

    fn write(&mut self, stamped: &Stamped) {
        if self.broken.is_some() {
            return;
        }
        let written = serde_json::to_vec(stamped).map_err(io::Error::other).and_then(|mut line| {
            line.push(b'\n');
            self.events.write_all(&line)
        });
        match written {
            Ok(()) => self.live.pulse.beat(),
            Err(error) => self.broken = Some(error),
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.live.close();
    }
}

impl Logs {
    fn write(&mut self, folder: &RunFolder, stream: Stream, bytes: &[u8], time: Moment) -> io::Result<()> {
        let (slot, ending) = match stream {
            Stream::Out => (&mut self.out, "out"),
            Stream::Err => (&mut self.err, "err"),
        };
        let log = if let Some(log) = slot {
            log
        } else {
            let name = format!("{}.{ending}", self.stem);
            let file = new_file(folder, &name)?;
            slot.insert(OpenLog { name, file, bytes: 0 })
        };
        log.file.write_all(bytes)?;
        log.bytes += bytes.len() as u64;
        let index = match &mut self.index {
            Some(index) => index,
            none => none.insert(IndexWriter::new(new_file(folder, &format!("{}.idx", self.stem))?)?),
        };
        index.push(stream, bytes.len(), time)
    }
}

fn new_file(folder: &RunFolder, name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.path().join(name))
}
