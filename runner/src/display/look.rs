//! How things are shown, decided from the surroundings and the options. Pure.

use anstyle::{AnsiColor, Style};

use crate::record::Outcome;

/// What the screen can do and shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent property of the screen")]
pub struct Look {
    /// A status line at the bottom that is redrawn.
    pub progress: bool,
    /// Colours in our own words.
    pub colour: bool,
    /// Control sequences in the build's stdout are kept.
    pub keep_out: bool,
    /// Control sequences in the build's stderr are kept.
    pub keep_err: bool,
    /// stdout is the same screen as stderr, so that both have to make way for the status line.
    pub out_is_screen: bool,
}

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColourChoice {
    /// Where there is a terminal and nothing in the environment says otherwise.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// What decides the look; all of it read from outside by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact about the surroundings")]
pub struct Surroundings {
    /// stdout is a terminal.
    pub out_terminal: bool,
    /// stderr is a terminal.
    pub err_terminal: bool,
    /// `TERM=dumb`, or none.
    pub dumb: bool,
    /// `CI` is set and not empty.
    pub ci: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and not `0`.
    pub clicolor_force: bool,
}

impl Look {
    /// The truth table: the status line wants a terminal on stderr that is not dumb, outside CI, and not to be switched off.
    /// Colour: `--color` decides; else `NO_COLOR` means none, `CLICOLOR_FORCE` all, else each stream that is a terminal, on
    /// the same terms as the status line: without it, all is plain lines.
    pub fn resolve(surroundings: Surroundings, choice: ColourChoice, no_progress: bool) -> Self {
        let Surroundings { out_terminal, err_terminal, dumb, ci, no_color, clicolor_force } = surroundings;
        let plain = dumb || ci || no_progress;
        let colour_on = |terminal: bool| match choice {
            ColourChoice::Always => true,
            ColourChoice::Never => false,
            ColourChoice::Auto => !no_color && (clicolor_force || (terminal && !plain)),
        };
        Self {
            progress: err_terminal && !plain,
            colour: colour_on(err_terminal),
            keep_out: colour_on(out_terminal),
            keep_err: colour_on(err_terminal),
            out_is_screen: out_terminal && err_terminal,
        }
    }

    /// `style`, where there are colours.
    pub(super) fn style(self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    /// What the word for an ending looks like; `allowed` to end so.
    pub(super) fn outcome(self, outcome: Outcome, allowed: bool) -> Style {
        let colour = match outcome {
            Outcome::Passed => AnsiColor::Green,
            Outcome::Failed | Outcome::TimedOut | Outcome::Quiet if !allowed => AnsiColor::Red,
            Outcome::Skipped => AnsiColor::BrightBlack,
            _ => AnsiColor::Yellow,
        };
        self.style(colour.on_default().bold())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal() -> Surroundings {
        Surroundings { out_terminal: true, err_terminal: true, ..Surroundings::default() }
    }

    #[test]
    fn the_truth_table_of_the_look() {
        use ColourChoice::{Always, Auto, Never};
        let ci = Surroundings { ci: true, ..terminal() };
        let dumb = Surroundings { dumb: true, ..terminal() };
        let no_color = Surroundings { no_color: true, ..terminal() };
        let pipe = Surroundings::default();
        let forced_pipe = Surroundings { clicolor_force: true, ..pipe };
        let out_file = Surroundings { out_terminal: false, ..terminal() };
        let rows = [
            // surroundings, --color, --no-progress: progress, colour, keep_out, keep_err
            (terminal(), Auto, false, [true, true, true, true]),
            (terminal(), Auto, true, [false, false, false, false]),
            (terminal(), Always, true, [false, true, true, true]),
            (terminal(), Never, false, [true, false, false, false]),
            (ci, Auto, false, [false, false, false, false]),
            (ci, Always, false, [false, true, true, true]),
            (dumb, Auto, false, [false, false, false, false]),
            (no_color, Auto, false, [true, false, false, false]),
            (no_color, Always, false, [true, true, true, true]),
            (pipe, Auto, false, [false, false, false, false]),
            (pipe, Always, false, [false, true, true, true]),
            (forced_pipe, Auto, false, [false, true, true, true]),
            (out_file, Auto, false, [true, true, false, true]),
        ];
        for (surroundings, choice, no_progress, [progress, colour, keep_out, keep_err]) in rows {
            let look = Look::resolve(surroundings, choice, no_progress);
            let out_is_screen = surroundings.out_terminal && surroundings.err_terminal;
            assert_eq!(
                look,
                Look { progress, colour, keep_out, keep_err, out_is_screen },
                "{surroundings:?} {choice:?} no_progress={no_progress}"
            );
        }
    }
}
