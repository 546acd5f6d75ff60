//! What one step (or one command of a context) printed, piece by piece in the order in which it came, read from its logs
//! and their chunk index while they may still grow.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    event::Stream,
    index::{Chunk, IndexReader},
};

/// Most bytes of one piece.
const LONGEST: u64 = 64 * 1024;
/// Pieces that came one after another within this are read together.
const TOGETHER: Duration = Duration::from_millis(40);

const STREAMS: [Stream; 2] = [Stream::Out, Stream::Err];

/// Reads the logs of one step.
#[derive(Debug)]
pub(super) struct Pieces {
    base: PathBuf,
    index: Option<IndexReader<File>>,
    logs: [LogFile; 2],
    /// In the buffer, and not handed out yet.
    loaded: Option<Chunk>,
    /// What is read next, and what the index says after it.
    current: Option<Chunk>,
    ahead: Option<Chunk>,
    /// No entry comes any more: what lies beyond the index is read as it is.
    is_sealed: bool,
    last: Duration,
    buffer: Vec<u8>,
}

#[derive(Debug, Default)]
struct LogFile {
    file: Option<File>,
    /// How far it is read or passed over.
    read: u64,
}

/// Bytes that came together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'p> {
    pub(super) stream: Stream,
    /// Where they lie in their log.
    pub(super) offset: u64,
    /// Since the step began.
    pub(super) time: Duration,
    pub(super) bytes: &'p [u8],
}

/// What was passed over of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Which of the two logs.
    pub stream: Stream,
    /// The log's name in the run folder.
    pub file: String,
    /// Where in the log.
    pub range: Range<u64>,
}

impl Pieces {
    /// Of the logs that are called `stem` in this folder; they need not be there yet.
    pub(super) fn new(folder: &Path, stem: &str) -> Self {
        Self {
            base: folder.join(stem),
            index: None,
            logs: Default::default(),
            loaded: None,
            current: None,
            ahead: None,
            is_sealed: false,
            last: Duration::ZERO,
            buffer: Vec::new(),
        }
    }

    /// Nothing more is written, so that all that is there can be read.
    pub(super) fn seal(&mut self) {
        self.is_sealed = true;
    }

    /// When the next piece came, if there is one.
    pub(super) fn peek(&mut self) -> io::Result<Option<Duration>> {
        while self.loaded.is_none() {
            let next = match self.current.take() {
                Some(chunk) => Some(chunk),
                None => self.pull()?,
            };
            let Some(chunk) = next else { break };
            self.load(chunk)?;
        }
        Ok(self.loaded.map(|chunk| chunk.time))
    }

    /// The next piece, if there is one.
    pub(super) fn read(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.peek()?;
        let Some(Chunk { stream, offset, length, time }) = self.loaded.take() else { return Ok(None) };
        self.logs[stream.index()].read = offset + length;
        Ok(Some(Piece { stream, offset, time, bytes: &self.buffer }))
    }

    /// Reads the begin of `chunk`.
    fn load(&mut self, chunk: Chunk) -> io::Result<()> {
        let log = &mut self.logs[chunk.stream.index()];
        let length = chunk.length.min(LONGEST);
        self.buffer.resize(usize::try_from(length).unwrap_or_default(), 0);
        let read = match open(&mut log.file, &self.base, ending(chunk.stream))? {
            Some(file) => read_at(file, &mut self.buffer, chunk.offset)?,
            None => 0,
        };
        self.buffer.truncate(read);
        let length = read as u64;
        if length == 0 {
            // The log is shorter than its index says: that part is lost.
            log.read = chunk.offset + chunk.length;
            return Ok(());
        }
        self.loaded = Some(Chunk { length, ..chunk });
        let (offset, left) = (chunk.offset + length, chunk.length - length);
        self.current = (left > 0).then_some(Chunk { offset, length: left, ..chunk });
        Ok(())
    }

    /// How many bytes are printed and not read.
    pub(super) fn unread(&mut self) -> io::Result<u64> {
        let mut unread = 0;
        for stream in STREAMS {
            unread += self.size(stream)?.saturating_sub(self.logs[stream.index()].read);
        }
        Ok(unread)
    }

    /// Passes over all but about the last `keep` bytes of what is there; what that was.
    pub(super) fn skip(&mut self, keep: u64) -> io::Result<Vec<Passed>> {
        let from = STREAMS.map(|stream| self.logs[stream.index()].read);
        let mut unread = self.unread()?;
        while unread > keep {
            let next = match self.loaded.take() {
                Some(chunk) => Some(chunk),
                None => match self.current.take() {
                    Some(chunk) => Some(chunk),
                    None => self.pull()?,
                },
            };
            let Some(chunk) = next else { break };
            let passed = chunk.length.min((unread - keep).next_multiple_of(LONGEST));
            unread -= passed;
            let (offset, left) = (chunk.offset + passed, chunk.length - passed);
            self.logs[chunk.stream.index()].read = offset;
            if left > 0 {
                self.current = Some(Chunk { offset, length: left, ..chunk });
            }
        }
        let passed = STREAMS.into_iter().filter_map(|stream| {
            let range = from[stream.index()]..self.logs[stream.index()].read;
            let name = self.base.file_name()?.to_string_lossy();
            let file = format!("{name}.{}", ending(stream));
            (!range.is_empty()).then_some(Passed { stream, file, range })
        });
        Ok(passed.collect())
    }

    /// The next chunk, those that came close to it with it.
    fn pull(&mut self) -> io::Result<Option<Chunk>> {
        let first = match self.ahead.take() {
            Some(chunk) => Some(chunk),
            None => self.next_entry()?,
        };
        let Some(mut chunk) = first else { return if self.is_sealed { self.rest() } else { Ok(None) } };
        while let Some(next) = self.next_entry()? {
            let is_near = next.stream == chunk.stream && next.time.saturating_sub(chunk.time) < TOGETHER;
            if !is_near || chunk.length + next.length > LONGEST {
                self.ahead = Some(next);
                break;
            }
            chunk.length += next.length;
        }
        self.last = chunk.time;
        Ok(Some(chunk))
    }

    fn next_entry(&mut self) -> io::Result<Option<Chunk>> {
        if self.index.is_none() {
            let mut file = None;
            open(&mut file, &self.base, "idx")?;
            self.index = file.map(IndexReader::new);
        }
        let Some(index) = &mut self.index else { return Ok(None) };
        loop {
            match index.next()? {
                Some(chunk) if chunk.length == 0 => {}
                next => return Ok(next),
            }
        }
    }

    /// What lies beyond the index: stdout, then stderr.
    fn rest(&mut self) -> io::Result<Option<Chunk>> {
        for stream in STREAMS {
            let (offset, size) = (self.logs[stream.index()].read, self.size(stream)?);
            if offset < size {
                return Ok(Some(Chunk { stream, offset, length: size - offset, time: self.last }));
            }
        }
        Ok(None)
    }

    fn size(&mut self, stream: Stream) -> io::Result<u64> {
        let file = open(&mut self.logs[stream.index()].file, &self.base, ending(stream))?;
        file.map_or(Ok(0), |file| Ok(file.metadata()?.len()))
    }
}

fn ending(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "out",
        Stream::Err => "err",
    }
}

/// The file, opened as soon as it is there.
fn open<'f>(file: &'f mut Option<File>, base: &Path, ending: &str) -> io::Result<Option<&'f File>> {
    if file.is_none() {
        let mut path = base.as_os_str().to_owned();
        path.push(".");
        path.push(ending);
        match fs::File::open(PathBuf::from(path)) {
            Ok(opened) => *file = Some(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(file.as_ref())
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
