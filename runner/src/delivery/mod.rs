//! Delivery: a finished run folder goes to its servers, each of which leaves a receipt in it. Repeatable at any time, and each
//! result is on each server once.
//!
//! A server of ours is sent the same `run_id` again and answers with the key that it has. Of the others it is noted that they are
//! about to be sent a result, before they are; where no answer came, they are asked whether they have it before anything else of
//! the slot is sent to them.

pub mod bag;
pub(crate) mod deliverer;
mod devmason;
mod excerpt;
mod files;
mod fit;
pub(crate) mod outbox;
pub mod receipt;
pub mod upload;

use std::{io, time::Duration};

use jiff::Timestamp;
use pony_wire::{Call, ClientInfo, Dialect, ShouldBuild, StepResult, StoredResult, Struct, Submitted, Value};
use sha2::{Digest, Sha256};

use self::{bag::Bags, devmason::Found, fit::FitError};
use crate::{
    delivery::receipt::{Receipt, Trouble, Waiting},
    home::Home,
    record::{NeedRecord, Outcome, RunRecord, folder::RunFolder},
    server::{
        CALL, Server,
        error::CallError,
        known::{self, Known, turn},
    },
};

/// How often it is looked whether another pony-run still delivers to a server.
const LOOK: Duration = Duration::from_millis(20);

/// Why a result is not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A log of the run cannot be read.
    #[error("a log of the run cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It is too large in any form.
    #[error("it has {0} bytes without any output, more than the server takes")]
    TooLarge(usize),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Stored there, but the receipt cannot be written.
    #[error("it is stored there, but the receipt cannot be written: {0}")]
    Receipt(#[source] io::Error),
    /// It cannot be noted that it is about to be sent.
    #[error("it was not sent, as that cannot be noted: {0}")]
    Note(#[source] io::Error),
    /// Another pony-run delivers to that server.
    #[error("another pony-run is delivering to it")]
    Busy,
}

impl DeliverError {
    /// The next try would end in the same way.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Read(_) | Self::TooLarge(_) => true,
            Self::Call(error) => error.is_final(),
            Self::Receipt(_) | Self::Note(_) | Self::Busy => false,
        }
    }

    /// It is not let in.
    pub fn is_of_the_login(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_of_the_login())
    }

    /// It is the server, not what was sent: whatever else is for it would wait as long.
    pub fn is_of_the_server(&self) -> bool {
        match self {
            Self::Call(error) => error.is_of_the_server(),
            Self::Busy => true,
            _ => false,
        }
    }
}

/// A result that is on a server now.
#[derive(Debug)]
pub struct Delivered {
    /// The server's word.
    pub receipt: Receipt,
    /// What the person should know.
    pub notes: Vec<String>,
}

/// How a delivery is done.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'d> {
    /// Where things are kept.
    pub home: &'d Home,
    /// To whom.
    pub server: &'d Server,
    /// The longest that it may take.
    pub limit: Duration,
    /// Somebody asked for this very one: it is sent also where its kind is not.
    pub by_name: bool,
}

/// What a server answered to `check_should_build`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Whether to build.
    pub build: bool,
    /// The server's words.
    pub reason: String,
}

/// Whether a run of this outcome is sent to a server that speaks so, without being asked for by name. A run that was cancelled, or
/// skipped because of another, says nothing of the code, and a server that knows only red and green would show it red.
pub fn is_wanted(outcome: Outcome, dialect: Dialect) -> bool {
    !matches!(outcome, Outcome::Cancelled | Outcome::Skipped) || dialect.knows_outcomes()
}

