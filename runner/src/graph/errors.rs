//! Everything that is wrong with a graph: errors in recipes, and errors of the command line.

use pony_wire::ErrorMessage;

use crate::recipe::Diagnostics;

/// All errors of a graph, at least one.
#[derive(Debug)]
pub struct GraphErrors(pub Vec<GraphError>);

/// One recipe's errors, or another error.
#[derive(Debug, PartialEq, Eq)]
pub enum GraphError {
    /// Errors of one recipe, with their positions.
    Recipe(Diagnostics),
    /// A recipe that cannot be read, or options that fit no recipe.
    Other(ErrorMessage),
}

impl GraphErrors {
    /// All errors for people, separated by blank lines.
    pub fn render(&self, colors: bool) -> String {
        self.0.iter().map(|error| error.render(colors)).collect::<Vec<_>>().join("\n")
    }
}

impl GraphError {
    pub(super) fn render(&self, colors: bool) -> String {
        match self {
            Self::Recipe(errors) => errors.render(colors),
            Self::Other(error) => error.render(colors),
        }
    }
}
