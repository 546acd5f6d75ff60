//! From checked fields to a [`Recipe`]: everything but the steps.

use std::path::Path;

use super::{
    DEFAULT_TIMEOUT, Diagnostics, EnvironmentFrom, Facts, Recipe, Watch,
    check::{Checker, Fields},
    diagnostic::{Diagnostic, quoted},
    keys::{ENVIRONMENTS, RECIPE, WATCH},
    reader::{Reader, is_environment_name, not_an_environment_name},
    source, steps, surroundings,
    tree::{Node, Value},
    variables::Scope,
};

/// Reads the whole tree; `path` is only looked at for the recipe's folder.
pub(super) fn recipe(
    path: &Path,
    text: &str,
    tree: &Node,
    set: &[(String, String)],
    facts: &Facts,
) -> Result<Recipe, Diagnostics> {
    let mut checker = Checker::new(text);
    if matches!(tree.value, Value::Null) {
        let error =
            Diagnostic::at(0..0, "the recipe is empty").help("it needs at least `package` and `steps`");
        return Err(Diagnostics::new(path, text, vec![error]));
    }
    let fields = checker.fields(tree, &RECIPE, "{package: hello, steps: [{run: make}]}");
    let Some(fields) = fields else { return Err(failed(path, text, checker)) };
    let scope = Scope::resolve(&mut checker, fields.get("variables"), set, facts);
    let mut reader = Reader { checker, scope };

    reader.version(&fields);
    let package = fields.get("package").and_then(|node| reader.package(node));
    let tags = reader.tags(&fields);
    let path_from_root = facts.cwd.join(path);
    let folder = path_from_root.parent().unwrap_or(&facts.cwd);
    let source = fields.get("source").and_then(|node| source::read(&mut reader, node, folder));
    let context = surroundings::context(&mut reader, &fields, source.as_ref(), folder);
    let private =
        fields.get("private").map(|node| surroundings::private(&mut reader, node)).unwrap_or_default();
    let environment_from = reader.environment_from(&fields);
    let tools = fields.get("tools").map(|node| reader.tools(node)).unwrap_or_default();
    let watch = fields.get("watch").map(|node| reader.watch(node)).unwrap_or_default();
    let force_every =
        fields.get("force-every").and_then(|node| reader.checker.duration(node, "`force-every`"));
    let environment =
        fields.get("environment").map(|node| reader.environment(node, "`environment`")).unwrap_or_default();
    let timeout = fields.get("timeout").and_then(|node| reader.checker.duration(node, "`timeout`"));
    let expect = fields.get("expect").and_then(|node| reader.checker.duration(node, "`expect`"));
    let secrets = reader.secrets(&fields);
    let steps = fields.get("steps").map(|node| steps::read(&mut reader, node, &secrets)).unwrap_or_default();

    let Reader { checker, scope } = reader;
    if checker.has_errors() {
        return Err(failed(path, text, checker));
    }
    Ok(Recipe {
        path: path.to_owned(),
        text: text.to_owned(),
        package: package.unwrap_or_default(),
        tags,
        source,
        context,
        private,
        environment_from,
        environment,
        tools,
        watch,
        force_every,
        variables: scope.into_variables(),
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
        steps,
        secrets,
        expect,
    })
}

fn failed(path: &Path, text: &str, checker: Checker<'_>) -> Diagnostics {
    let (found, more) = checker.into_errors();
    Diagnostics::new(path, text, found).and_more(more)
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
