//! YAML with positions: bytes → text → a tree of nodes that know where they stand in the file.

use std::{fmt, ops::Range, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Location, Spanned};

use super::{
    diagnostic::{Diagnostic, Diagnostics},
    syntax::{explain, known_bytes},
};

/// The largest recipe that is read, in bytes.
pub const SIZE_LIMIT: u64 = 1024 * 1024;

/// One YAML node.
#[derive(Debug)]
pub(super) struct Node {
    /// Bytes of the text where it is written (of an alias: where its anchor is). For lists and maps: where they begin.
    pub(super) at: Range<usize>,
    /// Where it is used, if that is elsewhere: an alias or a merge.
    pub(super) used_at: Option<Range<usize>>,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    /// `true` or `false`; the text as written is the node's place.
    Flag(bool),
    /// A number; the text as written is the node's place.
    Number,
    Text(String),
    List(Vec<Node>),
    /// In the order written, duplicates kept.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// A scalar's text, numbers and booleans exactly as written.
    pub(super) fn scalar<'t>(&'t self, text: &'t str) -> Option<&'t str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Flag(_) | Value::Number => Some(text.get(self.at.clone())?.trim_matches(['"', '\''])),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What it is, for "… must be a duration, not a list".
    pub(super) fn describe(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Flag(_) => "a boolean",
            Value::Number => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Why bytes are not the text of a recipe, with a hint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotText(String, &'static str);

impl NotText {
    pub(super) fn into_diagnostics(self, path: &Path) -> Diagnostics {
        let error = Diagnostic::general(format!("`{}` {}", path.display(), self.0)).hint(self.1);
        Diagnostics::new(path, "", vec![error])
    }
}

/// The text of a recipe's bytes, without its byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, NotText> {
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(NotText(
            "is larger than 1 MiB, the limit for a recipe".into(),
            "move scripts and data into files of the source tree and run them from steps",
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(NotText("is UTF-16; recipes are UTF-8".into(), "save it as UTF-8 in your editor"));
    }
    if bytes.contains(&0) {
        return Err(NotText("is a binary file, not a recipe".into(), "a recipe is YAML text in UTF-8"));
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let line = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
            Err(NotText(format!("is not UTF-8: see line {line}"), "save it as UTF-8 in your editor"))
        }
    }
}

/// The tree of the one document in `text`.
pub(super) fn parse(text: &str) -> Result<Node, Box<Diagnostic>> {
    let options = serde_saphyr::options! {
        // A recipe is four levels deep and has a few hundred nodes; the rest is a mistake or an attack.
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_nodes: 20_000,
            max_events: 80_000,
            max_total_scalar_bytes: 4 * 1024 * 1024,
            max_recorded_anchor_bytes: 4 * 1024 * 1024,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Box::new(explain(&error, text)))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::<Value>::deserialize(deserializer)?;
        // Bytes are always known here, because the input is a `&str`.
        let bytes = |location: Location| known_bytes(location).unwrap_or(0..0);
        let used_at = (referenced != defined).then(|| bytes(referenced));
        Ok(Self { at: bytes(defined), used_at, value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Flag(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}
