//! The answers to the calls as types, for client and server. Those to `add_results` are in [`crate::dialect`].

use crate::bag::{self, BagError, StoredResult};
use crate::slot::Tagset;
use crate::value::Value;

/// The answer to `check_should_build`: `[bool, reason]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShouldBuild {
    /// Whether the client should build.
    pub build: bool,
    /// Why, for people: `build up to date`.
    pub reason: String,
}

impl ShouldBuild {
    /// The answer as it is sent.
    pub fn to_value(&self) -> Value {
        Value::Array(vec![Value::Bool(self.build), Value::from(self.reason.as_str())])
    }

    /// Reads the answer.
    pub fn from_value(value: &Value) -> Result<Self, BagError> {
        match value.as_array() {
            Some([Value::Bool(build), Value::String(reason)]) => {
                Ok(Self { build: *build, reason: reason.clone() })
            }
            _ => Err(BagError::wrong("answer", "an array of a boolean and a string", value)),
        }
    }
}

/// The answer to `get_tagsets_for_package`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagsets(pub Vec<Tagset>);

impl Tagsets {
    /// The answer as it is sent.
    pub fn to_value(&self) -> Value {
        self.0
            .iter()
            .map(|tagset| Value::from(tagset.iter().cloned().collect::<Vec<_>>()))
            .collect::<Vec<_>>()
            .into()
    }

    /// Reads the answer.
    pub fn from_value(value: Value) -> Result<Self, BagError> {
        let Value::Array(items) = value else {
            return Err(BagError::wrong("answer", "an array of tagsets", &value));
        };
        let tagset = |(index, item)| {
            bag::strings(&format!("answer[{index}]"), item).map(|tags| tags.into_iter().collect())
        };
        items.into_iter().enumerate().map(tagset).collect::<Result<_, _>>().map(Self)
    }
}

impl StoredResult {
    /// Reads the answer to `get_last_result_for_tagset`, which is `0` if there is no result.
    pub fn from_last_result(value: Value) -> Result<Option<Self>, BagError> {
        match value {
            Value::Int(0) => Ok(None),
            value => Self::from_value(value).map(Some),
        }
    }
}
