//! `matrix`: axes, their values, and the cells that are made of them.

use std::{collections::HashMap, ops::Range};

use indexmap::IndexMap;

use super::{
    check::Checker,
    diagnostic::{Diagnostic, did_you_mean, quoted},
    late::JOBS,
    template,
    tree::{Node, Value},
    variables::{Cell, FACTS, RefusedSetting},
};

/// More builds of one recipe are a mistake.
const MOST: usize = 1000;

/// The recipe is read once for each cell: so many bytes of it at most, all together.
const MOST_TEXT: usize = 16 * 1024 * 1024;

const EXAMPLE: &str = r#"{python: ["3.12", "3.13"]}"#;

/// All cells. A recipe without a matrix is one without axes.
#[derive(Debug)]
pub(super) struct Matrix<'t> {
    /// At least one.
    pub(super) cells: Vec<Cell<'t>>,
    /// Values that two axes have: as tags they need the axis's name.
    shared: Vec<&'t str>,
}

impl<'t> Matrix<'t> {
    /// Reads `matrix`, if there is one, of a recipe that has these `variables`.
    pub(super) fn read(
        checker: &mut Checker<'t>,
        node: Option<&'t Node>,
        variables: Option<&'t Node>,
    ) -> Self {
        let mut reading = Reading::default();
        let Some(node) = node else { return Self::of(vec![Cell::new()]) };
        match reading.cells(checker, node, variables) {
            Some(cells) => Self::of(cells),
            None => Self::of(vec![reading.axes.iter().map(|(axis, _)| (*axis, None)).collect()]),
        }
    }

    fn of(cells: Vec<Cell<'t>>) -> Self {
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

    /// Keeps the cells that `set` chooses. The other settings are answered, each once: the last one holds.
    pub(super) fn choose<'s>(
        &mut self,
        set: &'s [(String, String)],
        refused: &mut Vec<RefusedSetting>,
    ) -> IndexMap<&'s str, &'s str> {
        let mut left: IndexMap<&str, &str> =
            set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let axes: Vec<&str> = self.cells.first().into_iter().flatten().map(|(axis, _)| *axis).collect();
        let mut chosen: Vec<String> = Vec::new();
        for axis in axes {
            let Some(wanted) = left.shift_remove(axis) else { continue };
            // Nothing is known of an axis that is wrong.
            let has = |cell: &Cell<'_>| cell.get(axis).copied().flatten().is_none_or(|value| value == wanted);
            if self.cells.iter().any(has) {
                self.cells.retain(has);
                chosen.push(format!("{} is {}", quoted(axis), quoted(wanted)));
                continue;
            }
            let mut values: Vec<&str> = Vec::new();
            for value in self.cells.iter().filter_map(|cell| cell.get(axis).copied().flatten()) {
                if !values.contains(&value) {
                    values.push(value);
                }
            }
            let all: Vec<String> = values.iter().take(20).map(|value| quoted(value)).collect();
            let among =
                if chosen.is_empty() { String::new() } else { format!(" where {}", chosen.join(" and ")) };
            refused.push(RefusedSetting {
                name: axis.to_owned(),
                why: format!("no cell of the matrix has {}{among}", quoted(wanted)),
                // Of versions, which is most alike says nothing.
                help: Some(format!("there is {}", all.join(", "))),
            });
        }
        left
    }

    /// The cell's values are tags; with the axis's name where another axis has the same value.
    pub(super) fn add_tags(&self, cell: &Cell<'t>, tags: &mut Vec<String>) {
        for (axis, value) in cell {
            let Some(value) = *value else { continue };
            let full = format!("{axis}={value}");
            let tag = if self.shared.contains(&value) { full.clone() } else { value.to_owned() };
            // A resolved recipe names its one cell in its tags already.
            if !tags.contains(&tag) && !tags.contains(&full) {
                tags.push(tag);
            }
        }
    }
}

#[derive(Default)]
struct Reading<'t> {
    /// With their values, in the order written.
    axes: IndexMap<&'t str, Vec<&'t str>>,
    /// Some are missing there.
    lacks_axes: bool,
    wrong: bool,
}

