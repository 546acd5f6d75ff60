//! What a recipe says about other builds: `needs` and `outputs`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    num::NonZeroUsize,
    ops::Range,
    path::{Component, Path, PathBuf},
};

use indexmap::IndexMap;
use pony_contexts::chain::EnvironmentUse;

use super::{
    Action, DEFAULT_QUIET_TIMEOUT, Step, StepKind,
    check::Fields,
    diagnostic::{Diagnostic, did_you_mean, quoted},
    keys::{NEED, WITHOUT},
    reader::Reader,
    template,
    tree::{Node, Value},
};

/// A build that comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The recipe's file, absolute, without `.` and `..`. The extension may be missing.
    pub recipe: PathBuf,
    /// Its name in `{{needs.NAME.OUTPUT}}`.
    pub name: String,
    /// Values for its variables and axes.
    pub with: Vec<(String, String)>,
    /// The recipe's key `without`: what its outputs are not used for.
    pub except: BTreeSet<EnvironmentUse>,
    /// Line in the recipe, from 1.
    pub line: usize,
}

/// How many of the concurrent builds (`-j`) a build counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// At least 1.
    Slots(NonZeroUsize),
    /// All of them: it runs alone.
    All,
}

impl Default for Weight {
    fn default() -> Self {
        Self::Slots(NonZeroUsize::MIN)
    }
}

/// Where a [`Need`] stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NeedPlace {
    pub(crate) recipe: Range<usize>,
    /// The keys of `with`, in the order of [`Need::with`].
    pub(crate) with: Vec<Range<usize>>,
}

/// Name of the step that checks outputs.
pub(super) const OUTPUTS: &str = "outputs";

/// A recipe's file name without its extension.
pub(crate) fn stem(file: &str) -> &str {
    file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
}

/// The path without `.` and `..`, resolved by name like a shell's `cd`: links are not followed.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => normal.push(component),
        }
    }
    normal
}

/// The words of the key `without`.
pub(super) fn words(except: &BTreeSet<EnvironmentUse>) -> Vec<&'static str> {
    let word = |usage: &EnvironmentUse| match usage {
        EnvironmentUse::Path => "PATH",
        EnvironmentUse::PkgConfigPath => "PKG_CONFIG_PATH",
        EnvironmentUse::CmakePrefixPath => "CMAKE_PREFIX_PATH",
        EnvironmentUse::LdLibraryPath => "LD_LIBRARY_PATH",
        EnvironmentUse::CIncludePath => "C_INCLUDE_PATH",
        EnvironmentUse::LibraryPath => "LIBRARY_PATH",
        EnvironmentUse::Wheels => "wheels",
    };
    except.iter().map(word).collect()
}

fn uses(word: &str) -> &'static [EnvironmentUse] {
    match word {
        "PATH" => &[EnvironmentUse::Path],
        "PKG_CONFIG_PATH" => &[EnvironmentUse::PkgConfigPath],
        "CMAKE_PREFIX_PATH" => &[EnvironmentUse::CmakePrefixPath],
        "LD_LIBRARY_PATH" => &[EnvironmentUse::LdLibraryPath],
        "C_INCLUDE_PATH" => &[EnvironmentUse::CIncludePath],
        "LIBRARY_PATH" => &[EnvironmentUse::LibraryPath],
        "wheels" => &[EnvironmentUse::Wheels],
        _ => &[
            EnvironmentUse::Path,
            EnvironmentUse::PkgConfigPath,
            EnvironmentUse::CmakePrefixPath,
            EnvironmentUse::LdLibraryPath,
            EnvironmentUse::CIncludePath,
            EnvironmentUse::LibraryPath,
        ],
    }
}

/// Reads `needs` of a recipe in `folder`.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    node: &'t Node,
    folder: &Path,
) -> (Vec<Need>, Vec<NeedPlace>) {
    let (mut needs, mut places) = (Vec::new(), Vec::new());
    let mut named: HashMap<String, Range<usize>> = HashMap::new();
    let items = reader.checker.list(node, "`needs`", "[zlib]");
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, "`needs` is empty")
                .label("expected at least one recipe")
                .hint("remove it, or list recipes: `needs: [zlib]`")
        });
    }
    for item in items {
        let Some((need, place)) = reader.need(item, folder) else { continue };
        if let Some(earlier) = named.get(&need.name).cloned() {
            reader.checker.wrong(item, |at| {
                // Of a map, the recipe in it is the place to show.
                let at = if matches!(item.value, Value::Map(_)) { place.recipe } else { at };
                Diagnostic::at(at, format!("two needs are named {}", quoted(&need.name)))
                    .label("again here")
                    .also(earlier, "first here")
                    .hint("give one of them another name with `as`")
            });
            continue;
        }
        named.insert(need.name.clone(), place.recipe.clone());
        needs.push(need);
        places.push(place);
    }
    (needs, places)
}

/// Reads `outputs`.
pub(super) fn outputs<'t>(reader: &mut Reader<'t>, node: &'t Node) -> IndexMap<String, PathBuf> {
    let mut outputs = IndexMap::new();
    let entries = reader.checker.entries(node, "`outputs`", "{prefix: install}");
    if matches!(&node.value, Value::Map(map) if map.is_empty()) {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, "`outputs` is empty")
                .label("expected at least one output")
                .hint("remove it, or name a path: `outputs: {prefix: install}`")
        });
    }
    for (name, key, node) in entries {
        if !template::is_name(name) || name.contains('.') {
            reader.checker.wrong(key, |at| {
                Diagnostic::at(at, format!("{} cannot be the name of an output", quoted(name)))
                    .label("expected letters, digits, `_` or `-`, beginning with a letter")
            });
            continue;
        }
        let errors = reader.checker.count();
        match reader.inner_path(node, &format!("the output {}", quoted(name))) {
            Some(path) => drop(outputs.insert(name.to_owned(), path)),
            None if reader.checker.count() > errors => {}
            None => reader.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("the output {} cannot be the whole tree", quoted(name)))
                    .label("expected a path in the tree")
                    .hint("install into a folder of the tree: `make install prefix=$PWD/install`")
            }),
        }
    }
    outputs
}

