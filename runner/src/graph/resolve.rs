//! Expansion: from what is asked for, through `needs`, to every build. All errors of all recipes are told at once.
//! Nothing here is recursive.

use std::collections::{HashMap, HashSet};

use super::{
    Asked, Files, Graph, Node, Wrong, cells, names,
    store::{Build, Loads, Store, told},
};
use crate::recipe::{Diagnostic, Diagnostics, Facts, RefusedSetting, normal, quoted};

/// Resolves everything that is asked for, and all that it needs.
///
/// # Errors
/// Everything that is wrong with any of the recipes, with how they need each other, and with what is asked.
pub fn resolve(
    asked: Asked<'_>,
    facts: &Facts,
    colour: bool,
    files: &mut impl Files,
) -> Result<Graph, Wrong> {
    let mut store = Store::new(facts, files);
    let roots = store.asked(asked);
    let order = store.walk(&roots);
    if store.is_right() { Ok(store.graph(&roots, &order)) } else { Err(store.wrong(colour)) }
}

/// A build whose needs are being walked.
struct Frame {
    build: usize,
    next: usize,
}

impl<F: Files> Store<'_, F> {
    fn asked(&mut self, asked: Asked<'_>) -> Vec<usize> {
        let mut roots: Vec<usize> = Vec::new();
        for path in asked.recipes {
            let file = match self.file(&normal(&self.facts.cwd.join(path)), Some(path)) {
                Ok(file) => file,
                Err(error) => {
                    let error = format!("pony-run: {}", told(&error));
                    if !self.general.contains(&error) {
                        self.general.push(error);
                    }
                    continue;
                }
            };
            match &*self.load(file, asked.set) {
                Loads::Builds(builds) => roots.extend(builds),
                Loads::Refused(refused) => {
                    let shown = self.files[file].shown.clone();
                    let refused = refused.iter().cloned().map(|RefusedSetting { name, why, help }| {
                        let message = format!(
                            "cannot set {} in {}: {why}",
                            quoted(&name),
                            quoted(&shown.display().to_string())
                        );
                        Diagnostic::general(message).maybe_help(help)
                    });
                    self.wrong_in(file, Diagnostics::new(&shown, "", Vec::new()).and(refused));
                }
                Loads::Wrong => {}
            }
        }
        let mut once = HashSet::new();
        roots.retain(|root| once.insert(*root));
        // Cells of what is wrong are not known.
        if !asked.cells.is_empty() && self.is_right() {
            let cells: Vec<_> = roots.iter().map(|root| &self.builds[*root].recipe.cell).collect();
            match cells::choose(&cells, asked.cells) {
                Ok(kept) => {
                    let mut kept = kept.into_iter();
                    roots.retain(|_| kept.next().unwrap_or(true));
                }
                Err(wrong) => {
                    self.general.extend(wrong.into_iter().map(|wrong| format!("pony-run: {wrong}")));
                }
            }
        }
        roots
    }

    /// Walks all needs, depth first; the builds in an order in which needs come before those that need them.
    fn walk(&mut self, roots: &[usize]) -> Vec<usize> {
        let mut order = Vec::new();
        let mut seen: HashSet<usize> = HashSet::new();
        // Where a file stands on the way.
        let mut on_the_way: HashMap<usize, usize> = HashMap::new();
        for root in roots {
            let mut way = Vec::new();
            let mut enter = seen.insert(*root).then_some(*root);
            loop {
                if let Some(build) = enter.take() {
                    on_the_way.insert(self.builds[build].file, way.len());
                    self.expand(build, &way, &on_the_way);
                    way.push(Frame { build, next: 0 });
                }
                let Some(frame) = way.last_mut() else { break };
                if let Some(need) = self.builds[frame.build].needs.get(frame.next) {
                    frame.next += 1;
                    enter = seen.insert(*need).then_some(*need);
                } else {
                    order.push(frame.build);
                    on_the_way.remove(&self.builds[frame.build].file);
                    way.pop();
                }
            }
        }
        order
    }

    /// Finds the needs of a build; those that are wrong, or would lead round, are reported and left out.
    fn expand(&mut self, build: usize, way: &[Frame], on_the_way: &HashMap<usize, usize>) {
        let count = self.builds[build].recipe.needs.len();
        for index in 0..count {
            let Some(needed) = self.need(build, index) else { continue };
            self.check_outputs(build, index, needed);
            let file = self.builds[needed].file;
            match on_the_way.get(&file) {
                Some(from) => {
                    let round = way.get(*from..).unwrap_or_default().iter().map(|frame| frame.build);
                    self.report_circle(index, file, round.chain([build]).collect());
                }
                None => self.builds[build].needs.push(needed),
            }
        }
    }

    /// The builds in this order.
    fn graph(self, roots: &[usize], order: &[usize]) -> Graph {
        let asked: HashSet<usize> = roots.iter().copied().collect();
        let to_name: Vec<names::Build<'_>> = order
            .iter()
            .map(|index| {
                let Build { file, recipe, changed, .. } = &self.builds[*index];
                names::Build { file: &self.files[*file].path, cell: &recipe.cell, changed }
            })
            .collect();
        let names = names::names(&to_name);
        let places: HashMap<usize, usize> =
            order.iter().enumerate().map(|(place, build)| (*build, place)).collect();
        let mut builds: Vec<Option<Build>> = self.builds.into_iter().map(Some).collect();
        let nodes = order.iter().zip(names).filter_map(|(index, name)| {
            let Build { recipe, changed, needs, .. } = builds.get_mut(*index)?.take()?;
            let set = recipe
                .cell
                .iter()
                .map(|(axis, value)| (axis.clone(), value.clone()))
                .chain(changed)
                .collect();
            let needs = needs.iter().filter_map(|need| places.get(need).copied()).collect();
            Some(Node { name, recipe, set, needs, asked: asked.contains(index) })
        });
        Graph { builds: nodes.collect() }
    }
}
