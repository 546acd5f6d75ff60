//! The terminal as indicatif is to see it: rows that end where their text ends. For `terminal` alone.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use console::Term;
use indicatif::TermLike;

/// stderr, without the blanks that indicatif fills each row with up to the edge. With them, the `^C` of a key press would
/// be echoed on the row below, which leaves a status line behind, and a window made narrower would break it into several.
#[derive(Debug)]
pub(super) struct Bottom {
    term: Term,
    /// A row has ended, and whatever is written next begins another.
    ended: AtomicBool,
}

impl Bottom {
    pub(super) fn stderr() -> Self {
        Self { term: Term::buffered_stderr(), ended: AtomicBool::new(false) }
    }
}

impl TermLike for Bottom {
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
