//! The dynamic value of XML-RPC.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// Members of an XML-RPC struct, by name.
pub type Struct = BTreeMap<String, Value>;

/// Any XML-RPC value.
///
/// [`Serialize`] gives plain JSON for people and scripts: nil is `null`, base64 its text, a date its text, a double
/// that JSON cannot write (`inf`, `nan`) a string. To store a value exactly, use [`crate::encode_value`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `<nil/>`: read, never written (members holding it are left out).
    Nil,
    /// `<boolean>`.
    Bool(bool),
    /// `<int>`, `<i4>`, `<i8>`; written as `<int>` within 32 bits, else as `<double>` or a string.
    Int(i64),
    /// `<double>`.
    Double(f64),
    /// `<string>` or untyped text.
    String(String),
    /// `<base64>`.
    Base64(Vec<u8>),
    /// `<dateTime.iso8601>`, its text as it was sent.
    DateTime(String),
    /// `<array>`.
    Array(Vec<Value>),
    /// `<struct>`.
    Struct(Struct),
}

impl Value {
    /// The type with its article, for messages: `a string`, `an int`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an int",
            Self::Double(_) => "a double",
            Self::String(_) => "a string",
            Self::Base64(_) => "base64",
            Self::DateTime(_) => "a date",
            Self::Array(_) => "an array",
            Self::Struct(_) => "a struct",
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// An int or a double as a number.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Double(double) => Some(*double),
            #[expect(clippy::cast_precision_loss, reason = "times and durations; 53 bits are plenty")]
            Self::Int(int) => Some(*int as f64),
            _ => None,
        }
    }

    /// The members of a struct.
    pub fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Struct(members) => Some(members),
            _ => None,
        }
    }

    /// The items of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }
}

/// The text of a double that JSON has no number for.
pub(crate) fn not_finite(double: f64) -> &'static str {
    if double.is_nan() {
        "nan"
    } else if double > 0.0 {
        "inf"
    } else {
        "-inf"
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nil => serializer.serialize_unit(),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::Int(int) => serializer.serialize_i64(*int),
            Self::Double(double) if double.is_finite() => serializer.serialize_f64(*double),
            Self::Double(double) => serializer.serialize_str(not_finite(*double)),
            Self::String(text) | Self::DateTime(text) => serializer.serialize_str(text),
            Self::Base64(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Struct(members) => serializer.collect_map(members),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Struct> for Value {
    fn from(value: Struct) -> Self {
        Self::Struct(value)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}
