//! Recipes made by chance: nothing panics, and what resolves is stored in a form that resolves to the same.

use std::path::Path;

use crate::support::{load_cells, load_plain, snapshot};
use pony_runner::recipe::Recipe;
use proptest::prelude::*;

const ESCAPE: char = '\u{1b}';

const SEED: &str = "version: 1
package: demo
tags: [a, '{{arch}}']
source: {git: 'https://example.org/x', branch: main, subdir: a/b}
variables: &v {jobs: '{{cpus}}', flags: '-j{{jobs}}'}
environment: {<<: *v, LC_ALL: C.UTF-8}
context: {virtualenv: {python: '3.12', requirements: ['x{{jobs}}', -r y.txt], installer: uv}}
environment-from: clean
private: [home]
tools: [gcc]
watch: {include: ['src/**'], exclude: ['*.md']}
force-every: 7d
timeout: 4h
steps:
  - {name: make, run: [make, '{{flags}}', 3.10]}
  - name: test
    type: test
    run: |
      make test
    env: {A: 'x {{jobs}} {{{{'}
    quiet-timeout: 20m
  - upload: 'dist/*'
  - {upload: '*.log', as: 'logs of {{{{/', visible: false}
";

const CHAIN: &str = "package: demo
matrix: {python: ['3.12', 3.10], db: [a, b], include: [{python: 3.13, db: c}], exclude: [{python: 3.10, db: a}]}
needs: [zlib, {recipe: ../png.yaml, with: {python: '{{python}}', x: '{{{{'}, as: p, without: [PATH, wheels]}]
outputs: {prefix: 'inst/{{db}}', wheels: dist}
weight: 3
memory: 1.5GiB
locks: [port-1, 'x {{db}}']
jobserver: false
variables: {flags: '-j{{jobs}} {{{{jobs}}', lib: '{{needs.zlib.prefix}}/lib'}
environment: {LIB: '{{lib}}', TWO: '{{needs.p.a}}{{needs.zlib.b}}'}
context: {virtualenv: {requirements: ['{{needs.p.wheels}}/x.whl']}}
steps:
  - {name: make, run: [make, '{{flags}}', '{{{jobs}}', '{{{{{{{jobs}}']}
  - {run: 'x {{lib}} ${{{needs.p.y}}} {{python}}', env: {A: '{{jobs}}'}}
  - {upload: 'dist/{{db}}', description: 'by {{jobs}}'}
";

/// Text with everything in it that YAML, templates and terminals have a meaning for.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,24}",
        "\\PC{0,12}",
        proptest::collection::vec(
            prop_oneof![
                Just("{{"),
                Just("}}"),
                Just("{"),
                Just("\n"),
                Just("\n\n"),
                Just(" "),
                Just("  "),
                Just("\t"),
                Just("\r\n"),
                Just("\r"),
                Just("'"),
                Just("\""),
                Just("\\"),
                Just("#"),
                Just(" # "),
                Just(": "),
                Just("- "),
                Just("|"),
                Just("&a"),
                Just("*a"),
                Just("!"),
                Just("%"),
                Just("@"),
                Just("---"),
                Just("é"),
                Just("\u{85}"),
                Just("\u{2028}"),
                Just("\u{feff}"),
                Just("\u{1b}[31m"),
                Just("\u{7f}"),
                Just("null"),
                Just("~"),
                Just("true"),
                Just("3.10"),
                Just("0x1f"),
                Just(".inf"),
                Just("x"),
            ],
            0..10,
        )
        .prop_map(|parts| parts.concat()),
    ]
}

fn line() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.chars().filter(|c| !c.is_control()).collect::<String>() + "x")
}

/// In double quotes, with everything escaped that YAML may not hold as it is, and with braces doubled.
fn quoted(text: &str) -> String {
    let escaped: String = text
        .replace("{{", "{{{{")
        .chars()
        .map(|c| match c {
            ' '..='~' if !"\"\\".contains(c) => c.to_string(),
            c => format!("\\U{:08x}", u32::from(c)),
        })
        .collect();
    format!("\"{escaped}\"")
}

fn same(mut recipe: Recipe, other: &Recipe) -> Recipe {
    recipe.path.clone_from(&other.path);
    recipe.text.clone_from(&other.text);
    for (step, other) in recipe.steps.iter_mut().zip(&other.steps) {
        step.line = other.line;
    }
    for (need, other) in recipe.needs.iter_mut().zip(&other.needs) {
        need.line = other.line;
    }
    recipe
}

