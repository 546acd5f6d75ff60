//! What each call does in the store, and its answer.

use pony_wire::{Answer, Call, Fault, ShouldBuild, Tagsets, Value};

use super::submission::{self, prepare};
use crate::blocking::blocking_if_large;
use crate::clock::{Time, duration_from_seconds};
use crate::memory::MemoryPermit;
use crate::python;
use crate::store::{Added, SlotKey, Store, StoreError};
use crate::upload_key::UploadKey;

/// Why a call has no answer, through no fault of the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the system provides no random numbers")]
    Random(#[from] getrandom::Error),
    #[error("a bag cannot be written as JSON")]
    Encode(#[from] serde_json::Error),
}

/// An answer with the memory that it needs.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    /// Bytes, roughly.
    pub(crate) size: usize,
    pub(crate) permit: Option<MemoryPermit>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, size: 0, permit: None }
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Ok(value).into()
    }
}

/// Answers a call that came from `client_ip` at `now` in a document of `size` bytes.
///
/// Returns once everything is on disk. A fault says what the client did wrong; nothing was stored then.
pub(crate) async fn answer(
    store: &Store,
    call: Call,
    size: usize,
    client_ip: &str,
    now: Time,
) -> Result<Reply, CallError> {
    match call {
        Call::AddResults { mut client_info, results } => {
            let upload_key = match submission::take_upload_key(&mut client_info) {
                Ok(Some(chosen)) => chosen,
                Ok(None) => UploadKey::random()?,
                Err(fault) => return Ok(Err(fault).into()),
            };
            let (ip, key) = (client_ip.to_owned(), upload_key.clone());
            let new =
                blocking_if_large(size, move || prepare(&client_info, &results, &ip, now, &key)).await?;
            let added = store.add(&new).await?;
            tracing::info!(
                ?added,
                package = new.slot.package,
                success = new.success,
                client_ip,
                "stored a result"
            );
            let key = match added {
                Added::New(key) | Added::Repeated(key) => key,
                Added::UploadKeyInUse => return Ok(Err(submission::upload_key_in_use()).into()),
            };
            Ok(Value::Array(vec![Value::Int(key), Value::String(upload_key.into_text())]).into())
        }
        Call::CheckShouldBuild { client_info, reserve, allowance } => {
            let slot = SlotKey::new(&client_info.slot)?;
            // Clients send zero for no allowance.
            let allowance = duration_from_seconds(allowance).filter(|time| !time.is_zero());
            let decision = store.should_build(&slot, reserve, allowance, now).await?;
            tracing::info!(?decision, package = slot.package, client_ip, "answered whether to build");
            let reason = decision.reason(client_info.slot.tagset().iter().map(String::as_str));
            Ok(ShouldBuild { build: decision.build(), reason }.to_value().into())
        }
        Call::GetTagsetsForPackage { package } => {
            Ok(Tagsets(store.tagsets(&package).await?).to_value().into())
        }
        Call::GetLastResultForTagset { package, tagset } => {
            match store.newest_of_tagset(&package, &tagset).await? {
                Some(key) => stored_result(store, Some(key), &key.to_string()).await,
                None => Ok(Value::Int(0).into()),
            }
        }
        Call::GetResults { result_key } => {
            stored_result(store, result_key.trim().parse().ok(), &result_key).await
        }
    }
}

/// A result with its receipt. `text` is its key as the client wrote it.
async fn stored_result(store: &Store, key: Option<i64>, text: &str) -> Result<Reply, CallError> {
    let row = match key {
        Some(key) => store.result(key).await?,
        None => None,
    };
    let Some(row) = row else { return Ok(Err(unknown_key(text)).into()) };
    let size = row.size();
    Ok(blocking_if_large(size, move || {
        let answer = Ok(row.decode()?.to_value());
        Ok::<_, StoreError>(Reply { answer, size, permit: Some(row.memory) })
    })
    .await?)
}

/// In the words of the 2010 server, which clients know.
fn unknown_key(key: &str) -> Fault {
    let shown: String = key.chars().take(100).collect();
    Fault { code: 1, message: format!("<type 'exceptions.KeyError'>:{}", python::repr(&shown)) }
}
