//! Which outputs a build is handed, in which order and for which uses. Pure.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use pony_contexts::chain::EnvironmentUse;

use crate::graph::Graph;

/// How a build reaches one that it depends on, directly or through others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DependencyPath {
    /// The dependency's place in the graph.
    pub(super) build: usize,
    /// Needs on the shortest path: 1 for a direct dependency.
    depth: usize,
    /// What it is called where it is used: a direct dependency by the name that the recipe gives it.
    pub(super) name: String,
    /// Uses that are ruled out on every path to it.
    pub(super) except: BTreeSet<EnvironmentUse>,
}

/// All dependencies of `build`: the nearest first, and those that are as near in the order of the recipe's `needs`.
pub(super) fn dependencies(graph: &Graph, build: usize) -> Vec<DependencyPath> {
    let mut paths: BTreeMap<usize, DependencyPath> = BTreeMap::new();
    let start = DependencyPath { build, depth: 0, name: String::new(), except: BTreeSet::new() };
    paths.insert(build, start);
    // Needs come before what needs them: backwards, all paths to a build are known when its turn comes.
    for place in (0..=build).rev() {
        let Some(DependencyPath { depth, except, .. }) = paths.get(&place).cloned() else { continue };
        let node = &graph.builds[place];
        for (need, to) in node.recipe.needs.iter().zip(&node.needs) {
            let name = if depth == 0 { &need.name } else { &graph.builds[*to].name };
            let except: BTreeSet<EnvironmentUse> = except.union(&need.except).copied().collect();
            let path = paths.entry(*to).or_insert_with(|| DependencyPath {
                build: *to,
                depth: depth + 1,
                name: name.clone(),
                except: except.clone(),
            });
            path.except = path.except.intersection(&except).copied().collect();
            if depth + 1 < path.depth {
                (path.depth, path.name) = (depth + 1, name.clone());
            }
        }
    }
    paths.remove(&build);
    let position = |place: usize| graph.builds[build].needs.iter().position(|need| *need == place);
    let mut paths: Vec<DependencyPath> = paths.into_values().collect();
    paths.sort_by_key(|path| (path.depth, position(path.build), Reverse(path.build)));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::fixture::graph;

    /// The dependencies of the last build, each `name@depth {excepted…}`.
    fn of_last(recipes: &[(&str, &str)]) -> String {
        let graph = graph(recipes);
        let show = |path: &DependencyPath| {
            let except = if path.except.is_empty() { String::new() } else { format!(" {:?}", path.except) };
            format!("{}@{}{except}", path.name, path.depth)
        };
        let last = graph.builds.len() - 1;
        dependencies(&graph, last).iter().map(show).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn nearest_first_then_as_written_and_only_what_every_path_rules_out() {
        let zlib = ("zlib", "");
        for (recipes, expected) in [
            (vec![zlib, ("app", "needs: [zlib]")], "zlib@1"),
            (vec![zlib, ("app", "needs: [{recipe: zlib, as: z}]")], "z@1"),
            (vec![zlib, ("png", "needs: [zlib]"), ("app", "needs: [png]")], "png@1, zlib@2"),
            // Needed directly too: as near as that, and by that name.
            (
                vec![zlib, ("png", "needs: [zlib]"), ("app", "needs: [png, {recipe: zlib, as: z}]")],
                "png@1, z@1",
            ),
            (
                vec![zlib, ("png", "needs: [zlib]"), ("app", "needs: [{recipe: zlib, as: z}, png]")],
                "z@1, png@1",
            ),
            // What is ruled out on the only path holds for all that is behind it.
            (
                vec![zlib, ("png", "needs: [zlib]"), ("app", "needs: [{recipe: png, without: [PATH]}]")],
                "png@1 {Path}, zlib@2 {Path}",
            ),
            // Another path allows it.
            (
                vec![
                    zlib,
                    ("png", "needs: [zlib]"),
                    (
                        "app",
                        "needs: [{recipe: png, without: [PATH]}, {recipe: zlib, without: [LIBRARY_PATH]}]",
                    ),
                ],
                "png@1 {Path}, zlib@1",
            ),
            (
                vec![
                    zlib,
                    ("png", "needs: [{recipe: zlib, without: [PATH, LIBRARY_PATH]}]"),
                    ("tiff", "needs: [{recipe: zlib, without: [PATH]}]"),
                    ("app", "needs: [png, tiff]"),
                ],
                "png@1, tiff@1, zlib@2 {Path}",
            ),
        ] {
            assert_eq!(of_last(&recipes), expected, "{recipes:?}");
        }
    }
}
