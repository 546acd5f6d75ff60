//! Reads a run folder as it grows: events and what steps print, in order, whoever writes it. Memory stays flat however far
//! the reader is behind, as bytes are read from the logs themselves.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    event::{Event, Stamped, Stream},
    fold::Fold,
    folder::RunFolder,
    format::{self, ParseError},
    pieces::{Passed, Pieces},
    pulse::Live,
};

/// What a run folder tells next.
#[derive(Debug)]
pub enum Item<'i> {
    /// Something happened.
    Event(&'i Stamped),
    /// A step printed something.
    Output(Output<'i>),
    /// The reader passed over something that a step printed.
    Gap(&'i Gap),
}

/// A piece of what a step, or a command of a context, printed.
#[derive(Debug, Clone, Copy)]
pub struct Output<'o> {
    /// Which step, the checkout being one.
    pub step: usize,
    /// A command of the context printed it.
    pub in_context: bool,
    /// On which stream.
    pub stream: Stream,
    /// When, by the wall clock.
    pub time: Timestamp,
    /// Seconds since pony-run started.
    pub elapsed: f64,
    /// Where it lies in the log.
    pub offset: u64,
    /// The bytes, secrets taken out.
    pub bytes: &'o [u8],
}

/// What a reader that was far behind has passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Of which step.
    pub step: usize,
    /// Parts of its logs.
    pub passed: Vec<Passed>,
}

impl Gap {
    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.passed.iter().map(|passed| passed.range.end - passed.range.start).sum()
    }
}

/// Reads one run folder.
#[derive(Debug)]
pub struct Follower {
    folder: RunFolder,
    writer: Option<Live>,
    events: Lines,
    /// Read, and to be told once what was printed before it is.
    held: Option<Stamped>,
    fold: Fold,
    printing: Option<Printing>,
    /// Its writer is done, and nothing is left.
    is_exhausted: bool,
}

/// The step or command that prints.
#[derive(Debug)]
struct Printing {
    step: usize,
    in_context: bool,
    began: (Timestamp, f64),
    pieces: Pieces,
}

impl Follower {
    /// Follows a run that is written in this process.
    pub fn live(folder: RunFolder, writer: Live) -> Self {
        Self { writer: Some(writer), ..Self::new(folder) }
    }

    /// Reads a run that is over, or is written by another process: there, look again now and then.
    pub fn new(folder: RunFolder) -> Self {
        let events = Lines::new(folder.events());
        Self {
            folder,
            writer: None,
            events,
            held: None,
            fold: Fold::default(),
            printing: None,
            is_exhausted: false,
        }
    }

    /// The folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Who writes it, where that is in this process.
    pub fn writer(&self) -> Option<&Live> {
        self.writer.as_ref()
    }

