//! Which of the three kinds of server answered: the answer to `add_results` shows it.

use crate::Value;

/// A kind of pony-build server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The 2009 release: answers an int.
    V2009,
    /// The 2010 release and pony-serve: `[result_key, auth_key]`.
    V2010,
    /// devmason: a string.
    Devmason,
}

/// What the answer to `add_results` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    pub dialect: Dialect,
    pub result_key: Option<String>,
    pub auth_key: Option<String>,
}

impl Submitted {
    /// Tells the dialects apart; `None` if the value is the answer of none of them.
    pub fn from_answer(answer: &Value) -> Option<Self> {
        let _ = answer;
        todo!()
    }
}
