//! From the `steps` of a tree to [`Step`]s with unique names.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::{
    Action, DEFAULT_QUIET_TIMEOUT, Step, StepKind,
    check::Fields,
    diagnostic::{Diagnostic, quoted},
    keys::{STEP, STEP_KINDS},
    reader::Reader,
    tree::{Node, Value},
    upload,
};

/// Reads all steps; wrong ones are reported and left out. No step may have the `reserved` name.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    node: &'t Node,
    secrets: &[String],
    reserved: Option<(&'t str, Range<usize>)>,
) -> Vec<Step> {
    let items = reader.checker.list(node, "`steps`", "[{run: make}]");
    if matches!(&node.value, Value::List(items) if items.is_empty()) {
        reader.checker.wrong(node, |at| {
            Diagnostic::at(at, "a recipe needs at least one step")
                .label("expected at least one step")
                .hint("for example `steps: [{run: make}]`")
        });
    }
    let mut named: HashMap<&str, Range<usize>> = reserved.iter().cloned().collect();
    let mut steps = Vec::new();
    for item in items {
        let Some(fields) = reader.checker.fields(item, &STEP, "{run: make}") else { continue };
        let name = fields.get("name").and_then(|node| Some((node, reader.plain(node, "`name`")?)));
        if let Some((node, name)) = name {
            match named.get(name).cloned() {
                Some(earlier) if reserved.as_ref().is_some_and(|(reserved, _)| *reserved == name) => {
                    reader.checker.wrong(node, |at| {
                        Diagnostic::at(
                            at,
                            format!("a step cannot be named {} in a recipe with `outputs`", quoted(name)),
                        )
                        .label("reserved for the step that checks outputs")
                        .also(earlier, "outputs declared here")
                        .hint("give the step another name")
                    });
                }
                Some(earlier) => reader.checker.wrong(node, |at| {
                    Diagnostic::at(at, format!("two steps are named {}", quoted(name)))
                        .label("again here")
                        .also(earlier, "first here")
                        .hint("give each step its own name")
                }),
                None => {
                    named.insert(name, node.at.clone());
                }
            }
        }
        if let Some(environment) = fields.get("env") {
            reader.no_secret_in(environment, secrets);
        }
        if let Some(step) = step(reader, &fields, item, name.map(|(_, name)| name)) {
            steps.push(step);
        }
    }
    name_unnamed(&mut steps, reserved.map(|(name, _)| name));
    steps
}

fn step<'t>(
    reader: &mut Reader<'t>,
    fields: &Fields<'t>,
    item: &'t Node,
    name: Option<&str>,
) -> Option<Step> {
    let before = std::mem::take(&mut reader.scope.uses);
    let step = read_step(reader, fields, item, name);
    reader.scope.uses |= before;
    step
}

fn read_step<'t>(
    reader: &mut Reader<'t>,
    fields: &Fields<'t>,
    item: &'t Node,
    name: Option<&str>,
) -> Option<Step> {
    let kind = fields.get("type").and_then(|node| reader.checker.choice(node, "`type`", STEP_KINDS));
    let cwd = fields.get("cwd").and_then(|node| reader.inner_path(node, "`cwd`"));
    let environment = fields.get("env").map(|node| reader.environment(node, "`env`")).unwrap_or_default();
    let mut duration =
        |key: &str| fields.get(key).and_then(|node| reader.checker.duration(node, &format!("`{key}`")));
    let timeout = duration("timeout");
    let quiet_timeout = duration("quiet-timeout").unwrap_or(DEFAULT_QUIET_TIMEOUT);
    let mut flag = |key: &str| {
        fields.get(key).and_then(|node| reader.checker.flag(node, &format!("`{key}`"))).unwrap_or(false)
    };
    let (allow_failure, always) = (flag("allow-failure"), flag("always"));
    let action = match fields.get("upload") {
        Some(node) => Action::Upload(upload::read(reader, fields, node)?),
        None => run(reader, fields.get("run")?)?,
    };
    let kind = match (kind, &action) {
        (Some("setup"), _) => StepKind::Setup,
        (Some("test"), _) => StepKind::Test,
        (Some("package"), _) | (None, Action::Upload(_)) => StepKind::Package,
        _ => StepKind::Build,
    };
    let begin = item.used_at.as_ref().unwrap_or(&item.at).start;
    let line = reader.checker.line(begin);
    Some(Step {
        name: name.unwrap_or_default().to_owned(),
        kind,
        action,
        cwd,
        environment,
        timeout,
        quiet_timeout,
        allow_failure,
        always,
        uses_jobs: reader.scope.uses.jobs,
        line,
    })
}

fn run<'t>(reader: &mut Reader<'t>, node: &'t Node) -> Option<Action> {
    let empty = |at: Range<usize>| {
        Diagnostic::at(at, "`run` is empty")
            .label("nothing to run")
            .hint("for example `run: make` or `run: [make, test]`")
    };
    let Value::List(items) = &node.value else {
        if matches!(node.value, Value::Map(_)) {
            let hint = "put text that contains `: ` in quotes, or below `run: |`".to_owned();
            reader.checker.wrong_type(node, "`run`", "text or a list", Some(hint));
            return None;
        }
        let script = reader.scope.fill_deferred(&mut reader.checker, node, "`run`")?;
        if script.trim().is_empty() {
            reader.checker.wrong(node, empty);
            return None;
        }
        return Some(Action::Script(script));
    };
    // All arguments are read before the first wrong one returns, so that all errors are reported.
    let program: Vec<Option<String>> = items
        .iter()
        .map(|item| reader.scope.fill_deferred(&mut reader.checker, item, "an argument of `run`"))
        .collect();
    let program: Vec<String> = program.into_iter().collect::<Option<_>>()?;
    match program.first() {
        None => reader.checker.wrong(node, empty),
        Some(first) if first.trim().is_empty() => {
            let first = items.first().unwrap_or(node);
            reader
                .checker
                .wrong(first, |at| Diagnostic::at(at, "the program of `run` is empty").label("no program"));
        }
        Some(_) => return Some(Action::Program(program)),
    }
    None
}

/// Names steps without a name after the program that they run, or `step N`.
fn name_unnamed(steps: &mut [Step], reserved: Option<&str>) {
    let mut taken: HashSet<String> =
        steps.iter().map(|step| step.name.as_str()).chain(reserved).map(str::to_owned).collect();
    let mut next: HashMap<String, usize> = HashMap::new();
    for (index, step) in steps.iter_mut().enumerate() {
        if !step.name.is_empty() {
            continue;
        }
        let base = match &step.action {
            Action::Script(script) => script
                .lines()
                .map(str::trim)
                .find(|line| !line.is_empty() && !line.starts_with('#'))
                .and_then(|line| line.split_whitespace().find(|word| !word.contains('=')))
                .and_then(program_name),
            Action::Program(program) => program.first().and_then(|program| program_name(program)),
            Action::Upload(_) | Action::Outputs(_) => Some("upload".to_owned()),
        };
        let base = base.unwrap_or_else(|| format!("step {}", index + 1));
        let mut name = base.clone();
        let next = next.entry(base.clone()).or_insert(2);
        while taken.contains(&name) {
            name = format!("{base} {next}");
            *next += 1;
        }
        taken.insert(name.clone());
        step.name = name;
    }
}

fn program_name(word: &str) -> Option<String> {
    let name = word.rsplit('/').next().unwrap_or_default();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
    (plain && name.len() <= 40 && name.starts_with(|c: char| c.is_ascii_alphanumeric()))
        .then(|| name.to_owned())
}
