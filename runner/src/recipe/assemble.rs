//! From checked fields to [`Recipe`]s, one for each cell of the matrix: everything but the steps.

use std::{path::Path, sync::Arc};

use indexmap::IndexMap;

use super::{
    DEFAULT_TIMEOUT, Diagnostics, EnvironmentFrom, Failed, Given, Loaded, Places, Recipe, Watch,
    check::{Checker, Fields},
    diagnostic::{Diagnostic, quoted},
    keys::{ENVIRONMENTS, RECIPE, WATCH},
    late::Uses,
    matrix::Matrix,
    needs::{self, OUTPUTS},
    reader::{Reader, is_environment_name, not_an_environment_name},
    source, steps, surroundings,
    tree::{Node, Value},
    variables::{Cell, FILLED_LIMIT, RefusedSetting, Scope},
};

/// Reads the whole tree; `path` is only looked at for the recipe's folder.
pub(super) fn recipes(
    path: &Path,
    kept: &Arc<str>,
    tree: &Node,
    given: &Given<'_>,
) -> Result<Vec<Loaded>, Failed> {
    let text: &str = kept;
    let mut checker = Checker::new(text);
    if matches!(tree.value, Value::Null) {
        let error =
            Diagnostic::at(0..0, "the recipe is empty").help("it needs at least `package` and `steps`");
        return Err(Failed::from(Diagnostics::new(path, text, vec![error])));
    }
    let mut refused = Vec::new();
    let Some(fields) = checker.fields(tree, &RECIPE, "{package: hello, steps: [{run: make}]}") else {
        return Err(failed(path, text, checker, refused));
    };
    let mut matrix = Matrix::read(&mut checker, fields.get("matrix"), fields.get("variables"));
    let set = matrix.choose(given.set, &mut refused);
    let of_axes = refused.len();
    let mut room = FILLED_LIMIT;
    let mut loaded = Vec::with_capacity(matrix.cells.len());
    for cell in &matrix.cells {
        let cell = OneCell { path, text, kept, fields: &fields, matrix: &matrix, cell, set: &set };
        // What is refused is the same for each.
        refused.truncate(of_axes);
        let (recipe, found) = cell.recipe(given, &mut room, &mut refused);
        loaded.extend(recipe);
        checker.absorb(found);
        if checker.is_full() {
            break;
        }
    }
    if checker.has_errors() || !refused.is_empty() {
        return Err(failed(path, text, checker, refused));
    }
    Ok(loaded)
}

/// What is wrong with the text, and with what it is given.
fn failed(path: &Path, text: &str, checker: Checker<'_>, refused: Vec<RefusedSetting>) -> Failed {
    let (found, more) = checker.into_errors();
    let diagnostics = (!found.is_empty()).then(|| Diagnostics::new(path, text, found).and_more(more));
    Failed { diagnostics, refused }
}

/// What one recipe is made from.
struct OneCell<'a, 't> {
    path: &'a Path,
    text: &'t str,
    kept: &'a Arc<str>,
    fields: &'a Fields<'t>,
    matrix: &'a Matrix<'t>,
    cell: &'t Cell<'t>,
    set: &'a IndexMap<&'a str, &'a str>,
}