fn assert_resolved_is_the_same(recipe: &Recipe) -> Result<(), TestCaseError> {
    let yaml = recipe.resolved_yaml();
    let again = load_plain(Path::new("/elsewhere/recipe.yaml"), yaml.as_bytes());
    let again = again.map_err(|errors| TestCaseError::fail(format!("{}\n{yaml}", errors.render(false))))?;
    prop_assert_eq!(&same(again, recipe), recipe, "{}", yaml);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_recipe_or_errors(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(errors) = load_plain(Path::new("x.yaml"), &bytes) {
            prop_assert!(!errors.render(true).is_empty());
        }
    }

    #[test]
    fn a_mutated_recipe_is_a_recipe_or_errors(
        cuts in proptest::collection::vec((0..SEED.len(), 0..SEED.len(), text()), 1..6),
    ) {
        for seed in [SEED, CHAIN] {
            let mut mutated = seed.to_owned();
            for (at, length, insert) in &cuts {
                let start = mutated.floor_char_boundary(at % mutated.len().max(1));
                let end = mutated.ceil_char_boundary((start + length % 12).min(mutated.len()));
                mutated.replace_range(start.min(end)..end, insert);
            }
            match load_cells(Path::new("x.yaml"), mutated.as_bytes()) {
                // Credentials in a URL are not stored.
                Ok(recipes) if mutated.contains('@') => recipes.iter().for_each(|recipe| drop(recipe.resolved_yaml())),
                Ok(recipes) => recipes.iter().try_for_each(assert_resolved_is_the_same)?,
                Err(errors) => {
                    for error in errors.iter() {
                        prop_assert!(!error.message.contains('\n'), "{:?}", error.message);
                    }
                    prop_assert!(!errors.render(false).contains(ESCAPE));
                }
            }
        }
    }

    #[test]
    fn a_resolved_recipe_loads_again(
        tag in line(), value in text(), script in text(), arguments in proptest::collection::vec(text(), 0..3),
        branch in line(), description in line(), seconds in 1..10_000_000u64,
    ) {
        let yaml = format!(
            "package: demo\ntags: [{}]\nsource: {{git: https://example.org/x, branch: {}}}\n\
             variables: {{v: {}}}\nenvironment: {{E: {}}}\ntimeout: {seconds}\nsteps:\n\
             - run: {}\n- run: [make, {}]\n- {{upload: x, description: {}}}\n",
            quoted(&tag), quoted(&format!("b{branch}")), quoted(&value), quoted(&value), quoted(&format!("{script}x")),
            arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(", "),
            quoted(&description),
        );
        let recipe = load_plain(Path::new("/recipes/x.yaml"), yaml.as_bytes());
        // A tag may begin with what servers keep for themselves.
        prop_assume!(!tag.starts_with("__"));
        let recipe = recipe.map_err(|errors| TestCaseError::fail(errors.render(false)))?;
        prop_assert_eq!(recipe.environment.get("E"), Some(&value));
        assert_resolved_is_the_same(&recipe)?;
    }
}

proptest! {
    // Each is four recipes.
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chained_recipe_loads_again(
        axis in line(), other in line(), value in text(), lock in line(), path in line(),
        slots in 1..1000usize, bytes in 1..(1u64 << 50), words in proptest::collection::vec(0..4usize, 0..8),
    ) {
        prop_assume!(!axis.starts_with("__") && !other.starts_with("__") && axis != other && axis != "only");
        prop_assume!(!axis.contains("{{") && !other.contains("{{"));
        let plain = |text: &str| quoted(text).replace("{{{{", "{{");
        // Late names between any text, in any order.
        let texts = ["{{jobs}}", "{{needs.n-1.prefix}}", "{{v}}", "{{{{jobs}}"];
        let between = quoted(&value).trim_matches('"').to_owned();
        let mixed: String = words.iter().flat_map(|word| [between.as_str(), texts[*word]]).collect();
        let yaml = format!(
            "package: demo\nmatrix: {{a: [{}, {}], b: [only, {}]}}\nvariables: {{v: {}}}\n\
             needs: [{{recipe: {}, as: n-1, with: {{b: '{{{{b}}}}', s: {}}}, without: [prefix]}}]\n\
             outputs: {{prefix: {}}}\nweight: {slots}\nmemory: {bytes}B\nlocks: [{}]\njobserver: true\n\
             environment: {{E: \"{mixed}\"}}\nsteps:\n- run: \"x{mixed}\"\n- run: [make, \"{mixed}\"]\n",
            plain(&axis), plain(&other), plain(&axis), quoted(&value), quoted(&format!("r/{path}")), quoted(&value),
            quoted(&format!("o/{path}")), quoted(&lock),
        );
        let is_inner = |path: &str| !path.split('/').any(|part| part == "..") && !path.ends_with("/.");
        prop_assume!(is_inner(&path));
        let recipes = load_cells(Path::new("/recipes/x.yaml"), yaml.as_bytes());
        let recipes = recipes.map_err(|errors| TestCaseError::fail(format!("{}\n{yaml}", errors.render(false))))?;
        prop_assert_eq!(recipes.len(), 4);
        for recipe in &recipes {
            prop_assert_eq!(recipe.memory, Some(bytes));
            prop_assert_eq!(recipe.uses_jobs, words.contains(&0));
            prop_assert_eq!(recipe.uses_needs, words.contains(&1));
            assert_resolved_is_the_same(recipe)?;
        }
    }
}

#[test]
fn a_seed_loads_and_resolves() {
    let recipe = load_plain(Path::new("/recipes/x.yaml"), SEED.as_bytes()).unwrap();
    assert_resolved_is_the_same(&recipe).unwrap();
    snapshot("resolved", &recipe.resolved_yaml());
}

#[test]
fn a_chained_seed_loads_and_resolves() {
    let recipes = load_cells(Path::new("/recipes/x.yaml"), CHAIN.as_bytes()).unwrap();
    let cells: Vec<_> =
        recipes.iter().map(|recipe| recipe.cell.values().map(String::as_str).collect::<Vec<_>>()).collect();
    assert_eq!(cells, [["3.12", "a"], ["3.12", "b"], ["3.10", "b"], ["3.13", "c"]]);
    for recipe in &recipes {
        assert_resolved_is_the_same(recipe).unwrap();
    }
    snapshot("resolved-chain", &recipes[2].resolved_yaml());
}
