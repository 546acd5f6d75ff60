//! Delivery: a finished run folder goes to its servers, each of which leaves a receipt in it. Repeatable at any time.

pub mod bag;
mod embedded;
mod excerpt;
pub mod post;

use std::path::PathBuf;

use jiff::Timestamp;
use pony_wire::{Call, ClientInfo, Dialect, Struct, Submitted, text::Colours};

use self::{
    embedded::Hosted,
    post::{CallError, Endpoint},
};
use crate::{
    folder::{Receipt, RunFolder},
    record::{NeedRecord, Outcome, RunRecord},
};

/// Name of this machine's own server in receipts.
pub const EMBEDDED: &str = "embedded";

/// Where `pony-serve` with no arguments shows the embedded server's results.
const PONY_SERVE: &str = "http://127.0.0.1:8000/";

/// A server that results go to.
#[derive(Debug, Clone)]
pub enum Target {
    /// pony-serve's library, hosted in this process.
    Embedded(Hosted),
    /// Another server.
    Server(Endpoint),
}

/// Why a result is not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A log of the run cannot be read.
    #[error("a log of the run cannot be read: {0}")]
    Read(#[source] std::io::Error),
    /// The embedded server does not start.
    #[error("the results file cannot be opened: {0}")]
    Embedded(#[source] std::io::Error),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Stored there, but the receipt cannot be written.
    #[error("it is stored there, but the receipt cannot be written: {0}")]
    Receipt(#[source] std::io::Error),
}

impl DeliverError {
    /// The server is out of reach, or does not answer: the next call would wait as long for it.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Call(CallError::Unreachable(_) | CallError::Timeout))
    }
}

/// What a server answered to `check_should_build`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Whether to build.
    pub build: bool,
    /// The server's words.
    pub reason: String,
}

impl Target {
    /// This machine's own, over this file. It begins with the first call and ends with [`Target::close`].
    pub fn embedded(results: PathBuf) -> Self {
        Self::Embedded(Hosted::new(results))
    }

    /// Nothing more is asked of it for now.
    pub async fn close(&self) {
        match self {
            Self::Embedded(hosted) => hosted.stop().await,
            Self::Server(_) => {}
        }
    }

    /// How it is called in receipts and on screen.
    pub fn name(&self) -> String {
        match self {
            Self::Embedded(_) => EMBEDDED.to_owned(),
            Self::Server(endpoint) => endpoint.name(),
        }
    }

    /// Whether it can tell outcomes apart that are not about the code.
    fn is_ours(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Where a result can be looked at.
    pub fn page(&self, package: &str, key: &str) -> Option<String> {
        match self {
            Self::Embedded(_) => Endpoint::new(PONY_SERVE).ok()?.page(package, key),
            Self::Server(endpoint) => endpoint.page(package, key),
        }
    }

    async fn call(&self, request: Vec<u8>) -> Result<pony_wire::Value, DeliverError> {
        match self {
            Self::Server(endpoint) => Ok(post::call(endpoint, request).await?),
            Self::Embedded(hosted) => {
                let address = hosted.address().await.map_err(DeliverError::Embedded)?;
                match Endpoint::new(&address) {
                    Ok(endpoint) => Ok(post::call(&endpoint, request).await?),
                    Err(error) => Err(CallError::Unreachable(error.to_string()).into()),
                }
            }
        }
    }
}

/// Whether a run of this outcome is sent to that kind of server without being asked for by name. A run that was cancelled, or
/// skipped because of another, says nothing of the code, and a server that knows only red and green would show it red.
pub fn is_wanted(outcome: Outcome, target: &Target) -> bool {
    !matches!(outcome, Outcome::Cancelled | Outcome::Skipped) || target.is_ours()
}

/// Submits the run in `folder` and writes the receipt.
pub async fn deliver(
    folder: &RunFolder,
    record: &RunRecord,
    target: &Target,
    now: Timestamp,
) -> Result<Receipt, DeliverError> {
    let colours = if target.is_ours() { Colours::Symbol } else { Colours::Strip };
    let key = |need: &NeedRecord| {
        folder.other(&need.package, &need.run_id).read_receipt(&target.name())?.result_key
    };
    let need_keys: Vec<Option<String>> = record.needs.iter().map(key).collect();
    let request = bag::add_results(record, folder.path(), &need_keys, colours).map_err(DeliverError::Read)?;
    let answer = target.call(request).await?;
    let submitted = Submitted::from_answer(&answer).ok_or(CallError::Answer)?;
    if submitted.dialect == Dialect::Devmason {
        tracing::warn!("a devmason server says `Processed Correctly` even where it stored nothing");
    }
    let receipt = Receipt {
        server: target.name(),
        result_key: submitted.result_key,
        auth_key: submitted.auth_key,
        time: now,
    };
    folder.write_receipt(&receipt).map_err(DeliverError::Receipt)?;
    Ok(receipt)
}

/// Asks whether this slot shall be built, and with `reserve` reserves it if so.
pub async fn check_should_build(
    target: &Target,
    slot: pony_wire::Slot,
    reserve: bool,
) -> Result<Needed, DeliverError> {
    let client_info = ClientInfo { slot, success: None, extra: Struct::new() };
    // No allowance of our own: the server takes the last build's duration, or an hour.
    let call = Call::CheckShouldBuild { client_info, reserve, allowance: 0.0 };
    let answer = target.call(call.encode()).await?;
    let answer = pony_wire::ShouldBuild::from_value(&answer).map_err(|_| CallError::Answer)?;
    Ok(Needed { build: answer.build, reason: answer.reason })
}
