//! `docs/recipes.md` says what the program does.

use std::path::Path;

use crate::support::{good, load_cells, load_plain, read};
use pony_runner::recipe::schema;

#[test]
fn every_key_has_its_row() {
    let (reference, schema) = (read("../docs/recipes.md"), schema());
    let context = &schema["properties"]["context"]["anyOf"][1]["properties"];
    let properties = [
        &schema["properties"],
        &schema["properties"]["source"]["properties"],
        &schema["properties"]["watch"]["properties"],
        &schema["properties"]["needs"]["items"]["anyOf"][1]["properties"],
        &schema["properties"]["matrix"]["properties"],
        context,
        &context["virtualenv"]["anyOf"][1]["properties"],
        &schema["properties"]["steps"]["items"]["properties"],
    ];
    for key in properties.into_iter().flat_map(|keys| keys.as_object().unwrap().keys()) {
        assert!(reference.contains(&format!("\n| `{key}` |")), "{key} is not in docs/recipes.md");
    }
}

#[test]
fn the_first_example_loads() {
    let reference = read("../docs/recipes.md");
    let example = reference.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(good(example).steps.len(), 3);
}

#[test]
fn the_other_examples_load() {
    let reference = read("../docs/recipes.md");
    let examples = reference.split("```yaml\n").skip(2).filter_map(|rest| rest.split("```").next());
    let cells: Vec<usize> = examples
        .filter(|example| example.starts_with("package:"))
        .map(|example| {
            let loaded = load_cells(Path::new("x.yaml"), example.as_bytes());
            loaded.unwrap_or_else(|errors| panic!("{}", errors.render(false))).len()
        })
        .collect();
    assert_eq!(cells, [1, 4]);
}

#[test]
fn the_errors_shown_are_the_real_ones() {
    let text = read("tests/recipes/documented.yaml");
    let errors = load_plain(Path::new("demo.yaml"), text.as_bytes()).unwrap_err().render(false);
    assert!(
        read("../docs/recipes.md").contains(&format!("```text\n{errors}```\n")),
        "docs/recipes.md should show:\n{errors}"
    );
}
