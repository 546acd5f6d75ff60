//! Recipes: YAML text in; a fully resolved [`Recipe`], or every error of the file, out.
//!
//! Pure, except for [`read`], which reads the file. Anything may call it. The way of a recipe through the files here:
//! `read` (bytes) → `tree` (YAML with places) → `check` and `keys` (known keys, right shapes) → `matrix` (its cells; the rest
//! is done for each) → `template` and `variables` (`{{ }}` filled in) → `assemble` and `steps` (meaning) → the types of this file. A [`Recipe`] that
//! exists is valid; the format itself is described in `docs/recipes.md`.

mod assemble;
mod beside;
mod check;
mod credentials;
mod diagnostic;
pub(crate) mod duration;
mod keys;
mod late;
mod matrix;
mod needs;
mod read;
mod reader;
mod resolved;
mod schema;
mod source;
mod steps;
mod surroundings;
mod template;
mod tree;
mod upload;
mod variables;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indexmap::IndexMap;
use pony_contexts::{Private, Source, virtualenv};
use serde::{Deserialize, Serialize};

pub use self::{
    diagnostic::{Diagnostic, Diagnostics},
    needs::{Need, Weight},
    read::{ReadError, SIZE_LIMIT, list, read, real},
    schema::schema,
    upload::{PublicName, Upload},
};
pub(crate) use self::{
    diagnostic::{did_you_mean, quoted},
    late::OutputUse,
    needs::{NeedPlace, normal, stem},
    variables::RefusedSetting,
};

/// How long a whole run may take where the recipe does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_hours(4);

/// How long a step may print nothing where the recipe does not say.
pub const DEFAULT_QUIET_TIMEOUT: Duration = Duration::from_mins(20);

/// A recipe with nothing left to resolve: all templates are filled in, all defaults are in place.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Where it was read from, as given to [`load`].
    pub path: PathBuf,
    /// The source text (without a byte order mark).
    pub text: Arc<str>,
    /// What servers file results under: one line, no `/`, never empty.
    pub package: String,
    /// Free labels of this build slot, each once, in the order written.
    pub tags: Vec<String>,
    /// What is checked out or copied first; `None` builds without sources.
    pub source: Option<Source>,
    /// Where the steps run.
    pub context: Context,
    /// What each run gets of its own.
    pub private: Private,
    /// What steps see of the environment around.
    pub environment_from: EnvironmentFrom,
    /// Builds that come first.
    pub needs: Vec<Need>,
    /// What it hands on to builds that need it: paths in the tree, relative, without `..`.
    pub outputs: IndexMap<String, PathBuf>,
    /// Which cell of the matrix this is: a value for each axis, none without a matrix.
    pub cell: IndexMap<String, String>,
    /// How many of the builds that may run at once it counts as.
    pub weight: Weight,
    /// Bytes that it may take.
    pub memory: Option<u64>,
    /// What no two builds may use at once.
    pub locks: Vec<String>,
    /// Whether its steps share jobs with other builds by make's jobserver; where several builds run if it does not say.
    pub jobserver: Option<bool>,
    /// Set for every step, on top of the inherited environment.
    pub environment: IndexMap<String, String>,
    /// Resolved, with `--set` applied.
    pub variables: IndexMap<String, String>,
    /// Programs whose versions are reported.
    pub tools: Vec<String>,
    /// What counts as a change, for `--if-needed`.
    pub watch: Watch,
    /// `--if-needed` builds after so long even where nothing changed.
    pub force_every: Option<Duration>,
    /// For the whole run.
    pub timeout: Duration,
    /// At least one, in order, names unique.
    pub steps: Vec<Step>,
    /// Names of environment variables whose values must never be shown or recorded.
    pub secrets: Vec<String>,
    /// A server lists the slot as overdue when nothing came for so long.
    pub expect: Option<Duration>,
    /// Texts of it have `{{jobs}}` in them: it must be loaded again, with [`Late`], when the build begins.
    pub uses_jobs: bool,
    /// The same of `{{needs.NAME.OUTPUT}}`.
    pub uses_needs: bool,
}

/// Where the steps run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Context {
    /// A fresh folder that is removed afterwards.
    #[default]
    Tempdir,
    /// The sources' own folder, or the recipe's own where the recipe has no source.
    Here,
    /// A folder that lasts; absolute.
    Directory(PathBuf),
    /// A fresh folder, and a Python environment.
    Virtualenv(virtualenv::Wanted),
}

/// What steps see of the environment that pony-run is started in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentFrom {
    /// All of it but what changes builds behind one's back.
    #[default]
    Inherit,
    /// What programs cannot do without.
    Clean,
}

/// Which files count when it is asked whether something changed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Watch {
    /// Only these, as globs; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Not these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl Watch {
    /// No file is told from another.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a change of the file at `path` (from the top of the sources) counts.
    pub fn counts(&self, path: &str) -> bool {
        let any = |globs: &[String]| {
            globs
                .iter()
                .any(|glob| Self::pattern(glob).is_ok_and(|glob| glob.compile_matcher().is_match(path)))
        };
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    /// `*` stays in a folder, `**` does not.
    fn pattern(text: &str) -> Result<globset::Glob, globset::Error> {
        globset::GlobBuilder::new(text).literal_separator(true).build()
    }
}

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Unique in the recipe, one line.
    pub name: String,
    /// The protocol's `type`.
    pub kind: StepKind,
    /// What it does.
    pub action: Action,
    /// Relative, inside the tree (no `..`); `None` is the tree's root.
    pub cwd: Option<PathBuf>,
    /// Set for this step alone, on top of the recipe's.
    pub environment: IndexMap<String, String>,
    /// How long it may take; `None` is bounded by the run's timeout alone.
    pub timeout: Option<Duration>,
    /// How long it may print nothing.
    pub quiet_timeout: Duration,
    /// Its failure does not make the build fail, nor end it.
    pub allow_failure: bool,
    /// It runs even where an earlier step failed.
    pub always: bool,
    /// It is told how many jobs it may run at once: `{{jobs}}` is in it or in the recipe's environment.
    pub uses_jobs: bool,
    /// Line of the recipe's text where the step begins, from 1.
    pub line: usize,
}

