//! The JSON Schema of the format, for editors, generated from the tables that the parser uses.

use serde_json::{Map, Value, json};

use super::{
    keys::RECIPE,
    section::{Key, Section, Shape},
};

/// The schema of version 1, draft 2020-12. `recipes/recipe.schema.json` is this, pretty-printed.
pub fn schema() -> Value {
    let mut schema = section(&RECIPE);
    let head = [
        ("$schema", json!("https://json-schema.org/draft/2020-12/schema")),
        ("title", json!("pony-build recipe, version 1")),
    ];
    if let Value::Object(object) = &mut schema {
        object.extend(head.map(|(name, value)| (name.to_owned(), value)));
    }
    schema
}

fn section(section: &Section) -> Value {
    let properties: Map<String, Value> =
        section.keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let mut add = |name: &str, value: Value| {
        if let Value::Object(object) = &mut schema {
            object.insert(name.to_owned(), value);
        }
    };
    if !section.required.is_empty() {
        add("required", section.required.iter().map(|(name, _)| json!(name)).collect());
    }
    if !section.one_of.is_empty() {
        let each = section.one_of.iter().map(|name| json!({"required": [name]}));
        add("oneOf", each.collect());
    }
    if !section.at_most_one.is_empty() {
        let pairs = section.at_most_one.iter().enumerate().flat_map(|(index, one)| {
            section.at_most_one[index + 1..]
                .iter()
                .map(move |other| json!({"not": {"required": [one, other]}}))
        });
        add("allOf", pairs.collect());
    }
    if !section.only_with.is_empty() {
        let with =
            |names: &[&str]| -> Value { names.iter().map(|name| json!({"required": [name]})).collect() };
        let each =
            section.only_with.iter().map(|(name, names)| ((*name).to_owned(), json!({"anyOf": with(names)})));
        add("dependentSchemas", Value::Object(each.collect()));
    }
    schema
}

fn property(key: &Key) -> Value {
    let mut property = shape(key.shape);
    if let Value::Object(object) = &mut property {
        object.insert("description".to_owned(), json!(key.meaning));
        // A test checks that examples and defaults in the tables are JSON.
        let parsed = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
        object.insert("examples".to_owned(), json!([parsed(key.example)]));
        if let Some(default) = key.default {
            object.insert("default".to_owned(), parsed(default));
        }
    }
    property
}

fn shape(shape: Shape) -> Value {
    const ENVIRONMENT_NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
    // Numbers and booleans are taken as they are written.
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let line = json!({"type": ["string", "number", "boolean"], "pattern": r"^[^\n\r]*\S[^\n\r]*$"});
    match shape {
        Shape::Version => json!({"const": 1}),
        Shape::Text => scalar,
        Shape::Line => line,
        Shape::Package => json!({
            "type": ["string", "number", "boolean"],
            "pattern": r"^[^\s./\\-]([^/\\\n\r]*[^\s/\\])?$",
            "not": {"type": "string", "pattern": r"\{\{"},
        }),
        Shape::Lines => json!({"type": "array", "items": line, "uniqueItems": true}),
        Shape::EnvironmentNames => json!({
            "type": "array",
            "items": {"type": "string", "pattern": ENVIRONMENT_NAME},
            "uniqueItems": true,
        }),
        Shape::Environment => json!({
            "type": "object",
            "propertyNames": {"pattern": ENVIRONMENT_NAME},
            "additionalProperties": scalar,
        }),
        Shape::Variables => json!({
            "type": "object",
            "propertyNames": {"pattern": VARIABLE_NAME, "not": {"pattern": r"^(cpus|arch|host)$|^needs\."}},
            "additionalProperties": scalar,
        }),
        Shape::Duration => json!({
            "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "[0-9]"}],
        }),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Choice(words) => json!({"enum": words}),
        Shape::Choices(words) => json!({"type": "array", "items": {"enum": words}, "uniqueItems": true}),
        Shape::ChoiceOr(words, inner) => json!({"anyOf": [{"enum": words}, section(inner)]}),
        Shape::Optional(inner) => json!({"anyOf": [{"type": "null"}, section(inner)]}),
        // Or a template that becomes one.
        Shape::Digest => json!({"type": "string", "pattern": r"^[0-9A-Fa-f]{64}$|\{\{"}),
        Shape::Globs => json!({"type": "array", "items": line, "minItems": 1}),
        Shape::Run => json!({
            "anyOf": [
                {"type": ["number", "boolean"]},
                {"type": "string", "pattern": r"\S"},
                {"type": "array", "items": scalar, "minItems": 1},
            ],
        }),
        Shape::LinesOr(inner) => {
            json!({"type": "array", "items": {"anyOf": [line, section(inner)]}, "minItems": 1})
        }
        Shape::InnerPaths => json!({
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
            "additionalProperties": line,
        }),
        Shape::Matrix => matrix(&line),
        Shape::Weight => json!({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]}),
        Shape::PublicName => json!({
            "type": ["string", "number", "boolean"],
            "pattern": r"^[^\n\r]*\S[^\n\r]*$",
            "not": {"type": "string", "pattern": r"^/|//|(^|/)\.{1,2}(/|$)"},
        }),
        Shape::Bytes => json!({"type": "string", "pattern": r"^[0-9.]+\s*([kKmMgGtT][iI]?)?[bB]?$"}),
        Shape::Section(inner) => section(inner),
        Shape::Sections(inner) => json!({"type": "array", "items": section(inner), "minItems": 1}),
    }
}

/// Of variables, axes included. Without look-around, which not every program that reads schemas knows.
const VARIABLE_NAME: &str = "^[A-Za-z_][A-Za-z0-9_.-]*$";

fn matrix(line: &Value) -> Value {
    let cell = |least: usize| {
        let cell = json!({"type": "object", "additionalProperties": line, "minProperties": least});
        json!({"type": "array", "items": cell, "minItems": 1})
    };
    json!({
        "type": "object",
        "propertyNames": {"pattern": VARIABLE_NAME, "not": {"pattern": r"^(cpus|arch|host|jobs)$|^needs\."}},
        "properties": {"include": cell(1), "exclude": cell(1)},
        "additionalProperties": {"type": "array", "items": line, "minItems": 1, "uniqueItems": true},
        "minProperties": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::keys::{CONTEXT, NEED, SOURCE, STEP, VIRTUALENV, WATCH};

    #[test]
    fn examples_and_defaults_are_json() {
        for key in [&RECIPE, &SOURCE, &STEP, &CONTEXT, &VIRTUALENV, &WATCH, &NEED]
            .into_iter()
            .flat_map(|section| section.keys)
        {
            for text in [Some(key.example), key.default].into_iter().flatten() {
                serde_json::from_str::<Value>(text)
                    .unwrap_or_else(|error| panic!("{}: {text}: {error}", key.name));
            }
        }
    }
}
