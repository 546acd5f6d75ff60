//! `pony-run check`: reads recipes, and what they need, without running anything.

use std::path::Path;

use indexmap::IndexMap;

use super::{Failure, load, print};
use crate::{cli::WhichOptions, exit::Exit, graph::Graph, platform};

/// Checks them.
pub(super) fn check(which: &WhichOptions) -> Result<Exit, Failure> {
    Ok(print(&checked(&load(which, &platform::of_this_machine())?)))
}

/// A line for each requested recipe.
fn checked(graph: &Graph) -> String {
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let mut cells: IndexMap<&Path, Vec<usize>> = IndexMap::new();
    for (index, build) in graph.builds.iter().enumerate().filter(|(_, build)| build.requested) {
        cells.entry(&build.recipe.path).or_default().push(index);
    }
    let line = |(path, cells): (&&Path, &Vec<usize>)| {
        let recipe = cells.first().map(|cell| &graph.builds[*cell].recipe);
        let package = recipe.map(|recipe| recipe.package.clone()).unwrap_or_default();
        let mut words = vec![package, counted(recipe.map_or(0, |recipe| recipe.steps.len()), "step")];
        if cells.len() > 1 {
            words.push(counted(cells.len(), "build"));
        }
        match graph.count_needs(cells) {
            0 => {}
            needed => words.push(format!("after {}", counted(needed, "other"))),
        }
        format!("{}: ok ({})", path.display(), words.join(", "))
    };
    cells.iter().map(line).collect::<Vec<_>>().join("\n")
}
