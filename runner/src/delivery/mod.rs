//! Delivery: the results of finished runs are sent to their servers, each of which leaves a receipt in the run folder. It can be
//! repeated at any time, and each result is on each server once.
//!
//! pony-serve answers a `run_id` that it has with its key. For other servers a result is noted as in doubt before it is sent. While
//! it is, nothing else of its slot is sent; before that happens the server is asked whether it has the result.

pub(crate) mod bag;
mod combine;
pub(crate) mod deliverer;
mod excerpt;
mod files;
mod fit;
pub(crate) mod listing;
pub(crate) mod mark;
pub(crate) mod outbox;
pub(crate) mod receipt;
pub(crate) mod upload;

use std::{io, time::Duration};

use jiff::Timestamp;
use pony_wire::Dialect;
use sha2::{Digest, Sha256};

use self::{bag::Bags, fit::FitError, mark::OutboxMark, receipt::Receipt};
use crate::{
    disk::Lock,
    home::Home,
    record::{NeedRecord, Outcome, RunRecord, folder::RunFolder},
    server::{
        CALL, Server,
        api::{Api, kind},
        backoff::Backoff,
        error::CallError,
        kind::{Presence, RunIdentity},
        state::{ServerState, lock},
    },
    versioned::FileError,
};

/// Between two tries to lock a server.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// Why a result is not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliverError {
    /// A log of the run cannot be read.
    #[error("a log of the run cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It is too large in any form.
    #[error("it has {0} bytes without any output, more than the server accepts")]
    TooLarge(usize),
    /// The call failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Stored there, but the receipt cannot be written.
    #[error("it is stored there, but the receipt cannot be written: {0}")]
    Receipt(#[source] io::Error),
    /// It cannot be noted that it is about to be sent.
    #[error("not sent: cannot note that it is about to be: {0}")]
    Note(#[source] io::Error),
    /// What is kept of the server or of the result cannot be used.
    #[error("not sent: {0}")]
    Unreadable(#[from] FileError),
    /// Another pony-run delivers to that server.
    #[error("another pony-run is delivering to it")]
    Busy,
}

impl DeliverError {
    /// The next try would fail in the same way.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Read(_) | Self::TooLarge(_) => true,
            Self::Call(error) => error.is_permanent(),
            Self::Receipt(_) | Self::Note(_) | Self::Unreadable(_) | Self::Busy => false,
        }
    }

    /// The login was refused.
    pub(crate) fn is_login(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_login())
    }

    /// The cause is the server, not what was sent: other results would wait as long.
    pub(crate) fn affects_server(&self) -> bool {
        match self {
            Self::Call(error) => error.affects_server(),
            Self::Busy => true,
            _ => false,
        }
    }
}

/// A result that a server has now.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) receipt: Receipt,
    /// The page for people of the result, or the nearest that exists.
    pub(crate) page: Option<String>,
    /// For the person.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'d> {
    pub(crate) home: &'d Home,
    pub(crate) server: &'d Server,
    pub(crate) limit: Duration,
    /// Somebody asked for this delivery: it is sent whatever its outcome is.
    pub(crate) by_name: bool,
}

/// Whether a run of this outcome is sent to a server of this dialect unless somebody asks for it. A run that was cancelled or skipped
/// says nothing of the code, and a server that knows only passed and failed would show it as failed.
fn is_sent(outcome: Outcome, dialect: Dialect) -> bool {
    !matches!(outcome, Outcome::Cancelled | Outcome::Skipped) || kind(dialect).knows_outcomes
}

/// Sends the run in `folder` and writes the receipt; none if runs of this outcome are not sent to the server. Failures are noted in
/// the folder and in the server's state.
pub(crate) async fn deliver(
    delivery: Delivery<'_>,
    folder: &RunFolder,
    record: &RunRecord,
    now: impl Fn() -> Timestamp,
) -> Result<Option<Delivered>, DeliverError> {
    let Delivery { home, server, limit, .. } = delivery;
    let name = server.name();
    if server.is_embedded() {
        let mut state = ServerState::default();
        return within(limit, attempt(delivery, &mut state, folder, record, now())).await;
    }
    let Some(_lock) = wait_for_lock(home, &name, limit).await.map_err(DeliverError::Note)? else {
        return Err(DeliverError::Busy);
    };
    let mut state = ServerState::load(home, &name)?;
    let delivered = within(limit, attempt(delivery, &mut state, folder, record, now())).await;
    let failed = |backoff: Option<&Backoff>, error: &CallError| {
        let random = crate::random::number();
        Backoff::after(backoff, error.to_string(), error.retry_after(), now(), random)
    };
    state.backoff = match &delivered {
        Ok(_) => None,
        Err(DeliverError::Call(error)) if error.affects_server() => {
            Some(failed(state.backoff.as_ref(), error))
        }
        Err(_) => state.backoff,
    };
    if let Err(error) = &delivered {
        let before = OutboxMark::load(folder, &name)?;
        mark_after(before.as_ref(), &name, error, now(), crate::random::number()).save(folder);
    }
    // A result in doubt was saved on the way.
    if ServerState::load(home, &name)? != state {
        // Where this fails, the next delivery finds what is reconciled already.
        let _ = state.save(home);
    }
    delivered
}

