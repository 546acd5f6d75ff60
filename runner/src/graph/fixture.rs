//! Graphs for unit tests.

use std::path::{Path, PathBuf};

use super::{Graph, GraphRequest, RecipeFiles, resolve};
use crate::recipe::{PlatformFacts, ReadError};

/// Recipes by name, none of which is on disk.
struct Texts<'t>(&'t [(&'t str, &'t str)]);

impl RecipeFiles for Texts<'_> {
    fn read(&mut self, path: &Path) -> Result<Vec<u8>, ReadError> {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (_, more) = self.0.iter().find(|(known, _)| *known == name).unwrap();
        let package = if more.contains("package:") { String::new() } else { format!("package: {name}\n") };
        Ok(format!("{package}outputs: {{prefix: install}}\nsteps: [{{run: make}}]\n{more}\n").into_bytes())
    }

    fn list(&mut self, _: &Path) -> Vec<String> {
        Vec::new()
    }
}

/// The graph of the last of `recipes`, each a name and what it has besides a step and the output `prefix`.
pub(crate) fn graph(recipes: &[(&str, &str)]) -> Graph {
    let facts =
        PlatformFacts { cpus: 4, arch: "linux-x86_64".into(), host: "host".into(), cwd: "/recipes".into() };
    let (last, _) = recipes.last().unwrap();
    let request =
        GraphRequest { recipes: &[PathBuf::from(format!("{last}.yaml"))], settings: &[], cells: &[] };
    resolve(request, &facts, &mut Texts(recipes)).unwrap()
}
