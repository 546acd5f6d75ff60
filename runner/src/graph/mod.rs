//! From recipes to the graph of builds: what needs what, each build once, in an order in which it can be built. Pure but for
//! the files that are read through what is handed in.

mod cells;
mod names;
mod need;
mod resolve;
pub mod show;
mod store;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

pub use self::resolve::resolve;
use crate::recipe::{self, Diagnostics, Facts, Given, Late, ReadError, Recipe};

/// All builds of one `pony-run`, needs before those that need them.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Each once.
    pub builds: Vec<Node>,
}

impl Graph {
    /// How many other builds these need, directly or through others.
    pub fn needed_by(&self, builds: &[usize]) -> usize {
        let mut seen: HashSet<usize> = builds.iter().copied().collect();
        let mut left = builds.to_vec();
        while let Some(build) = left.pop() {
            let needs = self.builds.get(build).into_iter().flat_map(|build| &build.needs);
            left.extend(needs.filter(|need| seen.insert(**need)));
        }
        seen.len() - builds.len()
    }
}

/// One build of the graph.
#[derive(Debug, Clone)]
pub struct Node {
    /// Of no other build of the graph; stable and readable: `zlib`, `zlib(shared=no)`, `app[3.13, sqlite]`.
    pub name: String,
    /// What is built, with names that are known only when it begins as they are written (`{{needs.zlib.prefix}}`, `{{jobs}}`).
    pub recipe: Recipe,
    /// What makes it this build of its recipe: its cell, and settings by which it is another than the plain one.
    pub set: Vec<(String, String)>,
    /// Places in [`Graph::builds`], in the order of the recipe's `needs`.
    pub needs: Vec<usize>,
    /// It was asked for on the command line.
    pub asked: bool,
}

impl Node {
    /// The recipe with all names filled in, for a build that begins now. The file is not read again.
    ///
    /// # Errors
    /// None that was not there when the graph was resolved, but for a need's output that `late` lacks.
    pub fn begin(&self, facts: &Facts, late: &Late) -> Result<Recipe, Diagnostics> {
        let given = Given { set: &self.set, facts, late: Some(late) };
        let recipe = recipe::load(&self.recipe.path, self.recipe.text.as_bytes(), &given)?.into_iter().next();
        let Some(mut recipe) = recipe else { return Ok(self.recipe.clone()) };
        // Whose endings may have been left out.
        recipe.needs.clone_from(&self.recipe.needs);
        Ok(recipe)
    }
}

/// What of which recipes is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Recipes of the command line.
    pub recipes: &'a [PathBuf],
    /// `--set`: for the recipes of the command line.
    pub set: &'a [(String, String)],
    /// `--matrix AXIS=VALUE`: cells of the recipes of the command line.
    pub cells: &'a [(String, String)],
}

/// What is wrong, one after another, rendered for people.
#[derive(Debug)]
pub struct Wrong {
    /// Each of them.
    pub errors: Vec<String>,
}

/// Where recipes are read from.
pub trait Files {
    /// The bytes of a recipe.
    ///
    /// # Errors
    /// As [`recipe::read`].
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError>;

    /// The names of the recipes in a folder, for suggestions.
    fn list(&mut self, folder: &Path) -> Vec<String>;

    /// `path` with no link among its folders: a recipe's own folder is what its relative paths begin at.
    fn real(&mut self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }
}

/// The machine's own files.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
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