impl<'t> Reading<'t> {
    /// None if anything is wrong.
    fn cells(
        &mut self,
        checker: &mut Checker<'t>,
        node: &'t Node,
        variables: Option<&'t Node>,
    ) -> Option<Vec<Cell<'t>>> {
        if !matches!(node.value, Value::Map(_)) {
            let help = format!("write it like `{EXAMPLE}`");
            checker.wrong_shape(node, "`matrix`", "a map", Some(help));
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
                    Diagnostic::at(at, "this entry of `exclude` excludes nothing")
                        .label("no cell has these values")
                        .help("remove it; an earlier entry may have excluded the same")
                });
                self.wrong = true;
            }
        }
        for (place, cell) in include {
            if cells.contains(&cell) {
                checker.wrong(place, |at| {
                    Diagnostic::at(at, "the matrix has this cell already")
                        .label("again here")
                        .help("remove it")
                });
                self.wrong = true;
            } else {
                cells.push(cell);
            }
        }
        if cells.is_empty() && !self.wrong {
            checker.wrong(node, |at| {
                Diagnostic::at(at, "the matrix is empty")
                    .label("no cell is left")
                    .help(format!("write it like `{EXAMPLE}`, or leave it out"))
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
                Diagnostic::at(at, format!("{} is an axis and a variable", quoted(axis)))
                    .label("an axis here")
                    .also(place, "a variable here")
                    .help("give one of the two another name")
            });
            self.lacks_axes = true;
            self.wrong = true;
            return false;
        } else if FACTS.contains(&axis) || axis == JOBS {
            ("cannot be an axis", "`{{}}` is a fact")
        } else if !template::is_name(axis) || axis.starts_with("needs.") {
            ("cannot be the name of an axis", "expected letters, digits, `_`, `-` or `.`, a letter first")
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
                    .label("none here")
                    .help("an axis without values leaves no build")
            });
        }
        let mut known = std::collections::HashSet::new();
        for item in items {
            let Some(value) = value(checker, item, axis) else { continue };
            if known.insert(value) {
                values.push(value);
            } else {
                checker.wrong(item, |at| {
                    Diagnostic::at(at, format!("the axis {what} has the value {} twice", quoted(value)))
                        .label("again here")
                });
            }
        }
        // Anything else was wrong.
        self.wrong |= values.is_empty() || values.len() != items.len();
        values
    }

    fn product(&mut self, checker: &mut Checker<'t>, node: &Node) -> Option<Vec<Cell<'t>>> {
        let count = self.axes.values().try_fold(1, |count: usize, values| count.checked_mul(values.len()));
        if !is_bounded(checker, node, count.unwrap_or(usize::MAX)) {
            self.wrong = true;
            return None;
        }
        if self.axes.values().all(Vec::is_empty) {
            return Some(Vec::new());
        }
        let mut cells = vec![Cell::new()];
        for (axis, values) in &self.axes {
            let longer = |cell: &Cell<'t>, value: &'t str| {
                let mut cell = cell.clone();
                cell.insert(axis, Some(value));
                cell
            };
            cells = cells.iter().flat_map(|cell| values.iter().map(|value| longer(cell, value))).collect();
        }
        Some(cells)
    }

    /// Whole cells. Without axes of its own, a matrix has those of the first.
    fn included(
        &mut self,
        checker: &mut Checker<'t>,
        node: &'t Node,
        variables: Option<&'t Node>,
    ) -> Vec<(&'t Node, Cell<'t>)> {
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
            let given = self.given(checker, item, entries);
            if self.wrong {
                continue;
            }
            let missing: Vec<String> =
                self.axes.keys().filter(|axis| !given.contains_key(*axis)).map(|axis| quoted(axis)).collect();
            if !missing.is_empty() {
                checker.wrong(item, |at| {
                    Diagnostic::at(
                        at,
                        format!("an entry of `include` needs a value for {}", missing.join(", ")),
                    )
                    .label("expected a value for each axis")
                    .help("it is one more build: a whole cell")
                });
                self.wrong = true;
                continue;
            }
            // In the order of the axes, so that cells can be compared and are named alike.
            let cell = self.axes.keys().map(|axis| (*axis, given.get(axis).copied())).collect();
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
            partial.push((item, self.given(checker, item, entries)));
        }
        partial
    }

    fn items(&mut self, checker: &mut Checker<'t>, node: &'t Node, what: &str) -> &'t [Node] {
        let items = checker.list(node, what, r#"[{python: "3.12", db: sqlite}]"#);
        self.wrong |= !matches!(node.value, Value::List(_));
        items
    }

    /// Values of axes that there are.
    fn given(
        &mut self,
        checker: &mut Checker<'t>,
        item: &'t Node,
        entries: Vec<(&'t str, &'t Node, &'t Node)>,
    ) -> IndexMap<&'t str, &'t str> {
        let mut given = IndexMap::new();
        if entries.is_empty() {
            if matches!(item.value, Value::Map(_)) {
                checker.wrong(item, |at| Diagnostic::at(at, "an empty cell").label("no values here"));
            }
            self.wrong = true;
        }
        for (axis, key, node) in entries {
            if self.axes.contains_key(axis) {
                match value(checker, node, axis) {
                    Some(value) => drop(given.insert(axis, value)),
                    None => self.wrong = true,
                }
                continue;
            }
            let help = did_you_mean(axis, self.axes.keys().copied());
            // Wrong axes are reported, and may be what is meant.
            if !self.lacks_axes || help.is_some() {
                checker.wrong(key, |at| {
                    Diagnostic::at(at, format!("the matrix has no axis {}", quoted(axis)))
                        .label("no such axis")
                        .maybe_help(help)
                });
            }
            self.wrong = true;
        }
        given
    }
}

fn is_bounded(checker: &mut Checker<'_>, node: &Node, cells: usize) -> bool {
    let most = (MOST_TEXT / checker.text.len().max(1)).clamp(1, MOST);
    if cells > most {
        checker.wrong(node, |at| {
            Diagnostic::at(at, format!("the matrix has more than {most} cells"))
                .label(if most < MOST { "too many for so large a recipe" } else { "too many" })
                .help("list the ones that matter under `include`")
        });
    }
    cells <= most
}

/// A value as written, fit for a tag.
fn value<'t>(checker: &mut Checker<'t>, node: &'t Node, axis: &str) -> Option<&'t str> {
    let text = checker.scalar(node, &format!("a value of {}", quoted(axis)))?;
    let wrong = if text.trim().is_empty() {
        "is empty"
    } else if text.contains("{{") {
        "cannot hold a template"
    } else if text.starts_with("__") {
        "begins with `__`, which servers keep for themselves"
    } else if text.contains(char::is_control) {
        "must be one line of plain text"
    } else {
        return Some(text);
    };
    checker.wrong(node, |at| {
        Diagnostic::at(at, format!("a value of {} {wrong}", quoted(axis))).label("expected what can be a tag")
    });
    None
}
