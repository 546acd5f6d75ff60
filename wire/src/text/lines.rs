//! Output cut into lines, each as a terminal shows it in the end.

use super::{
    cells::LONGEST_LINE,
    parser::{Charset, Parser, Token},
    row::{Controls, Row},
};

/// One stream of build output on its way to a place that shows lines.
#[derive(Debug)]
pub struct Lines {
    parser: Parser,
    row: Row,
}

/// A line that will not change any more.
#[derive(Debug)]
pub struct Line<'a> {
    row: &'a Row,
    ended: bool,
}

impl Line<'_> {
    /// Draws it for a place of its own: no colour goes in or out.
    pub fn draw(&self, out: &mut Vec<u8>) {
        self.row.draw_alone(out);
    }

    /// Draws it after the line before it, whose colours go on.
    pub(super) fn draw_next(&self, out: &mut Vec<u8>) {
        self.row.draw_next(out);
    }

    /// It has ended, and was not cut because it was too long or because nothing more comes.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Nothing stands on it.
    pub fn is_empty(&self) -> bool {
        self.row.is_empty()
    }
}

impl Lines {
    /// `colours` are kept or left out.
    pub fn new(colours: bool, controls: Controls) -> Self {
        Self { parser: Parser::new(Charset::Utf8), row: Row::new(colours, controls) }
    }

    /// Takes what was printed, and gives the lines that are complete now.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line<'_>)) {
        let Self { parser, row } = self;
        parser.push(bytes, |token| take(token, row, &mut each));
    }

    /// The line that is not complete yet, as it looks now, with blanks for tabs.
    pub fn open(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.row.draw_columns(&mut out);
        out
    }

    /// Whether a bell that was left out has rung since this was asked last.
    pub fn take_bell(&mut self) -> bool {
        self.row.take_bell()
    }

    /// Nothing more comes: gives the line that is open, and forgets colours and sequences that were not ended.
    pub fn finish(&mut self, mut each: impl FnMut(Line<'_>)) {
        let Self { parser, row } = self;
        parser.finish(|token| take(token, row, &mut each));
        each(Line { row, ended: false });
        row.reset();
    }
}

