//! Rows as a table: columns beside each other, cut to a width where there is one. Pure.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use console::measure_text_width;

use super::{Status, Verdict};
use crate::words;

/// No column is cut to less.
const NARROWEST: usize = 8;
/// Between two columns.
const GAP: &str = "  ";

/// A part of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Plain text: words of others, which can do no harm from here on.
    pub fn plain(text: impl AsRef<str>) -> Self {
        Self { text: words::plain(text.as_ref()), style: Style::new() }
    }

    /// The same, of less weight.
    pub fn dim(text: impl AsRef<str>) -> Self {
        Self { style: Style::new().dimmed(), ..Self::plain(text) }
    }

    /// `green`, `red`, or what else it is.
    pub fn status(status: Status) -> Self {
        let (word, colour) = match status.verdict() {
            Verdict::Green => ("green", AnsiColor::Green),
            Verdict::Red => ("red", AnsiColor::Red),
            Verdict::Unknown => (status.word(), AnsiColor::Yellow),
        };
        Self { text: word.to_owned(), style: colour.on_default().bold() }
    }
}

/// Rows of as many cells as there are columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// How it is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Canvas {
    /// Columns of the screen; without, nothing is cut.
    pub width: Option<usize>,
    /// With colours.
    pub colour: bool,
}

impl Table {
    /// One with these columns.
    pub fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The whole of it, a line a row. Columns with nothing in them are left out.
    pub fn draw(&self, canvas: Canvas) -> String {
        let cell = |row: &'_ Vec<Cell>, column: usize| {
            row.get(column).map_or(0, |cell| measure_text_width(&cell.text))
        };
        let mut widths: Vec<usize> = (0..self.head.len())
            .map(|column| match self.rows.iter().map(|row| cell(row, column)).max() {
                None | Some(0) => 0,
                Some(widest) => widest.max(measure_text_width(self.head[column])),
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
        let shown = console::truncate_str(&cell.text, *width, "…");
        // Blanks wait, so that no line ends with them.
        if !shown.is_empty() {
            let _ = write!(text, "{:blanks$}", "");
            blanks = 0;
            if colour && cell.style != Style::new() {
                let _ = write!(text, "{}{shown}{:#}", cell.style, cell.style);
            } else {
                text.push_str(&shown);
            }
        }
        blanks += width.saturating_sub(measure_text_width(&shown)) + GAP.len();
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
    fn columns_stand_below_each_other() {
        let expected = "       HOST         TAGS        FAILED AT\nred    b            fast, unit  test\ngreen  a-long-host\n";
        assert_eq!(table().draw(Canvas::default()), expected);
        let mut empty = Table::new(&["A", "B"]);
        empty.row([Cell::plain("x"), Cell::plain("")]);
        assert_eq!(empty.draw(Canvas::default()), "A\nx\n");
    }

    #[test]
    fn what_is_too_wide_is_cut_at_the_widest() {
        let drawn = table().draw(Canvas { width: Some(36), colour: false });
        assert_eq!(drawn.lines().map(measure_text_width).max(), Some(36), "{drawn}");
        assert!(drawn.contains("a-long-h…") && drawn.contains("fast, u…"), "{drawn}");
    }

    #[test]
    fn words_of_others_have_no_power_and_colours_are_asked_for() {
        let mut table = Table::new(&["A"]);
        table.row([Cell::plain("x\x1b[31my\n\u{9b}z")]);
        let drawn = table.draw(Canvas { width: None, colour: true });
        assert_eq!(drawn.lines().nth(1), Some("x [31my  z"));
        assert!(!self::table().draw(Canvas::default()).contains('\x1b'));
        assert!(self::table().draw(Canvas { width: None, colour: true }).contains("\x1b[1m\x1b[31mred"));
    }
}
