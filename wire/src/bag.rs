//! The bags of a submission as types: the keys of the protocol, and every other key as it was sent.
//!
//! A bag without the keys that every server relies on is refused: the 2009 and 2010 servers store such a bag and break on
//! it for good.

use crate::fault::Fault;
use crate::slot::Slot;
use crate::value::{Struct, Value};

/// What is wrong with a bag. `key` is the path to the culprit: `host`, `results[2].status`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BagError {
    /// A key that servers rely on is absent (or nil).
    #[error("`{key}` is missing")]
    Missing {
        /// Path to the key.
        key: String,
    },
    /// A key that names something is an empty string.
    #[error("`{key}` is empty")]
    Empty {
        /// Path to the key.
        key: String,
    },
    /// A key has another type than the protocol's.
    #[error("`{key}` must be {expected}, not {found}")]
    Type {
        /// Path to the key.
        key: String,
        /// The type it must have, with its article.
        expected: &'static str,
        /// The type that was found, with its article.
        found: &'static str,
    },
}

impl BagError {
    pub(crate) fn wrong(key: &str, expected: &'static str, found: &Value) -> Self {
        Self::Type { key: key.to_owned(), expected, found: found.kind() }
    }

    fn within(mut self, outer: &str) -> Self {
        let (Self::Missing { key } | Self::Empty { key } | Self::Type { key, .. }) = &mut self;
        *key = format!("{outer}.{key}");
        self
    }
}

impl From<BagError> for Fault {
    /// In the words of the Python servers, which clients know.
    fn from(error: BagError) -> Self {
        Fault::python(match error {
            BagError::Missing { key } => format!("<type 'exceptions.KeyError'>:'{key}'"),
            BagError::Empty { key } => format!("<type 'exceptions.ValueError'>:'{key}' must not be empty"),
            BagError::Type { key, expected, found } => {
                format!("<type 'exceptions.TypeError'>:'{key}' must be {expected}, not {found}")
            }
        })
    }
}

/// The first bag of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientInfo {
    /// `package`, `host`, `arch` and `tags`.
    pub slot: Slot,
    /// Absent in the bag of `check_should_build`.
    pub success: Option<bool>,
    /// Every other key, as it was sent.
    pub extra: Struct,
}

impl ClientInfo {
    /// The bag as it is sent; `tags` is always an array.
    pub fn to_value(&self) -> Value {
        let Slot { package, host, arch, tags } = &self.slot;
        let mut bag = self.extra.clone();
        put(&mut bag, "package", Some(package.as_str()));
        put(&mut bag, "host", Some(host.as_str()));
        put(&mut bag, "arch", Some(arch.as_str()));
        put(&mut bag, "tags", Some(tags.clone()));
        put(&mut bag, "success", self.success);
        Value::Struct(bag)
    }

    /// Reads a bag. `package`, `host` and `arch` must be present and not empty; `tags` may be absent.
    pub fn from_value(value: Value) -> Result<Self, BagError> {
        let mut bag = structure("client_info", value)?;
        let slot = Slot {
            package: identity(&mut bag, "package")?,
            host: identity(&mut bag, "host")?,
            arch: identity(&mut bag, "arch")?,
            tags: tags(&mut bag)?,
        };
        let success = match take(&mut bag, "success") {
            None => None,
            Some(Value::Bool(success)) => Some(success),
            Some(Value::Int(number)) => Some(number != 0),
            Some(other) => return Err(BagError::wrong("success", "a boolean", &other)),
        };
        Ok(Self { slot, success, extra: bag })
    }
}

/// One step of a submission.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepResult {
    /// 0 = ok, -1 = could not start, -N = killed by signal N.
    pub status: Option<i64>,
    /// For people.
    pub name: Option<String>,
    /// `setup`, `build`, `test`, `package`, `file_upload`.
    pub kind: Option<String>,
    /// The command line, for people.
    pub command: Option<String>,
    /// Standard output. The checkout steps of the original clients send it as `out`, see [`StepResult::shown_output`].
    pub output: Option<String>,
    /// Standard error.
    pub errout: Option<String>,
    /// In seconds. The original clients write -1 if they did not measure it.
    pub duration: Option<f64>,
    /// Every other key, as it was sent.
    pub extra: Struct,
}

impl StepResult {
    /// The bag as it is sent.
    pub fn to_value(&self) -> Value {
        let mut bag = self.extra.clone();
        put(&mut bag, "status", self.status);
        put(&mut bag, "name", self.name.as_deref());
        put(&mut bag, "type", self.kind.as_deref());
        put(&mut bag, "command", self.command.as_deref());
        put(&mut bag, "output", self.output.as_deref());
        put(&mut bag, "errout", self.errout.as_deref());
        put(&mut bag, "duration", self.duration);
        Value::Struct(bag)
    }

