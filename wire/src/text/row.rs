//! One line of output as a terminal shows it in the end, but that what is written after a carriage return takes the place
//! of the whole line, as whoever writes it means. What would move the cursor to another line does nothing.

use std::io::Write as _;

use super::{
    cells::{Cells, LONGEST_LINE},
    parser::csi,
    pen::Pen,
};

/// What becomes of control characters that say nothing about their line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controls {
    /// They are left out, for they would act on the terminal.
    Hide,
    /// They stay where they are.
    Keep,
}

/// A line that is being written.
#[derive(Debug)]
pub(super) struct Row {
    /// Colours are kept.
    colours: bool,
    controls: Controls,
    /// As it was written from the beginning to the end, with its colours; most lines are never anything else.
    plain: Vec<u8>,
    /// The cursor went back to the beginning, and nothing was written since.
    returned: bool,
    /// What it became when it was written over.
    cells: Option<Cells>,
    /// Bytes of colours in `plain`.
    colour_bytes: usize,
    rang: bool,
    /// What the line began with, and what `plain` begins with.
    before: Pen,
    start: Pen,
    pen: Pen,
}

impl Row {
    pub(super) fn new(colours: bool, controls: Controls) -> Self {
        Self {
            colours,
            controls,
            plain: Vec::new(),
            returned: false,
            cells: None,
            colour_bytes: 0,
            rang: false,
            before: Pen::default(),
            start: Pen::default(),
            pen: Pen::default(),
        }
    }

    /// Empties the row; whether a bell rang is kept.
    pub(super) fn reset(&mut self) {
        *self = Self { rang: self.rang, ..Self::new(self.colours, self.controls) };
    }

    /// Begins the next line, which is written with the same pen.
    pub(super) fn clear(&mut self) {
        self.before = self.pen;
        self.erase();
    }

    fn erase(&mut self) {
        self.start = self.pen;
        self.plain.clear();
        self.returned = false;
        self.cells = None;
        self.colour_bytes = 0;
    }

    /// Its length, in bytes or columns.
    pub(super) fn len(&self) -> usize {
        self.cells.as_ref().map_or(self.plain.len(), Cells::len)
    }

    /// Whether it is still being written from the beginning to the end.
    fn is_plain(&self) -> bool {
        self.cells.is_none() && !self.returned
    }

    /// Nothing stands on it but colours.
    pub(super) fn is_empty(&self) -> bool {
        self.cells
            .as_ref()
            .map_or(self.plain.len() == self.colour_bytes, |cells| cells.drawn().next().is_none())
    }

    /// Whether a bell that was left out has rung since this was asked last.
    pub(super) fn take_bell(&mut self) -> bool {
        std::mem::take(&mut self.rang)
    }

    /// Writes text without control characters; as many bytes of it as there is room for.
    pub(super) fn text(&mut self, text: &[u8]) -> usize {
        if self.returned {
            self.erase();
        }
        if let Some(cells) = &mut self.cells {
            return cells.write(text, self.pen);
        }
        let room = LONGEST_LINE.saturating_sub(self.plain.len());
        let fits = if text.len() <= room { text.len() } else { floor_character(text, room) };
        self.plain.extend_from_slice(&text[..fits]);
        fits
    }

    /// Takes a control character, but for the end of the line.
    pub(super) fn control(&mut self, c: char) {
        match c {
            '\r' => self.returned = true,
            '\t' if !self.is_plain() => self.cells().tab(),
            BACKSPACE if self.is_plain() && self.plain.is_empty() => {}
            BACKSPACE => self.cells().left(1),
            // Pages and lines are no longer apart, but words are.
            '\u{B}' | '\u{C}' | '\u{80}'.. if self.controls == Controls::Hide => drop(self.text(b" ")),
            '\u{7}' if self.controls == Controls::Hide => self.rang = true,
            c if c == '\t' || self.controls == Controls::Keep => {
                if self.returned {
                    self.erase();
                }
                match &mut self.cells {
                    Some(cells) => cells.put(c, 1, self.pen),
                    None => self.plain.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                }
            }
            _ => {}
        }
    }

