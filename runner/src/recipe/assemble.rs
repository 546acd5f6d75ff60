//! From checked fields to [`Recipe`]s, one for each cell of the matrix: everything except the steps.

use std::{path::Path, sync::Arc};

use indexmap::IndexMap;

use super::{
    DEFAULT_TIMEOUT, Diagnostics, EnvironmentFrom, LoadError, LoadOptions, LoadedRecipe, Places, Recipe,
    Watch,
    check::{Checker, Fields},
    context,
    deferred::DeferredUses,
    diagnostic::{Diagnostic, quoted},
    keys::{ENVIRONMENTS, RECIPE, WATCH},
    matrix::Matrix,
    needs::{self, OUTPUTS},
    reader::{Reader, is_environment_name, not_an_environment_name},
    source, steps,
    tree::{Node, Value},
    variables::{MatrixCell, RejectedSetting, Scope, TEMPLATE_BUDGET},
};

/// Reads the whole tree; `path` only determines the recipe's folder.
pub(super) fn recipes(
    path: &Path,
    shared_text: &Arc<str>,
    tree: &Node,
    options: &LoadOptions<'_>,
) -> Result<Vec<LoadedRecipe>, LoadError> {
    let text: &str = shared_text;
    let mut checker = Checker::new(text);
    if matches!(tree.value, Value::Null) {
        let error =
            Diagnostic::at(0..0, "the recipe is empty").hint("it needs at least `package` and `steps`");
        return Err(LoadError::from(Diagnostics::new(path, text, vec![error])));
    }
    let mut rejected = Vec::new();
    let Some(fields) = checker.fields(tree, &RECIPE, "{package: hello, steps: [{run: make}]}") else {
        return Err(failed(path, text, checker, rejected));
    };
    let mut matrix = Matrix::read(&mut checker, fields.get("matrix"), fields.get("variables"));
    let settings = matrix.select(options.settings, &mut rejected);
    let rejected_axes = rejected.len();
    let mut budget = TEMPLATE_BUDGET;
    let mut loaded = Vec::with_capacity(matrix.cells.len());
    for cell in &matrix.cells {
        let cell =
            OneCell { path, text, shared_text, fields: &fields, matrix: &matrix, cell, settings: &settings };
        // Every cell rejects the same settings.
        rejected.truncate(rejected_axes);
        let (recipe, found) = cell.recipe(options, &mut budget, &mut rejected);
        loaded.extend(recipe);
        checker.absorb(found);
        if checker.is_full() {
            break;
        }
    }
    if checker.has_errors() || !rejected.is_empty() {
        return Err(failed(path, text, checker, rejected));
    }
    Ok(loaded)
}

fn failed(path: &Path, text: &str, checker: Checker<'_>, rejected: Vec<RejectedSetting>) -> LoadError {
    let (found, more) = checker.into_errors();
    let diagnostics = (!found.is_empty()).then(|| Diagnostics::new(path, text, found).and_more(more));
    LoadError { diagnostics, rejected }
}

struct OneCell<'a, 't> {
    path: &'a Path,
    text: &'t str,
    shared_text: &'a Arc<str>,
    fields: &'a Fields<'t>,
    matrix: &'a Matrix<'t>,
    cell: &'t MatrixCell<'t>,
    settings: &'a IndexMap<&'a str, &'a str>,
}