    /// Reads a bag. Every key may be absent; a key of the protocol with another type is an error.
    pub fn from_value(value: Value) -> Result<Self, BagError> {
        let mut bag = structure("step", value)?;
        Ok(Self {
            status: integer(&mut bag, "status")?,
            name: string(&mut bag, "name")?,
            kind: string(&mut bag, "type")?,
            command: string(&mut bag, "command")?,
            output: string(&mut bag, "output")?,
            errout: string(&mut bag, "errout")?,
            duration: number(&mut bag, "duration")?,
            extra: bag,
        })
    }

    /// The step's output, also that of the original clients' checkout steps.
    pub fn shown_output(&self) -> &str {
        self.output.as_deref().or_else(|| self.extra.get("out").and_then(Value::as_str)).unwrap_or_default()
    }
}

/// The bag that the server adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// Unix seconds, the server's clock.
    pub time: f64,
    /// Where the submission came from.
    pub client_ip: String,
    /// In decimal on the 2009 and 2010 servers.
    pub result_key: String,
    /// Every other key, as it was sent.
    pub extra: Struct,
}

impl Receipt {
    /// The bag as it is sent.
    pub fn to_value(&self) -> Value {
        let mut bag = self.extra.clone();
        put(&mut bag, "time", Some(self.time));
        put(&mut bag, "client_ip", Some(self.client_ip.as_str()));
        put(&mut bag, "result_key", Some(self.result_key.as_str()));
        Value::Struct(bag)
    }

    /// Reads a bag. All three keys must be present; `result_key` may be an int or a string.
    pub fn from_value(value: Value) -> Result<Self, BagError> {
        let mut bag = structure("receipt", value)?;
        let missing = |key: &str| BagError::Missing { key: key.to_owned() };
        Ok(Self {
            time: number(&mut bag, "time")?.ok_or_else(|| missing("time"))?,
            client_ip: string(&mut bag, "client_ip")?.ok_or_else(|| missing("client_ip"))?,
            result_key: take(&mut bag, "result_key")
                .ok_or_else(|| missing("result_key"))
                .and_then(|key| result_key("result_key", key))?,
            extra: bag,
        })
    }
}

/// `[receipt, client_info, results]`, as `get_results` and `get_last_result_for_tagset` answer.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredResult {
    /// From the server.
    pub receipt: Receipt,
    /// From the client.
    pub client_info: ClientInfo,
    /// In the order of the steps.
    pub results: Vec<StepResult>,
}

impl StoredResult {
    /// The answer as it is sent.
    pub fn to_value(&self) -> Value {
        Value::Array(vec![
            self.receipt.to_value(),
            self.client_info.to_value(),
            Value::Array(self.results.iter().map(StepResult::to_value).collect()),
        ])
    }

    /// Reads the answer.
    pub fn from_value(value: Value) -> Result<Self, BagError> {
        let expected = "an array of receipt, client_info and results";
        let found = value.kind();
        let wrong = || BagError::Type { key: "result".to_owned(), expected, found };
        let Value::Array(items) = value else { return Err(wrong()) };
        let [receipt, client_info, results] = <[Value; 3]>::try_from(items).map_err(|_| wrong())?;
        Ok(Self {
            receipt: Receipt::from_value(receipt).map_err(|error| error.within("receipt"))?,
            client_info: ClientInfo::from_value(client_info)?,
            results: steps(results)?,
        })
    }
}

/// Reads the second bag of a submission, an array with one struct for each step.
pub(crate) fn steps(results: Value) -> Result<Vec<StepResult>, BagError> {
    let Value::Array(items) = results else {
        return Err(BagError::wrong("results", "an array", &results));
    };
    let step = |(index, step)| match step {
        Value::Struct(_) => {
            StepResult::from_value(step).map_err(|error| error.within(&format!("results[{index}]")))
        }
        other => Err(BagError::wrong(&format!("results[{index}]"), "a struct", &other)),
    };
    items.into_iter().enumerate().map(step).collect()
}

/// A result key, which some clients send as an int.
pub(crate) fn result_key(key: &str, value: Value) -> Result<String, BagError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Int(int) => Ok(int.to_string()),
        other => Err(BagError::wrong(key, "a string or an int", &other)),
    }
}

