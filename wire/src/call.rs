//! The five calls of a pony-build server as types, and their documents.

use crate::bag::{self, BagError, ClientInfo, StepResult};
use crate::error::{WireError, excerpt};
use crate::fault::Fault;
use crate::slot::Tagset;
use crate::value::Value;
use crate::xml;

/// A request to a pony-build server.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// `add_results(client_info, results)`.
    AddResults {
        /// The slot, whether the build passed, and what else the client reports.
        client_info: ClientInfo,
        /// In the order of the steps.
        results: Vec<StepResult>,
    },
    /// `check_should_build(client_info[, reserve=True[, allowance=0]])`.
    CheckShouldBuild {
        /// Which slot.
        client_info: ClientInfo,
        /// Whether the server reserves the slot if it says yes.
        reserve: bool,
        /// How long the reservation holds, in seconds; 0 = none given.
        allowance: f64,
    },
    /// `get_tagsets_for_package(package)`.
    GetTagsetsForPackage {
        /// The package's name.
        package: String,
    },
    /// `get_last_result_for_tagset(package, tagset)`.
    GetLastResultForTagset {
        /// The package's name.
        package: String,
        /// With its `__` entries.
        tagset: Tagset,
    },
    /// `get_results(result_key)`.
    GetResults {
        /// As `add_results` answered it, in decimal.
        result_key: String,
    },
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::python(format!("<class 'xml.parsers.expat.ExpatError'>:{error}"))
    }
}

impl Call {
    /// The method's name on the wire.
    pub fn method(&self) -> &'static str {
        match self {
            Self::AddResults { .. } => "add_results",
            Self::CheckShouldBuild { .. } => "check_should_build",
            Self::GetTagsetsForPackage { .. } => "get_tagsets_for_package",
            Self::GetLastResultForTagset { .. } => "get_last_result_for_tagset",
            Self::GetResults { .. } => "get_results",
        }
    }

    /// The request document. Always legal XML 1.0 that every pony-build server's parser takes.
    pub fn encode(&self) -> Vec<u8> {
        xml::write_call(self.method(), &self.params())
    }

    /// Optional parameters are always sent: devmason needs them.
    fn params(&self) -> Vec<Value> {
        match self {
            Self::AddResults { client_info, results } => {
                let results = results.iter().map(StepResult::to_value).collect();
                vec![client_info.to_value(), Value::Array(results)]
            }
            Self::CheckShouldBuild { client_info, reserve, allowance } => {
                vec![client_info.to_value(), Value::Bool(*reserve), Value::Double(*allowance)]
            }
            Self::GetTagsetsForPackage { package } => vec![Value::from(package.as_str())],
            Self::GetLastResultForTagset { package, tagset } => {
                vec![Value::from(package.as_str()), tagset.iter().cloned().collect::<Vec<_>>().into()]
            }
            Self::GetResults { result_key } => vec![Value::from(result_key.as_str())],
        }
    }

    /// Reads a request document. The fault says what is wrong with it, in the words of the Python servers where clients know
    /// them.
    pub fn decode(document: &[u8]) -> Result<Self, Fault> {
        let (method, params) = xml::read_call(document)?;
        let params = &mut Params { count: params.len(), params: params.into_iter() };
        match method.as_str() {
            "add_results" => {
                params.count_is(&method, 2..=2)?;
                let client_info = ClientInfo::from_value(params.next())?;
                Ok(Self::AddResults { client_info, results: bag::steps(params.next())? })
            }
            "check_should_build" => {
                params.count_is(&method, 1..=3)?;
                Ok(Self::CheckShouldBuild {
                    client_info: ClientInfo::from_value(params.next())?,
                    reserve: reserve(&params.next())?,
                    allowance: allowance(&params.next())?,
                })
            }
            "get_tagsets_for_package" => {
                params.count_is(&method, 1..=1)?;
                Ok(Self::GetTagsetsForPackage { package: package(params.next())? })
            }
            "get_last_result_for_tagset" => {
                params.count_is(&method, 2..=2)?;
                let package = package(params.next())?;
                let tagset = bag::strings("tagset", params.next())?.into_iter().collect();
                Ok(Self::GetLastResultForTagset { package, tagset })
            }
            "get_results" => {
                params.count_is(&method, 1..=1)?;
                Ok(Self::GetResults { result_key: bag::result_key("result_key", params.next())? })
            }
            other => Err(Fault::python(format!(
                "<type 'exceptions.AttributeError'>:'XmlRpcFunctions' object has no attribute '{}'",
                excerpt(other)
            ))),
        }
    }
}

/// The parameters of a request, consumed one after the other.
struct Params {
    count: usize,
    params: std::vec::IntoIter<Value>,
}

impl Params {
    /// Python counts the object that the method belongs to.
    fn count_is(&self, method: &str, range: std::ops::RangeInclusive<usize>) -> Result<(), Fault> {
        if range.contains(&self.count) {
            return Ok(());
        }
        let (word, expected) = match (range.start(), range.end()) {
            (least, most) if least == most => ("exactly", least + 1),
            (least, _) if self.count < *least => ("at least", least + 1),
            (_, most) => ("at most", most + 1),
        };
        let arguments = if expected == 1 { "argument" } else { "arguments" };
        Err(Fault::python(format!(
            "<type 'exceptions.TypeError'>:{method}() takes {word} {expected} {arguments} ({} given)",
            self.count + 1
        )))
    }

    /// The next parameter; nil where an optional one was left out.
    fn next(&mut self) -> Value {
        self.params.next().unwrap_or(Value::Nil)
    }
}

fn package(value: Value) -> Result<String, BagError> {
    match value {
        Value::String(package) => Ok(package),
        other => Err(BagError::wrong("package", "a string", &other)),
    }
}

fn reserve(value: &Value) -> Result<bool, BagError> {
    match value {
        Value::Nil => Ok(true),
        Value::Bool(reserve) => Ok(*reserve),
        Value::Int(number) => Ok(*number != 0),
        other => Err(BagError::wrong("reserve", "a boolean", other)),
    }
}

fn allowance(value: &Value) -> Result<f64, BagError> {
    match value {
        Value::Nil => Ok(0.0),
        value => value
            .as_f64()
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .ok_or_else(|| BagError::wrong("allowance", "a number of seconds, 0 or more", value)),
    }
}