/// The last step of a recipe with outputs; it checks that they exist.
pub(super) fn outputs_step(outputs: &IndexMap<String, PathBuf>, line: usize) -> Step {
    Step {
        name: OUTPUTS.to_owned(),
        kind: StepKind::Package,
        action: Action::Outputs(outputs.clone()),
        cwd: None,
        environment: IndexMap::new(),
        timeout: None,
        quiet_timeout: DEFAULT_QUIET_TIMEOUT,
        allow_failure: false,
        always: false,
        uses_jobs: false,
        line,
    }
}

/// Reports templates that name a need which does not exist. Whether it has that output is for the graph to check.
pub(super) fn check_names(reader: &mut Reader<'_>, fields: &Fields<'_>, needs: &[Need]) {
    let known: HashSet<&str> = needs.iter().map(|need| need.name.as_str()).collect();
    let are_wrong = match fields.get("needs").map(|node| &node.value) {
        Some(Value::List(items)) => items.len() != needs.len(),
        Some(_) => true,
        None => false,
    };
    for used in &reader.scope.outputs {
        if known.contains(used.need.as_str()) {
            continue;
        }
        let meant = did_you_mean(&used.need, needs.iter().map(|need| need.name.as_str()));
        // It may be one of the needs with errors.
        if are_wrong && meant.is_none() {
            continue;
        }
        let place = if reader.checker.is_full() { 0..0 } else { used.place(reader.checker.text) };
        reader.checker.report(
            Diagnostic::at(place, format!("there is no need called {}", quoted(&used.need)))
                .label("not an entry of `needs`")
                .hint(meant.unwrap_or_else(|| format!("add it: `needs: [{}]`", used.need))),
        );
    }
}

impl<'t> Reader<'t> {
    fn need(&mut self, item: &'t Node, folder: &Path) -> Option<(Need, NeedPlace)> {
        let fields = match item.value {
            Value::Map(_) => Some(self.checker.fields(item, &NEED, "{recipe: zlib.yaml}")?),
            _ => None,
        };
        let get = |name: &str| fields.as_ref().and_then(|fields| fields.get(name));
        let node = if fields.is_some() { get("recipe") } else { Some(item) };
        let with = get("with").map(|node| self.with(node)).unwrap_or_default();
        let except = get("without").map(|node| self.except(node)).unwrap_or_default();
        let name = get("as").map(|node| self.need_name(node));
        let node = node?;
        let recipe = self.need_recipe(node, folder)?;
        let name = match name {
            Some(name) => name?,
            None => self.name_of_file(node, &recipe)?,
        };
        let begin = item.used_at.as_ref().unwrap_or(&item.at).start;
        let line = self.checker.line(begin);
        let (places, with) = with.into_iter().unzip();
        let place = NeedPlace { recipe: node.at.clone(), with: places };
        Some((Need { recipe, name, with, except, line }, place))
    }

    fn need_recipe(&mut self, node: &'t Node, folder: &Path) -> Option<PathBuf> {
        let text = self.line(node, "the recipe of a need")?;
        self.no_home(node, &text)?;
        let is_folder = text.ends_with('/') || matches!(text.rsplit('/').next(), Some("." | ".." | ""));
        if is_folder {
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("{} is a folder, not a recipe", quoted(&text)))
                    .label("expected a recipe")
                    .hint("name the recipe file in it")
            });
            return None;
        }
        Some(normal(&folder.join(text)))
    }

    fn need_name(&mut self, node: &'t Node) -> Option<String> {
        let name = self.plain(node, "`as`")?;
        if template::is_name(name) {
            return Some(name.to_owned());
        }
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("{} cannot be the name of a need", quoted(name)))
                .label("expected letters, digits, `_`, `-` or `.`, beginning with a letter")
        });
        None
    }

    fn name_of_file(&mut self, node: &'t Node, recipe: &Path) -> Option<String> {
        let file = recipe.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = stem(file);
        if template::is_name(name) {
            return Some(name.to_owned());
        }
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("{} cannot be the name of a need", quoted(name)))
                .label("a need is named after its file")
                .hint("give it a name: `{recipe: …, as: NAME}`")
        });
        None
    }

    /// Settings, with the positions of their names.
    fn with(&mut self, node: &'t Node) -> Vec<(Range<usize>, (String, String))> {
        let mut with = Vec::new();
        for (name, key, node) in self.checker.entries(node, "`with`", r#"{shared: "no"}"#) {
            let value = self.scope.fill(&mut self.checker, node, &format!("the value for {}", quoted(name)));
            with.extend(value.map(|value| (key.at.clone(), (name.to_owned(), value))));
        }
        with
    }

    fn except(&mut self, node: &'t Node) -> BTreeSet<EnvironmentUse> {
        let mut except = BTreeSet::new();
        for node in self.checker.list(node, "`without`", "[PATH]") {
            let word = self.checker.choice(node, "an entry of `without`", WITHOUT);
            except.extend(word.into_iter().flat_map(uses));
        }
        except
    }
}
