//! How a command of `pony-run` fails: an exit code, and an error with its causes and a hint.

use std::{error::Error, iter};

use pony_wire::ErrorMessage;

use crate::{exit::Exit, graph::GraphErrors};

/// Ends the program.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    /// Everything is already said, or a signal ended it.
    Silent,
    Error(ErrorMessage),
    /// With positions in the recipes.
    Recipes(GraphErrors),
}

impl Failure {
    /// `what` is in lower case, without a period.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        ErrorMessage::new(what).with_exit(exit)
    }

    /// The error with its sources as causes.
    pub(crate) fn of(exit: Exit, error: &(dyn Error + '_)) -> Self {
        ErrorMessage::of(error).with_exit(exit)
    }

    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, reason: Reason::Silent }
    }

    /// Adds the error and its sources as causes.
    #[must_use]
    pub(crate) fn caused_by(mut self, error: &(dyn Error + '_)) -> Self {
        if let Reason::Error(message) = &mut self.reason {
            let ErrorMessage { what, causes, hint } = ErrorMessage::of(error);
            message.causes.extend(iter::once(what).chain(causes));
            message.hint = message.hint.take().or(hint);
        }
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Reason::Error(message) = &mut self.reason {
            message.hint = Some(hint.into());
        }
        self
    }

    /// The lines for people; empty if there is nothing to say.
    pub(crate) fn render(&self, colors: bool) -> String {
        match &self.reason {
            Reason::Silent => String::new(),
            Reason::Error(message) => message.render(colors),
            Reason::Recipes(errors) => errors.render(colors),
        }
    }
}

/// For errors that are worded elsewhere.
pub(crate) trait WithExit {
    fn with_exit(self, exit: Exit) -> Failure;
}

impl WithExit for ErrorMessage {
    fn with_exit(self, exit: Exit) -> Failure {
        Failure { exit, reason: Reason::Error(self) }
    }
}

impl From<GraphErrors> for Failure {
    fn from(errors: GraphErrors) -> Self {
        Self { exit: Exit::RecipeInvalid, reason: Reason::Recipes(errors) }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn causes_follow_the_error_and_the_hint_comes_last() {
        let failure = Failure::new(Exit::CannotRecord, "cannot write `x`")
            .caused_by(&io::Error::other("disk full"))
            .hint("free some space");
        assert_eq!(
            failure.render(false),
            "error: cannot write `x`\n  caused by: disk full\nhint: free some space\n"
        );
        assert_eq!(Failure::silent(Exit::Signal(2)).render(true), "");
    }
}
