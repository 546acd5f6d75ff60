//! Tables of text, cut to the width of a terminal. Pure.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::Health;
use crate::{server::reported::Status, words};

/// No column is cut to less.
const NARROWEST: usize = 8;
/// Between two columns.
const GAP: &str = "  ";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text of any origin, without control characters.
    pub(crate) fn plain(text: impl AsRef<str>) -> Self {
        Self { text: words::plain(text.as_ref()), style: Style::new() }
    }

    /// The same, dimmed.
    pub(crate) fn dim(text: impl AsRef<str>) -> Self {
        Self { style: Style::new().dimmed(), ..Self::plain(text) }
    }

    /// Its word, in colour.
    pub(crate) fn status(status: Status) -> Self {
        let colour = match Health::of(status) {
            Health::Passing => AnsiColor::Green,
            Health::Failing => AnsiColor::Red,
            Health::Unknown => AnsiColor::Yellow,
        };
        Self { text: status.word().to_owned(), style: colour.on_default().bold() }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Canvas {
    /// Columns of the terminal; without, nothing is cut.
    pub(crate) width: Option<usize>,
    pub(crate) colour: bool,
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A line a row, without columns that are empty in all of them.
    pub(crate) fn draw(&self, canvas: Canvas) -> String {
        let cell =
            |row: &'_ Vec<Cell>, column: usize| row.get(column).map_or(0, |cell| words::columns(&cell.text));
        let mut widths: Vec<usize> = (0..self.head.len())
            .map(|column| match self.rows.iter().map(|row| cell(row, column)).max() {
                None | Some(0) => 0,
                Some(widest) => widest.max(words::columns(self.head[column])),
            })
            .collect();
        if let Some(width) = canvas.width {
            narrow(&mut widths, width);
        }
        let head: Vec<Cell> = self.head.iter().map(Cell::dim).collect();
        let mut text = String::new();
        for row in std::iter::once(&head)
            .filter(|head| head.iter().any(|cell| !cell.text.is_empty()))
            .chain(&self.rows)
        {
            line(&mut text, row, &widths, canvas.colour);
        }
        text
    }
}

/// The widest columns become narrower until all fit.
fn narrow(widths: &mut [usize], width: usize) {
    loop {
        let gaps = GAP.len() * widths.iter().filter(|width| **width > 0).count().saturating_sub(1);
        let widest = widths.iter().copied().max().unwrap_or_default();
        if widths.iter().sum::<usize>() + gaps <= width || widest <= NARROWEST {
            return;
        }
        if let Some(widest) = widths.iter_mut().rev().find(|width| **width == widest) {
            *widest -= 1;
        }
    }
}

fn line(text: &mut String, row: &[Cell], widths: &[usize], colour: bool) {
    let mut blanks = 0;
    for (cell, width) in row.iter().zip(widths).filter(|(_, width)| **width > 0) {
        let shown = words::fit(&cell.text, *width);
        // Blanks are written before the next cell, so that no line ends with them.
        if !shown.is_empty() {
            let _ = write!(text, "{:blanks$}", "");
            blanks = 0;
            if colour && cell.style != Style::new() {
                let _ = write!(text, "{}{shown}{:#}", cell.style, cell.style);
            } else {
                text.push_str(&shown);
            }
        }
        blanks += width.saturating_sub(words::columns(&shown)) + GAP.len();
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["", "HOST", "TAGS", "FAILED AT"]);
        table.row([
            Cell::status(Status::Failed),
            Cell::plain("b"),
            Cell::plain("fast, unit"),
            Cell::plain("test"),
        ]);
        table.row([
            Cell::status(Status::Passed),
            Cell::plain("a-long-host"),
            Cell::plain(""),
            Cell::plain(""),
        ]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "        HOST         TAGS        FAILED AT\nfailed  b            fast, unit  test\npassed  a-long-host\n";
        assert_eq!(table().draw(Canvas::default()), expected);
        let mut empty = Table::new(&["A", "B"]);
        empty.row([Cell::plain("x"), Cell::plain("")]);
        assert_eq!(empty.draw(Canvas::default()), "A\nx\n");
    }

    #[test]
    fn what_is_too_wide_is_cut_at_the_widest() {
        let drawn = table().draw(Canvas { width: Some(37), colour: false });
        assert_eq!(drawn.lines().map(words::columns).max(), Some(37), "{drawn}");
        assert!(drawn.contains("a-long-h…") && drawn.contains("fast, u…"), "{drawn}");
    }

    #[test]
    fn control_characters_are_removed_and_colours_are_optional() {
        let mut table = Table::new(&["A"]);
        table.row([Cell::plain("x\x1b[31my\n\u{9b}z")]);
        let drawn = table.draw(Canvas { width: None, colour: true });
        assert_eq!(drawn.lines().nth(1), Some("x [31my  z"));
        assert!(!self::table().draw(Canvas::default()).contains('\x1b'));
        assert!(self::table().draw(Canvas { width: None, colour: true }).contains("\x1b[1m\x1b[31mfailed"));
    }
}
