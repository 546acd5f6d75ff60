//! The columns of a line that is written over, and the cursor in them.

use unicode_width::UnicodeWidthChar as _;

use super::{
    parser::{Charset, Parser, Token, csi},
    pen::Pen,
};

/// Bytes or columns of one line. A longer one is cut.
pub(super) const LONGEST_LINE: usize = 64 * 1024;

/// Bytes of one cell: a character and those that combine with it.
const LONGEST_CELL: usize = 64;
const TAB: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    /// Where the cursor is.
    column: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    /// Empty in the second column of a wide character.
    text: Box<[u8]>,
    pen: Pen,
}

impl Cell {
    fn blank() -> Self {
        Self { text: Box::new(*b" "), pen: Pen::default() }
    }
}

impl Cells {
    /// The columns of a line that was written from its beginning to its end; the cursor is at its end.
    pub(super) fn of(plain: &[u8], mut pen: Pen) -> Self {
        let mut cells = Self::default();
        let mut parser = Parser::new(Charset::Utf8);
        let mut each = |token: Token<'_>| match token {
            Token::Text(text) => drop(cells.write(text, pen)),
            Token::Control('\t') => cells.tab(),
            Token::Control(c) => cells.put(c, 1, pen),
            Token::Sequence(sequence) => {
                if let Some((parameters, _)) = csi(sequence) {
                    pen.apply(parameters);
                }
            }
        };
        parser.push(plain, &mut each);
        parser.finish(each);
        cells
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// What is drawn: text and its pen, without the blanks at the end.
    pub(super) fn drawn(&self) -> impl Iterator<Item = (&[u8], Pen)> {
        let blank = Cell::blank();
        let end = self.cells.iter().rposition(|cell| *cell != blank).map_or(0, |at| at + 1);
        self.cells[..end].iter().filter(|cell| !cell.text.is_empty()).map(|cell| (&*cell.text, cell.pen))
    }

    /// Writes text without control characters; as many bytes of it as there is room for.
    pub(super) fn write(&mut self, text: &[u8], pen: Pen) -> usize {
        let mut written = 0;
        for chunk in text.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c.width() {
                    Some(0) => self.combine(c),
                    _ if self.column >= LONGEST_LINE => return written,
                    width => self.put(c, width.unwrap_or(1), pen),
                }
                written += c.len_utf8();
            }
            for byte in chunk.invalid() {
                if self.column >= LONGEST_LINE {
                    return written;
                }
                self.put_bytes(&[*byte], 1, pen);
                written += 1;
            }
        }
        written
    }

    pub(super) fn put(&mut self, c: char, width: usize, pen: Pen) {
        self.put_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), width, pen);
    }

    fn put_bytes(&mut self, text: &[u8], width: usize, pen: Pen) {
        let end = self.column + width;
        if self.cells.len() < end {
            self.cells.resize(end, Cell::blank());
        }
        self.part(self.column);
        self.part(end);
        self.cells[self.column] = Cell { text: text.into(), pen };
        self.cells[self.column + 1..end].fill(Cell { text: Box::default(), pen });
        self.column = end;
    }

    /// Adds to the character before the cursor.
    fn combine(&mut self, c: char) {
        let mut before = self.cells.iter_mut().take(self.column);
        let Some(cell) = before.rfind(|cell| !cell.text.is_empty()) else { return };
        if cell.text.len() + c.len_utf8() <= LONGEST_CELL {
            cell.text = [&cell.text, c.encode_utf8(&mut [0; 4]).as_bytes()].concat().into();
        }
    }

    pub(super) fn go(&mut self, column: usize) {
        self.column = column.min(LONGEST_LINE);
    }

    pub(super) fn left(&mut self, columns: usize) {
        self.go(self.column.saturating_sub(columns));
    }

    pub(super) fn right(&mut self, columns: usize) {
        self.go(self.column.saturating_add(columns));
    }

    pub(super) fn tab(&mut self) {
        self.go((self.column / TAB + 1) * TAB);
    }

    /// Erases as `ESC [ n K` says: 0 to the end of the line, 1 to the cursor, 2 all of it.
    pub(super) fn erase(&mut self, what: usize) {
        match what {
            0 => {
                self.part(self.column);
                self.cells.truncate(self.column);
            }
            1 => self.erase_columns(0, self.column + 1),
            2 => self.cells.clear(),
            _ => {}
        }
    }

    /// Erases from the cursor on.
    pub(super) fn erase_next(&mut self, columns: usize) {
        self.erase_columns(self.column, self.column.saturating_add(columns));
    }

    fn erase_columns(&mut self, from: usize, to: usize) {
        let to = to.min(self.cells.len());
        if from < to {
            self.part(from);
            self.part(to);
            self.cells[from..to].fill(Cell::blank());
        }
    }

    /// Takes columns out at the cursor; what follows moves to the left.
    pub(super) fn delete(&mut self, columns: usize) {
        let to = self.column.saturating_add(columns).min(self.cells.len());
        if self.column < to {
            self.part(self.column);
            self.part(to);
            self.cells.drain(self.column..to);
        }
    }

    /// Makes room at the cursor; what follows moves to the right.
    pub(super) fn insert(&mut self, columns: usize) {
        if self.column < self.cells.len() {
            let columns = columns.min(LONGEST_LINE.saturating_sub(self.cells.len()));
            self.part(self.column);
            let blanks = std::iter::repeat_n(Cell::blank(), columns);
            self.cells.splice(self.column..self.column, blanks);
        }
    }

    /// A wide character that begins before this column and ends behind it is no more.
    fn part(&mut self, column: usize) {
        if column > 0 && self.cells.get(column).is_some_and(|cell| cell.text.is_empty()) {
            self.cells[column - 1..=column].fill(Cell::blank());
        }
    }
}
