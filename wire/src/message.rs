//! How both programs report an error: what happened, why, and the way out.
//!
//! ```text
//! error: cannot listen on `127.0.0.1:8000`
//!   caused by: Address already in use (os error 98)
//! hint: choose another address with `--listen`
//! ```

use std::error::Error;
use std::fmt::{self, Write};
use std::iter;

/// An error as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What happened, in lower case.
    pub what: String,
    /// Why, the outermost cause first.
    pub causes: Vec<String>,
    /// The way out, where there is one to name.
    pub hint: Option<String>,
}

impl ErrorMessage {
    /// A message without causes.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), causes: Vec::new(), hint: None }
    }

    /// The error and its sources. A source whose text the line above already ends with is not repeated.
    pub fn of(error: &(dyn Error + '_)) -> Self {
        let mut message = Self::new(error.to_string());
        for source in iter::successors(error.source(), |source| (**source).source()) {
            let text = source.to_string();
            if !message.causes.last().unwrap_or(&message.what).ends_with(&text) {
                message.causes.push(text);
            }
        }
        message
    }

    /// With the way out.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The lines for a terminal or a log, each with its line end. Control characters of quoted values are replaced, so
    /// that no file name can draw on the terminal.
    pub fn render(&self, colors: bool) -> String {
        let mut text = String::new();
        line(&mut text, ("error", "\x1b[1;31m"), &self.what, colors);
        for cause in &self.causes {
            line(&mut text, ("  caused by", ""), cause, colors);
        }
        if let Some(hint) = &self.hint {
            line(&mut text, ("hint", "\x1b[1;36m"), hint, colors);
        }
        text
    }
}

/// On one line, for a log: the error and its causes.
impl fmt::Display for ErrorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

fn line(out: &mut String, (label, color): (&str, &str), text: &str, colors: bool) {
    let (start, end) = if colors && !color.is_empty() { (color, "\x1b[0m") } else { ("", "") };
    let visible = |c: char| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    for (index, part) in text.trim_end().split('\n').enumerate() {
        let part: String = part.trim_end_matches('\r').chars().map(visible).collect();
        // Writing into a string cannot fail.
        let _ = if index == 0 {
            writeln!(out, "{start}{label}:{end} {part}")
        } else {
            writeln!(out, "    {part}")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn chain(texts: &[&'static str]) -> Link {
        let source = (texts.len() > 1).then(|| Box::new(chain(&texts[1..])));
        Link { text: texts[0], source }
    }

    #[test]
    fn the_layout() {
        let message = ErrorMessage::of(&chain(&["cannot open `x`", "no such file"])).hint("name another");
        assert_eq!(
            message.render(false),
            "error: cannot open `x`\n  caused by: no such file\nhint: name another\n"
        );
        assert_eq!(message.to_string(), "cannot open `x`: no such file");
        assert_eq!(
            message.render(true),
            "\x1b[1;31merror:\x1b[0m cannot open `x`\n  caused by: no such file\n\x1b[1;36mhint:\x1b[0m name another\n"
        );
    }

    #[test]
    fn a_cause_is_not_repeated() {
        let message =
            ErrorMessage::of(&chain(&["cannot send: broken pipe", "broken pipe", "broken pipe", "EPIPE"]));
        assert_eq!(message.causes, ["EPIPE"]);
    }

    #[test]
    fn quoted_values_cannot_draw_on_the_terminal() {
        assert_eq!(
            ErrorMessage::new("bad \x1b[31mname\r\nsecond\tline\n").render(false),
            "error: bad \u{FFFD}[31mname\n    second\tline\n"
        );
    }
}
