//! Recipes: YAML text in; a resolved [`Recipe`], or every error of the file, out.
//!
//! Pure, except for [`read`], which reads files. A recipe passes through these files in order: `read` (bytes), `tree` (YAML
//! with positions), `check` and `keys` (known keys, right types), `matrix` (its cells; the rest is done for each cell),
//! `variables` and `template` (`{{name}}` filled in), `assemble` and `steps` (meaning), and ends as the types of this file.
//! A [`Recipe`] that exists is valid. `docs/src/recipes.md` describes the format.

mod assemble;
mod check;
mod context;
mod credentials;
mod deferred;
mod diagnostic;
pub(crate) mod duration;
mod keys;
mod matrix;
mod needs;
mod read;
mod reader;
mod resolved;
mod resources;
mod schema;
mod section;
mod source;
mod steps;
mod syntax;
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
use pony_contexts::{PrivateDirs, SourceSpec, VirtualenvSpec};
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    deferred::OutputUse,
    diagnostic::{did_you_mean, quoted},
    needs::{NeedPlace, normal, stem},
    syntax::explain as explain_yaml,
    variables::RejectedSetting,
};
pub use self::{
    diagnostic::{Diagnostic, Diagnostics},
    needs::{Need, Weight},
    read::{ReadError, list, read, real},
    schema::schema,
    tree::SIZE_LIMIT,
    upload::{PublicName, Upload},
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
    pub source: Option<SourceSpec>,
    /// Where the steps run.
    pub context: Context,
    /// What each run gets of its own.
    pub private: PrivateDirs,
    /// Which variables of pony-run's own environment steps inherit.
    pub environment_from: EnvironmentFrom,
    /// Builds that come first.
    pub needs: Vec<Need>,
    /// Paths that builds with this need can use: relative to the tree, without `..`.
    pub outputs: IndexMap<String, PathBuf>,
    /// The cell of the matrix: a value for each axis; empty without a matrix.
    pub cell: IndexMap<String, String>,
    /// How many of the concurrent builds (`-j`) it counts as.
    pub weight: Weight,
    /// Bytes that it may use.
    pub memory: Option<u64>,
    /// What no two builds may use at once.
    pub locks: Vec<String>,
    /// Whether steps are offered make's jobserver; `None` means only when several builds can run at once.
    pub jobserver: Option<bool>,
    /// Set for every step, on top of the inherited environment.
    pub environment: IndexMap<String, String>,
    /// Resolved, with `--set` applied.
    pub variables: IndexMap<String, String>,
    /// Programs whose versions are reported.
    pub tools: Vec<String>,
    /// What counts as a change, for `--if-needed`.
    pub watch: Watch,
    /// `--if-needed` builds after this time even if nothing changed.
    pub force_every: Option<Duration>,
    /// For the whole run.
    pub timeout: Duration,
    /// At least one, in order, names unique.
    pub steps: Vec<Step>,
    /// Names of environment variables whose values must never be shown or recorded.
    pub secrets: Vec<String>,
    /// A server lists the slot as overdue after this time without a result.
    pub expect: Option<Duration>,
    /// It contains `{{jobs}}`: load it again, with [`DeferredValues`], when the build begins.
    pub uses_jobs: bool,
    /// It contains `{{needs.NAME.OUTPUT}}`: load it again, as above.
    pub uses_needs: bool,
}

/// Where the steps run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Context {
    /// A new folder that is removed afterwards.
    #[default]
    Tempdir,
    /// The sources' own folder, or the recipe's own where the recipe has no source.
    Here,
    /// A folder that persists between runs; absolute.
    Directory(PathBuf),
    /// A new folder, and a Python environment.
    Virtualenv(VirtualenvSpec),
}

/// Which variables of pony-run's own environment steps inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentFrom {
    /// All but those that affect builds unnoticed, such as `MAKEFLAGS`.
    #[default]
    Inherit,
    /// Only those that programs cannot do without, such as `HOME` and `PATH`.
    Clean,
}

/// Which changed files make `--if-needed` build.
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
    /// Every file counts.
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

    /// `*` does not match `/`, `**` does.
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
    /// How long it may take; `None` means only the run's timeout applies.
    pub timeout: Option<Duration>,
    /// How long it may print nothing.
    pub quiet_timeout: Duration,
    /// Its failure neither fails nor ends the build.
    pub allow_failure: bool,
    /// It runs even if an earlier step failed.
    pub always: bool,
    /// `{{jobs}}` is in it or in the recipe's environment, so it takes job tokens before it begins.
    pub uses_jobs: bool,
    /// Line of the recipe where the step begins, from 1.
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
    /// Collects files that are sent with the result.
    Upload(Upload),
    /// The last step of a recipe with outputs: checks that they exist.
    Outputs(IndexMap<String, PathBuf>),
}

