//! Resolves an entry of `needs` to a build, or reports what is wrong with it.

use std::ops::Range;

use super::{
    RecipeFiles,
    builder::{GraphBuilder, LoadOutcome, ResolvedBuild, one_line},
    matrix,
};
use crate::recipe::{Diagnostic, OutputUse, ReadError, RejectedSetting, did_you_mean, quoted};

/// Longer cycles are shortened in messages.
const MAX_NAMED: usize = 100;

impl<F: RecipeFiles> GraphBuilder<'_, F> {
    /// The build that an entry of `needs` selects.
    pub(super) fn need(&mut self, build: usize, index: usize) -> Option<usize> {
        let need = self.builds[build].recipe.needs[index].clone();
        let place = self.builds[build].places.needs[index].clone();
        let file = match self.needed_file(&need.recipe) {
            Ok(file) => file,
            Err(error) => {
                let hint = match &*error {
                    ReadError::Missing { path } => Some(self.suggestion(path)),
                    _ => None,
                };
                let diagnostic =
                    Diagnostic::at(place.recipe, one_line(&error)).label("needed here").maybe_hint(hint);
                self.report(build, diagnostic);
                return None;
            }
        };
        let path = self.files[file].path.clone();
        self.builds[build].recipe.needs[index].recipe = path;
        let loads = self.load(file, &need.with);
        let shown = self.files[file].display_path.display().to_string();
        match &*loads {
            LoadOutcome::Failed => None,
            LoadOutcome::Rejected(rejected) => {
                for RejectedSetting { name, why, hint } in rejected {
                    let given = need.with.iter().position(|(given, _)| given == name);
                    let at = given.and_then(|given| place.with.get(given)).unwrap_or(&place.recipe).clone();
                    let message = format!("cannot set {} in {}: {why}", quoted(name), quoted(&shown));
                    self.report(
                        build,
                        Diagnostic::at(at, message).label("set here").maybe_hint(hint.clone()),
                    );
                }
                None
            }
            LoadOutcome::Builds(builds) => match builds.as_slice() {
                [one] => Some(*one),
                cells => {
                    let diagnostic = self.ambiguous(cells, place.recipe, &shown);
                    self.report(build, diagnostic);
                    None
                }
            },
        }
    }

    /// The error of a need that selects several cells.
    fn ambiguous(&self, cells: &[usize], place: Range<usize>, shown: &str) -> Diagnostic {
        let mut axes = matrix::axes(cells.iter().map(|cell| &self.builds[*cell].recipe.cell));
        axes.retain(|_, values| values.len() > 1);
        // The example is an existing cell, not the first value of each axis.
        let cell = cells.first().map(|cell| &self.builds[*cell].recipe.cell);
        let value = |axis: &str| cell.and_then(|cell| cell.get(axis)).map(String::as_str).unwrap_or_default();
        let example =
            axes.keys().map(|axis| format!("{axis}: {:?}", value(axis))).collect::<Vec<_>>().join(", ");
        let names = axes.keys().map(|axis| quoted(axis)).collect::<Vec<_>>().join(" and ");
        Diagnostic::at(place, format!("{} has a matrix of {} builds; choose one", quoted(shown), cells.len()))
            .label(format!("does not choose {names}"))
            .hint(format!("for example `with: {{{example}}}`"))
    }

    /// Reports outputs that the recipe uses but the need does not have.
    pub(super) fn check_outputs(&mut self, build: usize, index: usize, needed: usize) {
        let ResolvedBuild { recipe, places, .. } = &self.builds[build];
        let name = &recipe.needs[index].name;
        let known = &self.builds[needed].recipe.outputs;
        let is_unknown = |used: &&OutputUse| used.need == *name && !known.contains_key(&used.output);
        let unknown: Vec<Diagnostic> = places
            .outputs
            .iter()
            .filter(is_unknown)
            .map(|used| {
                let names = || known.keys().take(20).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
                let hint = match did_you_mean(&used.output, known.keys().map(String::as_str)) {
                    Some(meant) => meant,
                    None if known.is_empty() => "its recipe declares no `outputs`".to_owned(),
                    None => format!("its outputs are {}", names()),
                };
                let what = format!("{} has no output {}", quoted(name), quoted(&used.output));
                Diagnostic::at(used.place(&recipe.text), what).label("unknown output").hint(hint)
            })
            .collect();
        for diagnostic in unknown {
            self.report(build, diagnostic);
        }
    }

    /// Reports a cycle: `builds` lead from a build of `file` to one whose need at `index` leads back to that file.
    pub(super) fn report_cycle(&mut self, index: usize, file: usize, builds: Vec<usize>) {
        let Some(last) = builds.last().copied() else { return };
        let files = builds.into_iter().map(|build| self.builds[build].file).chain([file]);
        let mut names: Vec<String> =
            files.map(|file| self.files[file].display_path.display().to_string()).collect();
        if names.len() > MAX_NAMED {
            let more = names.len() - MAX_NAMED;
            let middle = MAX_NAMED / 2;
            names.splice(middle..middle + more, [format!("… {more} more …")]);
        }
        let place = self.builds[last].places.needs[index].recipe.clone();
        let diagnostic = Diagnostic::at(place, format!("circular dependency: {}", names.join(" → ")))
            .label("closes the cycle")
            .hint("remove one of these needs");
        self.report(last, diagnostic);
    }
}
