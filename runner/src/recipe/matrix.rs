//! `matrix`: axes, their values, and the cells that result from them.

use std::{collections::HashMap, ops::Range};

use indexmap::IndexMap;

use super::{
    check::Checker,
    deferred::JOBS,
    diagnostic::{Diagnostic, did_you_mean, quoted},
    template,
    tree::{Node, Value},
    variables::{BUILTINS, MatrixCell, RejectedSetting},
};

/// More builds of one recipe are a mistake.
const MAX_CELLS: usize = 1000;

/// The recipe is read once for each cell. The limit is on the bytes of all these passes together.
const MAX_TEXT: usize = 16 * 1024 * 1024;

const EXAMPLE: &str = r#"{python: ["3.12", "3.13"]}"#;

/// All cells. A recipe without a matrix has one cell without axes.
#[derive(Debug)]
pub(super) struct Matrix<'t> {
    /// At least one.
    pub(super) cells: Vec<MatrixCell<'t>>,
    /// Values that several axes have: their tags include the axis's name.
    shared: Vec<&'t str>,
}

impl<'t> Matrix<'t> {
    pub(super) fn read(
        checker: &mut Checker<'t>,
        node: Option<&'t Node>,
        variables: Option<&'t Node>,
    ) -> Self {
        let mut reading = Reading::default();
        let Some(node) = node else { return Self::of(vec![MatrixCell::new()]) };
        match reading.cells(checker, node, variables) {
            Some(cells) => Self::of(cells),
            None => Self::of(vec![reading.axes.iter().map(|(axis, _)| (*axis, None)).collect()]),
        }
    }

    fn of(cells: Vec<MatrixCell<'t>>) -> Self {
        let mut axis_of: HashMap<&str, &str> = HashMap::new();
        let mut shared = Vec::new();
        for (axis, value) in cells.iter().flatten() {
            let Some(value) = *value else { continue };
            if *axis_of.entry(value).or_insert(axis) != *axis && !shared.contains(&value) {
                shared.push(value);
            }
        }
        Self { cells, shared }
    }

    /// Keeps the cells that `settings` select, and returns the other settings. The last setting of a name wins.
    pub(super) fn select<'s>(
        &mut self,
        settings: &'s [(String, String)],
        rejected: &mut Vec<RejectedSetting>,
    ) -> IndexMap<&'s str, &'s str> {
        let mut others: IndexMap<&str, &str> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let axes: Vec<&str> = self.cells.first().into_iter().flatten().map(|(axis, _)| *axis).collect();
        let mut selected: Vec<String> = Vec::new();
        for axis in axes {
            let Some(wanted) = others.shift_remove(axis) else { continue };
            // An axis with errors has no values to compare with.
            let has =
                |cell: &MatrixCell<'_>| cell.get(axis).copied().flatten().is_none_or(|value| value == wanted);
            if self.cells.iter().any(has) {
                self.cells.retain(has);
                selected.push(format!("{} is {}", quoted(axis), quoted(wanted)));
                continue;
            }
            let mut values: Vec<&str> = Vec::new();
            for value in self.cells.iter().filter_map(|cell| cell.get(axis).copied().flatten()) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            let all: Vec<String> = values.iter().take(20).map(|value| quoted(value)).collect();
            let condition = if selected.is_empty() {
                String::new()
            } else {
                format!(" where {}", selected.join(" and "))
            };
            rejected.push(RejectedSetting {
                name: axis.to_owned(),
                why: format!("no cell of the matrix has {}{condition}", quoted(wanted)),
                // Similar versions are no likely typos, so list what exists.
                hint: Some(format!("possible values: {}", all.join(", "))),
            });
        }
        others
    }

    /// Adds the cell's values as tags, with the axis's name if another axis has the same value.
    pub(super) fn add_tags(&self, cell: &MatrixCell<'t>, tags: &mut Vec<String>) {
        for (axis, value) in cell {
            let Some(value) = *value else { continue };
            let full = format!("{axis}={value}");
            let tag = if self.shared.contains(&value) { full.clone() } else { value.to_owned() };
            // The tags of a resolved recipe already contain its cell.
            if !tags.contains(&tag) && !tags.contains(&full) {
                tags.push(tag);
            }
        }
    }
}

#[derive(Default)]
struct Reading<'t> {
    /// Axes with their values, in the order written.
    axes: IndexMap<&'t str, Vec<&'t str>>,
    /// Some axes have errors and are not in `axes`.
    lacks_axes: bool,
    wrong: bool,
}