fn take(token: Token<'_>, row: &mut Row, each: &mut impl FnMut(Line<'_>)) {
    let mut next = |row: &mut Row, ended| {
        each(Line { row, ended });
        row.clear();
    };
    match token {
        Token::Control('\n') => return next(row, true),
        Token::Control(c) => row.control(c),
        Token::Sequence(sequence) => row.sequence(sequence),
        Token::Text(mut text) => loop {
            text = &text[row.text(text)..];
            if text.is_empty() {
                break;
            }
            next(row, false);
        },
    }
    if row.len() > LONGEST_LINE {
        next(row, false);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use proptest::prelude::*;

    use super::*;
    use crate::text::tests::{chunks, output};

    const COLUMNS: u16 = 1_000;

    /// A terminal that has shown this.
    fn terminal(bytes: &[u8]) -> vt100::Parser {
        let [rows, columns] = [2, COLUMNS].map(|size| NonZero::new(size).expect("not 0"));
        let mut terminal = vt100::Parser::new(rows, columns, 0);
        terminal.process(bytes);
        terminal
    }

    /// Lines as they are drawn, and the open one last.
    fn drawn<'c>(controls: Controls, chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(true, controls);
        let mut out = Vec::new();
        let mut each = |line: Line<'_>| {
            let mut text = Vec::new();
            line.draw(&mut text);
            out.push(text);
        };
        for chunk in chunks {
            lines.push(chunk, &mut each);
        }
        lines.finish(each);
        out
    }

    fn one(output: &str) -> String {
        let lines = drawn(Controls::Hide, [output.as_bytes()]);
        assert_eq!(lines.len(), 1, "{output:?}");
        String::from_utf8_lossy(&lines[0]).into_owned()
    }

    #[test]
    fn of_a_line_that_is_written_over_the_last_state_is_drawn() {
        for (output, state) in [
            ("downloading 280.6 MB (99 %)\r\x1b[Kdone", "done"),
            ("12345\rab", "ab"),
            ("12345\x1b[Gab", "ab345"),
            ("12345\x08\x08\x1b[Kx", "123x"),
            ("loading\x1b[2K\rdone", "done"),
            ("loading\x1b[1G\x1b[0Kdone", "done"),
            ("loading\r\x1b[K", ""),
            ("a\x1b[60G[ OK ]", &format!("a{}[ OK ]", " ".repeat(58))),
            ("日本\x08\x08x", "日x"),
            ("日本\x1b[Gx", "x 本"),
            ("page one\x0cpage two\x07\0\x0e", "page one page two"),
            ("\x1b[31mred\rxx", "\x1b[31mxx\x1b[0m"),
            ("abc\r\x1b[32mx", "\x1b[32mx\x1b[0m"),
            ("abc\x1b[G\x1b[32mx", "\x1b[32mx\x1b[0mbc"),
            ("1 %\r\x1b[2C!", "1 !"),
            ("\x1b[31mleft on", "\x1b[31mleft on\x1b[0m"),
            ("\x1b[1A\x1b[2J\x1b[5;5Hstays", "stays"),
            ("plain\x1b[K", "plain"),
        ] {
            assert_eq!(one(output), state, "{output:?}");
        }
    }

    #[test]
    fn colours_go_on_in_the_next_line_and_end_with_the_step() {
        let mut lines = Lines::new(true, Controls::Hide);
        let mut out = Vec::new();
        lines.push(b"\x1b[31mone\ntwo\n", |line| line.draw(&mut out));
        lines.finish(|line| assert!(line.is_empty()));
        lines.push(b"three\n", |line| line.draw(&mut out));
        assert_eq!(String::from_utf8_lossy(&out), "\x1b[31mone\x1b[0m\x1b[31mtwo\x1b[0mthree");
    }

    #[test]
    fn a_bell_rings_once() {
        let mut lines = Lines::new(true, Controls::Hide);
        lines.push(b"Waiting\x07", |_| {});
        assert!(lines.take_bell() && !lines.take_bell());
        assert_eq!(lines.open(), b"Waiting");
        lines.push(b"\tfor", |_| {});
        assert_eq!(lines.open(), b"Waiting for");
    }

    #[test]
    fn what_belongs_to_no_terminal_is_kept_elsewhere() {
        assert_eq!(drawn(Controls::Keep, [&b"f\x81r\0\x0b\x07\x7f"[..]]), [b"f\x81r\0\x0b\x07\x7f"]);
    }

    #[test]
    fn a_line_without_end_does_not_fill_memory() {
        for endless in ["x", "é", "\x1b[1m", "\0", "\t", "x\x1b[2C"] {
            let output = endless.repeat(3 * LONGEST_LINE / endless.len());
            let lines = drawn(Controls::Keep, [output.as_bytes()]);
            assert!(lines.len() >= 2, "{endless:?}: {}", lines.len());
            assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE + 100), "{endless:?}");
        }
    }

    /// What moves only within a line.
    fn in_line() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-z]{1,9}",
            1 => prop::sample::select(vec!["日本", "é", "e\u{301}"]).prop_map(str::to_owned),
            3 => prop::sample::select(vec!["\r\x1b[K", "\r\x1b[2K", "\r\x1b[1C", "\x08", "\x08\x08", "\t"]).prop_map(str::to_owned),
            3 => "\x1b\\[([0-9]|1[0-9])?[CDGXP@]",
            2 => "\x1b\\[[012]?K",
            2 => "\x1b\\[(0|1|31|32|39|22|4|24|1;33|38;5;9|48;2;1;2;3|49)?m",
            1 => "\x1b(\\[\\?25[lh]|\\]0;t\x07|\\(B)",
        ];
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    /// The row that a terminal shows for this.
    fn shown(bytes: &[u8]) -> Vec<(String, vt100::Color, bool)> {
        let terminal = terminal(bytes);
        let cell = |column| {
            let cell = terminal.screen().cell(0, column).expect("on the screen");
            let text = if cell.has_contents() { cell.contents() } else { " " };
            // An erased blank may have a colour that nobody sees.
            let seen = !text.trim().is_empty();
            (text.to_owned(), if seen { cell.fgcolor() } else { vt100::Color::Default }, seen && cell.bold())
        };
        (0..COLUMNS).map(cell).collect()
    }

    proptest! {
        #[test]
        fn a_line_is_what_a_terminal_shows(output in in_line()) {
            let lines = drawn(Controls::Hide, [output.as_bytes()]);
            prop_assert_eq!(shown(&lines[0]), shown(output.as_bytes()), "{:?}", String::from_utf8_lossy(&lines[0]));
        }

        #[test]
        fn however_it_is_cut_the_same_lines_come_out(output in output(), cuts in prop::collection::vec(0_usize..200, 0..8)) {
            for controls in [Controls::Hide, Controls::Keep] {
                prop_assert_eq!(drawn(controls, chunks(&output, &cuts)), drawn(controls, [&output[..]]));
            }
        }

        #[test]
        fn no_row_and_no_colour_leaves_its_line(output in output()) {
            for line in drawn(Controls::Hide, [&output[..]]) {
                let terminal = terminal(&line);
                prop_assert_eq!(terminal.screen().cursor_position().0, 0);
                prop_assert_eq!(terminal.screen().fgcolor(), vt100::Color::Default);
                prop_assert_eq!(terminal.screen().bgcolor(), vt100::Color::Default);
                prop_assert!(!terminal.screen().bold() && !terminal.screen().inverse());
                let text = String::from_utf8_lossy(&line);
                prop_assert!(!text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\x1b')), "{text:?}");
            }
        }
    }
}