/// Submits the run in `folder` and writes the receipt; none if the server is not to have it. What goes wrong is noted in the folder and
/// with the server.
pub async fn deliver(
    delivery: Delivery<'_>,
    folder: &RunFolder,
    record: &RunRecord,
    now: impl Fn() -> Timestamp,
) -> Result<Option<Delivered>, DeliverError> {
    let Delivery { home, server, limit, .. } = delivery;
    let name = server.name();
    if server.is_embedded() {
        let mut known = Known::default();
        known.speaks(Dialect::PonyServe);
        return within(limit, attempt(delivery, &mut known, folder, record, now())).await;
    }
    let Some(_turn) = wait_for_turn(home, &name, limit).await.map_err(DeliverError::Note)? else {
        return Err(DeliverError::Busy);
    };
    let mut known = Known::load(home, &name);
    known.server.clone_from(&name);
    let delivered = within(limit, attempt(delivery, &mut known, folder, record, now())).await;
    known.trouble = match &delivered {
        Ok(_) => None,
        Err(DeliverError::Call(error)) if error.is_of_the_server() => {
            Some(known::after(known.trouble.as_ref(), error, now(), crate::random::number()))
        }
        Err(_) => known.trouble,
    };
    if let Err(error) = &delivered {
        folder.write_waiting(&waiting_after(
            folder.read_waiting(&name).as_ref(),
            &name,
            error,
            now(),
            crate::random::number(),
        ));
    }
    if known != Known::load(home, &name) {
        // Where this fails, the next delivery finds what is settled already.
        let _ = known.save(home, &name);
    }
    delivered
}

/// Why a result waits, after one more try. Pure.
fn waiting_after(
    before: Option<&Waiting>,
    server: &str,
    error: &DeliverError,
    now: Timestamp,
    random: u32,
) -> Waiting {
    let wish = if let DeliverError::Call(error) = error { error.retry_after() } else { None };
    Waiting {
        server: server.to_owned(),
        trouble: Trouble::of(before.map(|before| &before.trouble), error.to_string(), wish, now, random),
        is_final: error.is_final(),
        of_login: error.is_of_the_login(),
        dropped: false,
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DeliverError>>,
) -> Result<T, DeliverError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(CallError::Timeout(limit).into()))
}

