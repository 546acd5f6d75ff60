//! The colours and effects that text is written with: what SGR sequences add up to.

use std::fmt::{self, Display};

use anstyle::{Ansi256Color, AnsiColor, Color, Effects, RgbColor, Style};

/// What SGR sequences have set since the last reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Pen {
    style: Style,
    /// Something was set that a style does not hold.
    other: bool,
}

const UNDERLINES: Effects = Effects::UNDERLINE
    .insert(Effects::DOUBLE_UNDERLINE)
    .insert(Effects::CURLY_UNDERLINE)
    .insert(Effects::DOTTED_UNDERLINE)
    .insert(Effects::DASHED_UNDERLINE);

impl Pen {
    /// Applies the parameters of one sequence: `1;31`, `38;5;9`, `4:3`; none is a reset.
    pub(super) fn apply(&mut self, parameters: &[u8]) {
        let parameters = std::str::from_utf8(parameters).unwrap_or_default();
        let mut rest = parameters.split(';');
        while let Some(parameter) = rest.next() {
            let (code, sub) = parameter.split_once(':').unwrap_or((parameter, ""));
            let code: u8 = if code.is_empty() { 0 } else { code.parse().unwrap_or(u8::MAX) };
            if matches!(code, 38 | 48 | 58) {
                let color = if sub.is_empty() { extended(&mut rest) } else { extended(&mut compact(sub)) };
                let Some(color) = color else { continue };
                self.style = match code {
                    38 => self.style.fg_color(Some(color)),
                    48 => self.style.bg_color(Some(color)),
                    _ => self.style.underline_color(Some(color)),
                };
            } else {
                self.set(code, sub);
            }
        }
    }

    fn set(&mut self, code: u8, sub: &str) {
        let effects = self.style.get_effects();
        let effects = match code {
            1 => effects.insert(Effects::BOLD),
            2 => effects.insert(Effects::DIMMED),
            3 => effects.insert(Effects::ITALIC),
            4 => effects.remove(UNDERLINES).insert(underline(sub)),
            5 | 6 => effects.insert(Effects::BLINK),
            7 => effects.insert(Effects::INVERT),
            8 => effects.insert(Effects::HIDDEN),
            9 => effects.insert(Effects::STRIKETHROUGH),
            21 => effects.remove(UNDERLINES).insert(Effects::DOUBLE_UNDERLINE),
            22 => effects.remove(Effects::BOLD.insert(Effects::DIMMED)),
            23 => effects.remove(Effects::ITALIC),
            24 => effects.remove(UNDERLINES),
            25 => effects.remove(Effects::BLINK),
            27 => effects.remove(Effects::INVERT),
            28 => effects.remove(Effects::HIDDEN),
            29 => effects.remove(Effects::STRIKETHROUGH),
            _ => effects,
        };
        self.style = self.style.effects(effects);
        match code {
            0 => *self = Self::default(),
            30..=37 | 90..=97 => self.style = self.style.fg_color(Some(basic(code))),
            39 => self.style = self.style.fg_color(None),
            40..=47 | 100..=107 => self.style = self.style.bg_color(Some(basic(code - 10))),
            49 => self.style = self.style.bg_color(None),
            59 => self.style = self.style.underline_color(None),
            1..=9 | 21..=25 | 27..=29 => {}
            _ => self.other = true,
        }
    }

    /// What makes text after text of `self` be of `next`.
    pub(super) fn change_to(self, next: Self) -> Change {
        Change { reset: self != next && self != Self::default(), style: (self != next).then_some(next.style) }
    }
}

/// What to write between two pieces of text of different pens.
pub(super) struct Change {
    reset: bool,
    style: Option<Style>,
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reset {
            f.write_str("\x1b[0m")?;
        }
        self.style.map_or(Ok(()), |style| write!(f, "{style}"))
    }
}

fn underline(sub: &str) -> Effects {
    match sub {
        "0" => Effects::new(),
        "2" => Effects::DOUBLE_UNDERLINE,
        "3" => Effects::CURLY_UNDERLINE,
        "4" => Effects::DOTTED_UNDERLINE,
        "5" => Effects::DASHED_UNDERLINE,
        _ => Effects::UNDERLINE,
    }
}

/// The color of 30 to 37 and 90 to 97.
fn basic(code: u8) -> Color {
    let color = match code % 10 {
        0 => AnsiColor::Black,
        1 => AnsiColor::Red,
        2 => AnsiColor::Green,
        3 => AnsiColor::Yellow,
        4 => AnsiColor::Blue,
        5 => AnsiColor::Magenta,
        6 => AnsiColor::Cyan,
        _ => AnsiColor::White,
    };
    color.bright(code >= 90).into()
}

/// What follows 38: `5;n` or `2;r;g;b`.
fn extended<'p>(rest: &mut impl Iterator<Item = &'p str>) -> Option<Color> {
    let kind = rest.next()?;
    let mut number = || rest.next()?.parse::<u8>().ok();
    match kind {
        "5" => number().map(|index| Ansi256Color(index).into()),
        "2" => Some(RgbColor(number()?, number()?, number()?).into()),
        _ => None,
    }
}

/// The same with colons: `5:n`, `2:r:g:b` or, with a colour space, `2::r:g:b`.
fn compact(sub: &str) -> impl Iterator<Item = &str> {
    let space = sub.starts_with('2') && sub.split(':').count() > 4;
    sub.split(':').enumerate().filter(move |(at, _)| !(space && *at == 1)).map(|(_, part)| part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sequences: &[&str]) -> String {
        let mut pen = Pen::default();
        for parameters in sequences {
            pen.apply(parameters.as_bytes());
        }
        Pen::default().change_to(pen).to_string()
    }

    #[test]
    fn sequences_add_up() {
        for (sequences, sum) in [
            (&["1;31"][..], "\x1b[1m\x1b[31m"),
            (&["31", "1", "39"], "\x1b[1m"),
            (&["31", ""], ""),
            (&["31;0;4"], "\x1b[4m"),
            (&["4:3"], "\x1b[4:3m"),
            (&["4:3", "24"], ""),
            (&["38;5;9;1"], "\x1b[1m\x1b[38;5;9m"),
            (&["48;2;1;2;3"], "\x1b[48;2;1;2;3m"),
            (&["38:2::1:2:3"], "\x1b[38;2;1;2;3m"),
            (&["38:5:9"], "\x1b[38;5;9m"),
            (&["94;103"], "\x1b[94m\x1b[103m"),
            (&["38;5", "999", "38"], ""),
        ] {
            assert_eq!(drawn(sequences), sum, "{sequences:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_reset_all_the_same() {
        let mut pen = Pen::default();
        pen.apply(b"53");
        assert_eq!(pen.change_to(Pen::default()).to_string(), "\x1b[0m");
    }
}
