//! Recipes made by chance: nothing panics, and what resolves is stored in a form that resolves to the same.

mod recipe_support;

use std::path::Path;

use pony_runner::recipe::{Recipe, load};
use proptest::prelude::*;
use recipe_support::{facts, snapshot};

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
    recipe
}

fn assert_resolved_is_the_same(recipe: &Recipe) -> Result<(), TestCaseError> {
    let yaml = recipe.resolved_yaml();
    let again = load(Path::new("/elsewhere/recipe.yaml"), yaml.as_bytes(), &[], &facts());
    let again = again.map_err(|errors| TestCaseError::fail(format!("{}\n{yaml}", errors.render(false))))?;
    prop_assert_eq!(&same(again, recipe), recipe, "{}", yaml);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_recipe_or_errors(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(errors) = load(Path::new("x.yaml"), &bytes, &[], &facts()) {
            prop_assert!(!errors.render(true).is_empty());
        }
    }

    #[test]
    fn a_mutated_recipe_is_a_recipe_or_errors(
        cuts in proptest::collection::vec((0..SEED.len(), 0..SEED.len(), text()), 1..6),
    ) {
        let mut mutated = SEED.to_owned();
        for (at, length, insert) in cuts {
            let start = mutated.floor_char_boundary(at);
            let end = mutated.ceil_char_boundary((start + length % 12).min(mutated.len()));
            mutated.replace_range(start.min(end)..end, &insert);
        }
        match load(Path::new("x.yaml"), mutated.as_bytes(), &[], &facts()) {
            // Credentials in a URL are not stored.
            Ok(recipe) if mutated.contains('@') => drop(recipe.resolved_yaml()),
            Ok(recipe) => assert_resolved_is_the_same(&recipe)?,
            Err(errors) => {
                for error in errors.iter() {
                    prop_assert!(!error.message.contains('\n'), "{:?}", error.message);
                }
                prop_assert!(!errors.render(false).contains(ESCAPE));
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
        let recipe = load(Path::new("/recipes/x.yaml"), yaml.as_bytes(), &[], &facts());
        // A tag may begin with what servers keep for themselves.
        prop_assume!(!tag.starts_with("__"));
        let recipe = recipe.map_err(|errors| TestCaseError::fail(errors.render(false)))?;
        prop_assert_eq!(recipe.environment.get("E"), Some(&value));
        assert_resolved_is_the_same(&recipe)?;
    }
}

#[test]
fn a_seed_loads_and_resolves() {
    let recipe = load(Path::new("/recipes/x.yaml"), SEED.as_bytes(), &[], &facts()).unwrap();
    assert_resolved_is_the_same(&recipe).unwrap();
    snapshot("resolved", &recipe.resolved_yaml());
}