/// The strings of an array.
pub(crate) fn strings(key: &str, value: Value) -> Result<Vec<String>, BagError> {
    let Value::Array(items) = value else {
        return Err(BagError::wrong(key, "an array of strings", &value));
    };
    let string = |(index, item)| match item {
        Value::String(text) => Ok(text),
        other => Err(BagError::wrong(&format!("{key}[{index}]"), "a string", &other)),
    };
    items.into_iter().enumerate().map(string).collect()
}

fn structure(key: &str, value: Value) -> Result<Struct, BagError> {
    match value {
        Value::Struct(members) => Ok(members),
        other => Err(BagError::wrong(key, "a struct", &other)),
    }
}

/// Takes a key out of a bag. Nil counts as absent.
fn take(bag: &mut Struct, key: &str) -> Option<Value> {
    bag.remove(key).filter(|value| *value != Value::Nil)
}

fn put(bag: &mut Struct, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        bag.insert(key.to_owned(), value.into());
    }
}

fn string(bag: &mut Struct, key: &str) -> Result<Option<String>, BagError> {
    match take(bag, key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(BagError::wrong(key, "a string", &other)),
    }
}

fn identity(bag: &mut Struct, key: &str) -> Result<String, BagError> {
    match string(bag, key)? {
        None => Err(BagError::Missing { key: key.to_owned() }),
        Some(text) if text.trim().is_empty() => Err(BagError::Empty { key: key.to_owned() }),
        Some(text) => Ok(text),
    }
}

fn tags(bag: &mut Struct) -> Result<Vec<String>, BagError> {
    take(bag, "tags").map_or_else(|| Ok(Vec::new()), |value| strings("tags", value))
}

fn integer(bag: &mut Struct, key: &str) -> Result<Option<i64>, BagError> {
    match take(bag, key) {
        None => Ok(None),
        Some(Value::Int(int)) => Ok(Some(int)),
        Some(other) => Err(BagError::wrong(key, "an int", &other)),
    }
}

fn number(bag: &mut Struct, key: &str) -> Result<Option<f64>, BagError> {
    match take(bag, key) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| BagError::wrong(key, "a number", &value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> StoredResult {
        let slot = Slot {
            package: "p".to_owned(),
            host: "h".to_owned(),
            arch: "linux-x86_64".to_owned(),
            tags: vec!["b".to_owned(), "a".to_owned(), "__hidden".to_owned()],
        };
        let extra: Struct = [("version_info".to_owned(), "7:abc".into())].into();
        let step = StepResult { status: Some(-1), kind: Some("build".to_owned()), ..StepResult::default() };
        StoredResult {
            receipt: Receipt {
                time: 1.5,
                client_ip: "::1".to_owned(),
                result_key: "7".to_owned(),
                extra: Struct::new(),
            },
            client_info: ClientInfo { slot, success: Some(true), extra: extra.clone() },
            results: vec![step, StepResult { extra, ..StepResult::default() }],
        }
    }

    #[test]
    fn a_stored_result_is_read_as_it_was_written() {
        assert_eq!(StoredResult::from_value(stored().to_value()), Ok(stored()));
        assert_eq!(StoredResult::from_last_result(stored().to_value()), Ok(Some(stored())));
        assert_eq!(StoredResult::from_last_result(Value::Int(0)), Ok(None));
    }

    #[test]
    fn a_typed_key_wins_over_an_extra_of_its_name() {
        let mut step = StepResult { status: Some(1), ..StepResult::default() };
        step.extra.insert("status".to_owned(), "x".into());
        assert_eq!(StepResult::from_value(step.to_value()).map(|step| step.status), Ok(Some(1)));
    }

    #[test]
    fn the_output_of_old_checkouts_is_shown_too() {
        let mut step = StepResult::default();
        assert_eq!(step.shown_output(), "");
        step.extra.insert("out".to_owned(), "cloned".into());
        assert_eq!(step.shown_output(), "cloned");
        step.output = Some("built".to_owned());
        assert_eq!(step.shown_output(), "built");
    }

    #[test]
    fn a_malformed_result_is_refused_with_the_place() {
        let missing = |key: &str| Err(BagError::Missing { key: key.to_owned() });
        let mut receipt = stored().receipt.to_value();
        if let Value::Struct(bag) = &mut receipt {
            bag.remove("time");
        }
        let client_info = stored().client_info.to_value();
        let result = Value::Array(vec![receipt, client_info.clone(), Value::Array(Vec::new())]);
        assert_eq!(StoredResult::from_value(result), missing("receipt.time"));
        let error = StoredResult::from_value(Value::Array(vec![client_info])).unwrap_err().to_string();
        assert_eq!(error, "`result` must be an array of receipt, client_info and results, not an array");
    }
}
