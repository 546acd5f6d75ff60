//! Lines at the bottom of the terminal that are drawn again and again, and make way for what is written above them.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::output;
use crate::record::event::Stream;

/// Not there, or on stderr. Drawn by whoever has it, when something changed: no thread of its own.
#[derive(Debug, Default)]
pub(super) struct StatusArea(Option<ProgressBar>);

impl StatusArea {
    pub(super) fn open() -> Self {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(Rows::default()), 60);
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

/// stderr as indicatif sees it: what it draws is gathered and written at once. Without the blanks that indicatif fills each row
/// with up to the edge: with them, the `^C` of a key press would be echoed on the row below, which leaves a status line
/// behind, and a window made narrower would break it into several.
#[derive(Debug, Default)]
struct Rows {
    drawn: Mutex<Vec<u8>>,
    /// A row has ended, and whatever is written next begins another.
    ended: AtomicBool,
}

impl Rows {
    fn put(&self, text: &str) {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(text.as_bytes());
    }

    /// Moves the cursor, as the final byte of the sequence says.
    fn move_by(&self, n: usize, last: char) {
        if n > 0 {
            self.put(&format!("\x1b[{n}{last}"));
        }
    }
}

impl TermLike for Rows {
    fn width(&self) -> u16 {
        Term::stderr().size().1
    }

    fn height(&self) -> u16 {
        Term::stderr().size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.put(&format!("{text}\n"));
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        if text.bytes().all(|byte| byte == b' ') {
            self.ended.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if self.ended.swap(false, Ordering::Relaxed) {
            self.put("\n");
        }
        self.put(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        // The last row stays open: the cursor waits behind its text.
        self.ended.store(false, Ordering::Relaxed);
        let drawn = std::mem::take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner));
        output::write(Stream::Err, &drawn);
        Ok(())
    }
}
