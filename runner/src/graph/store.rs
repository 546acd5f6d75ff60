//! The recipes and builds that are known so far, and what is wrong with them. Each file is read once, and each recipe is loaded
//! once for each way in which it is set.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use indexmap::IndexMap;

use super::{Files, Wrong};
use crate::recipe::{
    self, Diagnostic, Diagnostics, Facts, Failed, Given, Loaded, Parsed, Places, ReadError, Recipe,
    RefusedSetting, did_you_mean, quoted, stem,
};

/// More builds are recipes that multiply without end.
const MOST_BUILDS: usize = 20_000;

/// More bytes of settings are settings that grow without end.
const MOST_SETTINGS: usize = 16 * 1024 * 1024;

/// Errors of one recipe that are kept.
const MOST_ERRORS: usize = 100;

/// A recipe's file.
pub(super) struct File {
    /// Absolute, without `.` and `..`.
    pub(super) path: PathBuf,
    /// As messages name it, and as it is read.
    pub(super) shown: PathBuf,
    /// None if it is no YAML.
    pub(super) parsed: Option<Parsed>,
    /// What is wrong with it by itself.
    pub(super) wrong: Option<Diagnostics>,
    /// What is wrong with its needs; no more than this are kept, the rest is counted.
    pub(super) found: Vec<Diagnostic>,
    pub(super) more: usize,
}

/// What a file loads to with some settings.
pub(super) enum Loads {
    /// Builds, one for each cell.
    Builds(Vec<usize>),
    /// It does not take some of the settings.
    Refused(Vec<RefusedSetting>),
    /// What is wrong is told where it is.
    Wrong,
}

pub(super) struct Build {
    pub(super) file: usize,
    pub(super) recipe: Recipe,
    pub(super) places: Places,
    pub(super) changed: Vec<(String, String)>,
    pub(super) needs: Vec<usize>,
}

/// What tells builds of one file apart.
type Identity = (usize, Settings, Settings);

type Settings = Vec<(String, String)>;

pub(super) struct Store<'a, F> {
    pub(super) facts: &'a Facts,
    reader: &'a mut F,
    pub(super) files: Vec<File>,
    by_path: HashMap<PathBuf, Result<usize, Rc<ReadError>>>,
    loads: HashMap<(usize, Settings), Rc<Loads>>,
    pub(super) builds: Vec<Build>,
    by_identity: HashMap<Identity, usize>,
    folders: HashMap<PathBuf, Vec<String>>,
    /// Bytes of all settings so far.
    settings: usize,
    /// Errors of no recipe.
    pub(super) general: Vec<String>,
    /// It grows without end; that is told.
    gave_up: bool,
}

