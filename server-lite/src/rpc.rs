//! A call of the wire, to the store, to its answer.

use pony_wire::{Answer, Call, Fault, ShouldBuild, Tagsets, Value};

use crate::clock::{Time, duration_from_seconds};
use crate::decision::python_repr;
use crate::memory::Held;
use crate::offload::offload;
use crate::store::{Added, SlotName, Store, StoreError};
use crate::submission::{self, AuthKey, prepare};

/// Why a call got no answer: nothing that the client did.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the system gave no random numbers")]
    Random(#[from] getrandom::Error),
    #[error("a bag cannot be written down")]
    Encode(#[from] serde_json::Error),
}

/// An answer, and the memory that it counts for.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    /// About how many bytes it has.
    pub(crate) size: usize,
    pub(crate) held: Option<Held>,
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self { answer, size: 0, held: None }
    }
}

impl From<Value> for Answered {
    fn from(value: Value) -> Self {
        Ok(value).into()
    }
}

/// Answers a call that came from `client_ip` at `now` in a document of `size` bytes.
///
/// A fault says what the client did wrong; nothing was stored then. When `Ok`, everything is on disk.
pub(crate) async fn answer(
    store: &Store,
    call: Call,
    size: usize,
    client_ip: &str,
    now: Time,
) -> Result<Answered, CallError> {
    match call {
        Call::AddResults { mut client_info, results } => {
            let auth = match AuthKey::take(&mut client_info) {
                Ok(Some(chosen)) => chosen,
                Ok(None) => AuthKey::random()?,
                Err(fault) => return Ok(Err(fault).into()),
            };
            let (ip, key) = (client_ip.to_owned(), auth.clone());
            let new = offload(size, move || prepare(&client_info, &results, &ip, now, &key)).await?;
            let added = store.add(&new).await?;
            tracing::info!(?added, package = new.slot.package, success = new.success, client_ip, "result");
            let key = match added {
                Added::New(key) | Added::Repeated(key) => key,
                Added::KeyInUse => return Ok(Err(submission::key_in_use()).into()),
            };
            Ok(Value::Array(vec![Value::Int(key), Value::String(auth.into_text())]).into())
        }
        Call::CheckShouldBuild { client_info, reserve, allowance } => {
            let slot = SlotName::new(&client_info.slot)?;
            // Zero is the clients' way to name no time.
            let allowance = duration_from_seconds(allowance).filter(|time| !time.is_zero());
            let decision = store.should_build(&slot, reserve, allowance, now).await?;
            tracing::info!(?decision, package = slot.package, client_ip, "should build?");
            let reason = decision.reason(client_info.slot.tagset().iter().map(String::as_str));
            Ok(ShouldBuild { build: decision.build(), reason }.to_value().into())
        }
        Call::GetTagsetsForPackage { package } => {
            Ok(Tagsets(store.tagsets(&package).await?).to_value().into())
        }
        Call::GetLastResultForTagset { package, tagset } => {
            match store.newest_of_tagset(&package, &tagset).await? {
                Some(key) => stored(store, Some(key), &key.to_string()).await,
                None => Ok(Value::Int(0).into()),
            }
        }
        Call::GetResults { result_key } => stored(store, result_key.trim().parse().ok(), &result_key).await,
    }
}

/// A result with its receipt; `asked` is its key as the client wrote it.
async fn stored(store: &Store, key: Option<i64>, asked: &str) -> Result<Answered, CallError> {
    let found = match key {
        Some(key) => store.result(key).await?,
        None => None,
    };
    let Some(stored) = found else { return Ok(Err(unknown_key(asked)).into()) };
    let size = stored.size();
    Ok(offload(size, move || {
        let answer = Ok(stored.result()?.to_value());
        Ok::<_, StoreError>(Answered { answer, size, held: Some(stored.held) })
    })
    .await?)
}

/// The words that clients of the 2010 release know.
fn unknown_key(key: &str) -> Fault {
    let shown: String = key.chars().take(100).collect();
    Fault { code: 1, message: format!("<type 'exceptions.KeyError'>:{}", python_repr(&shown)) }
}
