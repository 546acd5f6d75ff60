//! Fewer steps, for a server that does not accept so many: several become one that lists them. Pure.

use pony_wire::{StepResult, Struct, Value};

/// At most about `most` steps: those that passed in a row are combined, but for the first and the last ones; if that is not
/// enough, all others too. Pure.
pub(super) fn combine(steps: Vec<StepResult>, most: usize) -> Vec<StepResult> {
    if steps.len() <= most {
        return steps;
    }
    let passed = |step: &StepResult| step.status == Some(0) && step.kind.as_deref() != Some("file_upload");
    let others = steps.iter().filter(|step| !passed(step)).count();
    if others < most {
        combine_middle(steps, most - others, passed)
    } else {
        combine_middle(steps, most, |_| true)
    }
}

/// Of the steps that `may` be combined, the first and last ones, `kept` in all, stay as they are; runs of the rest become one.
fn combine_middle(steps: Vec<StepResult>, kept: usize, may: impl Fn(&StepResult) -> bool) -> Vec<StepResult> {
    let count = steps.iter().filter(|step| may(step)).count();
    let middle = kept / 2..count.saturating_sub(kept - kept / 2);
    let (mut all, mut run, mut place) = (Vec::new(), Vec::new(), 0);
    for step in steps {
        let is_combined = may(&step) && middle.contains(&place);
        place += usize::from(may(&step));
        if is_combined {
            run.push(step);
        } else {
            all.extend(combined(std::mem::take(&mut run)));
            all.push(step);
        }
    }
    all.extend(combined(run));
    all
}

/// Several steps as one, with the first of their statuses that is not 0.
fn combined(mut steps: Vec<StepResult>) -> Option<StepResult> {
    const NAMED: usize = 100;
    if steps.len() <= 1 {
        return steps.pop();
    }
    let name = |step: &StepResult| step.name.clone().unwrap_or_default();
    let (first, last) =
        (steps.first().map(name).unwrap_or_default(), steps.last().map(name).unwrap_or_default());
    let line = |step: &StepResult| {
        let seconds = step.duration.unwrap_or_default();
        format!("{} ({seconds:.1} s, status {})", name(step), step.status.unwrap_or_default())
    };
    let mut lines: Vec<String> = steps.iter().take(NAMED).map(line).collect();
    if steps.len() > NAMED {
        lines.push(format!("… and {} more", steps.len() - NAMED));
    }
    let status = steps.iter().filter_map(|step| step.status).find(|status| *status != 0).unwrap_or(0);
    let mut extra = Struct::new();
    if status != 0
        && steps.iter().all(|step| step.status == Some(0) || step.extra.contains_key("allow_failure"))
    {
        extra.insert("allow_failure".to_owned(), Value::Bool(true));
    }
    Some(StepResult {
        status: Some(status),
        name: Some(format!("{} steps, {first} to {last}", steps.len())),
        kind: steps[0].kind.clone(),
        command: Some(format!("({} steps combined: the server does not accept so many)", steps.len())),
        output: Some(lines.join("\n") + "\n"),
        errout: Some(String::new()),
        duration: Some(steps.iter().filter_map(|step| step.duration).sum()),
        extra,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(statuses: &[i64]) -> Vec<StepResult> {
        let step = |(index, status): (usize, &i64)| StepResult {
            name: Some(format!("s{index}")),
            status: Some(*status),
            duration: Some(0.5),
            ..StepResult::default()
        };
        statuses.iter().enumerate().map(step).collect()
    }

    fn combined(statuses: &[i64], most: usize) -> Vec<(String, i64)> {
        let combined = combine(steps(statuses), most).into_iter();
        combined.map(|step| (step.name.unwrap(), step.status.unwrap())).collect()
    }

    #[test]
    fn steps_that_passed_in_a_row_become_one() {
        let row = |name: &str, status| (name.to_owned(), status);
        assert_eq!(combined(&[0, 0, 3], 3).len(), 3);
        let rows = [row("s0", 0), row("2 steps, s1 to s2", 0), row("s3", 3), row("s4", 0), row("s5", 0)];
        assert_eq!(combined(&[0, 0, 0, 3, 0, 0], 4), rows);
        let many = combine(steps(&vec![0; 10_000]), 1_000);
        assert_eq!(many.len(), 1_001);
        assert!((many[500].duration.unwrap() - 4500.0).abs() < 1e-6);
        let output = many[500].output.as_ref().unwrap();
        assert!(
            output.starts_with("s500 (0.5 s, status 0)\n") && output.ends_with("… and 8900 more\n"),
            "{output}"
        );
    }

    #[test]
    fn where_nothing_passed_the_ends_stay() {
        let combined = combined(&[1, 2, 3, 4, 5, 6], 2);
        let names: Vec<&str> = combined.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["s0", "4 steps, s1 to s4", "s5"]);
        assert_eq!(combined[1].1, 2);
    }
}
