//! From an entry of `needs` to the build that it means, or to what is wrong with it.

use std::ops::Range;

use super::{
    Files, cells,
    store::{Build, Loads, Store, told},
};
use crate::recipe::{Diagnostic, OutputUse, ReadError, RefusedSetting, did_you_mean, quoted};

/// Of a circle, no more recipes are named.
const MOST_NAMED: usize = 100;

impl<F: Files> Store<'_, F> {
    /// The one build that an entry of `needs` means.
    pub(super) fn need(&mut self, build: usize, index: usize) -> Option<usize> {
        let need = self.builds[build].recipe.needs[index].clone();
        let place = self.builds[build].places.needs[index].clone();
        let file = match self.needed_file(&need.recipe) {
            Ok(file) => file,
            Err(error) => {
                let help = match &*error {
                    ReadError::Missing { path } => Some(self.suggestion(path)),
                    _ => None,
                };
                let diagnostic =
                    Diagnostic::at(place.recipe, told(&error)).label("needed here").maybe_help(help);
                self.report(build, diagnostic);
                return None;
            }
        };
        let path = self.files[file].path.clone();
        self.builds[build].recipe.needs[index].recipe = path;
        let loads = self.load(file, &need.with);
        let shown = self.files[file].shown.display().to_string();
        match &*loads {
            Loads::Wrong => None,
            Loads::Refused(refused) => {
                for RefusedSetting { name, why, help } in refused {
                    let given = need.with.iter().position(|(given, _)| given == name);
                    let at = given.and_then(|given| place.with.get(given)).unwrap_or(&place.recipe).clone();
                    let message = format!("cannot give {} to {}: {why}", quoted(name), quoted(&shown));
                    self.report(
                        build,
                        Diagnostic::at(at, message).label("given here").maybe_help(help.clone()),
                    );
                }
                None
            }
            Loads::Builds(builds) => match builds.as_slice() {
                [one] => Some(*one),
                cells => {
                    let diagnostic = self.too_many(cells, place.recipe, &shown);
                    self.report(build, diagnostic);
                    None
                }
            },
        }
    }

    /// A need that leaves several cells to choose from.
    fn too_many(&self, cells: &[usize], place: Range<usize>, shown: &str) -> Diagnostic {
        let mut axes = cells::axes(cells.iter().map(|cell| &self.builds[*cell].recipe.cell));
        axes.retain(|_, values| values.len() > 1);
        // Their first values need not go together; those of a cell do.
        let cell = cells.first().map(|cell| &self.builds[*cell].recipe.cell);
        let value = |axis: &str| cell.and_then(|cell| cell.get(axis)).map(String::as_str).unwrap_or_default();
        let example =
            axes.keys().map(|axis| format!("{axis}: {:?}", value(axis))).collect::<Vec<_>>().join(", ");
        let names = axes.keys().map(|axis| quoted(axis)).collect::<Vec<_>>().join(" and ");
        Diagnostic::at(
            place,
            format!("{} is {} builds, and a need is exactly one", quoted(shown), cells.len()),
        )
        .label(format!("does not choose {names}"))
        .help(format!("choose a cell, such as `with: {{{example}}}`"))
    }

    /// Outputs that the recipe uses must be those of the needed one.
    pub(super) fn check_outputs(&mut self, build: usize, index: usize, needed: usize) {
        let Build { recipe, places, .. } = &self.builds[build];
        let name = &recipe.needs[index].name;
        let known = &self.builds[needed].recipe.outputs;
        let unknown = |used: &&OutputUse| used.need == *name && !known.contains_key(&used.output);
        let wrong: Vec<Diagnostic> = places
            .outputs
            .iter()
            .filter(unknown)
            .map(|used| {
                let names = || known.keys().take(20).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
                let help = match did_you_mean(&used.output, known.keys().map(String::as_str)) {
                    Some(meant) => meant,
                    None if known.is_empty() => "its recipe has no `outputs`".to_owned(),
                    None => format!("it hands on {}", names()),
                };
                let what = format!("{} hands on nothing named {}", quoted(name), quoted(&used.output));
                Diagnostic::at(used.place(&recipe.text), what).label("not an output").help(help)
            })
            .collect();
        for diagnostic in wrong {
            self.report(build, diagnostic);
        }
    }

    /// `round` leads from a build of `file` to one whose need leads back to it.
    pub(super) fn report_circle(&mut self, index: usize, file: usize, round: Vec<usize>) {
        let Some(last) = round.last().copied() else { return };
        let is_own = round.len() == 1;
        let files = round.into_iter().map(|build| self.builds[build].file).chain([file]);
        let mut names: Vec<String> = files.map(|file| self.files[file].shown.display().to_string()).collect();
        if names.len() > MOST_NAMED {
            let more = names.len() - MOST_NAMED;
            let middle = MOST_NAMED / 2;
            names.splice(middle..middle + more, [format!("… {more} more …")]);
        }
        let what = if is_own { "a recipe needs itself" } else { "recipes need each other in a circle" };
        let place = self.builds[last].places.needs[index].recipe.clone();
        let diagnostic = Diagnostic::at(place, format!("{what}: {}", names.join(" → ")))
            .label("leads round")
            .help("let one of them do without this need");
        self.report(last, diagnostic);
    }
}
