//! Resolves `variables`, then fills in templates in every other text of the recipe. Names are variables, axes, built-in
//! values, and deferred values (`{{jobs}}`, `{{needs.…}}`), which stay templates until the build begins.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    ops::Range,
};

use indexmap::IndexMap;

use super::{
    DeferredValues, LoadOptions,
    check::Checker,
    deferred::{DeferredUses, JOBS, OutputUse, output_of},
    diagnostic::{Diagnostic, did_you_mean, quoted},
    template::{self, Piece, TemplateError},
    tree::Node,
};

/// Total length of filled-in templates of a recipe: variables that double each other would grow without limit.
pub(super) const TEMPLATE_BUDGET: usize = 4 * 1024 * 1024;

/// Names of built-in values.
pub(super) const BUILTINS: [&str; 3] = ["cpus", "arch", "host"];

/// A setting that a recipe does not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectedSetting {
    pub(crate) name: String,
    /// The rest of a sentence: "cannot set `NAME`: WHY".
    pub(crate) why: String,
    pub(crate) hint: Option<String>,
}

impl RejectedSetting {
    /// For a setting of the command line, which has no position in the text.
    pub(super) fn diagnostic(self) -> Diagnostic {
        Diagnostic::general(format!("cannot set {}: {}", quoted(&self.name), self.why)).maybe_hint(self.hint)
    }
}

#[derive(Debug)]
struct Filled {
    text: String,
    uses: DeferredUses,
}

/// A value for each axis; `None` for an axis with errors, which are reported elsewhere.
pub(super) type MatrixCell<'t> = IndexMap<&'t str, Option<&'t str>>;

/// The names that templates can use, with their values. A name without a value has an error that is already reported.
#[derive(Debug)]
pub(super) struct Scope<'t> {
    builtins: [(&'static str, String); 3],
    cell: &'t MatrixCell<'t>,
    variables: IndexMap<&'t str, Option<Filled>>,
    deferred: Option<&'t DeferredValues>,
    /// Settings that differ from the recipe's own values.
    pub(super) changed: Vec<(String, String)>,
    /// Outputs of needs that templates use, each once.
    pub(super) outputs: Vec<OutputUse>,
    seen_outputs: HashSet<(String, String)>,
    /// Deferred values that were filled in since this was last reset.
    pub(super) uses: DeferredUses,
    /// Bytes that may still be filled in.
    budget: usize,
}

enum Lookup<'s> {
    Value(Cow<'s, str>, DeferredUses),
    /// Its error is already reported.
    Failed,
    Unknown,
}

struct Declared<'t> {
    name: &'t str,
    key: &'t Node,
    node: &'t Node,
    /// `None` if it has errors of its own.
    pieces: Option<Vec<Piece<'t>>>,
}

impl<'t> Scope<'t> {
    /// Resolves the map `node` of variables in this cell. `settings` replace values of the recipe and are taken literally.
    pub(super) fn resolve(
        checker: &mut Checker<'t>,
        node: Option<&'t Node>,
        cell: &'t MatrixCell<'t>,
        settings: &IndexMap<&str, &str>,
        options: &LoadOptions<'t>,
        (budget, rejected): (usize, &mut Vec<RejectedSetting>),
    ) -> Self {
        let builtins =
            [options.platform.cpus.to_string(), options.platform.arch.clone(), options.platform.host.clone()];
        let [cpus, arch, host] = BUILTINS;
        let [cpus_value, arch_value, host_value] = builtins;
        let mut scope = Self {
            builtins: [(cpus, cpus_value), (arch, arch_value), (host, host_value)],
            cell,
            variables: IndexMap::new(),
            deferred: options.deferred,
            changed: Vec::new(),
            outputs: Vec::new(),
            seen_outputs: HashSet::new(),
            uses: DeferredUses::default(),
            budget,
        };
        let declared = node.map(|node| scope.declared(checker, node)).unwrap_or_default();
        scope.variables = declared.iter().map(|variable| (variable.name, None)).collect();
        let settings = scope.settings(settings, rejected);
        scope.resolve_in_order(checker, &declared, &settings);
        scope
    }

    /// The variables with their values, without those that have errors.
    pub(super) fn into_variables(self) -> IndexMap<String, String> {
        let variables = self.variables.into_iter();
        variables.filter_map(|(name, value)| Some((name.to_owned(), value?.text))).collect()
    }

    /// Deferred values in variables and all other texts.
    pub(super) fn all_uses(&self) -> DeferredUses {
        self.variables.values().flatten().fold(self.uses, |all, filled| all | filled.uses)
    }

    /// Bytes that may still be filled in.
    pub(super) fn budget(&self) -> usize {
        self.budget
    }