impl<'t> Reading<'t> {
    /// `None` if there are errors.
    fn cells(
        &mut self,
        checker: &mut Checker<'t>,
        node: &'t Node,
        variables: Option<&'t Node>,
    ) -> Option<Vec<MatrixCell<'t>>> {
        if !matches!(node.value, Value::Map(_)) {
            let hint = format!("write it like `{EXAMPLE}`");
            checker.wrong_type(node, "`matrix`", "a map", Some(hint));
            return None;
        }
        let entries = checker.entries(node, "`matrix`", EXAMPLE);
        for (axis, key, values) in &entries {
            if !matches!(*axis, "include" | "exclude") && self.is_axis(checker, axis, key, variables) {
                let values = self.values(checker, axis, values);
                self.axes.insert(axis, values);
            }
        }
        let list = |name: &str| entries.iter().find(|(axis, ..)| *axis == name).map(|(_, _, node)| *node);
        let (include, exclude) = (list("include"), list("exclude"));
        let include = include.map(|node| self.included(checker, node, variables)).unwrap_or_default();
        let exclude = exclude.map(|node| self.excluded(checker, node)).unwrap_or_default();
        if self.wrong {
            return None;
        }
        let mut cells = self.product(checker, node)?;
        for (place, partial) in exclude {
            let before = cells.len();
            cells.retain(|cell| !partial.iter().all(|(axis, value)| cell.get(axis) == Some(&Some(value))));
            if cells.len() == before {
                checker.wrong(place, |at| {
                    Diagnostic::at(at, "this entry of `exclude` matches no cell")
                        .label("no cell has these values")
                        .hint("remove it; an earlier entry may already exclude the same cells")
                });
                self.wrong = true;
            }
        }
        for (place, cell) in include {
            if cells.contains(&cell) {
                checker.wrong(place, |at| {
                    Diagnostic::at(at, "the matrix already contains this cell")
                        .label("again here")
                        .hint("remove it")
                });
                self.wrong = true;
            } else {
                cells.push(cell);
            }
        }
        if cells.is_empty() && !self.wrong {
            checker.wrong(node, |at| {
                Diagnostic::at(at, "the matrix is empty")
                    .label("it has no cells")
                    .hint(format!("write it like `{EXAMPLE}`, or remove it"))
            });
            self.wrong = true;
        }
        (!self.wrong && is_bounded(checker, node, cells.len())).then_some(cells)
    }

    fn is_axis(
        &mut self,
        checker: &mut Checker<'t>,
        axis: &str,
        key: &Node,
        variables: Option<&Node>,
    ) -> bool {
        let variable = variables.and_then(|node| match &node.value {
            Value::Map(map) => {
                map.iter().map(|(key, _)| key).find(|key| key.scalar(checker.text) == Some(axis))
            }
            _ => None,
        });
        let place: Option<Range<usize>> = variable.map(|key| key.at.clone());
        let (message, label) = if let Some(place) = place {
            checker.wrong(key, |at| {
                Diagnostic::at(at, format!("{} is both an axis and a variable", quoted(axis)))
                    .label("an axis here")
                    .also(place, "a variable here")
                    .hint("give one of the two another name")
            });
            self.lacks_axes = true;
            self.wrong = true;
            return false;
        } else if BUILTINS.contains(&axis) || axis == JOBS {
            ("cannot be an axis", "`{{}}` is a built-in value")
        } else if !template::is_name(axis) || axis.starts_with("needs.") {
            (
                "cannot be the name of an axis",
                "expected letters, digits, `_`, `-` or `.`, beginning with a letter",
            )
        } else {
            return true;
        };
        let label = label.replace("{{}}", &format!("{{{{{axis}}}}}"));
        checker.wrong(key, |at| Diagnostic::at(at, format!("{} {message}", quoted(axis))).label(label));
        self.lacks_axes = true;
        self.wrong = true;
        false
    }

    fn values(&mut self, checker: &mut Checker<'t>, axis: &str, node: &'t Node) -> Vec<&'t str> {
        let mut values: Vec<&str> = Vec::new();
        let what = quoted(axis);
        let items = checker.list(node, &what, r#"["3.12", "3.13"]"#);
        if matches!(&node.value, Value::List(items) if items.is_empty()) {
            checker.wrong(node, |at| {
                Diagnostic::at(at, format!("the axis {what} has no values"))
                    .label("expected at least one value")
                    .hint("an axis without values leaves nothing to build")
            });
        }
        let mut seen = std::collections::HashSet::new();
        for item in items {
            let Some(value) = value(checker, item, axis) else { continue };
            if seen.insert(value) {
                values.push(value);
            } else {
                checker.wrong(item, |at| {
                    Diagnostic::at(at, format!("the axis {what} has the value {} twice", quoted(value)))
                        .label("again here")
                });
            }
        }
        // Values that are missing here have errors.
        self.wrong |= values.is_empty() || values.len() != items.len();
        values
    }

    fn product(&mut self, checker: &mut Checker<'t>, node: &Node) -> Option<Vec<MatrixCell<'t>>> {
        let count = self.axes.values().try_fold(1, |count: usize, values| count.checked_mul(values.len()));
        if !is_bounded(checker, node, count.unwrap_or(usize::MAX)) {
            self.wrong = true;
            return None;
        }
        if self.axes.values().all(Vec::is_empty) {
            return Some(Vec::new());
        }
        let mut cells = vec![MatrixCell::new()];
        for (axis, values) in &self.axes {
            let longer = |cell: &MatrixCell<'t>, value: &'t str| {
                let mut cell = cell.clone();
                cell.insert(axis, Some(value));
                cell
            };
            cells = cells.iter().flat_map(|cell| values.iter().map(|value| longer(cell, value))).collect();
        }
        Some(cells)
    }

    /// Complete cells. A matrix without axes takes those of the first entry.
    fn included(
        &mut self,
        checker: &mut Checker<'t>,
        node: &'t Node,
        variables: Option<&'t Node>,
    ) -> Vec<(&'t Node, MatrixCell<'t>)> {
        let mut cells = Vec::new();
        let only = self.axes.is_empty() && !self.wrong;
        let items = self.items(checker, node, "`include`");
        for (index, item) in items.iter().enumerate() {
            let entries = checker.entries(item, "an entry of `include`", r#"{python: "3.14", db: sqlite}"#);
            if only && index == 0 {
                for (axis, key, _) in &entries {
                    if self.is_axis(checker, axis, key, variables) {
                        self.axes.insert(axis, Vec::new());
                    }
                }
            }
            let values = self.axis_values(checker, item, entries);
            if self.wrong {
                continue;
            }
            let missing: Vec<String> = self
                .axes
                .keys()
                .filter(|axis| !values.contains_key(*axis))
                .map(|axis| quoted(axis))
                .collect();
            if !missing.is_empty() {
                checker.wrong(item, |at| {
                    Diagnostic::at(
                        at,
                        format!("an entry of `include` needs a value for {}", missing.join(", ")),
                    )
                    .label("expected a value for each axis")
                    .hint("an entry of `include` adds one build, so it must be a complete cell")
                });
                self.wrong = true;
                continue;
            }
            // In the order of the axes, so that cells compare equal and have consistent names.
            let cell = self.axes.keys().map(|axis| (*axis, values.get(axis).copied())).collect();
            cells.push((item, cell));
        }
        cells
    }

    fn excluded(
        &mut self,
        checker: &mut Checker<'t>,
        node: &'t Node,
    ) -> Vec<(&'t Node, IndexMap<&'t str, &'t str>)> {
        let items = self.items(checker, node, "`exclude`");
        let mut partial = Vec::new();
        for item in items {
            let entries = checker.entries(item, "an entry of `exclude`", r#"{python: "3.12"}"#);
            partial.push((item, self.axis_values(checker, item, entries)));
        }
        partial
    }

    fn items(&mut self, checker: &mut Checker<'t>, node: &'t Node, what: &str) -> &'t [Node] {
        let items = checker.list(node, what, r#"[{python: "3.12", db: sqlite}]"#);
        self.wrong |= !matches!(node.value, Value::List(_));
        items
    }

    /// The values that an entry has for known axes.
    fn axis_values(
        &mut self,
        checker: &mut Checker<'t>,
        item: &'t Node,
        entries: Vec<(&'t str, &'t Node, &'t Node)>,
    ) -> IndexMap<&'t str, &'t str> {
        let mut found = IndexMap::new();
        if entries.is_empty() {
            if matches!(item.value, Value::Map(_)) {
                checker.wrong(item, |at| {
                    Diagnostic::at(at, "an entry without values").label("expected a value for an axis")
                });
            }
            self.wrong = true;
        }
        for (axis, key, node) in entries {
            if self.axes.contains_key(axis) {
                match value(checker, node, axis) {
                    Some(value) => drop(found.insert(axis, value)),
                    None => self.wrong = true,
                }
                continue;
            }
            let hint = did_you_mean(axis, self.axes.keys().copied());
            // Axes with errors are reported, and one of them may be meant.
            if !self.lacks_axes || hint.is_some() {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("the matrix has no axis {}", quoted(axis)))
                        .label("unknown axis")
                        .maybe_hint(hint)
                });
            }
            self.wrong = true;
        }
        found
    }
}

fn is_bounded(checker: &mut Checker<'_>, node: &Node, cells: usize) -> bool {
    let most = (MAX_TEXT / checker.text.len().max(1)).clamp(1, MAX_CELLS);
    if cells > most {
        checker.wrong(node, |at| {
            Diagnostic::at(at, format!("the matrix has more than {most} cells"))
                .label(if most < MAX_CELLS { "too many for a recipe of this size" } else { "too many" })
                .hint("list only the important combinations, under `include`")
        });
    }
    cells <= most
}

/// A value as written that can be a tag.
fn value<'t>(checker: &mut Checker<'t>, node: &'t Node, axis: &str) -> Option<&'t str> {
    let text = checker.scalar(node, &format!("a value of {}", quoted(axis)))?;
    let wrong = if text.trim().is_empty() {
        "is empty"
    } else if text.contains("{{") {
        "cannot contain a template"
    } else if text.starts_with("__") {
        "begins with `__`, which is reserved for servers"
    } else if text.contains(char::is_control) {
        "must be one line of plain text"
    } else {
        return Some(text);
    };
    checker.wrong(node, |at| {
        Diagnostic::at(at, format!("a value of {} {wrong}", quoted(axis)))
            .label("expected text that can be a tag")
    });
    None
}
