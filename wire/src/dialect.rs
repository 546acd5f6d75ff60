//! Which of the three kinds of server answered: the answer to `add_results` shows it.

use crate::Value;

/// A kind of pony-build server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The 2009 release: answers an int.
    V2009,
    /// The 2010 release and pony-serve: `[result_key, auth_key]`.
    V2010,
    /// devmason: `Processed Correctly`.
    Devmason,
}

/// What the answer to `add_results` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The kind of server.
    pub dialect: Dialect,
    /// The result's key in decimal, where the server told it.
    pub result_key: Option<String>,
    /// What authorises uploads to the result, where the server told it.
    pub auth_key: Option<String>,
}

impl Submitted {
    /// Tells the dialects apart; `None` if the value is the answer of none of them.
    pub fn from_answer(answer: &Value) -> Option<Self> {
        let without_keys = |dialect| Self { dialect, result_key: None, auth_key: None };
        match answer {
            Value::Int(_) => Some(without_keys(Dialect::V2009)),
            Value::String(answer) if answer == "Processed Correctly" => Some(without_keys(Dialect::Devmason)),
            Value::Array(items) => {
                let (key, auth_key) = match items.as_slice() {
                    [Value::Int(key), Value::String(auth_key)] => (key.to_string(), auth_key),
                    [Value::String(key), Value::String(auth_key)] => (key.clone(), auth_key),
                    _ => return None,
                };
                let (result_key, auth_key) = (Some(key), Some(auth_key.clone()));
                Some(Self { dialect: Dialect::V2010, result_key, auth_key })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_server_answers_in_its_way() {
        let told =
            |answer: Value| Submitted::from_answer(&answer).map(|told| (told.dialect, told.result_key));
        assert_eq!(told(1.into()), Some((Dialect::V2009, None)));
        assert_eq!(told("Processed Correctly".into()), Some((Dialect::Devmason, None)));
        let key = Some((Dialect::V2010, Some("7".to_owned())));
        assert_eq!(told(Value::Array(vec![7.into(), "auth".into()])), key);
        assert_eq!(told(Value::Array(vec!["7".into(), "auth".into()])), key);
        for other in [
            Value::Nil,
            true.into(),
            "hello".into(),
            vec![1, 2].into(),
            vec![1].into(),
            vec!["a", "b", "c"].into(),
        ] {
            assert_eq!(told(other), None);
        }
    }
}
