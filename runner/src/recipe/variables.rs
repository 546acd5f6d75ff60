//! Variables, axes and facts: resolves what `variables` declares, then fills in every other text of the recipe.
//!
//! Names that are known only when a build begins (`{{jobs}}`, `{{needs.…}}`) stand for themselves until then.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, VecDeque},
    ops::Range,
};

use indexmap::IndexMap;

use super::{
    Given, Late,
    check::Checker,
    diagnostic::{Diagnostic, did_you_mean, quoted},
    late::{JOBS, OutputUse, Uses, output_of},
    template::{self, Piece, Wrong},
    tree::Node,
};

/// The most that templates may fill in to, all together: variables that double each other grow without end otherwise.
pub(super) const FILLED_LIMIT: usize = 4 * 1024 * 1024;

/// What a recipe knows of the machine.
pub(super) const FACTS: [&str; 3] = ["cpus", "arch", "host"];

/// A setting that a recipe does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedSetting {
    pub(crate) name: String,
    /// What a sentence about it goes on with.
    pub(crate) why: String,
    pub(crate) help: Option<String>,
}

impl RefusedSetting {
    /// For a setting of the command line, which has no place in the text.
    pub(super) fn diagnostic(self) -> Diagnostic {
        Diagnostic::general(format!("cannot set {}: {}", quoted(&self.name), self.why)).maybe_help(self.help)
    }
}

#[derive(Debug)]
struct Filled {
    text: String,
    uses: Uses,
}

/// A value for each axis; none for one whose values are wrong, which is reported.
pub(super) type Cell<'t> = IndexMap<&'t str, Option<&'t str>>;

/// The names that templates know, with their values. A name without a value had an error that is already reported.
#[derive(Debug)]
pub(super) struct Scope<'t> {
    facts: [(&'static str, String); 3],
    cell: &'t Cell<'t>,
    variables: IndexMap<&'t str, Option<Filled>>,
    late: Option<&'t Late>,
    /// Settings by which a variable has another value than the recipe gives it.
    pub(super) changed: Vec<(String, String)>,
    /// Outputs of needs that are used, each once.
    pub(super) outputs: Vec<OutputUse>,
    known_outputs: HashSet<(String, String)>,
    /// What was filled in since this was emptied.
    pub(super) uses: Uses,
    room: usize,
}

enum Name<'s> {
    Value(Cow<'s, str>, Uses),
    /// Its error is already reported.
    Broken,
    Unknown,
}

struct Declared<'t> {
    name: &'t str,
    key: &'t Node,
    node: &'t Node,
    /// `None` where it is wrong in itself.
    pieces: Option<Vec<Piece<'t>>>,
}

impl<'t> Scope<'t> {
    /// Resolves the map `node` of variables in this cell, with `set` (taken as it is) in place of what the recipe says.
    /// `room` is how much may be filled in.
    pub(super) fn resolve(
        checker: &mut Checker<'t>,
        node: Option<&'t Node>,
        cell: &'t Cell<'t>,
        set: &IndexMap<&str, &str>,
        given: &Given<'t>,
        (room, refused): (usize, &mut Vec<RefusedSetting>),
    ) -> Self {
        let facts = [given.facts.cpus.to_string(), given.facts.arch.clone(), given.facts.host.clone()];
        let [cpus, arch, host] = FACTS;
        let [of_cpus, of_arch, of_host] = facts;
        let mut scope = Self {
            facts: [(cpus, of_cpus), (arch, of_arch), (host, of_host)],
            cell,
            variables: IndexMap::new(),
            late: given.late,
            changed: Vec::new(),
            outputs: Vec::new(),
            known_outputs: HashSet::new(),
            uses: Uses::default(),
            room,
        };
        let declared = node.map(|node| scope.declared(checker, node)).unwrap_or_default();
        scope.variables = declared.iter().map(|variable| (variable.name, None)).collect();
        let set = scope.settings(set, refused);
        scope.resolve_in_order(checker, &declared, &set);
        scope
    }

