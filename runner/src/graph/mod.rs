//! Recipes and their needs → builds: each build once, needs before the builds that need them. Pure, except that recipes are
//! read through [`RecipeFiles`].

mod builder;
mod errors;
#[cfg(test)]
pub(crate) mod fixture;
mod matrix;
mod names;
mod need;
mod resolve;
pub mod show;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

pub use self::{
    errors::{GraphError, GraphErrors},
    resolve::resolve,
};
use crate::recipe::{self, DeferredValues, Diagnostics, LoadOptions, PlatformFacts, ReadError, Recipe};

/// All builds of one `pony-run`, needs before the builds that need them.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Each once.
    pub builds: Vec<GraphNode>,
}

impl Graph {
    /// How many other builds these need, directly or through others.
    pub fn count_needs(&self, builds: &[usize]) -> usize {
        let mut seen: HashSet<usize> = builds.iter().copied().collect();
        let mut open = builds.to_vec();
        while let Some(build) = open.pop() {
            let needs = self.builds.get(build).into_iter().flat_map(|build| &build.needs);
            open.extend(needs.filter(|need| seen.insert(**need)));
        }
        seen.len() - builds.len()
    }
}

/// One build of the graph.
#[derive(Debug, Clone)]
pub struct GraphNode {
    /// Unique in the graph, stable and readable: `zlib`, `zlib(shared=no)`, `app[3.13, sqlite]`.
    pub name: String,
    /// Resolved, except for deferred values (`{{needs.zlib.prefix}}`, `{{jobs}}`), which are still templates.
    pub recipe: Recipe,
    /// What distinguishes it from other builds of its recipe: the cell, and settings that differ from the recipe's own values.
    pub settings: Vec<(String, String)>,
    /// Indices into [`Graph::builds`], in the order of the recipe's `needs`.
    pub needs: Vec<usize>,
    /// It was named on the command line.
    pub requested: bool,
}

impl GraphNode {
    /// The recipe with deferred values filled in. The file is not read again.
    ///
    /// # Errors
    /// An output of a need that `deferred` lacks. Other errors were found when the graph was resolved.
    pub fn with_deferred(
        &self,
        platform: &PlatformFacts,
        deferred: &DeferredValues,
    ) -> Result<Recipe, Diagnostics> {
        let options = LoadOptions { settings: &self.settings, platform, deferred: Some(deferred) };
        let recipes = recipe::load(&self.recipe.path, self.recipe.text.as_bytes(), &options)?;
        let Some(mut recipe) = recipes.into_iter().next() else { return Ok(self.recipe.clone()) };
        // The graph knows the files of needs that were written without an extension.
        recipe.needs.clone_from(&self.recipe.needs);
        Ok(recipe)
    }
}

/// The recipes of the command line, with the options that concern them.
#[derive(Debug, Clone, Copy)]
pub struct GraphRequest<'a> {
    /// Paths as typed.
    pub recipes: &'a [PathBuf],
    /// `--set NAME=VALUE`
    pub settings: &'a [(String, String)],
    /// `--matrix AXIS=VALUE`
    pub cells: &'a [(String, String)],
}

/// Where recipes are read from.
pub trait RecipeFiles {
    /// The bytes of a recipe.
    ///
    /// # Errors
    /// As [`recipe::read`].
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError>;

    /// The names of the recipes in a folder, for suggestions.
    fn list(&mut self, folder: &Path) -> Vec<String>;

    /// `path` with links in its folder resolved, because a recipe's relative paths begin at its real folder.
    fn real(&mut self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl RecipeFiles for Disk {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError> {
        recipe::read(path)
    }

    fn list(&mut self, folder: &Path) -> Vec<String> {
        recipe::list(folder)
    }

    fn real(&mut self, path: &Path) -> PathBuf {
        recipe::real(path)
    }
}