/// The mark of a result after one more failure. Pure.
fn mark_after(
    before: Option<&OutboxMark>,
    server: &str,
    error: &DeliverError,
    now: Timestamp,
    random: u32,
) -> OutboxMark {
    let retry_after = if let DeliverError::Call(error) = error { error.retry_after() } else { None };
    OutboxMark {
        server: server.to_owned(),
        backoff: Backoff::after(
            before.map(|before| &before.backoff),
            error.to_string(),
            retry_after,
            now,
            random,
        ),
        is_permanent: error.is_permanent(),
        is_login: error.is_login(),
        is_given_up: false,
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DeliverError>>,
) -> Result<T, DeliverError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(CallError::Timeout(limit).into()))
}

async fn wait_for_lock(home: &Home, server: &str, limit: Duration) -> io::Result<Option<Lock>> {
    let waited = tokio::time::timeout(limit, async {
        loop {
            if let Some(lock) = lock(home, server)? {
                return Ok(lock);
            }
            tokio::time::sleep(LOCK_POLL).await;
        }
    });
    waited.await.map_or(Ok(None), |lock| lock.map(Some))
}

async fn attempt(
    delivery: Delivery<'_>,
    state: &mut ServerState,
    folder: &RunFolder,
    record: &RunRecord,
    now: Timestamp,
) -> Result<Option<Delivered>, DeliverError> {
    let Delivery { home, server, by_name, .. } = delivery;
    let name = server.name();
    let api = Api::new(server, dialect_of(server, state).await?);
    let slot = bag::slot(record);
    let run = RunIdentity { run_id: &record.run_id, slot: &slot };
    let slot_key = serde_json::to_string(&slot.tagset()).unwrap_or_default();
    if let Some(place) = state.in_doubt.get(&slot_key).cloned() {
        reconcile(&api, &RunFolder::at(&home.runs().join(place)), now).await?;
        state.in_doubt.remove(&slot_key);
        if let Some(receipt) = Receipt::load(folder, &name)? {
            let lost = receipt.uploads.len();
            let notes = (lost > 0).then(|| {
                format!(
                    "{name} has the result, but its answer was lost, and with it the key for {lost} files"
                )
            });
            let page = api.page(&api.package_name(&record.package), receipt.result_key.as_deref());
            return Ok(Some(Delivered { receipt, page, notes: notes.into_iter().collect() }));
        }
    }
    if !by_name && !is_sent(record.outcome, api.dialect) {
        return Ok(None);
    }
    let need_key = |need: &NeedRecord| Receipt::result_key(&folder.other(&need.package, &need.run_id), &name);
    let need_keys: Vec<Option<String>> = record.needs.iter().map(need_key).collect();
    let package = api.package_name(&record.package);
    let upload_key =
        (api.dialect == Dialect::PonyServe).then(|| upload_key(home, &name, &record.run_id)).transpose();
    let upload_key = upload_key.map_err(DeliverError::Note)?;
    let bags = Bags { record, need_keys: &need_keys, package: package.clone(), upload_key };
    let fitted = fit::fit(record, folder.path(), &bags, &api).map_err(|error| match error {
        FitError::Read(error) => DeliverError::Read(error),
        FitError::TooLarge(size) => DeliverError::TooLarge(size),
    })?;
    if !api.kind().knows_run_ids {
        state.in_doubt.insert(slot_key.clone(), place_of(home, folder));
        state.save(home).map_err(DeliverError::Note)?;
    }
    let submitted = match api.submit(run, fitted.document).await {
        Ok(submitted) => submitted,
        Err(error) => {
            // A server with an old record that it cannot read stores what it is sent, and then answers with a fault.
            if !error.may_have_arrived() && !matches!(error, CallError::Fault(_)) {
                state.in_doubt.remove(&slot_key);
            }
            return Err(error.into());
        }
    };
    let api = Api::new(server, submitted.dialect);
    state.set_dialect(api.dialect);
    let uploads = match (&submitted.auth_key, api.kind().uploads) {
        (Some(_), Some(_)) => upload::of(record, &fitted.shortened),
        _ => Vec::new(),
    };
    let receipt = Receipt {
        server: name,
        result_key: submitted.result_key,
        auth_key: submitted.auth_key,
        dialect: Some(api.dialect.word().to_owned()),
        time: now,
        uploads,
        backoff: None,
    };
    receipt.save(folder).map_err(DeliverError::Receipt)?;
    state.in_doubt.remove(&slot_key);
    let mut notes = Vec::new();
    if package != record.package {
        notes.push(format!(
            "{} is called {package} on {}, which takes no other names",
            record.package, receipt.server
        ));
    }
    let page = api.page(&package, receipt.result_key.as_deref());
    Ok(Some(Delivered { receipt, page, notes }))
}