    /// A scalar with its templates filled in; reports errors, and deferred values, which are not allowed here.
    pub(super) fn fill(&mut self, checker: &mut Checker<'t>, node: &'t Node, what: &str) -> Option<String> {
        let text = checker.scalar(node, what)?;
        let pieces = self.pieces(checker, node, text)?;
        let filled = self.join(checker, node, &pieces)?;
        if filled.uses.is_deferred() {
            self.report_deferred(checker, node, what, &pieces);
            return None;
        }
        Some(filled.text)
    }

    /// A scalar with its templates filled in; deferred values are allowed.
    pub(super) fn fill_deferred(
        &mut self,
        checker: &mut Checker<'t>,
        node: &'t Node,
        what: &str,
    ) -> Option<String> {
        let text = checker.scalar(node, what)?;
        let pieces = self.pieces(checker, node, text)?;
        let filled = self.join(checker, node, &pieces)?;
        self.uses |= filled.uses;
        Some(filled.text)
    }

    fn declared(&self, checker: &mut Checker<'t>, node: &'t Node) -> Vec<Declared<'t>> {
        let mut declared = Vec::new();
        for (name, key, node) in checker.entries(node, "`variables`", r#"{prefix: "/opt/{{host}}"}"#) {
            if self.builtins.iter().any(|(builtin, _)| *builtin == name) {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("{} cannot be a variable", quoted(name)))
                        .label("the name of a built-in value")
                        .hint(format!("`{{{{{name}}}}}` always exists; give the variable another name"))
                });
            } else if !template::is_name(name) {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("{} cannot be the name of a variable", quoted(name)))
                        .label("expected letters, digits, `_`, `-` or `.`, beginning with a letter")
                });
            } else if name.starts_with("needs.") {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("{} cannot be a variable", quoted(name)))
                        .label("`needs.` is reserved for outputs of needs")
                        .hint("give the variable another name")
                });
            } else {
                declared.push(Declared { name, key, node, pieces: None });
            }
        }
        declared
    }

    /// The settings for variables that the recipe declares.
    fn settings<'s>(
        &self,
        settings: &IndexMap<&'s str, &'s str>,
        rejected: &mut Vec<RejectedSetting>,
    ) -> HashMap<&'s str, &'s str> {
        let mut accepted = HashMap::new();
        for (name, value) in settings {
            let (why, hint) = if self.builtins.iter().any(|(builtin, _)| builtin == name) {
                ("it is a built-in value", None)
            } else if !self.variables.contains_key(name) {
                let names = self.variables.keys().chain(self.cell.keys()).copied();
                let hint = did_you_mean(name, names).unwrap_or_else(|| self.list_variables());
                ("the recipe has no such variable", Some(hint))
            } else if value.contains('\0') {
                ("the value contains a NUL byte", None)
            } else {
                accepted.insert(*name, *value);
                continue;
            };
            rejected.push(RejectedSetting { name: (*name).to_owned(), why: why.to_owned(), hint });
        }
        accepted
    }

    fn list_variables(&self) -> String {
        if self.variables.is_empty() && self.cell.is_empty() {
            return "the recipe declares no variables".to_owned();
        }
        let names = self.variables.keys().chain(self.cell.keys()).take(20);
        let names: Vec<String> = names.map(|name| quoted(name)).collect();
        format!("the recipe declares {}", names.join(", "))
    }

    /// Resolves every variable after those that it uses. Not recursive: a recipe may chain a million of them.
    fn resolve_in_order(
        &mut self,
        checker: &mut Checker<'t>,
        declared: &[Declared<'t>],
        settings: &HashMap<&str, &str>,
    ) {
        let declared: Vec<Declared<'t>> = declared
            .iter()
            .map(|variable| {
                let text = checker.scalar(variable.node, &format!("the variable `{}`", variable.name));
                let pieces = text.and_then(|text| self.pieces(checker, variable.node, text));
                Declared { pieces, ..*variable }
            })
            .collect();
        let number: HashMap<&str, usize> =
            declared.iter().enumerate().map(|(index, variable)| (variable.name, index)).collect();
        let uses: Vec<Vec<usize>> = declared
            .iter()
            .map(|variable| {
                let names = variable.pieces.iter().flatten().filter_map(|piece| match piece {
                    Piece::Name { name, .. } => number.get(name).copied(),
                    Piece::Text(_) => None,
                });
                names.collect()
            })
            .collect();
        let mut used_by: Vec<Vec<usize>> = vec![Vec::new(); declared.len()];
        for (index, used) in uses.iter().enumerate() {
            for used in used {
                used_by[*used].push(index);
            }
        }
        let mut missing: Vec<usize> = uses.iter().map(Vec::len).collect();
        let mut done = vec![false; declared.len()];
        let mut ready: VecDeque<usize> = (0..declared.len()).filter(|index| missing[*index] == 0).collect();
        let mut unfinished = 0;
        loop {
            while let Some(index) = ready.pop_front() {
                if std::mem::replace(&mut done[index], true) {
                    continue;
                }
                let variable = &declared[index];
                let resolved =
                    variable.pieces.as_ref().and_then(|pieces| self.join(checker, variable.node, pieces));
                let value = match settings.get(variable.name) {
                    None => resolved,
                    Some(value) => {
                        if resolved.is_none_or(|resolved| resolved.text != *value) {
                            self.changed.push((variable.name.to_owned(), (*value).to_owned()));
                        }
                        Some(Filled { text: (*value).to_owned(), uses: DeferredUses::default() })
                    }
                };
                self.variables.insert(variable.name, value);
                for user in &used_by[index] {
                    missing[*user] -= 1;
                    if missing[*user] == 0 {
                        ready.push_back(*user);
                    }
                }
            }
            // The rest is in a cycle, or uses a variable that is.
            while unfinished < declared.len() && done[unfinished] {
                unfinished += 1;
            }
            if unfinished == declared.len() {
                return;
            }
            for index in report_cycle(checker, &declared, &uses, &done, unfinished) {
                // Reported: variables that use it get no value either.
                done[index] = true;
                for user in &used_by[index] {
                    missing[*user] -= 1;
                    if missing[*user] == 0 && !done[*user] {
                        ready.push_back(*user);
                    }
                }
            }
        }
    }

    /// The pieces of a text; reports unknown names.
    fn pieces<'p>(
        &mut self,
        checker: &mut Checker<'t>,
        node: &Node,
        text: &'p str,
    ) -> Option<Vec<Piece<'p>>> {
        let pieces = match template::parse(text) {
            Ok(pieces) => pieces,
            Err(errors) => {
                for error in errors {
                    report_template_error(checker, node, &error);
                }
                return None;
            }
        };
        let mut known = true;
        for piece in &pieces {
            let Piece::Name { name, nth } = piece else { continue };
            if matches!(self.look_up(name), Lookup::Unknown) {
                known = false;
                self.report_unknown(checker, node, name, *nth);
            } else if let Some((need, output)) = output_of(name) {
                let used = (need.to_owned(), output.to_owned());
                if self.seen_outputs.insert(used.clone()) {
                    let (need, output) = used;
                    self.outputs.push(OutputUse { need, output, scalar: node.at.clone(), nth: *nth });
                }
            }
        }
        known.then_some(pieces)
    }

    fn join(&mut self, checker: &mut Checker<'t>, node: &Node, pieces: &[Piece<'_>]) -> Option<Filled> {
        let mut filled = Filled { text: String::new(), uses: DeferredUses::default() };
        for piece in pieces {
            let text = match piece {
                Piece::Text(text) => Cow::Borrowed(*text),
                Piece::Name { name, .. } => match self.look_up(name) {
                    Lookup::Value(value, uses) => {
                        filled.uses |= uses;
                        value
                    }
                    Lookup::Failed | Lookup::Unknown => return None,
                },
            };
            if filled.text.len() + text.len() > self.budget {
                checker.wrong(node, |at| {
                    Diagnostic::at(at, "the templates of this recipe expand to more than 4 MiB")
                        .label("too much here")
                        .hint("do variables double each other?")
                });
                return None;
            }
            filled.text.push_str(&text);
        }
        self.budget -= filled.text.len();
        Some(filled)
    }

    fn look_up(&self, name: &str) -> Lookup<'_> {
        let known = |text: &'t str| Lookup::Value(Cow::Borrowed(text), DeferredUses::default());
        if let Some((_, value)) = self.builtins.iter().find(|(builtin, _)| *builtin == name) {
            return Lookup::Value(Cow::Borrowed(value), DeferredUses::default());
        }
        if let Some(value) = self.cell.get(name) {
            return value.map_or(Lookup::Failed, known);
        }
        match self.variables.get(name) {
            Some(Some(Filled { text, uses })) => return Lookup::Value(Cow::Borrowed(text), *uses),
            Some(None) => return Lookup::Failed,
            None => {}
        }
        let unchanged = || Cow::Owned(format!("{{{{{name}}}}}"));
        if name == JOBS {
            let value =
                self.deferred.map_or_else(unchanged, |deferred| Cow::Owned(deferred.jobs.to_string()));
            return Lookup::Value(value, DeferredUses { jobs: true, needs: false });
        }
        let Some((need, output)) = output_of(name) else { return Lookup::Unknown };
        let uses = DeferredUses { jobs: false, needs: true };
        let Some(deferred) = self.deferred else { return Lookup::Value(unchanged(), uses) };
        let value = deferred.needs.get(need).and_then(|outputs| outputs.get(output));
        value.map_or(Lookup::Unknown, |value| Lookup::Value(Cow::Borrowed(value), uses))
    }

    fn report_deferred(&self, checker: &mut Checker<'t>, node: &Node, what: &str, pieces: &[Piece<'_>]) {
        for piece in pieces {
            let Piece::Name { name, nth } = piece else { continue };
            let Lookup::Value(_, uses) = self.look_up(name) else { continue };
            if !uses.is_deferred() {
                continue;
            }
            let value = if uses.jobs { "`{{jobs}}` is" } else { "outputs of needs are" };
            let label = if *name == JOBS || output_of(name).is_some() {
                "not yet known".to_owned()
            } else {
                format!("{} uses it", quoted(name))
            };
            report_in(checker, node, *nth, |at| {
                Diagnostic::at(
                    at,
                    format!("{what} must be known before the build begins, but {value} known only then"),
                )
                .label(label)
                .hint("it can be used in `run`, `env`, `environment`, `requirements`, `optional` and `description`")
            });
            return;
        }
    }

    fn report_unknown(&self, checker: &mut Checker<'t>, node: &Node, name: &str, nth: usize) {
        if name == "needs" || name.starts_with("needs.") {
            let label =
                if output_of(name).is_some() { "no such output" } else { "expected `{{needs.NAME.OUTPUT}}`" };
            report_in(checker, node, nth, |at| {
                Diagnostic::at(at, format!("unknown name {} in a template", quoted(name)))
                    .label(label)
                    .hint("NAME is an entry of `needs`, OUTPUT is one of its recipe's `outputs`")
            });
            return;
        }
        let hint = (!checker.is_full()).then(|| {
            let builtins = self.builtins.iter().map(|(builtin, _)| *builtin);
            let names = self.variables.keys().chain(self.cell.keys()).copied().chain(builtins).chain([JOBS]);
            did_you_mean(name, names).unwrap_or_else(|| "declare it under `variables`".to_owned())
        });
        report_in(checker, node, nth, |at| {
            Diagnostic::at(at, format!("unknown name {} in a template", quoted(name)))
                .label("no variable or built-in value has this name")
                .maybe_hint(hint)
        });
    }
}

