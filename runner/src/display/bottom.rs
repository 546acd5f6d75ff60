//! Lines at the bottom of the terminal that are drawn again and again, and make way for what is written above them.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// Not there, or on stderr. Drawn by whoever has it, when something changed: no thread of its own.
#[derive(Debug, Default)]
pub(super) struct Bottom(Option<ProgressBar>);

impl Bottom {
    pub(super) fn open() -> Self {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(Rows::stderr()), 60);
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Writes while it is not there.
    pub(super) fn above(&self, write: impl FnOnce()) {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// What it says from now on, unless it has just been drawn.
    pub(super) fn show(&self, text: String) {
        if let Some(bar) = &self.0 {
            bar.set_message(text);
            bar.tick();
        }
    }

    pub(super) fn close(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

/// Columns that a line may have on this terminal without touching its edge.
pub(super) fn columns() -> usize {
    usize::from(Term::stderr().size().1.max(20)) - 1
}

/// Rows of this terminal.
pub(super) fn rows() -> usize {
    usize::from(Term::stderr().size().0)
}

/// stderr as indicatif is to see it, without the blanks that indicatif fills each row with up to the edge. With them, the `^C` of a key press would
/// be echoed on the row below, which leaves a status line behind, and a window made narrower would break it into several.
#[derive(Debug)]
struct Rows {
    term: Term,
    /// A row has ended, and whatever is written next begins another.
    ended: AtomicBool,
}

impl Rows {
    fn stderr() -> Self {
        Self { term: Term::buffered_stderr(), ended: AtomicBool::new(false) }
    }
}

impl TermLike for Rows {
    fn width(&self) -> u16 {
        self.term.size().1
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.term.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.term.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.bytes().all(|byte| byte == b' ') {
            self.ended.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if self.ended.swap(false, Ordering::Relaxed) {
            self.term.write_str("\n")?;
        }
        self.term.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.term.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        // The last row stays open: the cursor waits behind its text.
        self.ended.store(false, Ordering::Relaxed);
        self.term.flush()
    }
}
