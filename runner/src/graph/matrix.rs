//! `--matrix AXIS=VALUE`: selects cells of the requested recipes.

use std::collections::HashMap;

use indexmap::IndexMap;
use pony_wire::ErrorMessage;

use super::GraphError;
use crate::recipe::{did_you_mean, quoted};

/// A value for each axis; empty without a matrix.
type MatrixCell = IndexMap<String, String>;

/// The values of each axis, in order of appearance.
pub(super) fn axes<'a>(cells: impl IntoIterator<Item = &'a MatrixCell>) -> IndexMap<&'a str, Vec<&'a str>> {
    let mut axes: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for (axis, value) in cells.into_iter().flatten() {
        let values = axes.entry(axis).or_default();
        if !values.contains(&value.as_str()) {
            values.push(value);
        }
    }
    axes
}

/// Whether each of `cells` is selected: for every requested axis that it has, it has one of the requested values.
///
/// # Errors
/// Axes and values that no cell has, and values that no cell combines.
pub(super) fn select(
    cells: &[&MatrixCell],
    requested: &[(String, String)],
) -> Result<Vec<bool>, Vec<GraphError>> {
    let axes = axes(cells.iter().copied());
    let mut values_of: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut errors = Vec::new();
    for (axis, value) in requested {
        values_of.entry(axis).or_default().push(value);
        let (why, hint) = match axes.get(axis.as_str()) {
            None if axes.is_empty() => ("no requested recipe has a matrix".to_owned(), None),
            None => {
                let names = axes.keys().copied();
                let hint = did_you_mean(axis, names.clone()).unwrap_or_else(|| list("axes", names));
                (format!("no matrix has the axis {}", quoted(axis)), Some(hint))
            }
            Some(values) if !values.contains(&value.as_str()) => {
                // A similar version is hardly a typo, so list what exists.
                let hint = list("possible values", values.iter().copied());
                (format!("no cell has the value {}", quoted(value)), Some(hint))
            }
            Some(_) => continue,
        };
        let what = format!("--matrix {axis}={value}: {why}");
        errors.push(GraphError::Other(ErrorMessage { hint, ..ErrorMessage::new(what) }));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let is_selected = |cell: &MatrixCell| {
        let mut chosen = cell.iter().filter_map(|(axis, value)| Some((values_of.get(axis.as_str())?, value)));
        chosen.all(|(values, value)| values.contains(&value.as_str()))
    };
    let has_axis = |cell: &MatrixCell| cell.keys().any(|axis| values_of.contains_key(axis.as_str()));
    if !cells.iter().any(|cell| has_axis(cell) && is_selected(cell)) {
        let all: Vec<String> =
            requested.iter().map(|(axis, value)| format!("--matrix {axis}={value}")).collect();
        let what = format!("{}: no cell has all of these values", all.join(" "));
        return Err(vec![GraphError::Other(ErrorMessage::new(what))]);
    }
    Ok(cells.iter().map(|cell| is_selected(cell)).collect())
}

fn list<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.take(20).map(quoted).collect();
    format!("{what}: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(cells: &[&str], requested: &[&str]) -> Result<Vec<bool>, Vec<String>> {
        let pair = |text: &str| {
            let (axis, value) = text.split_once('=').unwrap();
            (axis.to_owned(), value.to_owned())
        };
        let cells: Vec<MatrixCell> =
            cells.iter().map(|cell| cell.split_whitespace().map(pair).collect()).collect();
        let requested: Vec<_> = requested.iter().map(|requested| pair(requested)).collect();
        super::select(&cells.iter().collect::<Vec<_>>(), &requested)
            .map_err(|errors| errors.iter().map(|error| error.render(false)).collect())
    }

    const CELLS: &[&str] = &["python=3.12 db=x", "python=3.13 db=x", "python=3.13 db=y", "os=linux", ""];

    #[test]
    fn any_value_of_one_axis_and_all_of_several_axes() {
        assert_eq!(select(CELLS, &["python=3.13"]), Ok(vec![false, true, true, true, true]));
        assert_eq!(select(CELLS, &["python=3.13", "db=y"]), Ok(vec![false, false, true, true, true]));
        assert_eq!(select(CELLS, &["python=3.13", "python=3.12"]), Ok(vec![true; 5]));
    }

    #[test]
    fn unknown_axes_and_values_are_errors() {
        let errors = |requested: &[&str]| select(CELLS, requested).unwrap_err();
        assert_eq!(
            errors(&["pyhton=3.13", "python=3.14", "db=mysql", "vendor=x"]),
            [
                "error: --matrix pyhton=3.13: no matrix has the axis `pyhton`\nhint: did you mean `python`?\n",
                "error: --matrix python=3.14: no cell has the value `3.14`\nhint: possible values: `3.12`, `3.13`\n",
                "error: --matrix db=mysql: no cell has the value `mysql`\nhint: possible values: `x`, `y`\n",
                "error: --matrix vendor=x: no matrix has the axis `vendor`\nhint: axes: `python`, `db`, `os`\n",
            ]
        );
        assert_eq!(
            errors(&["python=3.12", "db=y"]),
            ["error: --matrix python=3.12 --matrix db=y: no cell has all of these values\n"]
        );
        assert_eq!(
            select(&[""], &["a=b"]).unwrap_err(),
            ["error: --matrix a=b: no requested recipe has a matrix\n"]
        );
    }
}