    /// The variables with their values. Those that had errors are left out.
    pub(super) fn into_variables(self) -> IndexMap<String, String> {
        let variables = self.variables.into_iter();
        variables.filter_map(|(name, value)| Some((name.to_owned(), value?.text))).collect()
    }

    /// What variables and all other texts have in them.
    pub(super) fn all_uses(&self) -> Uses {
        self.variables.values().flatten().fold(self.uses, |all, filled| all | filled.uses)
    }

    /// How much may still be filled in.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// A scalar with its templates filled in, all of them known beforehand. Reports what is wrong with it.
    pub(super) fn fill(&mut self, checker: &mut Checker<'t>, node: &'t Node, what: &str) -> Option<String> {
        let text = checker.scalar(node, what)?;
        let pieces = self.pieces(checker, node, text)?;
        let filled = self.join(checker, node, &pieces)?;
        if filled.uses.is_late() {
            self.report_late(checker, node, what, &pieces);
            return None;
        }
        Some(filled.text)
    }

    /// A scalar with its templates filled in, perhaps with names in it that wait until the build begins.
    pub(super) fn fill_late(
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
            if self.facts.iter().any(|(fact, _)| *fact == name) {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("{} cannot be a variable", quoted(name)))
                        .label("a fact of the machine")
                        .help(format!("`{{{{{name}}}}}` is always there; give the variable another name"))
                });
            } else if !template::is_name(name) {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("{} cannot be the name of a variable", quoted(name)))
                        .label("expected letters, digits, `_`, `-` or `.`, a letter first")
                });
            } else if name.starts_with("needs.") {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("{} cannot be a variable", quoted(name)))
                        .label("what begins with `needs.` is handed on by builds that are needed")
                        .help("give the variable another name")
                });
            } else {
                declared.push(Declared { name, key, node, pieces: None });
            }
        }
        declared
    }

    /// The settings for variables that there are.
    fn settings<'s>(
        &self,
        set: &IndexMap<&'s str, &'s str>,
        refused: &mut Vec<RefusedSetting>,
    ) -> HashMap<&'s str, &'s str> {
        let mut known = HashMap::new();
        for (name, value) in set {
            let (why, help) = if self.facts.iter().any(|(fact, _)| fact == name) {
                ("it is a fact of the machine", None)
            } else if !self.variables.contains_key(name) {
                let names = self.variables.keys().chain(self.cell.keys()).copied();
                let help = did_you_mean(name, names).unwrap_or_else(|| self.list_variables());
                ("the recipe has no such variable", Some(help))
            } else if value.contains('\0') {
                ("the value contains a NUL byte", None)
            } else {
                known.insert(*name, *value);
                continue;
            };
            refused.push(RefusedSetting { name: (*name).to_owned(), why: why.to_owned(), help });
        }
        known
    }

    fn list_variables(&self) -> String {
        if self.variables.is_empty() && self.cell.is_empty() {
            return "it declares no variables".to_owned();
        }
        let names = self.variables.keys().chain(self.cell.keys()).take(20);
        let names: Vec<String> = names.map(|name| quoted(name)).collect();
        format!("it declares {}", names.join(", "))
    }

    /// Gives every variable its value after those it uses. Not recursive: a recipe may chain a million of them.
    fn resolve_in_order(
        &mut self,
        checker: &mut Checker<'t>,
        declared: &[Declared<'t>],
        set: &HashMap<&str, &str>,
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
                let value = match set.get(variable.name) {
                    None => resolved,
                    Some(value) => {
                        if resolved.is_none_or(|resolved| resolved.text != *value) {
                            self.changed.push((variable.name.to_owned(), (*value).to_owned()));
                        }
                        Some(Filled { text: (*value).to_owned(), uses: Uses::default() })
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
            // Whatever is left is in a circle or uses one that is.
            while unfinished < declared.len() && done[unfinished] {
                unfinished += 1;
            }
            if unfinished == declared.len() {
                return;
            }
            for index in report_circle(checker, &declared, &uses, &done, unfinished) {
                // Reported: its users can go on without a value.
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

    /// The pieces of a text, if all the names in it are known; else reports each that is not.
    fn pieces<'p>(
        &mut self,
        checker: &mut Checker<'t>,
        node: &Node,
        text: &'p str,
    ) -> Option<Vec<Piece<'p>>> {
        let pieces = match template::parse(text) {
            Ok(pieces) => pieces,
            Err(wrong) => {
                for wrong in wrong {
                    report_wrong(checker, node, &wrong);
                }
                return None;
            }
        };
        let mut known = true;
        for piece in &pieces {
            let Piece::Name { name, nth } = piece else { continue };
            if matches!(self.look_up(name), Name::Unknown) {
                known = false;
                self.report_unknown(checker, node, name, *nth);
            } else if let Some((need, output)) = output_of(name) {
                let used = (need.to_owned(), output.to_owned());
                if self.known_outputs.insert(used.clone()) {
                    let (need, output) = used;
                    self.outputs.push(OutputUse { need, output, scalar: node.at.clone(), nth: *nth });
                }
            }
        }
        known.then_some(pieces)
    }

    fn join(&mut self, checker: &mut Checker<'t>, node: &Node, pieces: &[Piece<'_>]) -> Option<Filled> {
        let mut filled = Filled { text: String::new(), uses: Uses::default() };
        for piece in pieces {
            let text = match piece {
                Piece::Text(text) => Cow::Borrowed(*text),
                Piece::Name { name, .. } => match self.look_up(name) {
                    Name::Value(value, uses) => {
                        filled.uses |= uses;
                        value
                    }
                    Name::Broken | Name::Unknown => return None,
                },
            };
            if filled.text.len() + text.len() > self.room {
                checker.wrong(node, |at| {
                    Diagnostic::at(at, "the templates of this recipe fill in to more than 4 MiB")
                        .label("no room for this")
                        .help("do variables double each other?")
                });
                return None;
            }
            filled.text.push_str(&text);
        }
        self.room -= filled.text.len();
        Some(filled)
    }

    fn look_up(&self, name: &str) -> Name<'_> {
        let known = |text: &'t str| Name::Value(Cow::Borrowed(text), Uses::default());
        if let Some((_, value)) = self.facts.iter().find(|(fact, _)| *fact == name) {
            return Name::Value(Cow::Borrowed(value), Uses::default());
        }
        if let Some(value) = self.cell.get(name) {
            return value.map_or(Name::Broken, known);
        }
        match self.variables.get(name) {
            Some(Some(Filled { text, uses })) => return Name::Value(Cow::Borrowed(text), *uses),
            Some(None) => return Name::Broken,
            None => {}
        }
        let itself = || Cow::Owned(format!("{{{{{name}}}}}"));
        if name == JOBS {
            let value = self.late.map_or_else(itself, |late| Cow::Owned(late.jobs.to_string()));
            return Name::Value(value, Uses { jobs: true, needs: false });
        }
        let Some((need, output)) = output_of(name) else { return Name::Unknown };
        let uses = Uses { jobs: false, needs: true };
        let Some(late) = self.late else { return Name::Value(itself(), uses) };
        let value = late.needs.get(need).and_then(|outputs| outputs.get(output));
        value.map_or(Name::Unknown, |value| Name::Value(Cow::Borrowed(value), uses))
    }

    fn report_late(&self, checker: &mut Checker<'t>, node: &Node, what: &str, pieces: &[Piece<'_>]) {
        for piece in pieces {
            let Piece::Name { name, nth } = piece else { continue };
            let Name::Value(_, uses) = self.look_up(name) else { continue };
            if !uses.is_late() {
                continue;
            }
            let late = if uses.jobs { "`{{jobs}}` is" } else { "what needs hand on is" };
            let label = if *name == JOBS || output_of(name).is_some() {
                "not known yet".to_owned()
            } else {
                format!("{} uses it", quoted(name))
            };
            report_in(checker, node, *nth, |at| {
                Diagnostic::at(
                    at,
                    format!("{what} must be known beforehand, and {late} known only when the build begins"),
                )
                .label(label)
                .help("use it in `run`, `env`, `environment`, `requirements`, `optional` or `description`")
            });
            return;
        }
    }

    fn report_unknown(&self, checker: &mut Checker<'t>, node: &Node, name: &str, nth: usize) {
        if name == "needs" || name.starts_with("needs.") {
            let label =
                if output_of(name).is_some() { "not handed on" } else { "expected `{{needs.NAME.OUTPUT}}`" };
            report_in(checker, node, nth, |at| {
                Diagnostic::at(at, format!("unknown name {} in a template", quoted(name)))
                    .label(label)
                    .help("NAME is an entry of `needs`, OUTPUT is one of its recipe's `outputs`")
            });
            return;
        }
        let help = (!checker.is_full()).then(|| {
            let facts = self.facts.iter().map(|(fact, _)| *fact);
            let names = self.variables.keys().chain(self.cell.keys()).copied().chain(facts).chain([JOBS]);
            did_you_mean(name, names).unwrap_or_else(|| "declare it under `variables`".to_owned())
        });
        report_in(checker, node, nth, |at| {
            Diagnostic::at(at, format!("unknown name {} in a template", quoted(name)))
                .label("not a variable, nor a fact (`cpus`, `arch`, `host`, `jobs`)")
                .maybe_help(help)
        });
    }
}

