//! What a context records beside the checkout, in the form that results carry it (`client_info`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a context found out, under the names that results carry it by (`client_info`).
pub type ClientInfo = BTreeMap<String, InfoValue>;

/// One of them, in a form that every server can show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum InfoValue {
    /// Yes or no.
    Flag(bool),
    /// A text.
    Text(String),
    /// Several.
    List(Vec<String>),
}

impl From<bool> for InfoValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<String> for InfoValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for InfoValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<String>> for InfoValue {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}