async fn wait_for_turn(home: &Home, server: &str, limit: Duration) -> io::Result<Option<crate::disk::Lock>> {
    let waited = tokio::time::timeout(limit, async {
        loop {
            if let Some(turn) = turn(home, server)? {
                return Ok(turn);
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    waited.await.map_or(Ok(None), |turn| turn.map(Some))
}

async fn attempt(
    delivery: Delivery<'_>,
    known: &mut Known,
    folder: &RunFolder,
    record: &RunRecord,
    now: Timestamp,
) -> Result<Option<Delivered>, DeliverError> {
    let Delivery { home, server, by_name, .. } = delivery;
    let name = server.name();
    let dialect = dialect_of(server, known).await?;
    let slot = slot_of(record);
    if let Some(place) = known.unsure.get(&slot).cloned() {
        let other = RunFolder::at(&home.runs().join(place));
        settle(server, dialect, &other, now).await?;
        known.unsure.remove(&slot);
        if let Some(receipt) = folder.read_receipt(&name) {
            let lost = receipt.uploads.len();
            let notes = (lost > 0).then(|| {
                format!(
                    "{name} has the result, but its answer was lost, and with it the key for {lost} files"
                )
            });
            return Ok(Some(Delivered { receipt, notes: notes.into_iter().collect() }));
        }
    }
    if !by_name && !is_wanted(record.outcome, dialect) {
        return Ok(None);
    }
    let need_key =
        |need: &NeedRecord| folder.other(&need.package, &need.run_id).read_receipt(&name)?.result_key;
    let need_keys: Vec<Option<String>> = record.needs.iter().map(need_key).collect();
    let package = package_of(server, dialect, record);
    let upload_key =
        (dialect == Dialect::PonyServe).then(|| upload_key(home, &name, &record.run_id)).transpose();
    let upload_key = upload_key.map_err(DeliverError::Note)?;
    let bags = Bags { record, need_keys: &need_keys, package: package.clone(), upload_key };
    let encode = |client_info, results| encode(dialect, client_info, results);
    let fitted = fit::fit(record, folder.path(), &bags, dialect, &encode).map_err(|error| match error {
        FitError::Read(error) => DeliverError::Read(error),
        FitError::TooLarge(size) => DeliverError::TooLarge(size),
    })?;
    if !dialect.knows_run_ids() {
        known.unsure.insert(slot.clone(), place_of(home, folder));
        known.save(home, &name).map_err(DeliverError::Note)?;
    }
    let submitted = match submit(server, dialect, &package, record, fitted.document).await {
        Ok(submitted) => submitted,
        Err(error) => {
            // A server with an old record that it cannot read stores what it is sent, and then answers with a fault.
            if !error.may_be_done() && !matches!(error, CallError::Fault(_)) {
                known.unsure.remove(&slot);
            }
            return Err(error.into());
        }
    };
    let told = if submitted.dialect == Dialect::V2010 && dialect.takes_uploads() {
        dialect
    } else {
        submitted.dialect
    };
    known.speaks(told);
    let uploads = match &submitted.auth_key {
        Some(_) if told.takes_uploads() => upload::of(record, &fitted.shortened),
        _ => Vec::new(),
    };
    let receipt = Receipt {
        server: name,
        result_key: submitted.result_key,
        auth_key: submitted.auth_key,
        dialect: Some(told.word().to_owned()),
        time: now,
        uploads,
        trouble: None,
    };
    folder.write_receipt(&receipt).map_err(DeliverError::Receipt)?;
    known.unsure.remove(&slot);
    let mut notes = Vec::new();
    if package != record.package {
        notes.push(format!(
            "{} is called {package} on {}, which takes no other names",
            record.package, receipt.server
        ));
    }
    Ok(Some(Delivered { receipt, notes }))
}

/// What a server speaks: what somebody said, what was found before, what it says to a cheap call; else the most careful one.
async fn dialect_of(server: &Server, known: &mut Known) -> Result<Dialect, DeliverError> {
    if let Some(dialect) = server.told_dialect().or_else(|| known.dialect()) {
        return Ok(dialect);
    }
    let Some(dialect) = server.probe(CALL).await? else { return Ok(Dialect::V2009) };
    known.speaks(dialect);
    Ok(dialect)
}

fn package_of(server: &Server, dialect: Dialect, record: &RunRecord) -> String {
    server.project().map_or_else(|| dialect.package(&record.package), str::to_owned)
}

fn encode(dialect: Dialect, client_info: ClientInfo, mut results: Vec<StepResult>) -> Vec<u8> {
    if dialect == Dialect::Devmason {
        devmason::mark(&client_info, &mut results);
    }
    match dialect {
        Dialect::DevmasonRest => devmason::build(client_info, results).to_string().into_bytes(),
        _ => Call::AddResults { client_info, results }.encode(),
    }
}

async fn submit(
    server: &Server,
    dialect: Dialect,
    package: &str,
    record: &RunRecord,
    document: Vec<u8>,
) -> Result<Submitted, CallError> {
    if dialect == Dialect::DevmasonRest {
        let result_key = devmason::post(server, package, &record.package, document).await?;
        return Ok(Submitted { dialect, result_key, auth_key: None });
    }
    let answered = server.call(document, CALL).await?;
    let mut submitted = Submitted::from_answer(&answered.answer?).ok_or(CallError::Answer)?;
    if answered.is_pony_serve {
        submitted.dialect = Dialect::PonyServe;
    }
    if submitted.dialect == Dialect::Devmason {
        match devmason::find(server, package, record).await? {
            Found::There(key) => submitted.result_key = key,
            Found::Missing => {
                let why = format!("no build of {package} carries its id");
                return Err(CallError::Lost(why));
            }
            Found::Untold => tracing::warn!("{} does not show whether it stored anything", server.name()),
        }
    }
    Ok(submitted)
}

/// Finds out whether a server has the result in `folder`, which was sent and not answered for, and writes its receipt if so.
async fn settle(
    server: &Server,
    dialect: Dialect,
    folder: &RunFolder,
    now: Timestamp,
) -> Result<(), DeliverError> {
    let name = server.name();
    // It may have been answered for after all, or be gone.
    if folder.is_delivered_to(&name) {
        return Ok(());
    }
    let Ok(record) = folder.read_result() else { return Ok(()) };
    let found = match dialect {
        Dialect::PonyServe => None,
        Dialect::V2009 | Dialect::V2010 => last_is(server, &record).await?,
        Dialect::Devmason | Dialect::DevmasonRest => {
            match devmason::find(server, &package_of(server, dialect, &record), &record).await? {
                Found::There(key) => Some(key),
                Found::Missing | Found::Untold => None,
            }
        }
    };
    let Some(result_key) = found else { return Ok(()) };
    // What would allow files to be added went with the answer.
    let receipt = Receipt {
        server: name,
        result_key,
        auth_key: None,
        dialect: Some(dialect.word().to_owned()),
        time: now,
        uploads: if dialect.takes_uploads() { upload::lost(&record) } else { Vec::new() },
        trouble: None,
    };
    folder.write_receipt(&receipt).map_err(DeliverError::Receipt)
}

/// Whether the last result of a run's slot is that run, on a server of 2009 or 2010; its key then.
///
/// These servers turn their list of results round each time they answer that, and take the last one of it: of two answers one is
/// the newest result, and the other the oldest.
async fn last_is(server: &Server, record: &RunRecord) -> Result<Option<Option<String>>, CallError> {
    let (package, tagset) = (record.package.clone(), bag::slot(record).tagset());
    let call = Call::GetLastResultForTagset { package, tagset };
    for _ in 0..2 {
        let answer = match server.ask(&call).await {
            // It does not know the question: there is no telling.
            Err(CallError::Fault(fault)) if fault.message.contains(call.method()) => return Ok(None),
            answer => answer?,
        };
        let last = StoredResult::from_last_result(answer).map_err(|_| CallError::Answer)?;
        let Some(last) = last else { return Ok(None) };
        let run_id = last.client_info.extra.get("run_id").and_then(Value::as_str);
        if run_id == Some(record.run_id.as_str()) {
            return Ok(Some(Some(last.receipt.result_key)));
        }
    }
    Ok(None)
}

/// What stands for the slot in [`Known::unsure`].
fn slot_of(record: &RunRecord) -> String {
    serde_json::to_string(&bag::slot(record).tagset()).unwrap_or_default()
}

fn place_of(home: &Home, folder: &RunFolder) -> String {
    let path = folder.path().strip_prefix(home.runs()).unwrap_or(folder.path());
    path.to_string_lossy().into_owned()
}

/// What allows files to be added to a result on a server of ours: the same at each try, and known to nobody else.
fn upload_key(home: &Home, server: &str, run_id: &str) -> io::Result<String> {
    let mut digest = Sha256::new();
    for part in [home.secret()?.as_slice(), server.as_bytes(), run_id.as_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let half = digest.finalize().into_iter().take(16);
    Ok(format!("{:032x}", half.fold(0_u128, |key, byte| key << 8 | u128::from(byte))))
}

/// Asks whether this slot shall be built, and with `reserve` reserves it if so.
pub async fn check_should_build(
    server: &Server,
    slot: pony_wire::Slot,
    reserve: bool,
) -> Result<Needed, CallError> {
    let client_info = ClientInfo { slot, success: None, extra: Struct::new() };
    // No allowance of our own: the server takes the last build's duration, or an hour.
    let answer = server.ask(&Call::CheckShouldBuild { client_info, reserve, allowance: 0.0 }).await?;
    let answer = ShouldBuild::from_value(&answer).map_err(|_| CallError::Answer)?;
    Ok(Needed { build: answer.build, reason: answer.reason })
}
