//! What whole lines go on: the two streams, with lines at the bottom that make way for them. What comes thick and fast is
//! gathered for the time of a frame, so that the bottom is not drawn again for every piece.

use std::fmt::Debug;

use anstyle::Style;

use crate::{
    clock::Moment,
    display::{
        bottom::Bottom,
        look::Look,
        screen::{prefixed, write},
    },
    record::event::Stream,
    words,
};

/// The least time between two drawings.
const FRAME: Moment = Moment::from_millis(40);
/// What is gathered at most.
const GATHERED: usize = 256 * 1024;

/// Takes whole lines.
pub(super) trait Sink: Debug + Send {
    /// Shows `bytes` at once.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
}

/// stdout and stderr of this process.
#[derive(Debug)]
pub(super) struct Process;

impl Sink for Process {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        write(stream, bytes);
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
        let pad = " ".repeat(width.saturating_sub(console::measure_text_width(&name)));
        Self { bare: format!("{name}{pad} | "), styled: format!("{style}{name}{style:#}{pad} | ") }
    }
}

/// The two streams and the bottom lines.
#[derive(Debug)]
pub(super) struct Paper {
    look: Look,
    sink: Box<dyn Sink>,
    bottom: Bottom,
    gathered: Vec<(Stream, Vec<u8>)>,
    size: usize,
    /// When it was last drawn.
    drawn: Option<Moment>,
    /// What is at the bottom, and whether it is there for sure.
    shown: String,
    settled: bool,
}

impl Paper {
    pub(super) fn new(look: Look, sink: Box<dyn Sink>) -> Self {
        Self {
            look,
            sink,
            bottom: Bottom::default(),
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
        let bare = stream == Stream::Out && !self.look.keep_out;
        let lines = prefixed(if bare { &prefix.bare } else { &prefix.styled }, text);
        if !self.bottom.is_open() || (stream == Stream::Out && !self.look.out_is_screen) {
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

    /// Shows what is gathered and draws the bottom, if it is time to. `bottom` says what it looks like.
    pub(super) fn refresh(&mut self, now: Moment, bottom: impl FnOnce() -> String) {
        if !self.look.progress || self.drawn.is_some_and(|drawn| now < drawn + FRAME) {
            return;
        }
        self.drawn = Some(now);
        if !self.bottom.is_open() {
            self.bottom = Bottom::open();
        }
        // First what has happened, then how things stand; once more, should it have been too soon after the last drawing.
        let text = bottom();
        let is_new = !self.gathered.is_empty() || text != self.shown;
        self.release();
        if is_new || !self.settled {
            self.bottom.show(text.clone());
        }
        self.settled = !is_new;
        self.shown = text;
    }

    /// When [`refresh`](Self::refresh) is wanted next.
    pub(super) fn next_frame(&self, now: Moment) -> Option<Moment> {
        self.bottom.is_open().then_some(now + FRAME)
    }

    /// Shows what is gathered, and takes the bottom away.
    pub(super) fn close(&mut self) {
        self.bottom.close();
        self.release();
    }

    fn release(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let (gathered, sink) = (std::mem::take(&mut self.gathered), &mut self.sink);
        self.size = 0;
        self.bottom.above(|| {
            for (stream, lines) in &gathered {
                sink.write(*stream, lines);
            }
        });
    }
}
