//! Recipes and builds found so far, with their errors. Each file is read once, and loaded once for each set of settings.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use indexmap::IndexMap;
use pony_wire::ErrorMessage;

use super::{GraphError, GraphErrors, RecipeFiles};
use crate::recipe::{
    self, Diagnostic, Diagnostics, LoadError, LoadOptions, LoadedRecipe, Parsed, Places, PlatformFacts,
    ReadError, Recipe, RejectedSetting, did_you_mean, quoted, stem,
};

/// A graph with more builds is refused: its recipes probably multiply each other.
const MAX_BUILDS: usize = 20_000;

/// Total bytes of settings; more is refused for the same reason.
const MAX_SETTINGS: usize = 16 * 1024 * 1024;

/// Errors that are kept for a recipe; further ones are counted.
const MAX_ERRORS: usize = 100;

pub(super) struct RecipeFile {
    /// Absolute, without `.` and `..`.
    pub(super) path: PathBuf,
    /// The path in messages, and for reading.
    pub(super) display_path: PathBuf,
    /// `None` if it is not valid YAML.
    pub(super) parsed: Option<Parsed>,
    /// Errors of the recipe itself.
    pub(super) own_errors: Option<Diagnostics>,
    /// Errors of its needs.
    pub(super) need_errors: Vec<Diagnostic>,
    /// Errors of its needs that were only counted.
    pub(super) more_errors: usize,
}

/// Result of loading a file with some settings.
pub(super) enum LoadOutcome {
    /// One build for each cell.
    Builds(Vec<usize>),
    /// The recipe does not accept some of the settings.
    Rejected(Vec<RejectedSetting>),
    /// Its errors are recorded with the file.
    Failed,
}

pub(super) struct ResolvedBuild {
    pub(super) file: usize,
    pub(super) recipe: Recipe,
    pub(super) places: Places,
    pub(super) changed: Vec<(String, String)>,
    pub(super) needs: Vec<usize>,
}

/// What distinguishes builds: file, cell, settings.
type Identity = (usize, Settings, Settings);

type Settings = Vec<(String, String)>;

pub(super) struct GraphBuilder<'a, F> {
    pub(super) platform: &'a PlatformFacts,
    reader: &'a mut F,
    pub(super) files: Vec<RecipeFile>,
    by_path: HashMap<PathBuf, Result<usize, Rc<ReadError>>>,
    loads: HashMap<(usize, Settings), Rc<LoadOutcome>>,
    pub(super) builds: Vec<ResolvedBuild>,
    by_identity: HashMap<Identity, usize>,
    folders: HashMap<PathBuf, Vec<String>>,
    /// Bytes of all settings so far.
    settings: usize,
    /// Errors that belong to no recipe.
    pub(super) general: Vec<GraphError>,
    /// The graph is too large; that is reported.
    gave_up: bool,
}

impl<'a, F: RecipeFiles> GraphBuilder<'a, F> {
    pub(super) fn new(platform: &'a PlatformFacts, reader: &'a mut F) -> Self {
        Self {
            platform,
            reader,
            files: Vec::new(),
            by_path: HashMap::new(),
            loads: HashMap::new(),
            builds: Vec::new(),
            by_identity: HashMap::new(),
            folders: HashMap::new(),
            settings: 0,
            general: Vec::new(),
            gave_up: false,
        }
    }

    /// The file at an absolute path; read once.
    pub(super) fn file(&mut self, path: &Path, display_path: Option<&Path>) -> Result<usize, Rc<ReadError>> {
        let place = self.reader.real(path);
        if let Some(known) = self.by_path.get(&place) {
            return known.clone();
        }
        let display_path = display_path
            .unwrap_or_else(|| path.strip_prefix(&self.platform.cwd).unwrap_or(path))
            .to_path_buf();
        let read = self.reader.read(&display_path).map_err(Rc::new).map(|bytes| {
            let (parsed, own_errors) = match recipe::parse(&display_path, &bytes) {
                Ok(parsed) => (Some(parsed), None),
                Err(errors) => (None, Some(errors)),
            };
            self.files.push(RecipeFile {
                path: path.to_path_buf(),
                display_path,
                parsed,
                own_errors,
                need_errors: Vec::new(),
                more_errors: 0,
            });
            self.files.len() - 1
        });
        self.by_path.insert(place, read.clone());
        read
    }

    /// The file of a need; its extension may be missing.
    pub(super) fn needed_file(&mut self, path: &Path) -> Result<usize, Rc<ReadError>> {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if stem(&name) != name {
            return self.file(path, None);
        }
        let with_extension = |extension: &str| {
            let mut path = path.as_os_str().to_owned();
            path.push(extension);
            PathBuf::from(path)
        };
        match self.file(&with_extension(".yaml"), None) {
            Err(error) if matches!(*error, ReadError::Missing { .. }) => {
                self.file(&with_extension(".yml"), None).map_err(|_| error)
            }
            file => file,
        }
    }