/// The dialect that is given or was found before, else what a cheap call shows, else the one that asks for least.
async fn dialect_of(server: &Server, state: &mut ServerState) -> Result<Dialect, DeliverError> {
    if let Some(dialect) = server.given_dialect().or_else(|| state.dialect()) {
        return Ok(dialect);
    }
    let Some(dialect) = server.probe(CALL).await? else { return Ok(Dialect::V2009) };
    state.set_dialect(dialect);
    Ok(dialect)
}

/// Finds out whether a server has the result in `folder`, which was sent and not answered for, and writes its receipt if so.
async fn reconcile(api: &Api, folder: &RunFolder, now: Timestamp) -> Result<(), DeliverError> {
    let name = api.server.name();
    // It may have been answered for after all, or be gone.
    if Receipt::exists(folder, &name) {
        return Ok(());
    }
    let Ok(record) = folder.read_result() else { return Ok(()) };
    let slot = bag::slot(&record);
    let Presence::Stored(result_key) =
        api.find_run(RunIdentity { run_id: &record.run_id, slot: &slot }).await?
    else {
        return Ok(());
    };
    // The key for files was in the answer.
    let receipt = Receipt {
        server: name,
        result_key,
        auth_key: None,
        dialect: Some(api.dialect.word().to_owned()),
        time: now,
        uploads: if api.kind().uploads.is_some() { upload::lost(&record) } else { Vec::new() },
        backoff: None,
    };
    receipt.save(folder).map_err(DeliverError::Receipt)
}

fn place_of(home: &Home, folder: &RunFolder) -> String {
    let path = folder.path().strip_prefix(home.runs()).unwrap_or(folder.path());
    path.to_string_lossy().into_owned()
}

/// The key for files of a result on pony-serve: the same at each try, and a secret of this machine.
fn upload_key(home: &Home, server: &str, run_id: &str) -> io::Result<String> {
    let mut digest = Sha256::new();
    for part in [home.secret()?.as_slice(), server.as_bytes(), run_id.as_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    Ok(hex::encode(&digest.finalize()[..16]))
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn what_is_sent_without_being_asked_for() {
        for (outcome, to_pony_serve, to_others) in [
            (Outcome::Passed, true, true),
            (Outcome::Failed, true, true),
            (Outcome::InfraError, true, true),
            (Outcome::Cancelled, true, false),
            (Outcome::Skipped, true, false),
        ] {
            for dialect in Dialect::ALL {
                let expected = if dialect == Dialect::PonyServe { to_pony_serve } else { to_others };
                assert_eq!(is_sent(outcome, dialect), expected, "{outcome:?} {dialect}");
            }
        }
    }

    #[test]
    fn a_failure_is_marked_with_what_follows_from_it() {
        let status = |code: u16| {
            let status = StatusCode::from_u16(code).unwrap();
            DeliverError::from(CallError::Status { status, text: String::new(), retry_after: None })
        };
        let now = Timestamp::UNIX_EPOCH;
        // error, permanent, login
        for (error, is_permanent, is_login) in [
            (status(401), true, true),
            (status(413), true, false),
            (status(503), false, false),
            (DeliverError::Busy, false, false),
            (DeliverError::TooLarge(9), true, false),
            (DeliverError::Note(io::Error::other("full")), false, false),
        ] {
            let first = mark_after(None, "s", &error, now, 0);
            assert_eq!((first.is_permanent, first.is_login), (is_permanent, is_login), "{error}");
            let second = mark_after(Some(&first), "s", &error, now, 0);
            assert_eq!((first.backoff.failures, second.backoff.failures), (1, 2));
        }
    }
}