/// A step's `type` in results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// Prepares the build.
    Setup,
    /// Builds.
    #[default]
    Build,
    /// Tests.
    Test,
    /// Makes or uploads what people download.
    Package,
}

impl StepKind {
    /// The word used in recipes and in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Build => "build",
            Self::Test => "test",
            Self::Package => "package",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Runs in `sh -e`; never blank.
    Script(String),
    /// Program and arguments, run as they are; at least the program.
    Program(Vec<String>),
    /// Sends files along with the result.
    Upload(Upload),
    /// The last step of a recipe with outputs: they must be there now.
    Outputs(IndexMap<String, PathBuf>),
}

/// What a recipe may know of the machine: `{{cpus}}`, `{{arch}}`, `{{host}}`, and where it is read from. Given, never
/// looked up here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How many processors the build may use, at least 1.
    pub cpus: usize,
    /// As results carry it, such as `linux-x86_64`.
    pub arch: String,
    /// This machine's name.
    pub host: String,
    /// The current directory, absolute: where relative paths of recipes on the command line begin.
    pub cwd: PathBuf,
}

/// What is known only when a build begins. Before that, these names stand for themselves in the texts of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Late {
    /// `{{jobs}}`: how many jobs its steps may run at once.
    pub jobs: usize,
    /// `{{needs.NAME.OUTPUT}}`: by name, then by output.
    pub needs: BTreeMap<String, BTreeMap<String, String>>,
}

/// What a recipe is read with.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// `--set name=value`: the variable or axis must be declared in the recipe, the value is taken as it is, the last one
    /// wins. An axis chooses the cells that have the value.
    pub set: &'a [(String, String)],
    /// Of the machine.
    pub facts: &'a Facts,
    /// Where the build begins now.
    pub late: Option<&'a Late>,
}

/// A recipe with what the graph must know of its text.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) recipe: Recipe,
    pub(crate) places: Places,
    /// Settings by which a variable has another value than the recipe gives it, in the order of its variables.
    pub(crate) changed: Vec<(String, String)>,
}

/// Where a recipe speaks of others.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// As [`Recipe::needs`].
    pub(crate) needs: Vec<NeedPlace>,
    /// The outputs that it uses, each once.
    pub(crate) outputs: Vec<OutputUse>,
}

/// Why a recipe does not load: one of the two at least.
#[derive(Debug)]
pub(crate) struct Failed {
    /// What is wrong with its text.
    pub(crate) diagnostics: Option<Diagnostics>,
    /// What it is given and does not take.
    pub(crate) refused: Vec<RefusedSetting>,
}

impl From<Diagnostics> for Failed {
    fn from(diagnostics: Diagnostics) -> Self {
        Self { diagnostics: Some(diagnostics), refused: Vec::new() }
    }
}

/// Turns the bytes of a recipe into the recipe of each cell of its matrix: one without a matrix, with an empty cell.
///
/// `path` is for messages and for what the recipe gives relative to its own folder, so that a [`Source`] of this
/// machine is an absolute path; nothing is read.
///
/// # Errors
/// Every error of the file and of [`Given::set`], in the order of the text.
pub fn load(path: &Path, bytes: &[u8], given: &Given<'_>) -> Result<Vec<Recipe>, Diagnostics> {
    match parse(path, bytes)?.load(path, given) {
        Ok(loaded) => Ok(loaded.into_iter().map(|loaded| loaded.recipe).collect()),
        Err(Failed { diagnostics, refused }) => {
            let diagnostics = diagnostics.unwrap_or_else(|| Diagnostics::new(path, "", Vec::new()));
            Err(diagnostics.and(refused.into_iter().map(RefusedSetting::diagnostic)))
        }
    }
}

/// A recipe's YAML, to be loaded in several ways.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) text: Arc<str>,
    tree: tree::Node,
}

/// Reads the YAML of a recipe.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, Diagnostics> {
    let text = match tree::decode(bytes) {
        Ok(text) => text,
        Err(refused) => return Err(refused.into_diagnostics(path)),
    };
    match tree::parse(text) {
        Ok(tree) => Ok(Parsed { text: text.into(), tree }),
        Err(error) => Err(Diagnostics::new(path, text, vec![*error])),
    }
}

impl Parsed {
    /// As [`load`].
    pub(crate) fn load(&self, path: &Path, given: &Given<'_>) -> Result<Vec<Loaded>, Failed> {
        assemble::recipes(path, &self.text, &self.tree, given)
    }
}

impl Recipe {
    /// The recipe as resolved, as a recipe: it loads to one recipe, equal to this one but for `path`, `text`, the
    /// `line` of steps and needs, and credentials in the source's URL, which are left out. One cell of a matrix is a matrix
    /// of one cell. What is known only when the build begins is in it by name, until it is known.
    pub fn resolved_yaml(&self) -> String {
        resolved::yaml(self)
    }
}
