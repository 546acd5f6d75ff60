//! From nodes to known keys with values of the right type. Collects errors instead of stopping at the first.

use std::{cell::OnceCell, collections::HashMap, ops::Range, time::Duration};

use super::{
    diagnostic::{Diagnostic, MAX_ERRORS, did_you_mean, nearest, quoted},
    duration,
    section::{Key, Section},
    tree::{Node, Value},
};

/// Collects the errors of one text.
#[derive(Debug)]
pub(super) struct Checker<'t> {
    pub(super) text: &'t str,
    found: Vec<Diagnostic>,
    more: usize,
    /// Positions of line ends, computed once.
    line_ends: OnceCell<Vec<usize>>,
}

/// The entries of a map with known keys, each key once.
#[derive(Debug)]
pub(super) struct Fields<'t> {
    entries: Vec<(&'static Key, &'t Node, &'t Node)>,
}

impl<'t> Fields<'t> {
    pub(super) fn get(&self, name: &str) -> Option<&'t Node> {
        self.entries.iter().find(|(key, ..)| key.name == name).map(|(_, _, value)| *value)
    }

    /// Position of the key.
    pub(super) fn place(&self, name: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|(key, ..)| key.name == name).map(|(_, node, _)| node.at.clone())
    }
}

impl<'t> Checker<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new(), more: 0, line_ends: OnceCell::new() }
    }

    /// The line of the byte `at`, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        let ends = || self.text.match_indices('\n').map(|(end, _)| end).collect();
        self.line_ends.get_or_init(ends).partition_point(|end| *end < at) + 1
    }

    /// Further errors are only counted, so there is no need to word them.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_ERRORS
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            self.more += 1;
        } else {
            self.found.push(diagnostic);
        }
    }

    /// Takes over the errors of another pass over the same text, each once.
    pub(super) fn absorb(&mut self, other: Self) {
        for diagnostic in other.found {
            if !self.found.contains(&diagnostic) {
                self.report(diagnostic);
            }
        }
        self.more = self.more.max(other.more);
    }

    /// Reports an error at `node`; for an alias, also where it is used.
    pub(super) fn wrong(&mut self, node: &Node, diagnostic: impl FnOnce(Range<usize>) -> Diagnostic) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        let diagnostic = diagnostic(node.at.clone());
        self.report(match &node.used_at {
            Some(used) => diagnostic.also(used.clone(), "used here"),
            None => diagnostic,
        });
    }

    /// The errors that were kept, and the number of further ones.
    pub(super) fn into_errors(self) -> (Vec<Diagnostic>, usize) {
        (self.found, self.more)
    }

    /// How many errors there are so far.
    pub(super) fn count(&self) -> usize {
        self.found.len() + self.more
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.found.is_empty()
    }

    /// The entries of a map whose keys are text, each once. `what` names the map in messages.
    pub(super) fn entries(
        &mut self,
        node: &'t Node,
        what: &str,
        example: &str,
    ) -> Vec<(&'t str, &'t Node, &'t Node)> {
        let Value::Map(map) = &node.value else {
            self.wrong_type(node, what, "a map", Some(format!("write it like `{example}`")));
            return Vec::new();
        };
        let mut first: HashMap<&str, Range<usize>> = HashMap::new();
        let mut entries = Vec::new();
        for (key, value) in map {
            let Some(name) = key.scalar(self.text) else {
                self.wrong(key, |at| {
                    Diagnostic::at(at, format!("a key of {what} must be text"))
                        .label(format!("this is {}", key.describe()))
                });
                continue;
            };
            if let Some(earlier) = first.get(name) {
                let earlier = earlier.clone();
                self.wrong(key, |at| {
                    Diagnostic::at(at, format!("the key {} is given twice", quoted(name)))
                        .label("again here")
                        .also(earlier, "first here")
                        .hint("remove one of them")
                });
                continue;
            }
            first.insert(name, key.at.clone());
            entries.push((name, key, value));
        }
        entries
    }

    /// The known keys of a map; reports unknown keys, missing keys, and keys that exclude each other.
    pub(super) fn fields(
        &mut self,
        node: &'t Node,
        section: &'static Section,
        example: &str,
    ) -> Option<Fields<'t>> {
        let is_map = matches!(node.value, Value::Map(_));
        let mut fields = Fields { entries: Vec::new() };
        let mut excused = false;
        for (name, key, value) in self.entries(node, section.what, example) {
            match section.key(name) {
                Some(known) => fields.entries.push((known, key, value)),
                None => excused |= self.unknown_key(name, key, section),
            }
        }
        if !is_map {
            return None;
        }
        self.combination(node, section, &fields, excused);
        Some(fields)
    }

    /// Reports an unknown key. True if it is probably a required key, misspelt: then that one is not reported as missing.
    fn unknown_key(&mut self, name: &str, key: &Node, section: &'static Section) -> bool {
        if section.later.contains(&name) {
            self.wrong(key, |at| {
                Diagnostic::at(at, format!("{} is not supported by this version yet", quoted(name)))
                    .label("planned for a later version")
                    .hint("remove it")
            });
            return true;
        }
        let meant = if self.is_full() { None } else { did_you_mean_key(name, section) };
        let excused = meant.is_some();
        let all = || section.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        self.wrong(key, |at| {
            Diagnostic::at(at, format!("unknown key {} in {}", quoted(name), section.what))
                .label("unknown key")
                .hint(meant.unwrap_or_else(|| format!("{} can have {}", section.what, all())))
        });
        excused
    }

    fn combination(&mut self, node: &Node, section: &'static Section, fields: &Fields<'t>, excused: bool) {
        // A missing key is reported at the first key of the map.
        let place = match &node.value {
            Value::Map(map) => map.first().map_or(node.at.clone(), |(key, _)| key.at.clone()),
            _ => node.at.clone(),
        };
        for (name, example) in section.required {
            if fields.get(name).is_none() && !excused {
                self.report(
                    Diagnostic::at(place.clone(), format!("{} needs `{name}`", section.what))
                        .label(format!("`{name}` is missing here"))
                        .hint(format!("for example `{example}`")),
                );
            }
        }
        let given = |names: &[&'static str]| {
            names.iter().copied().filter(|name| fields.get(name).is_some()).collect::<Vec<_>>()
        };
        match given(section.one_of).as_slice() {
            [] if !section.one_of.is_empty() && !excused => self.report(
                Diagnostic::at(place, format!("{} needs {}", section.what, either(section.one_of)))
                    .label(if section.one_of.len() == 2 { "has neither" } else { "has none of them" }),
            ),
            [one, other, ..] => self.both(fields, one, other),
            _ => {}
        }
        if let [one, other, ..] = given(section.at_most_one).as_slice() {
            self.both(fields, one, other);
        }
        for (name, with) in section.only_with {
            let other =
                section.one_of.iter().find(|other| !with.contains(other) && fields.get(other).is_some());
            if let (Some(place), Some(other), []) = (fields.place(name), other, given(with).as_slice()) {
                let with = either(with);
                self.report(
                    Diagnostic::at(place, format!("`{name}` belongs to {with}, not to `{other}`"))
                        .label("not allowed here")
                        .hint("remove it"),
                );
            }
        }
    }

    fn both(&mut self, fields: &Fields<'t>, one: &str, other: &str) {
        let (Some(first), Some(second)) = (fields.place(one), fields.place(other)) else { return };
        let (first, second) = if first.start < second.start { (first, second) } else { (second, first) };
        self.report(
            Diagnostic::at(second, format!("`{one}` and `{other}` cannot be combined"))
                .label("second")
                .also(first, "first")
                .hint("remove one of them"),
        );
    }

    /// "`timeout` must be a duration, not a list".
    pub(super) fn wrong_type(&mut self, node: &Node, what: &str, expected: &str, hint: Option<String>) {
        let raw = self.text.get(node.at.start..).unwrap_or_default();
        // `{{name}}` without quotes is a map of a map to YAML.
        if matches!(node.value, Value::Map(_)) && raw.starts_with("{{") {
            let end = raw.find("}}").map_or(2, |end| end + 2);
            let shown = quoted(raw.get(..end).unwrap_or_default());
            let shown = shown.trim_matches('`');
            self.wrong(node, |at| {
                Diagnostic::at(at.start..at.start + end, "text that begins with `{{` must be in quotes")
                    .label("YAML reads `{{` as a map")
                    .hint(format!("write `\"{shown}\"`"))
            });
            return;
        }
        let message = match node.value {
            Value::Null => format!("{what} has no value"),
            _ => format!("{what} must be {expected}, not {}", node.describe()),
        };
        self.wrong(node, |at| {
            Diagnostic::at(at, message).label(format!("expected {expected}")).maybe_hint(hint)
        });
    }

    /// A scalar as written, without NUL bytes: no program can be given one.
    pub(super) fn scalar(&mut self, node: &'t Node, what: &str) -> Option<&'t str> {
        let Some(text) = node.scalar(self.text) else {
            let hint = matches!(node.value, Value::Null)
                .then(|| "give it a value, or leave it out (`\"\"` is empty text)".to_owned());
            self.wrong_type(node, what, "text", hint);
            return None;
        };
        if text.contains('\0') {
            self.wrong(node, |at| {
                Diagnostic::at(at, format!("{what} contains a NUL byte")).label("contains `\\0`")
            });
            return None;
        }
        Some(text)
    }

    pub(super) fn flag(&mut self, node: &'t Node, what: &str) -> Option<bool> {
        if let Value::Flag(flag) = node.value {
            return Some(flag);
        }
        let meant = match node.scalar(self.text).map(str::to_lowercase).as_deref() {
            Some("yes" | "on" | "y" | "1" | "true") => Some("did you mean `true`?".to_owned()),
            Some("no" | "off" | "n" | "0" | "false") => Some("did you mean `false`?".to_owned()),
            _ => None,
        };
        self.wrong_type(node, what, "`true` or `false`", meant);
        None
    }

    pub(super) fn duration(&mut self, node: &'t Node, what: &str) -> Option<Duration> {
        let parsed = match &node.value {
            Value::Text(_) | Value::Number => duration::parse(node.scalar(self.text).unwrap_or_default()),
            _ => {
                self.wrong_type(node, what, "a duration", Some(duration::HINT.to_owned()));
                return None;
            }
        };
        parsed
            .map_err(|wrong| {
                self.wrong(node, |at| {
                    Diagnostic::at(at, format!("{what} {wrong}"))
                        .label("expected a duration")
                        .hint(duration::HINT)
                });
            })
            .ok()
    }

    /// One of `words`.
    pub(super) fn choice(
        &mut self,
        node: &'t Node,
        what: &str,
        words: &'static [&'static str],
    ) -> Option<&'static str> {
        let all = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let Some(word) = node.scalar(self.text) else {
            self.wrong_type(node, what, &format!("one of {all}"), None);
            return None;
        };
        let known = words.iter().find(|known| **known == word).copied();
        if known.is_none() {
            let meant = did_you_mean(word, words.iter().copied());
            self.wrong(node, |at| {
                Diagnostic::at(at, format!("{what} cannot be {}", quoted(word)))
                    .label(format!("expected one of {all}"))
                    .maybe_hint(meant)
            });
        }
        known
    }

    pub(super) fn list(&mut self, node: &'t Node, what: &str, example: &str) -> &'t [Node] {
        if let Value::List(items) = &node.value {
            return items;
        }
        self.wrong_type(node, what, "a list", Some(format!("write it like `{example}`")));
        &[]
    }
}

/// "`git`, `hg` or `path`".
fn either(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The key that was probably meant, also if other tools use that name for it.
fn did_you_mean_key(name: &str, section: &Section) -> Option<String> {
    let other_names = section.known_as.iter().map(|(other, _)| *other);
    let ours = |word: &str| section.known_as.iter().find(|(other, _)| *other == word).map(|(_, ours)| *ours);
    let meant = ours(name)
        .or_else(|| nearest(name, section.names()))
        .or_else(|| nearest(name, other_names).and_then(ours))?;
    Some(format!("did you mean `{meant}`?"))
}