fn report_wrong(checker: &mut Checker<'_>, node: &Node, wrong: &Wrong<'_>) {
    let literal = "for a literal `{{` write `{{{{`";
    match wrong {
        Wrong::Open { nth } => report_in(checker, node, *nth, |at| {
            Diagnostic::at(at, "`{{` without `}}`").label("never closed").help(literal)
        }),
        Wrong::NoName { inner, nth } => report_in(checker, node, *nth, |at| {
            Diagnostic::at(at, format!("{} is not a template", quoted(&format!("{{{{{inner}}}}}"))))
                .label("expected a name between the braces")
                .help(literal)
        }),
    }
}

/// Reports an error at the `nth` `{{` of a scalar, or at the scalar where that cannot be told.
fn report_in(
    checker: &mut Checker<'_>,
    node: &Node,
    nth: usize,
    diagnostic: impl FnOnce(Range<usize>) -> Diagnostic,
) {
    // Finding the place takes as long as the text is; an error that is only counted needs none.
    let place = if checker.is_full() { None } else { template::place_of(checker.text, &node.at, nth) };
    checker.wrong(node, |at| diagnostic(place.unwrap_or(at)));
}

/// Reports the circle that is reached from `start`; the variables in it.
fn report_circle(
    checker: &mut Checker<'_>,
    declared: &[Declared<'_>],
    uses: &[Vec<usize>],
    done: &[bool],
    start: usize,
) -> Vec<usize> {
    let mut way = Vec::new();
    let mut step: HashMap<usize, usize> = HashMap::new();
    let mut here = start;
    while !step.contains_key(&here) {
        step.insert(here, way.len());
        way.push(here);
        match uses[here].iter().find(|used| !done[**used]) {
            Some(next) => here = *next,
            None => return way,
        }
    }
    let circle = way.split_off(step.get(&here).copied().unwrap_or_default());
    let mut names: Vec<&str> = circle.iter().take(8).map(|index| declared[*index].name).collect();
    if circle.len() > names.len() {
        names.push("…");
    }
    names.push(declared[here].name);
    let mut diagnostic = Diagnostic::at(
        declared[here].key.at.clone(),
        format!("variables use each other in a circle: {}", names.join(" → ")),
    )
    .label("begins here")
    .help("give one of them a value of its own");
    for index in circle.iter().skip(1).take(7) {
        diagnostic = diagnostic.also(declared[*index].key.at.clone(), "goes on here");
    }
    checker.report(diagnostic);
    circle
}
