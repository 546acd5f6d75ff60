//! The dialects of pony-build servers, and how each is detected.

use std::fmt;
use std::str::FromStr;

use crate::fault::Fault;
use crate::value::Value;

/// A kind of pony-build server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The 2009 release.
    V2009,
    /// The 2010 release.
    V2010,
    /// pony-serve.
    PonyServe,
    /// devmason, by XML-RPC.
    Devmason,
    /// devmason, by its REST interface.
    DevmasonRest,
}

/// The headers of an answer that tell servers apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner<'a> {
    /// `X-Pony-Build`, which only pony-serve sends.
    pub pony_build: Option<&'a str>,
    /// `Content-Type`: devmason answers calls with `text/html`.
    pub content_type: Option<&'a str>,
}

impl Manner<'_> {
    fn is_html(&self) -> bool {
        self.content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
    }
}

impl Dialect {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::V2009, Self::V2010, Self::PonyServe, Self::Devmason, Self::DevmasonRest];

    /// The key for a call of `get_results` that only detects the dialect: no server has it. The 2010 release needs a number.
    pub const NO_KEY: &str = "-1";

    /// As people write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::V2009 => "2009",
            Self::V2010 => "2010",
            Self::PonyServe => "pony-serve",
            Self::Devmason => "devmason",
            Self::DevmasonRest => "devmason-rest",
        }
    }

    /// Detected by the answer to `get_results(NO_KEY)`; `None` if no known server answers like that.
    pub fn of_answer(answer: &Result<Value, Fault>, manner: Manner<'_>) -> Option<Self> {
        if manner.pony_build.is_some() {
            return Some(Self::PonyServe);
        }
        let Err(fault) = answer else { return None };
        let is_unknown_method = fault.message.contains("get_results");
        match (is_unknown_method, manner.is_html()) {
            (true, true) => Some(Self::Devmason),
            (true, false) => Some(Self::V2009),
            (false, _) => {
                let exceptions = ["KeyError", "ValueError"];
                exceptions.iter().any(|name| fault.message.contains(name)).then_some(Self::V2010)
            }
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no dialect; there are 2009, 2010, pony-serve, devmason and devmason-rest")]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(word: &str) -> Result<Self, UnknownDialect> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.word() == word)
            .ok_or_else(|| UnknownDialect(word.to_owned()))
    }
}

/// The answer to `add_results`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The kind of server. pony-serve answers as the 2010 release does.
    pub dialect: Dialect,
    /// The result's key in decimal, if the server sends it.
    pub result_key: Option<String>,
    /// The upload key of the result, if the server sends it.
    pub auth_key: Option<String>,
}

impl Submitted {
    /// Tells the dialects apart; `None` if no dialect answers like that.
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
    fn the_answer_to_a_submission_shows_the_dialect() {
        let detected =
            |answer: Value| Submitted::from_answer(&answer).map(|found| (found.dialect, found.result_key));
        assert_eq!(detected(1.into()), Some((Dialect::V2009, None)));
        assert_eq!(detected("Processed Correctly".into()), Some((Dialect::Devmason, None)));
        let key = Some((Dialect::V2010, Some("7".to_owned())));
        assert_eq!(detected(Value::Array(vec![7.into(), "auth".into()])), key);
        assert_eq!(detected(Value::Array(vec!["7".into(), "auth".into()])), key);
        for other in [
            Value::Nil,
            true.into(),
            "hello".into(),
            vec![1, 2].into(),
            vec![1].into(),
            vec!["a", "b", "c"].into(),
        ] {
            assert_eq!(detected(other), None);
        }
    }

    #[test]
    fn the_answer_to_an_unknown_key_shows_the_dialect() {
        let fault = |message: &str| Err(Fault { code: 1, message: message.to_owned() });
        let unknown = fault("<type 'exceptions.Exception'>:method \"get_results\" is not supported");
        let no_key = fault("<type 'exceptions.KeyError'>:'-1'");
        let no_number = fault("<type 'exceptions.ValueError'>:invalid literal for int() with base 10: '-'");
        let manner = |content_type| Manner { content_type: Some(content_type), ..Manner::default() };
        let ours = Manner { pony_build: Some("pony-serve/1"), ..manner("text/xml") };
        for (answer, manner, expected) in [
            (&unknown, manner("text/xml"), Some(Dialect::V2009)),
            (&unknown, manner("text/html; charset=utf-8"), Some(Dialect::Devmason)),
            (&no_key, manner("text/xml"), Some(Dialect::V2010)),
            (&no_number, manner("text/xml"), Some(Dialect::V2010)),
            (&no_key, ours, Some(Dialect::PonyServe)),
            (&fault("out of order"), manner("text/xml"), None),
            (&Ok(1.into()), manner("text/xml"), None),
        ] {
            assert_eq!(Dialect::of_answer(answer, manner), expected, "{answer:?} {manner:?}");
        }
    }

    #[test]
    fn a_word_names_each() {
        for dialect in Dialect::ALL {
            assert_eq!(dialect.word().parse(), Ok(dialect));
        }
        assert!("2011".parse::<Dialect>().unwrap_err().to_string().contains("`2011`"));
    }
}