impl<'t> OneCell<'_, 't> {
    fn recipe(
        &self,
        options: &LoadOptions<'t>,
        budget: &mut usize,
        rejected: &mut Vec<RejectedSetting>,
    ) -> (Option<LoadedRecipe>, Checker<'t>) {
        let Self { path, text, fields, .. } = *self;
        let mut checker = Checker::new(text);
        let variables = fields.get("variables");
        let scope =
            Scope::resolve(&mut checker, variables, self.cell, self.settings, options, (*budget, rejected));
        let mut reader = Reader { checker, scope };

        reader.version(fields);
        let package = fields.get("package").and_then(|node| reader.package(node));
        let mut tags = reader.tags(fields);
        self.matrix.add_tags(self.cell, &mut tags);
        let path_from_root = options.platform.cwd.join(path);
        let folder = path_from_root.parent().unwrap_or(&options.platform.cwd);
        let source = fields.get("source").and_then(|node| source::read(&mut reader, node, folder));
        let context = context::context(&mut reader, fields, source.as_ref(), folder);
        context::check_outputs(&mut reader, fields, &context);
        let private =
            fields.get("private").map(|node| context::private(&mut reader, node)).unwrap_or_default();
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
        // Deferred values of the recipe's environment concern every step.
        let before = std::mem::take(&mut reader.scope.uses);
        let environment = fields.get("environment").map(|node| reader.environment(node, "`environment`"));
        let in_environment = reader.scope.uses;
        reader.scope.uses |= before;
        let secrets = reader.secrets(fields);
        let outputs_place = (!outputs.is_empty()).then(|| fields.place("outputs")).flatten();
        let outputs_line = outputs_place.as_ref().map(|place| reader.checker.line(place.start));
        let reserved = outputs_place.map(|place| (OUTPUTS, place));
        let steps = fields.get("steps").map(|node| steps::read(&mut reader, node, &secrets, reserved));
        let mut steps = steps.unwrap_or_default();
        for step in &mut steps {
            step.uses_jobs |= in_environment.jobs;
        }
        steps.extend(outputs_line.map(|line| needs::outputs_step(&outputs, line)));
        needs::check_names(&mut reader, fields, &needs);

        let Reader { checker, scope } = reader;
        *budget = scope.budget();
        if checker.has_errors() {
            return (None, checker);
        }
        // With deferred values given, no template is left.
        let uses = if options.deferred.is_some() { DeferredUses::default() } else { scope.all_uses() };
        let places = Places { needs: needed_at, outputs: scope.outputs.clone() };
        let changed = scope.changed.clone();
        let recipe = Recipe {
            path: path.to_owned(),
            text: Arc::clone(self.shared_text),
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
        (Some(LoadedRecipe { recipe, places, changed }), checker)
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
                Diagnostic::at(at, format!("recipe version {} is not supported", quoted(other)))
                    .label("expected 1")
                    .hint("write `version: 1`, or use a newer pony-run")
            }),
            None => self.checker.wrong_type(node, "`version`", "the number 1", None),
        }
    }

    /// A package is the same on every machine, so its name takes no templates.
    fn package(&mut self, node: &'t Node) -> Option<String> {
        let text = self.plain(node, "`package`")?;
        let wrong = if text.trim() != text {
            "has spaces around it"
        } else if text.starts_with(['.', '-']) {
            "begins with `.` or `-`"
        } else if text.contains(['/', '\\']) {
            "contains a slash"
        } else if text.len() > 100 {
            "is longer than 100 bytes"
        } else {
            return Some(text.to_owned());
        };
        self.checker.wrong(node, |at| {
            Diagnostic::at(at, format!("the package name {} {wrong}", quoted(text)))
                .label("expected a plain name")
                .hint(
                    "it names a folder and a web page: use a plain word such as `python` or `zope.interface`",
                )
        });
        None
    }

    fn tags(&mut self, fields: &Fields<'t>) -> Vec<String> {
        let Some(node) = fields.get("tags") else { return Vec::new() };
        let mut tags: Vec<String> = Vec::new();
        for node in self.checker.list(node, "`tags`", "[python3.14]") {
            let Some(tag) = self.line(node, "a tag") else { continue };
            let (wrong, label) = if tag.starts_with("__") {
                ("begins with `__`, which is reserved for servers", "expected another name")
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
                    Diagnostic::at(at, format!("{what} contains an invalid glob"))
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
                    not_an_environment_name(at, name).hint(
                        "write the name of the environment variable that holds the secret, not its value",
                    )
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