impl<'t> OneCell<'_, 't> {
    fn recipe(
        &self,
        given: &Given<'t>,
        room: &mut usize,
        refused: &mut Vec<RefusedSetting>,
    ) -> (Option<Loaded>, Checker<'t>) {
        let Self { path, text, fields, .. } = *self;
        let mut checker = Checker::new(text);
        let variables = fields.get("variables");
        let scope = Scope::resolve(&mut checker, variables, self.cell, self.set, given, (*room, refused));
        let mut reader = Reader { checker, scope };

        reader.version(fields);
        let package = fields.get("package").and_then(|node| reader.package(node));
        let mut tags = reader.tags(fields);
        self.matrix.add_tags(self.cell, &mut tags);
        let path_from_root = given.facts.cwd.join(path);
        let folder = path_from_root.parent().unwrap_or(&given.facts.cwd);
        let source = fields.get("source").and_then(|node| source::read(&mut reader, node, folder));
        let context = surroundings::context(&mut reader, fields, source.as_ref(), folder);
        surroundings::check_outputs(&mut reader, fields, &context);
        let private =
            fields.get("private").map(|node| surroundings::private(&mut reader, node)).unwrap_or_default();
        let environment_from = reader.environment_from(fields);
        let needs = fields.get("needs").map(|node| needs::read(&mut reader, node, folder));
        let (needs, needed_at) = needs.unwrap_or_default();
        let outputs = fields.get("outputs").map(|node| needs::outputs(&mut reader, node)).unwrap_or_default();
        let weight = fields.get("weight").and_then(|node| reader.weight(node)).unwrap_or_default();
        let memory = fields.get("memory").and_then(|node| reader.memory(node));
        let locks = fields.get("locks").map(|node| reader.locks(node)).unwrap_or_default();
        let jobserver = fields.get("jobserver").and_then(|node| reader.checker.flag(node, "`jobserver`"));
        let tools = fields.get("tools").map(|node| reader.tools(node)).unwrap_or_default();
        let watch = fields.get("watch").map(|node| reader.watch(node)).unwrap_or_default();
        let mut duration = |name: &str| {
            fields.get(name).and_then(|node| reader.checker.duration(node, &format!("`{name}`")))
        };
        let (force_every, timeout, expect) =
            (duration("force-every"), duration("timeout"), duration("expect"));
        // Every step sees what of the environment waits until the build begins.
        let before = std::mem::take(&mut reader.scope.uses);
        let environment = fields.get("environment").map(|node| reader.environment(node, "`environment`"));
        let of_all_steps = reader.scope.uses;
        reader.scope.uses |= before;
        let secrets = reader.secrets(fields);
        let taken = (!outputs.is_empty()).then(|| fields.place("outputs")).flatten();
        let begins = taken.as_ref().map(|place| reader.checker.line(place.start));
        let taken = taken.map(|place| (OUTPUTS, place));
        let steps = fields.get("steps").map(|node| steps::read(&mut reader, node, &secrets, taken));
        let mut steps = steps.unwrap_or_default();
        for step in &mut steps {
            step.uses_jobs |= of_all_steps.jobs;
        }
        steps.extend(begins.map(|line| needs::outputs_step(&outputs, line)));
        needs::check_names(&mut reader, fields, &needs);

        let Reader { checker, scope } = reader;
        *room = scope.room();
        if checker.has_errors() {
            return (None, checker);
        }
        // With their values, the texts have nothing more that waits.
        let uses = if given.late.is_some() { Uses::default() } else { scope.all_uses() };
        let places = Places { needs: needed_at, outputs: scope.outputs.clone() };
        let changed = scope.changed.clone();
        let recipe = Recipe {
            path: path.to_owned(),
            text: Arc::clone(self.kept),
            package: package.unwrap_or_default(),
            tags,
            source,
            context,
            private,
            environment_from,
            needs,
            outputs,
            cell: self
                .cell
                .iter()
                .filter_map(|(axis, value)| Some(((*axis).into(), (*value)?.into())))
                .collect(),
            weight,
            memory,
            locks,
            jobserver,
            environment: environment.unwrap_or_default(),
            tools,
            watch,
            force_every,
            variables: scope.into_variables(),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            steps,
            secrets,
            expect,
            uses_jobs: uses.jobs,
            uses_needs: uses.needs,
        };
        (Some(Loaded { recipe, places, changed }), checker)
    }
}

