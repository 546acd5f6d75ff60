//! `--matrix AXIS=VALUE`: which of the cells that are asked for are kept. Pure.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::recipe::{did_you_mean, quoted};

/// A value for each axis, or nothing at all.
type Cell = IndexMap<String, String>;

/// The values of each axis, in the order in which they come.
pub(super) fn axes<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> IndexMap<&'a str, Vec<&'a str>> {
    let mut axes: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for (axis, value) in cells.into_iter().flatten() {
        let values = axes.entry(axis).or_default();
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    axes
}

/// Whether each of `cells` is kept: of one axis any of the values that are asked for, of several axes all of them. A cell without
/// such an axis is kept.
///
/// # Errors
/// Axes and values that no cell has; a choice that leaves nothing of what it chooses from.
pub(super) fn choose(cells: &[&Cell], asked: &[(String, String)]) -> Result<Vec<bool>, Vec<String>> {
    let axes = axes(cells.iter().copied());
    let mut wanted: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut wrong = Vec::new();
    for (axis, value) in asked {
        wanted.entry(axis).or_default().push(value);
        let why = match axes.get(axis.as_str()) {
            None if axes.is_empty() => "no recipe that is asked for has a matrix".to_owned(),
            None => format!("no matrix has the axis {}; {}", quoted(axis), meant(axis, axes.keys().copied())),
            Some(values) if !values.contains(&value.as_str()) => {
                // Of versions, which is most alike says nothing.
                format!("no cell has the value {}; {}", quoted(value), known(values.iter().copied()))
            }
            Some(_) => continue,
        };
        wrong.push(format!("--matrix {axis}={value}: {why}"));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let is_kept = |cell: &Cell| {
        let mut wanted = cell.iter().filter_map(|(axis, value)| Some((wanted.get(axis.as_str())?, value)));
        wanted.all(|(values, value)| values.contains(&value.as_str()))
    };
    let is_meant = |cell: &Cell| cell.keys().any(|axis| wanted.contains_key(axis.as_str()));
    if !cells.iter().any(|cell| is_meant(cell) && is_kept(cell)) {
        let all: Vec<String> = asked.iter().map(|(axis, value)| format!("--matrix {axis}={value}")).collect();
        return Err(vec![format!("{}: no cell has all of these values", all.join(" "))]);
    }
    Ok(cells.iter().map(|cell| is_kept(cell)).collect())
}

fn meant<'a>(word: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    did_you_mean(word, names.clone()).unwrap_or_else(|| known(names))
}

fn known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.take(20).map(quoted).collect();
    format!("there is {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(cells: &[&str], asked: &[&str]) -> Result<Vec<bool>, Vec<String>> {
        let pair = |text: &str| {
            let (axis, value) = text.split_once('=').unwrap();
            (axis.to_owned(), value.to_owned())
        };
        let cells: Vec<Cell> = cells.iter().map(|cell| cell.split_whitespace().map(pair).collect()).collect();
        let asked: Vec<_> = asked.iter().map(|asked| pair(asked)).collect();
        super::choose(&cells.iter().collect::<Vec<_>>(), &asked)
    }

    const CELLS: &[&str] = &["python=3.12 db=x", "python=3.13 db=x", "python=3.13 db=y", "os=linux", ""];

    #[test]
    fn of_one_axis_any_value_of_several_axes_all() {
        assert_eq!(choose(CELLS, &["python=3.13"]), Ok(vec![false, true, true, true, true]));
        assert_eq!(choose(CELLS, &["python=3.13", "db=y"]), Ok(vec![false, false, true, true, true]));
        assert_eq!(choose(CELLS, &["python=3.13", "python=3.12"]), Ok(vec![true; 5]));
    }

    #[test]
    fn what_nobody_has_is_told() {
        let said = |asked: &[&str]| choose(CELLS, asked).unwrap_err();
        assert_eq!(
            said(&["pyhton=3.13", "python=3.14", "db=mysql", "vendor=x"]),
            [
                "--matrix pyhton=3.13: no matrix has the axis `pyhton`; did you mean `python`?",
                "--matrix python=3.14: no cell has the value `3.14`; there is `3.12`, `3.13`",
                "--matrix db=mysql: no cell has the value `mysql`; there is `x`, `y`",
                "--matrix vendor=x: no matrix has the axis `vendor`; there is `python`, `db`, `os`",
            ]
        );
        assert_eq!(
            said(&["python=3.12", "db=y"]),
            ["--matrix python=3.12 --matrix db=y: no cell has all of these values"]
        );
        assert_eq!(
            choose(&[""], &["a=b"]).unwrap_err(),
            ["--matrix a=b: no recipe that is asked for has a matrix"]
        );
    }
}
