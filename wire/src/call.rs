//! The five calls of a pony-build server as types, their answers, and faults.

use std::collections::BTreeSet;

use crate::{Struct, Value, WireError};

/// The identity of a build slot: tags plus `__package=`, `__arch=` and `__host=` entries, compared as a set.
pub type Tagset = BTreeSet<String>;

/// What identifies a build slot: which package, built where, under which tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub package: String,
    pub host: String,
    pub arch: String,
    pub tags: Vec<String>,
}

/// The first bag of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientInfo {
    pub slot: Slot,
    /// Absent in the bag of `check_should_build`.
    pub success: Option<bool>,
    /// Every other key, kept as it came.
    pub extra: Struct,
}

/// One step of a submission. The keys of the protocol are typed where they are present; the rest is kept as it came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepResult {
    /// 0 = ok, -1 = could not start, -N = killed by signal N.
    pub status: Option<i64>,
    pub name: Option<String>,
    /// `setup`, `build`, `test`, `package`, `file_upload`.
    pub kind: Option<String>,
    pub command: Option<String>,
    pub output: Option<String>,
    pub errout: Option<String>,
    /// Seconds.
    pub duration: Option<f64>,
    pub extra: Struct,
}

/// The bag that the server adds.
#[derive(Debug, Clone, PartialEq)]
pub struct Receipt {
    /// Unix seconds, the server's clock.
    pub time: f64,
    pub client_ip: String,
    pub result_key: String,
    pub extra: Struct,
}

/// `[receipt, client_info, results]`, as `get_results` and `get_last_result_for_tagset` answer.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredResult {
    pub receipt: Receipt,
    pub client_info: ClientInfo,
    pub results: Vec<StepResult>,
}

/// A request to a pony-build server.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    AddResults { client_info: ClientInfo, results: Vec<StepResult> },
    /// `allowance` in seconds, 0 = none given.
    CheckShouldBuild { client_info: ClientInfo, reserve: bool, allowance: f64 },
    GetTagsetsForPackage { package: String },
    GetLastResultForTagset { package: String, tagset: Tagset },
    GetResults { result_key: String },
}

/// An XML-RPC fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault {code}: {message}")]
pub struct Fault {
    pub code: i64,
    pub message: String,
}

/// What a server answers to a call: a value (see the typed readers) or a fault.
pub type Answer = Result<Value, Fault>;

impl Call {
    /// The method's name on the wire.
    pub fn method(&self) -> &'static str {
        todo!()
    }
    /// The request document. Always legal XML 1.0 that every pony-build server's parser takes.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }
    /// Reads a request document; the fault says what is wrong with it in the servers' own words where clients know them.
    pub fn decode(document: &[u8]) -> Result<Self, Fault> {
        let _ = document;
        todo!()
    }
}

/// Writes a response document for an answer.
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    let _ = answer;
    todo!()
}

/// Reads a response document.
pub fn decode_answer(document: &[u8]) -> Result<Answer, WireError> {
    let _ = document;
    todo!()
}