fn report_template_error(checker: &mut Checker<'_>, node: &Node, error: &TemplateError<'_>) {
    let literal = "write `{{{{` for a literal `{{`";
    match error {
        TemplateError::Unclosed { nth } => report_in(checker, node, *nth, |at| {
            Diagnostic::at(at, "`{{` without `}}`").label("never closed").hint(literal)
        }),
        TemplateError::NotAName { inner, nth } => report_in(checker, node, *nth, |at| {
            Diagnostic::at(at, format!("{} is not a template", quoted(&format!("{{{{{inner}}}}}"))))
                .label("expected a name between the braces")
                .hint(literal)
        }),
    }
}

/// Reports an error at the `nth` `{{` of a scalar, or at the scalar if that is not found.
fn report_in(
    checker: &mut Checker<'_>,
    node: &Node,
    nth: usize,
    diagnostic: impl FnOnce(Range<usize>) -> Diagnostic,
) {
    // Finding the position takes time proportional to the text; an error that is only counted needs none.
    let place = if checker.is_full() { None } else { template::place_of(checker.text, &node.at, nth) };
    checker.wrong(node, |at| diagnostic(place.unwrap_or(at)));
}

/// Reports the cycle that is reached from `start`; returns the variables in it.
fn report_cycle(
    checker: &mut Checker<'_>,
    declared: &[Declared<'_>],
    uses: &[Vec<usize>],
    done: &[bool],
    start: usize,
) -> Vec<usize> {
    let mut path = Vec::new();
    let mut position: HashMap<usize, usize> = HashMap::new();
    let mut here = start;
    while !position.contains_key(&here) {
        position.insert(here, path.len());
        path.push(here);
        match uses[here].iter().find(|used| !done[**used]) {
            Some(next) => here = *next,
            None => return path,
        }
    }
    let cycle = path.split_off(position.get(&here).copied().unwrap_or_default());
    let mut names: Vec<&str> = cycle.iter().take(8).map(|index| declared[*index].name).collect();
    if cycle.len() > names.len() {
        names.push("…");
    }
    names.push(declared[here].name);
    let mut diagnostic = Diagnostic::at(
        declared[here].key.at.clone(),
        format!("variables depend on each other in a cycle: {}", names.join(" → ")),
    )
    .label("the cycle begins here")
    .hint("give one of them a value that uses none of the others");
    for index in cycle.iter().skip(1).take(7) {
        diagnostic = diagnostic.also(declared[*index].key.at.clone(), "continues here");
    }
    checker.report(diagnostic);
    cycle
}
