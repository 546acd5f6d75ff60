//! The line writer: complete lines on the two streams, each after its build's name, above a status area. What comes thick and
//! fast is gathered for the time of a frame, so that the area is not drawn again for every piece.

use std::fmt::Debug;

use anstyle::Style;

use crate::{
    clock::Moment,
    display::{output, settings::DisplaySettings, status_area::StatusArea},
    record::event::Stream,
    words,
};

/// The least time between two drawings.
const FRAME: Moment = Moment::from_millis(40);
/// What is gathered at most.
const GATHERED: usize = 256 * 1024;

/// Takes complete lines.
pub(super) trait Sink: Debug + Send {
    /// Shows `bytes` at once.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
}

/// stdout and stderr of this process.
#[derive(Debug)]
pub(super) struct Process;

impl Sink for Process {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        output::write(stream, bytes);
    }
}

/// A build's name before its lines; nothing before those of all.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    bare: String,
    styled: String,
}

impl Prefix {
    /// `name`, brought to `width` columns.
    pub(super) fn new(name: &str, width: usize, style: Style) -> Self {
        let name = words::plain(name);
        let styled = format!("{style}{name}{style:#}");
        Self { bare: words::pad(&name, width) + " | ", styled: words::pad(&styled, width) + " | " }
    }
}

/// The two streams and the status area.
#[derive(Debug)]
pub(super) struct LineWriter {
    settings: DisplaySettings,
    sink: Box<dyn Sink>,
    status_area: StatusArea,
    gathered: Vec<(Stream, Vec<u8>)>,
    size: usize,
    /// When it was last drawn.
    drawn: Option<Moment>,
    /// What is in the status area, and whether it is drawn for sure.
    shown: String,
    settled: bool,
}

impl LineWriter {
    pub(super) fn new(settings: DisplaySettings, sink: Box<dyn Sink>) -> Self {
        Self {
            settings,
            sink,
            status_area: StatusArea::default(),
            gathered: Vec::new(),
            size: 0,
            drawn: None,
            shown: String::new(),
            settled: false,
        }
    }

    /// Each line of `text` after `prefix`. `text` ends where a line ends, or is ended.
    pub(super) fn put(&mut self, stream: Stream, prefix: &Prefix, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        // The styles are those of stderr; stdout may be a file.
        let bare = stream == Stream::Out && !self.settings.keep_out;
        let lines = prefixed(if bare { &prefix.bare } else { &prefix.styled }, text);
        if !self.status_area.is_open() || (stream == Stream::Out && !self.settings.out_is_terminal) {
            self.sink.write(stream, &lines);
            return;
        }
        self.size += lines.len();
        match self.gathered.last_mut() {
            Some((last, gathered)) if *last == stream => gathered.extend_from_slice(&lines),
            _ => self.gathered.push((stream, lines)),
        }
        if self.size >= GATHERED {
            self.release();
        }
    }

    /// Shows what is gathered and draws the status area, if it is time to.
    pub(super) fn refresh(&mut self, now: Moment, text: impl FnOnce() -> String) {
        if !self.settings.status_area || self.drawn.is_some_and(|drawn| now < drawn + FRAME) {
            return;
        }
        self.drawn = Some(now);
        if !self.status_area.is_open() {
            self.status_area = StatusArea::open();
        }
        // First what has happened, then how things stand; once more, should it have been too soon after the last drawing.
        let text = text();
        let is_new = !self.gathered.is_empty() || text != self.shown;
        self.release();
        if is_new || !self.settled {
            self.status_area.show(text.clone());
        }
        self.settled = !is_new;
        self.shown = text;
    }

    /// When [`refresh`](Self::refresh) is wanted next.
    pub(super) fn next_frame(&self, now: Moment) -> Option<Moment> {
        self.status_area.is_open().then_some(now + FRAME)
    }

    /// Shows what is gathered, and takes the status area away.
    pub(super) fn close(&mut self) {
        self.status_area.close();
        self.release();
    }

    fn release(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let (gathered, sink) = (std::mem::take(&mut self.gathered), &mut self.sink);
        self.size = 0;
        self.status_area.above(|| {
            for (stream, lines) in &gathered {
                sink.write(*stream, lines);
            }
        });
    }
}

/// Each line of `text` after `prefix`, and ended.
fn prefixed(prefix: &str, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + prefix.len() * (text.len() / 40 + 1));
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        out.push(b'\n');
    }
    out
}
