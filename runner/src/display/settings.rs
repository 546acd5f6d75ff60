//! How things are shown, decided from the terminal, the environment and the options. Pure.

use anstyle::{AnsiColor, Style};

use crate::record::Outcome;

/// What is shown, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent property")]
pub struct DisplaySettings {
    /// A status area at the bottom that is redrawn.
    pub status_area: bool,
    /// Colours in our own words.
    pub colour: bool,
    /// Control sequences in the build's stdout are kept.
    pub keep_out: bool,
    /// Control sequences in the build's stderr are kept.
    pub keep_err: bool,
    /// stdout is the same terminal as stderr, so that both have to make way for the status area.
    pub out_is_terminal: bool,
    /// stdout is the same file as stderr, so that a line that is open on it is open for both.
    pub out_is_err: bool,
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

/// What decides the settings; all of it read from outside by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact")]
pub struct Environment {
    /// stdout is a terminal.
    pub out_terminal: bool,
    /// stderr is a terminal.
    pub err_terminal: bool,
    /// Both are the same file, pipe or terminal.
    pub same_file: bool,
    /// `TERM=dumb`, or none.
    pub dumb: bool,
    /// `CI` is set and not empty.
    pub ci: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and not `0`.
    pub clicolor_force: bool,
}

impl DisplaySettings {
    /// The truth table: the status line wants a terminal on stderr that is not dumb, outside CI, and not to be switched off.
    /// Colour: `--color` decides; else `NO_COLOR` means none, `CLICOLOR_FORCE` all, else each stream that is a terminal, on
    /// the same terms as the status area: without it, all is plain lines.
    pub fn resolve(environment: Environment, choice: ColourChoice, no_progress: bool) -> Self {
        let Environment { out_terminal, err_terminal, same_file, dumb, ci, no_color, clicolor_force } =
            environment;
        let plain = dumb || ci || no_progress;
        let colour_on = |terminal: bool| match choice {
            ColourChoice::Always => true,
            ColourChoice::Never => false,
            ColourChoice::Auto => !no_color && (clicolor_force || (terminal && !plain)),
        };
        Self {
            status_area: err_terminal && !plain,
            colour: colour_on(err_terminal),
            keep_out: colour_on(out_terminal),
            keep_err: colour_on(err_terminal),
            out_is_terminal: out_terminal && err_terminal,
            out_is_err: same_file || (out_terminal && err_terminal),
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

    fn terminal() -> Environment {
        Environment { out_terminal: true, err_terminal: true, ..Environment::default() }
    }

    #[test]
    fn the_truth_table() {
        use ColourChoice::{Always, Auto, Never};
        let ci = Environment { ci: true, ..terminal() };
        let dumb = Environment { dumb: true, ..terminal() };
        let no_color = Environment { no_color: true, ..terminal() };
        let pipe = Environment::default();
        let forced_pipe = Environment { clicolor_force: true, ..pipe };
        let one_pipe = Environment { same_file: true, ..pipe };
        let out_file = Environment { out_terminal: false, ..terminal() };
        let rows = [
            // environment, --color, --no-progress: status area, colour, keep_out, keep_err
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
            (one_pipe, Auto, false, [false, false, false, false]),
            (pipe, Always, false, [false, true, true, true]),
            (forced_pipe, Auto, false, [false, true, true, true]),
            (out_file, Auto, false, [true, true, false, true]),
        ];
        for (environment, choice, no_progress, [status_area, colour, keep_out, keep_err]) in rows {
            let settings = DisplaySettings::resolve(environment, choice, no_progress);
            let out_is_terminal = environment.out_terminal && environment.err_terminal;
            let out_is_err = out_is_terminal || environment.same_file;
            assert_eq!(
                settings,
                DisplaySettings { status_area, colour, keep_out, keep_err, out_is_terminal, out_is_err },
                "{environment:?} {choice:?} no_progress={no_progress}"
            );
        }
    }
}
