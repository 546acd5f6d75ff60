//! Variables and facts: resolves what `variables` declares, then fills in every other text of the recipe.

use std::collections::{HashMap, VecDeque};

use indexmap::IndexMap;

use super::{
    Facts,
    check::Checker,
    diagnostic::{Diagnostic, did_you_mean, quoted},
    template::{self, Piece, Wrong},
    tree::Node,
};

/// The most that templates may fill in to, all together: variables that double each other grow without end otherwise.
const FILLED_LIMIT: usize = 4 * 1024 * 1024;

/// The names that templates know, with their values. A name without a value had an error that is already reported.
#[derive(Debug)]
pub(super) struct Scope<'t> {
    facts: [(&'static str, String); 3],
    variables: IndexMap<&'t str, Option<String>>,
    room: usize,
}

enum Name<'s> {
    Value(&'s str),
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
    /// Resolves the map `node` of variables, with `set` (taken as it is) in place of what the recipe says.
    pub(super) fn resolve(
        checker: &mut Checker<'t>,
        node: Option<&'t Node>,
        set: &[(String, String)],
        facts: &Facts,
    ) -> Self {
        let facts =
            [("cpus", facts.cpus.to_string()), ("arch", facts.arch.clone()), ("host", facts.host.clone())];
        let mut scope = Self { facts, variables: IndexMap::new(), room: FILLED_LIMIT };
        let declared = node.map(|node| scope.declared(checker, node)).unwrap_or_default();
        scope.variables = declared.iter().map(|variable| (variable.name, None)).collect();
        let set = scope.settings(checker, set);
        scope.resolve_in_order(checker, &declared, &set);
        scope
    }

    /// The variables with their values. Those that had errors are left out.
    pub(super) fn into_variables(self) -> IndexMap<String, String> {
        self.variables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    /// A scalar with its templates filled in. Reports what is wrong with it.
    pub(super) fn fill(&mut self, checker: &mut Checker<'t>, node: &'t Node, what: &str) -> Option<String> {
        let text = checker.scalar(node, what)?;
        let pieces = self.pieces(checker, node, text)?;
        self.join(checker, node, &pieces)
    }

    fn declared(&self, checker: &mut Checker<'t>, node: &'t Node) -> Vec<Declared<'t>> {
        let mut declared = Vec::new();
        for (name, key, node) in checker.entries(node, "`variables`", r#"{jobs: "{{cpus}}"}"#) {
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
            } else {
                declared.push(Declared { name, key, node, pieces: None });
            }
        }
        declared
    }

    /// The settings for variables that there are.
    fn settings<'s>(
        &self,
        checker: &mut Checker<'t>,
        set: &'s [(String, String)],
    ) -> HashMap<&'s str, &'s str> {
        let mut known = HashMap::new();
        for (name, value) in set {
            let refused = if self.facts.iter().any(|(fact, _)| fact == name) {
                Some(("it is a fact of the machine", None))
            } else if !self.variables.contains_key(name.as_str()) {
                let help = did_you_mean(name, self.variables.keys().copied())
                    .unwrap_or_else(|| self.list_variables());
                Some(("the recipe has no such variable", Some(help)))
            } else if value.contains('\0') {
                Some(("the value contains a NUL byte", None))
            } else {
                None
            };
            match refused {
                Some((why, help)) => {
                    let message = format!("cannot set {}: {why}", quoted(name));
                    checker.report(Diagnostic::general(message).maybe_help(help));
                }
                None => {
                    known.insert(name.as_str(), value.as_str());
                }
            }
        }
        known
    }

    fn list_variables(&self) -> String {
        if self.variables.is_empty() {
            return "it declares no variables".to_owned();
        }
        let names: Vec<String> = self.variables.keys().take(20).map(|name| quoted(name)).collect();
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
                let value = set.get(variable.name).map(|value| (*value).to_owned()).or(resolved);
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
    fn pieces<'p>(&self, checker: &mut Checker<'t>, node: &Node, text: &'p str) -> Option<Vec<Piece<'p>>> {
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
            if let Piece::Name { name, nth } = piece
                && matches!(self.look_up(name), Name::Unknown)
            {
                known = false;
                self.report_unknown(checker, node, name, *nth);
            }
        }
        known.then_some(pieces)
    }

    fn join(&mut self, checker: &mut Checker<'t>, node: &Node, pieces: &[Piece<'_>]) -> Option<String> {
        let mut filled = String::new();
        for piece in pieces {
            let text = match piece {
                Piece::Text(text) => text,
                Piece::Name { name, .. } => match self.look_up(name) {
                    Name::Value(value) => value,
                    Name::Broken | Name::Unknown => return None,
                },
            };
            if filled.len() + text.len() > self.room {
                checker.wrong(node, |at| {
                    Diagnostic::at(at, "the templates of this recipe fill in to more than 4 MiB")
                        .label("no room for this")
                        .help("do variables double each other?")
                });
                return None;
            }
            filled.push_str(text);
        }
        self.room -= filled.len();
        Some(filled)
    }

    fn look_up(&self, name: &str) -> Name<'_> {
        if let Some((_, value)) = self.facts.iter().find(|(fact, _)| *fact == name) {
            return Name::Value(value);
        }
        match self.variables.get(name) {
            Some(Some(value)) => Name::Value(value),
            Some(None) => Name::Broken,
            None => Name::Unknown,
        }
    }

    fn report_unknown(&self, checker: &mut Checker<'t>, node: &Node, name: &str, nth: usize) {
        let help = (!checker.is_full()).then(|| {
            let names = self.variables.keys().copied().chain(self.facts.iter().map(|(fact, _)| *fact));
            did_you_mean(name, names).unwrap_or_else(|| "declare it under `variables`".to_owned())
        });
        report_in(checker, node, nth, |at| {
            Diagnostic::at(at, format!("unknown name {} in a template", quoted(name)))
                .label("not a variable, nor a fact (`cpus`, `arch`, `host`)")
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
    diagnostic: impl FnOnce(std::ops::Range<usize>) -> Diagnostic,
) {
    // Finding the place takes as long as the text is; an error that is only counted needs none.
    let raw = if checker.is_full() { "" } else { checker.text.get(node.at.clone()).unwrap_or_default() };
    let place = template::find_open(raw, nth).map(|open| {
        let rest = raw.get(open..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let length = line.find("}}").map_or(2, |close| close + 2);
        node.at.start + open..node.at.start + open + length
    });
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