    /// What comes next, if it is there.
    ///
    /// # Errors
    /// When the folder cannot be read, or was written by a program that is too new.
    pub fn next_item(&mut self) -> io::Result<Option<Item<'_>>> {
        // Seen before the folder is looked at: what is not there then never comes.
        let is_closed = self.writer.as_ref().is_some_and(Live::is_closed);
        if self.held.is_none() {
            self.held = self.next_event()?;
        }
        if let Some(printing) = &mut self.printing {
            match &self.held {
                Some(held) if ends_output(&held.event) => printing.pieces.seal(),
                None if is_closed => printing.pieces.seal(),
                _ => {}
            }
            let next = printing.pieces.peek()?.map(|time| printing.began.1 + time.as_secs_f64());
            let is_first = next.is_some_and(|printed| {
                self.held.as_ref().is_none_or(|held| ends_output(&held.event) || printed <= held.elapsed)
            });
            if is_first {
                return self.next_output();
            }
        }
        let Some(mut stamped) = self.held.take() else {
            self.is_exhausted = is_closed;
            return Ok(None);
        };
        self.fold.on(&stamped);
        self.switch(&stamped);
        if let Event::RunEnded { record, .. } = &mut stamped.event {
            *record = self.fold.record(|_| None).map(Box::new);
        }
        self.events.last = Some(stamped);
        Ok(self.events.last.as_ref().map(Item::Event))
    }

    /// Whether nothing more comes: the run has ended, or its writer in this process has, and all of it was told.
    pub fn is_over(&self) -> bool {
        self.fold.is_over() || self.is_exhausted
    }

    /// How many bytes of the step that prints are there and were not told.
    ///
    /// # Errors
    /// When its logs cannot be looked at.
    pub fn unread(&mut self) -> io::Result<u64> {
        self.printing.as_mut().map_or(Ok(0), |printing| printing.pieces.unread())
    }

    /// Passes over all but about the last `keep` bytes of what the step that prints has printed by now; what that was.
    ///
    /// # Errors
    /// When its logs cannot be looked at.
    pub fn skip(&mut self, keep: u64) -> io::Result<Option<Gap>> {
        let Some(printing) = &mut self.printing else { return Ok(None) };
        let passed = printing.pieces.skip(keep)?;
        Ok((!passed.is_empty()).then_some(Gap { step: printing.step, passed }))
    }

    fn next_event(&mut self) -> io::Result<Option<Stamped>> {
        while let Some(line) = self.events.next()? {
            match format::parse(line, Stamped::FORMAT) {
                Ok(stamped) => return Ok(Some(stamped)),
                Err(ParseError::TooNew(error)) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
                // An event that is not known, or a line that a crash has cut off.
                Err(ParseError::Json(_)) => {}
            }
        }
        Ok(None)
    }

    fn next_output(&mut self) -> io::Result<Option<Item<'_>>> {
        let Some(Printing { step, in_context, began: (time, elapsed), pieces }) = &mut self.printing else {
            return Ok(None);
        };
        let Some(piece) = pieces.read()? else { return Ok(None) };
        let since = SignedDuration::try_from(piece.time).unwrap_or(SignedDuration::MAX);
        Ok(Some(Item::Output(Output {
            step: *step,
            in_context: *in_context,
            stream: piece.stream,
            time: time.saturating_add(since).unwrap_or(*time),
            elapsed: *elapsed + piece.time.as_secs_f64(),
            offset: piece.offset,
            bytes: piece.bytes,
        })))
    }

    /// Which logs are read from now on.
    fn switch(&mut self, stamped: &Stamped) {
        let (step, in_context) = match stamped.event {
            Event::StepStarted { step } => (step, false),
            Event::CommandStarted { step, .. } => (step, true),
            Event::CommandEnded { .. } | Event::StepEnded { .. } => {
                self.printing = None;
                return;
            }
            _ => return,
        };
        let began = (stamped.time, stamped.elapsed);
        let pieces = self.fold.stem().map(|stem| Pieces::new(self.folder.path(), &stem));
        self.printing = pieces.map(|pieces| Printing { step, in_context, began, pieces });
    }
}

/// Whether whatever printed until now prints no more.
fn ends_output(event: &Event) -> bool {
    matches!(
        event,
        Event::StepStarted { .. }
            | Event::CommandStarted { .. }
            | Event::CommandEnded { .. }
            | Event::StepEnded { .. }
            | Event::RunEnded { .. }
    )
}

/// The whole lines of a file that grows.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    /// How much of the buffer was taken.
    taken: usize,
    last: Option<Stamped>,
}

impl Lines {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, buffer: Vec::new(), taken: 0, last: None }
    }

    /// The next line, if it is whole.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if let Some(length) = self.buffer[self.taken..].iter().position(|byte| *byte == b'\n') {
                let begin = self.taken;
                self.taken += length + 1;
                return Ok(Some(&self.buffer[begin..begin + length]));
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    fn read_more(&mut self) -> io::Result<bool> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let Some(file) = &mut self.file else { return Ok(false) };
        let before = self.buffer.len();
        file.take(64 * 1024).read_to_end(&mut self.buffer)?;
        Ok(self.buffer.len() > before)
    }
}