impl<'t> Reader<'t> {
    fn version(&mut self, fields: &Fields<'t>) {
        let Some(node) = fields.get("version") else { return };
        let version = match node.value {
            Value::Number => node.scalar(self.checker.text),
            _ => None,
        };
        match version {
            Some("1") => {}
            Some(other) => self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("recipes of version {} are not known here", quoted(other)))
                    .label("expected 1")
                    .help("write `version: 1`, or use a newer pony-run")
            }),
            None => self.checker.wrong_shape(node, "`version`", "the number 1", None),
        }
    }

    /// Identity must not depend on the machine or on `--set`, so there are no templates in it.
    fn package(&mut self, node: &'t Node) -> Option<String> {
        let text = self.plain(node, "`package`")?;
        let wrong = if text.trim() != text {
            "has blanks around it"
        } else if text.starts_with(['.', '-']) {
            "begins with `.` or `-`"
        } else if text.contains(['/', '\\']) {
            "has a slash in it"
        } else if text.len() > 100 {
            "is longer than 100 bytes"
        } else {
            return Some(text.to_owned());
        };
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("the package name {} {wrong}", quoted(text)))
                .label("expected a plain name")
                .help("it names a folder and a page: a plain word such as `python` or `zope.interface`")
        });
        None
    }

    fn tags(&mut self, fields: &Fields<'t>) -> Vec<String> {
        let Some(node) = fields.get("tags") else { return Vec::new() };
        let mut tags: Vec<String> = Vec::new();
        for node in self.checker.list(node, "`tags`", "[python3.14]") {
            let Some(tag) = self.line(node, "a tag") else { continue };
            let (wrong, label) = if tag.starts_with("__") {
                ("begins with `__`, which servers keep for themselves", "expected another name")
            } else if tags.contains(&tag) {
                ("is given twice", "again here")
            } else {
                tags.push(tag);
                continue;
            };
            self.checker.wrong(node, |at| {
                Diagnostic::at(at, format!("the tag {} {wrong}", quoted(&tag))).label(label)
            });
        }
        tags
    }

    fn environment_from(&mut self, fields: &Fields<'t>) -> EnvironmentFrom {
        let Some(node) = fields.get("environment-from") else { return EnvironmentFrom::default() };
        match self.checker.choice(node, "`environment-from`", ENVIRONMENTS) {
            Some("clean") => EnvironmentFrom::Clean,
            _ => EnvironmentFrom::Inherit,
        }
    }

    fn tools(&mut self, node: &'t Node) -> Vec<String> {
        let mut tools: Vec<String> = Vec::new();
        for node in self.checker.list(node, "`tools`", "[gcc, make]") {
            let Some(tool) = self.argument(node, "a tool") else { continue };
            if !tools.contains(&tool) {
                tools.push(tool);
            }
        }
        tools
    }

    fn watch(&mut self, node: &'t Node) -> Watch {
        let Some(fields) = self.checker.fields(node, &WATCH, "{include: ['src/**']}") else {
            return Watch::default();
        };
        let mut globs = |name: &str| {
            let Some(node) = fields.get(name) else { return Vec::new() };
            let what = format!("`{name}`");
            let nodes = self.checker.list(node, &what, "['src/**']");
            nodes.iter().filter_map(|node| self.glob(node, &what)).collect()
        };
        Watch { include: globs("include"), exclude: globs("exclude") }
    }

    /// A pattern for paths.
    fn glob(&mut self, node: &'t Node, what: &str) -> Option<String> {
        let text = self.line(node, what)?;
        match Watch::pattern(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                self.checker.wrong(node, |at| {
                    Diagnostic::at(at, format!("{what} has a pattern that means nothing"))
                        .label(error.kind().to_string())
                });
                None
            }
        }
    }

    fn secrets(&mut self, fields: &Fields<'t>) -> Vec<String> {
        let Some(node) = fields.get("secrets") else { return Vec::new() };
        let mut secrets: Vec<String> = Vec::new();
        for node in self.checker.list(node, "`secrets`", "[UPLOAD_TOKEN]") {
            let Some(name) = self.plain(node, "a secret") else { continue };
            if !is_environment_name(name) {
                self.checker.wrong(node, |at| {
                    not_an_environment_name(at, name)
                        .help("name the variable that holds the secret; its value comes from the environment")
                });
            } else if secrets.iter().any(|known| known == name) {
                self.checker.wrong(node, |at| {
                    Diagnostic::at(at, format!("the secret {} is given twice", quoted(name)))
                        .label("again here")
                });
            } else {
                secrets.push(name.to_owned());
            }
        }
        if let Some(environment) = fields.get("environment") {
            self.no_secret_in(environment, &secrets);
        }
        secrets
    }
}
