//! The recipes that ship, and the schema that editors check recipes with.

use std::{fs, time::Duration};

use crate::support::{bad, files, load_plain, name_of, shipped};
use pony_runner::recipe::{Action, schema};
use serde_json::Value;

/// Recipes that are wrong in a way that a schema cannot know: the YAML itself, templates, what belongs together over
/// several places, what only a parser of its own can tell. The schema must refuse all the others.
const BEYOND_A_SCHEMA: &[&str] = &[
    "alias-in-itself",
    "at-sign",
    "binary",
    "block-indentation",
    "bomb",
    "circle",
    "colon-in-text",
    "context-directory-with-path",
    "context-here-with-git",
    "custom-tag",
    "deep",
    "duplicate-keys",
    "escape",
    "globs",
    "indentation",
    "latin-1",
    "matrix-cells",
    "matrix-empty",
    "matrix-large",
    "merge-of-text",
    "no-colon",
    "no-space-after-colon",
    "nul",
    "paths-outside",
    "source-home",
    "tabs",
    "template-syntax",
    "two-documents",
    "unclosed-bracket",
    "unclosed-quote",
    "unknown-alias",
    "unknown-names",
    "unquoted-template-text",
    "utf-16",
    "variables-double",
];

#[test]
fn every_shipped_recipe_loads() {
    let chain = files(&shipped().join("chain"));
    for path in files(&shipped()).iter().chain(&chain) {
        let bytes = fs::read(path).unwrap();
        let name = name_of(path);
        let schema = if chain.contains(path) { "../recipe.schema.json" } else { "recipe.schema.json" };
        let first = format!("# yaml-language-server: $schema={schema}\n");
        assert!(bytes.starts_with(first.as_bytes()), "{name}");
        let recipe = load_plain(path, &bytes).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        assert!(!recipe.steps.is_empty(), "{name}");
    }
}

#[test]
fn hello_needs_nothing_but_a_shell() {
    let path = shipped().join("hello.yaml");
    let recipe = load_plain(&path, &fs::read(&path).unwrap()).unwrap();
    assert_eq!(recipe.source, None);
    assert!(recipe.steps.iter().all(|step| matches!(step.action, Action::Script(_))), "{:?}", recipe.steps);
    assert!(recipe.timeout > Duration::from_secs(10));
}

/// `UPDATE_SCHEMA=1 cargo test -p pony-runner --test it recipe_shipped` writes the file again.
#[test]
fn the_schema_in_the_repository_is_the_one_of_the_program() {
    let path = shipped().join("recipe.schema.json");
    let wanted = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == wanted,
        "recipes/recipe.schema.json is out of date: run this test with UPDATE_SCHEMA=1"
    );
}

#[test]
fn the_schema_accepts_what_ships_and_refuses_wrong_shapes() {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("recipe.json", schema()).unwrap();
    let index = compiler.compile("recipe.json", &mut schemas).unwrap();
    for path in files(&shipped()).into_iter().chain(files(&shipped().join("chain"))) {
        let value: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let checked = schemas.validate(&value, index);
        assert!(checked.is_ok(), "{}: {:#}", name_of(&path), checked.unwrap_err());
    }
    let names: Vec<_> =
        files(&bad()).iter().map(|path| name_of(path).trim_end_matches(".yaml").to_owned()).collect();
    for name in BEYOND_A_SCHEMA {
        assert!(names.iter().any(|known| known == name), "there is no bad recipe {name}");
    }
    let accepted: Vec<_> = names
        .iter()
        .filter(|name| !BEYOND_A_SCHEMA.contains(&name.as_str()))
        .filter(|name| {
            let text = fs::read_to_string(bad().join(format!("{name}.yaml"))).unwrap();
            serde_saphyr::from_str::<Value>(&text).is_ok_and(|value| schemas.validate(&value, index).is_ok())
        })
        .collect();
    assert!(accepted.is_empty(), "the schema accepts {accepted:#?}");
}
