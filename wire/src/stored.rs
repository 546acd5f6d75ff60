//! The exact text form of a value, for storage: JSON that `SQLite` can query.
//!
//! A string, boolean, array, int, finite double or nil is the JSON of its name (a double always has a point or an
//! exponent, an int never). A type that JSON lacks is an object with one key: `{"$double": "inf"}`, `{"$base64": "…"}`,
//! `{"$dateTime": "…"}`. A struct is an object; one with a name that begins with `$` is wrapped: `{"$struct": {"$x": …}}`.
//! Unlike XML it keeps ESC, NUL and all 64 bits of an int.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::{WireError, shortened};
use crate::value::{Struct, Value, not_finite};

/// A value as exact text, the form in which a server stores bags. [`decode_value`] returns an equal value.
pub fn encode_value(value: &Value) -> String {
    // All keys are strings and nothing else can fail, so that the default is never used.
    serde_json::to_string(&Exact(value)).unwrap_or_default()
}

/// Reads what [`encode_value`] wrote.
pub fn decode_value(text: &str) -> Result<Value, WireError> {
    serde_json::from_str::<Read>(text).map(|Read(value)| value).map_err(|error| {
        let message = error.to_string();
        // The position is beside the message, and a message can quote a whole string.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        WireError {
            line: u64::try_from(error.line()).unwrap_or(u64::MAX),
            column: u64::try_from(error.column()).unwrap_or(u64::MAX),
            message: shortened(message, 100),
        }
    })
}

struct Exact<'a>(&'a Value);

impl Serialize for Exact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tagged = |serializer: S, tag: &str, text: &str| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(tag, text)?;
            map.end()
        };
        match self.0 {
            Value::Double(double) if !double.is_finite() => {
                tagged(serializer, "$double", not_finite(*double))
            }
            Value::Base64(bytes) => tagged(serializer, "$base64", &STANDARD.encode(bytes)),
            Value::DateTime(text) => tagged(serializer, "$dateTime", text),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Exact)),
            Value::Struct(members) if looks_tagged(members) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("$struct", &Members(members))?;
                map.end()
            }
            Value::Struct(members) => Members(members).serialize(serializer),
            plain => plain.serialize(serializer),
        }
    }
}

fn looks_tagged(members: &Struct) -> bool {
    members.keys().any(|name| name.starts_with('$'))
}

struct Members<'a>(&'a Struct);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Exact(value))))
    }
}

struct Read(Value);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadVisitor).map(Read)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        i64::try_from(value).map(Value::Int).map_err(|_| E::custom("an int beyond 64 bits"))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Read(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let wrong = || de::Error::custom("an object with an unknown `$` key");
        let mut members = Struct::new();
        while let Some(name) = map.next_key::<String>()? {
            let tagged = match name.as_str() {
                "$struct" => Value::Struct(map.next_value::<ReadMembers>()?.0),
                "$double" => map.next_value::<String>()?.parse().map(Value::Double).map_err(|_| wrong())?,
                "$base64" => {
                    STANDARD.decode(map.next_value::<String>()?).map(Value::Base64).map_err(|_| wrong())?
                }
                "$dateTime" => Value::DateTime(map.next_value()?),
                other if other.starts_with('$') => return Err(wrong()),
                _ => {
                    members.insert(name, map.next_value::<Read>()?.0);
                    continue;
                }
            };
            let alone = members.is_empty() && map.next_key::<String>()?.is_none();
            return if alone { Ok(tagged) } else { Err(wrong()) };
        }
        Ok(Value::Struct(members))
    }
}

/// The members inside `$struct`, whose names mean nothing special.
struct ReadMembers(Struct);

impl<'de> Deserialize<'de> for ReadMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = std::collections::BTreeMap::<String, Read>::deserialize(deserializer)?;
        Ok(Self(members.into_iter().map(|(name, Read(value))| (name, value)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_plain_json_where_json_has_a_word_for_it() {
        let value: Struct = [
            ("date".to_owned(), Value::DateTime("20100807T02:20:34".to_owned())),
            ("double".to_owned(), Value::Double(1.0)),
            ("items".to_owned(), Value::Array(vec![Value::Int(1), Value::Nil, Value::Double(f64::NAN)])),
            ("text".to_owned(), "\u{1b}".into()),
            ("tricky".to_owned(), Value::Struct([("$x".to_owned(), Value::Base64(vec![0]))].into())),
        ]
        .into();
        let expected = concat!(
            r#"{"date":{"$dateTime":"20100807T02:20:34"},"double":1.0,"items":[1,null,{"$double":"nan"}],"#,
            r#""text":"\u001b","tricky":{"$struct":{"$x":{"$base64":"AA=="}}}}"#
        );
        assert_eq!(encode_value(&Value::Struct(value)), expected);
    }

    #[test]
    fn what_was_not_written_here_is_refused_with_its_place() {
        let refused = |text: &str| decode_value(text).unwrap_err().to_string();
        assert_eq!(refused("[1,\n x]"), "line 2, column 2: expected value");
        assert_eq!(refused(r#"{"$x": 1}"#), "line 1, column 5: an object with an unknown `$` key");
        assert_eq!(refused("18446744073709551615"), "line 1, column 20: an int beyond 64 bits");
        for text in
            ["", r#"{"a": 1, "$double": "inf"}"#, r#"{"$double": "inf", "a": 1}"#, r#"{"$base64": "?"}"#]
        {
            refused(text);
        }
        let deep = "[".repeat(100_000);
        assert!(refused(&deep).contains("recursion limit"));
        assert!(refused(&format!("\"{}\u{7}\"", "x".repeat(10_000))).len() < 200);
    }

    #[test]
    fn the_deepest_answer_can_be_stored() {
        let deep = (0..33).fold(Value::Int(1), |inner, _| Value::Struct([("$".to_owned(), inner)].into()));
        assert_eq!(decode_value(&encode_value(&deep)), Ok(deep));
    }
}
