//! The run folder's writer: events as JSON lines, output as raw bytes, each file written once, in order.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
};

use crate::record::{
    Log,
    event::{Event, Stamped, Stream},
    folder::{RunFolder, slug},
};

/// Writes one run's events and output.
#[derive(Debug)]
pub struct Spool {
    folder: RunFolder,
    events: File,
    names: Vec<String>,
    logs: Logs,
    /// How many commands the step under way has begun.
    commands: usize,
}

#[derive(Debug, Default)]
struct Logs {
    stem: String,
    out: Option<OpenLog>,
    err: Option<OpenLog>,
}

#[derive(Debug)]
struct OpenLog {
    name: String,
    file: File,
    bytes: u64,
}

impl Spool {
    /// Begins to record into `folder`.
    pub fn create(folder: RunFolder) -> io::Result<Self> {
        let events = new_file(&folder, "events.jsonl")?;
        Ok(Self { folder, events, names: Vec::new(), logs: Logs::default(), commands: 0 })
    }

    /// Writes one event down.
    pub fn on(&mut self, stamped: &Stamped) -> io::Result<()> {
        match &stamped.event {
            Event::Output { stream, bytes, .. } => return self.output(*stream, bytes),
            Event::RunStarted { steps, .. } => {
                self.names = steps.iter().map(|step| step.name.clone()).collect();
            }
            Event::StepStarted { step } => {
                self.commands = 0;
                self.logs = Logs { stem: self.stem(*step), ..Logs::default() };
            }
            Event::CommandStarted { step, label, .. } => {
                self.commands += 1;
                let stem = format!("{}.{}-{}", self.stem(*step), self.commands, slug(label));
                self.logs = Logs { stem, ..Logs::default() };
            }
            _ => {}
        }
        let mut line = serde_json::to_vec(stamped).map_err(io::Error::other)?;
        line.push(b'\n');
        self.events.write_all(&line)
    }

    /// What the step or command under way has printed so far: stdout, stderr; nothing where it printed nothing.
    pub fn logs(&self) -> (Option<Log>, Option<Log>) {
        let log = |open: &Option<OpenLog>| {
            open.as_ref().map(|open| Log { file: open.name.clone(), bytes: open.bytes })
        };
        (log(&self.logs.out), log(&self.logs.err))
    }

    fn stem(&self, step: usize) -> String {
        stem(step, self.names.get(step).map_or("step", String::as_str))
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let (slot, ending) = match stream {
            Stream::Out => (&mut self.logs.out, "out"),
            Stream::Err => (&mut self.logs.err, "err"),
        };
        let log = if let Some(log) = slot {
            log
        } else {
            let name = format!("{}.{ending}", self.logs.stem);
            let file = new_file(&self.folder, &name)?;
            slot.insert(OpenLog { name, file, bytes: 0 })
        };
        log.file.write_all(bytes)?;
        log.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// What the log files of a step are called, without `.out` and `.err`; steps are counted from 0.
pub fn stem(step: usize, name: &str) -> String {
    format!("{:02}-{}", step + 1, slug(name))
}

fn new_file(folder: &RunFolder, name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.path().join(name))
}