    /// A hint for a missing recipe: the one that is probably meant, or those in the folder.
    pub(super) fn suggestion(&mut self, missing: &Path) -> String {
        let folder = missing.parent().unwrap_or(Path::new("")).to_path_buf();
        let reader = &mut *self.reader;
        let known = self.folders.entry(folder).or_insert_with_key(|folder| reader.list(folder));
        let name = missing.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let all = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        did_you_mean(&name, known.iter().map(String::as_str)).unwrap_or_else(|| match known.as_slice() {
            [] => "that folder contains no recipes".to_owned(),
            names @ [_, ..] if names.len() <= 8 => format!("that folder contains {}", all(names)),
            names => {
                format!("that folder contains {} and others", all(names.get(..8).unwrap_or_default()))
            }
        })
    }

    pub(super) fn load(&mut self, file: usize, settings: &[(String, String)]) -> Rc<LoadOutcome> {
        let mut last: IndexMap<&str, &str> = IndexMap::new();
        last.extend(settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        last.sort_unstable_keys();
        let settings: Settings =
            last.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let bytes: usize = settings.iter().map(|(name, value)| name.len() + value.len()).sum();
        let key = (file, settings);
        if let Some(known) = self.loads.get(&key) {
            return Rc::clone(known);
        }
        self.settings += bytes;
        let options = LoadOptions { settings: &key.1, platform: self.platform, deferred: None };
        let RecipeFile { display_path, parsed, .. } = &self.files[file];
        let loads = if self.settings > MAX_SETTINGS || self.builds.len() > MAX_BUILDS {
            self.give_up();
            LoadOutcome::Failed
        } else {
            let loaded = parsed.as_ref().map(|parsed| parsed.load(display_path, &options));
            loaded.map_or(LoadOutcome::Failed, |loaded| self.loaded(file, loaded))
        };
        let loads = Rc::new(loads);
        self.loads.insert(key, Rc::clone(&loads));
        loads
    }

    fn loaded(&mut self, file: usize, loaded: Result<Vec<LoadedRecipe>, LoadError>) -> LoadOutcome {
        match loaded {
            Ok(cells) => LoadOutcome::Builds(cells.into_iter().map(|one| self.build(file, one)).collect()),
            Err(LoadError { diagnostics, rejected }) => {
                let has_errors = diagnostics.is_some();
                if let Some(diagnostics) = diagnostics {
                    self.add_errors(file, diagnostics);
                }
                // Rejected settings are reported even if the recipe has errors of its own.
                if has_errors && rejected.is_empty() {
                    LoadOutcome::Failed
                } else {
                    LoadOutcome::Rejected(rejected)
                }
            }
        }
    }

    fn give_up(&mut self) {
        if !std::mem::replace(&mut self.gave_up, true) {
            let what =
                format!("the recipes have more than {MAX_BUILDS} builds, or settings of more than 16 MiB");
            let error = ErrorMessage::new(what).hint("do recipes multiply each other through `with`?");
            self.general.push(GraphError::Other(error));
        }
    }

    /// The build with this identity, added if it is new.
    fn build(&mut self, file: usize, loaded: LoadedRecipe) -> usize {
        let LoadedRecipe { recipe, places, changed } = loaded;
        let cell = recipe.cell.iter().map(|(axis, value)| (axis.clone(), value.clone())).collect();
        let identity = (file, cell, changed.clone());
        *self.by_identity.entry(identity).or_insert_with(|| {
            self.builds.push(ResolvedBuild { file, recipe, places, changed, needs: Vec::new() });
            self.builds.len() - 1
        })
    }

    /// Adds errors of a recipe itself.
    pub(super) fn add_errors(&mut self, file: usize, diagnostics: Diagnostics) {
        match &mut self.files[file].own_errors {
            Some(known) => known.join(diagnostics),
            none => *none = Some(diagnostics),
        }
    }

    /// Adds an error of a build's needs.
    pub(super) fn report(&mut self, build: usize, diagnostic: Diagnostic) {
        let RecipeFile { need_errors, more_errors, .. } = &mut self.files[self.builds[build].file];
        if need_errors.contains(&diagnostic) {
            // Another cell, or other settings, of the same recipe.
        } else if need_errors.len() < MAX_ERRORS {
            need_errors.push(diagnostic);
        } else {
            *more_errors += 1;
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        let has_errors = |file: &RecipeFile| file.own_errors.is_some() || !file.need_errors.is_empty();
        !self.general.is_empty() || self.files.iter().any(has_errors)
    }

    pub(super) fn errors(self) -> GraphErrors {
        let mut errors = self.general;
        for RecipeFile { display_path, parsed, own_errors, need_errors, more_errors, .. } in self.files {
            let mut all = own_errors;
            if !need_errors.is_empty() {
                let text = parsed.as_ref().map_or("", |parsed| &parsed.text);
                let need_errors = Diagnostics::new(&display_path, text, need_errors).and_more(more_errors);
                match &mut all {
                    Some(all) => all.join(need_errors),
                    none => *none = Some(need_errors),
                }
            }
            errors.extend(all.map(GraphError::Recipe));
        }
        GraphErrors(errors)
    }
}

/// The error with its source, in one line.
pub(super) fn one_line(error: &ReadError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