    /// Takes a sequence: colours, and what moves or erases within the line.
    pub(super) fn sequence(&mut self, sequence: &[u8]) {
        let Some((parameters, last)) = csi(sequence) else { return };
        let number = std::str::from_utf8(parameters).ok().and_then(|number| number.parse().ok());
        let (mode, count) = (number.unwrap_or(0), number.unwrap_or(1).max(1));
        match last {
            b'm' if self.colours => self.colour(parameters),
            // Many a line ends with it.
            b'K' if mode == 0 && self.is_plain() => {}
            b'K' if mode != 1 && self.returned => self.erase(),
            b'K' => self.cells().erase(mode),
            b'C' | b'a' => self.cells().right(count),
            b'D' => self.cells().left(count),
            b'G' | b'`' => self.cells().go(count - 1),
            b'X' => self.cells().erase_next(count),
            b'P' => self.cells().delete(count),
            b'@' => self.cells().insert(count),
            _ => {}
        }
    }

    fn colour(&mut self, parameters: &[u8]) {
        self.pen.apply(parameters);
        if self.is_plain() {
            self.plain.extend_from_slice(b"\x1b[");
            self.plain.extend_from_slice(parameters);
            self.plain.push(b'm');
            self.colour_bytes += parameters.len() + 3;
        } else {
            self.columns();
        }
    }

    /// Its columns, from now on.
    fn columns(&mut self) -> &mut Cells {
        self.cells.get_or_insert_with(|| Cells::of(&self.plain, self.start))
    }

    /// The same, for what moves the cursor in them.
    fn cells(&mut self) -> &mut Cells {
        let returned = std::mem::take(&mut self.returned);
        let cells = self.columns();
        if returned {
            cells.go(0);
        }
        cells
    }

    /// Draws it where text before it has the pen `before`, and text after it shall have the pen `after`.
    fn draw(&self, out: &mut Vec<u8>, before: Pen, after: Pen) {
        match &self.cells {
            None => {
                change(out, before, self.start);
                out.extend_from_slice(&self.plain);
                change(out, self.pen, after);
            }
            Some(cells) => draw_cells(cells, out, before, after),
        }
    }

    /// Draws its columns for a place of its own, which may be at any column: with blanks for tabs.
    pub(super) fn draw_columns(&self, out: &mut Vec<u8>) {
        match &self.cells {
            None => draw_cells(&Cells::of(&self.plain, self.start), out, Pen::default(), Pen::default()),
            Some(cells) => draw_cells(cells, out, Pen::default(), Pen::default()),
        }
    }

    /// Draws it for a place of its own: no colour goes in or out.
    pub(super) fn draw_alone(&self, out: &mut Vec<u8>) {
        self.draw(out, Pen::default(), Pen::default());
    }

    /// Draws it after the line before it, whose colours go on.
    pub(super) fn draw_next(&self, out: &mut Vec<u8>) {
        self.draw(out, self.before, self.pen);
    }
}

const BACKSPACE: char = '\u{8}';

fn draw_cells(cells: &Cells, out: &mut Vec<u8>, before: Pen, after: Pen) {
    let mut pen = before;
    for (text, next) in cells.drawn() {
        change(out, pen, next);
        out.extend_from_slice(text);
        pen = next;
    }
    change(out, pen, after);
}

fn change(out: &mut Vec<u8>, from: Pen, to: Pen) {
    if from != to {
        // Into memory, which does not fail.
        let _ = write!(out, "{}", from.change_to(to));
    }
}

/// The greatest length up to `at` that does not cut a character.
fn floor_character(text: &[u8], at: usize) -> usize {
    let cut = |from: usize| {
        let character = text[from..].utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        character.is_some_and(|c| from + c.len_utf8() > at)
    };
    (at.saturating_sub(3)..at).find(|from| cut(*from)).unwrap_or(at)
}