/// The machine that a recipe is resolved for: the built-in values `{{cpus}}`, `{{arch}}`, `{{host}}`, and the current directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformFacts {
    /// Processors that the build may use, at least 1.
    pub cpus: usize,
    /// As results carry it, such as `linux-x86_64`.
    pub arch: String,
    /// This machine's name.
    pub host: String,
    /// The current directory, absolute: relative paths of recipes begin here.
    pub cwd: PathBuf,
}

/// Values that are known only when a build begins. Until then, `{{jobs}}` and `{{needs.…}}` stay in the texts of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeferredValues {
    /// `{{jobs}}`: how many jobs its steps may run at once.
    pub jobs: usize,
    /// `{{needs.NAME.OUTPUT}}`: by name, then by output.
    pub needs: BTreeMap<String, BTreeMap<String, String>>,
}

/// How a recipe is loaded.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions<'a> {
    /// `--set name=value`: the recipe must declare the variable or axis, the value may not contain templates, the last one
    /// wins. An axis selects the cells with that value.
    pub settings: &'a [(String, String)],
    /// Built-in values.
    pub platform: &'a PlatformFacts,
    /// Given when the build begins.
    pub deferred: Option<&'a DeferredValues>,
}

/// A recipe, and what the graph needs to know about its text.
#[derive(Debug, Clone)]
pub(crate) struct LoadedRecipe {
    pub(crate) recipe: Recipe,
    pub(crate) places: Places,
    /// Settings that differ from the recipe's own values, in the order of its variables.
    pub(crate) changed: Vec<(String, String)>,
}

/// Where a recipe refers to other recipes.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// As [`Recipe::needs`].
    pub(crate) needs: Vec<NeedPlace>,
    /// The outputs that it uses, each once.
    pub(crate) outputs: Vec<OutputUse>,
}

/// Why a recipe does not load: errors of its text, rejected settings, or both.
#[derive(Debug)]
pub(crate) struct LoadError {
    pub(crate) diagnostics: Option<Diagnostics>,
    pub(crate) rejected: Vec<RejectedSetting>,
}

impl From<Diagnostics> for LoadError {
    fn from(diagnostics: Diagnostics) -> Self {
        Self { diagnostics: Some(diagnostics), rejected: Vec::new() }
    }
}

/// Turns the bytes of a recipe into one recipe for each cell of its matrix; without a matrix there is one, with an empty cell.
///
/// `path` is used in messages and to make the recipe's relative paths absolute; no file is read.
///
/// # Errors
/// Every error of the file and of [`LoadOptions::settings`], in the order of the text.
pub fn load(path: &Path, bytes: &[u8], options: &LoadOptions<'_>) -> Result<Vec<Recipe>, Diagnostics> {
    match parse(path, bytes)?.load(path, options) {
        Ok(loaded) => Ok(loaded.into_iter().map(|loaded| loaded.recipe).collect()),
        Err(LoadError { diagnostics, rejected }) => {
            let diagnostics = diagnostics.unwrap_or_else(|| Diagnostics::new(path, "", Vec::new()));
            Err(diagnostics.and(rejected.into_iter().map(RejectedSetting::diagnostic)))
        }
    }
}

/// A recipe's YAML, to be loaded several times with different settings.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) text: Arc<str>,
    tree: tree::Node,
}

/// Reads the YAML of a recipe.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed, Diagnostics> {
    let text = match tree::decode(bytes) {
        Ok(text) => text,
        Err(not_text) => return Err(not_text.into_diagnostics(path)),
    };
    match tree::parse(text) {
        Ok(tree) => Ok(Parsed { text: text.into(), tree }),
        Err(error) => Err(Diagnostics::new(path, text, vec![*error])),
    }
}

impl Parsed {
    /// As [`load`].
    pub(crate) fn load(
        &self,
        path: &Path,
        options: &LoadOptions<'_>,
    ) -> Result<Vec<LoadedRecipe>, LoadError> {
        assemble::recipes(path, &self.text, &self.tree, options)
    }
}

impl Recipe {
    /// The resolved recipe as YAML. It loads to a recipe that is equal to this one except for `path`, `text`, the `line` of
    /// steps and needs, and credentials in URLs, which are left out. A cell of a matrix becomes a matrix with one cell.
    /// Deferred values stay templates.
    pub fn resolved_yaml(&self) -> String {
        resolved::yaml(self)
    }
}
