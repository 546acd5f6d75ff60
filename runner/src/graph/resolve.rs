//! Expands requested recipes, through `needs`, to all builds. Reports all errors of all recipes at once. Not recursive.

use std::collections::{HashMap, HashSet};

use pony_wire::ErrorMessage;

use super::{
    Graph, GraphError, GraphErrors, GraphNode, GraphRequest, RecipeFiles,
    builder::{GraphBuilder, LoadOutcome, ResolvedBuild},
    matrix, names,
};
use crate::recipe::{Diagnostic, Diagnostics, PlatformFacts, RejectedSetting, normal, quoted};

/// Resolves the requested recipes and everything that they need.
///
/// # Errors
/// All errors of the recipes, of their needs, and of the request.
pub fn resolve(
    request: GraphRequest<'_>,
    platform: &PlatformFacts,
    files: &mut impl RecipeFiles,
) -> Result<Graph, GraphErrors> {
    let mut builder = GraphBuilder::new(platform, files);
    let roots = builder.roots(request);
    let order = builder.walk(&roots);
    if builder.has_errors() { Err(builder.errors()) } else { Ok(builder.graph(&roots, &order)) }
}

/// A build whose needs are being walked.
struct Frame {
    build: usize,
    next: usize,
}

impl<F: RecipeFiles> GraphBuilder<'_, F> {
    /// The requested builds.
    fn roots(&mut self, request: GraphRequest<'_>) -> Vec<usize> {
        let mut roots: Vec<usize> = Vec::new();
        for path in request.recipes {
            let file = match self.file(&normal(&self.platform.cwd.join(path)), Some(path)) {
                Ok(file) => file,
                Err(error) => {
                    let error = GraphError::Other(ErrorMessage::of(&*error));
                    if !self.general.contains(&error) {
                        self.general.push(error);
                    }
                    continue;
                }
            };
            match &*self.load(file, request.settings) {
                LoadOutcome::Builds(builds) => roots.extend(builds),
                LoadOutcome::Rejected(rejected) => {
                    let shown = self.files[file].display_path.clone();
                    let rejected = rejected.iter().cloned().map(|RejectedSetting { name, why, hint }| {
                        let message = format!(
                            "cannot set {} in {}: {why}",
                            quoted(&name),
                            quoted(&shown.display().to_string())
                        );
                        Diagnostic::general(message).maybe_hint(hint)
                    });
                    self.add_errors(file, Diagnostics::new(&shown, "", Vec::new()).and(rejected));
                }
                LoadOutcome::Failed => {}
            }
        }
        let mut once = HashSet::new();
        roots.retain(|root| once.insert(*root));
        // The cells of a recipe with errors are unknown.
        if !request.cells.is_empty() && !self.has_errors() {
            let cells: Vec<_> = roots.iter().map(|root| &self.builds[*root].recipe.cell).collect();
            match matrix::select(&cells, request.cells) {
                Ok(selected) => {
                    let mut selected = selected.into_iter();
                    roots.retain(|_| selected.next().unwrap_or(true));
                }
                Err(errors) => self.general.extend(errors),
            }
        }
        roots
    }

    /// Walks all needs, depth first. Returns the builds, needs before the builds that need them.
    fn walk(&mut self, roots: &[usize]) -> Vec<usize> {
        let mut order = Vec::new();
        let mut seen: HashSet<usize> = HashSet::new();
        // Position of each file in `path`.
        let mut position: HashMap<usize, usize> = HashMap::new();
        for root in roots {
            let mut path = Vec::new();
            let mut enter = seen.insert(*root).then_some(*root);
            loop {
                if let Some(build) = enter.take() {
                    position.insert(self.builds[build].file, path.len());
                    self.expand(build, &path, &position);
                    path.push(Frame { build, next: 0 });
                }
                let Some(frame) = path.last_mut() else { break };
                if let Some(need) = self.builds[frame.build].needs.get(frame.next) {
                    frame.next += 1;
                    enter = seen.insert(*need).then_some(*need);
                } else {
                    order.push(frame.build);
                    position.remove(&self.builds[frame.build].file);
                    path.pop();
                }
            }
        }
        order
    }

    /// Resolves the needs of a build; those that are wrong or close a cycle are reported and left out.
    fn expand(&mut self, build: usize, path: &[Frame], position: &HashMap<usize, usize>) {
        let count = self.builds[build].recipe.needs.len();
        for index in 0..count {
            let Some(needed) = self.need(build, index) else { continue };
            self.check_outputs(build, index, needed);
            let file = self.builds[needed].file;
            match position.get(&file) {
                Some(from) => {
                    let cycle = path.get(*from..).unwrap_or_default().iter().map(|frame| frame.build);
                    self.report_cycle(index, file, cycle.chain([build]).collect());
                }
                None => self.builds[build].needs.push(needed),
            }
        }
    }

    /// The graph, with its builds in this order.
    fn graph(self, roots: &[usize], order: &[usize]) -> Graph {
        let requested: HashSet<usize> = roots.iter().copied().collect();
        let to_name: Vec<names::NameParts<'_>> = order
            .iter()
            .map(|index| {
                let ResolvedBuild { file, recipe, changed, .. } = &self.builds[*index];
                names::NameParts { file: &self.files[*file].path, cell: &recipe.cell, changed }
            })
            .collect();
        let names = names::names(&to_name);
        let places: HashMap<usize, usize> =
            order.iter().enumerate().map(|(place, build)| (*build, place)).collect();
        let mut builds: Vec<Option<ResolvedBuild>> = self.builds.into_iter().map(Some).collect();
        let nodes = order.iter().zip(names).filter_map(|(index, name)| {
            let ResolvedBuild { recipe, changed, needs, .. } = builds.get_mut(*index)?.take()?;
            let settings = recipe
                .cell
                .iter()
                .map(|(axis, value)| (axis.clone(), value.clone()))
                .chain(changed)
                .collect();
            let needs = needs.iter().filter_map(|need| places.get(need).copied()).collect();
            Some(GraphNode { name, recipe, settings, needs, requested: requested.contains(index) })
        });
        Graph { builds: nodes.collect() }
    }
}