impl<'a, F: Files> Store<'a, F> {
    pub(super) fn new(facts: &'a Facts, reader: &'a mut F) -> Self {
        Self {
            facts,
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

    // -- files

    /// The file at an absolute path; read once.
    pub(super) fn file(&mut self, path: &Path, shown: Option<&Path>) -> Result<usize, Rc<ReadError>> {
        let place = self.reader.real(path);
        if let Some(known) = self.by_path.get(&place) {
            return known.clone();
        }
        let shown = shown.unwrap_or_else(|| path.strip_prefix(&self.facts.cwd).unwrap_or(path)).to_path_buf();
        let read = self.reader.read(&shown).map_err(Rc::new).map(|bytes| {
            let (parsed, wrong) = match recipe::parse(&shown, &bytes) {
                Ok(parsed) => (Some(parsed), None),
                Err(wrong) => (None, Some(wrong)),
            };
            let file = File { path: path.to_path_buf(), shown, parsed, wrong, found: Vec::new(), more: 0 };
            self.files.push(file);
            self.files.len() - 1
        });
        self.by_path.insert(place, read.clone());
        read
    }

    /// The file that a need names; its ending may be left out.
    pub(super) fn needed_file(&mut self, path: &Path) -> Result<usize, Rc<ReadError>> {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if stem(&name) != name {
            return self.file(path, None);
        }
        let ending = |ending: &str| {
            let mut path = path.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        match self.file(&ending(".yaml"), None) {
            Err(error) if matches!(*error, ReadError::Missing { .. }) => {
                self.file(&ending(".yml"), None).map_err(|_| error)
            }
            file => file,
        }
    }

    /// The recipe of that folder that is probably meant, or those that there are.
    pub(super) fn suggestion(&mut self, missing: &Path) -> String {
        let folder = missing.parent().unwrap_or(Path::new("")).to_path_buf();
        let reader = &mut *self.reader;
        let known = self.folders.entry(folder).or_insert_with_key(|folder| reader.list(folder));
        let name = missing.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let all = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
        did_you_mean(&name, known.iter().map(String::as_str)).unwrap_or_else(|| match known.as_slice() {
            [] => "no recipes are in that folder".to_owned(),
            names @ [_, ..] if names.len() <= 8 => format!("in that folder there are {}", all(names)),
            names => {
                format!("in that folder there are {} and others", all(names.get(..8).unwrap_or_default()))
            }
        })
    }

    // -- recipes

    pub(super) fn load(&mut self, file: usize, set: &[(String, String)]) -> Rc<Loads> {
        let mut last: IndexMap<&str, &str> = IndexMap::new();
        last.extend(set.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        last.sort_unstable_keys();
        let set: Settings =
            last.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let bytes: usize = set.iter().map(|(name, value)| name.len() + value.len()).sum();
        let key = (file, set);
        if let Some(known) = self.loads.get(&key) {
            return Rc::clone(known);
        }
        self.settings += bytes;
        let given = Given { set: &key.1, facts: self.facts, late: None };
        let File { shown, parsed, .. } = &self.files[file];
        let loads = if self.settings > MOST_SETTINGS || self.builds.len() > MOST_BUILDS {
            self.give_up();
            Loads::Wrong
        } else {
            let loaded = parsed.as_ref().map(|parsed| parsed.load(shown, &given));
            loaded.map_or(Loads::Wrong, |loaded| self.loaded(file, loaded))
        };
        let loads = Rc::new(loads);
        self.loads.insert(key, Rc::clone(&loads));
        loads
    }

    fn loaded(&mut self, file: usize, loaded: Result<Vec<Loaded>, Failed>) -> Loads {
        match loaded {
            Ok(cells) => Loads::Builds(cells.into_iter().map(|one| self.build(file, one)).collect()),
            Err(Failed { diagnostics, refused }) => {
                let is_wrong = diagnostics.is_some();
                if let Some(diagnostics) = diagnostics {
                    self.wrong_in(file, diagnostics);
                }
                // What it is given is told even so, if anything is wrong with that.
                if is_wrong && refused.is_empty() { Loads::Wrong } else { Loads::Refused(refused) }
            }
        }
    }

    fn give_up(&mut self) {
        if !std::mem::replace(&mut self.gave_up, true) {
            self.general.push(format!(
                "pony-run: more than {MOST_BUILDS} builds, or settings of more than 16 MiB: do recipes multiply each other by \
                 what they give to their needs?"
            ));
        }
    }

    /// The same as one that is known, or a new one.
    fn build(&mut self, file: usize, loaded: Loaded) -> usize {
        let Loaded { recipe, places, changed } = loaded;
        let cell = recipe.cell.iter().map(|(axis, value)| (axis.clone(), value.clone())).collect();
        let identity = (file, cell, changed.clone());
        *self.by_identity.entry(identity).or_insert_with(|| {
            self.builds.push(Build { file, recipe, places, changed, needs: Vec::new() });
            self.builds.len() - 1
        })
    }

    // -- what is wrong

    pub(super) fn wrong_in(&mut self, file: usize, diagnostics: Diagnostics) {
        match &mut self.files[file].wrong {
            Some(known) => known.join(diagnostics),
            none => *none = Some(diagnostics),
        }
    }

    /// Something that a build's recipe says of others is wrong.
    pub(super) fn report(&mut self, build: usize, diagnostic: Diagnostic) {
        let File { found, more, .. } = &mut self.files[self.builds[build].file];
        if found.contains(&diagnostic) {
            // Of another cell, or with other settings.
        } else if found.len() < MOST_ERRORS {
            found.push(diagnostic);
        } else {
            *more += 1;
        }
    }

    pub(super) fn is_right(&self) -> bool {
        self.general.is_empty() && self.files.iter().all(|file| file.wrong.is_none() && file.found.is_empty())
    }

    pub(super) fn wrong(self, colour: bool) -> Wrong {
        let mut errors = self.general;
        for File { shown, parsed, wrong, found, more, .. } in self.files {
            let mut all = wrong;
            if !found.is_empty() {
                let text = parsed.as_ref().map_or("", |parsed| &parsed.text);
                let found = Diagnostics::new(&shown, text, found).and_more(more);
                match &mut all {
                    Some(all) => all.join(found),
                    none => *none = Some(found),
                }
            }
            errors.extend(all.map(|all| all.render(colour)));
        }
        Wrong { errors }
    }
}

/// The whole error in one line.
pub(super) fn told(error: &ReadError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
