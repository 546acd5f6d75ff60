//! What waits for delivery: tried after every run for a bounded time, oldest first, and by `pony-run submit`.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    deliverer::{Attempt, Deliverer, DeliveryOptions, Ended},
    mark::OutboxMark,
    receipt::Receipt,
};
use crate::{
    exit::Exit,
    record::{
        RunRecord,
        folder::{Open, RunFolder, open_runs},
    },
    server::{Server, state::ServerState},
    versioned::FileError,
};

/// After so many results in a row that a server did not take, the rest is left for another time.
const PATIENCE: u32 = 3;

/// Which waiting results are tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Nothing is begun after this time, and what was begun is ended.
    pub(crate) limit: Option<Duration>,
    /// Only for this server, whether the results are for it or not.
    pub(crate) only: Option<Server>,
    /// Also what is not due yet.
    pub(crate) hurry: bool,
    /// Also what a server has rejected.
    pub(crate) rejected: bool,
    /// Each is shown.
    pub(crate) shown: bool,
}

/// How a run stands with a server.
#[derive(Debug)]
pub(crate) enum Standing {
    /// The server has it, and all files that it takes.
    Delivered,
    /// The server has it; files wait.
    FilesWaiting(Receipt),
    /// It waits; with a mark if it was tried.
    Waiting(Option<OutboxMark>),
    /// Nobody is to have it any more.
    GivenUp(OutboxMark),
    /// What is kept of it cannot be used.
    Unreadable(FileError),
}

/// What is done about a run at a server now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    SendFiles,
    SendResult,
}

impl Standing {
    pub(crate) fn read(folder: &RunFolder, server: &str) -> Self {
        match Receipt::load(folder, server) {
            Ok(Some(receipt)) if receipt.has_waiting() => return Self::FilesWaiting(receipt),
            Ok(Some(_)) => return Self::Delivered,
            Ok(None) => {}
            Err(error) => return Self::Unreadable(error),
        }
        match OutboxMark::load(folder, server) {
            Ok(Some(mark)) if mark.is_given_up => Self::GivenUp(mark),
            Ok(mark) => Self::Waiting(mark),
            Err(error) => Self::Unreadable(error),
        }
    }

    /// As an end without anything being tried.
    fn ended(&self) -> Ended {
        match self {
            Self::Delivered | Self::GivenUp(_) => Ended::Done,
            Self::FilesWaiting(_) => Ended::Uploads,
            Self::Waiting(_) | Self::Unreadable(_) => Ended::Waits,
        }
    }

    /// `has_new_login`: the command line names the server, perhaps with another login than the one that was refused. Pure.
    fn step(&self, rules: &Rules, has_new_login: bool, now: Timestamp) -> Step {
        match self {
            Self::FilesWaiting(receipt) if rules.hurry || receipt.is_due(now) => Step::SendFiles,
            // Asked for by the server's name, everything is sent.
            Self::Waiting(_) | Self::GivenUp(_) if rules.only.is_some() => Step::SendResult,
            Self::Delivered | Self::FilesWaiting(_) | Self::GivenUp(_) | Self::Unreadable(_) => Step::Nothing,
            Self::Waiting(None) => Step::SendResult,
            Self::Waiting(Some(mark)) => {
                let is_wanted = mark.is_due(now)
                    || (mark.is_login && has_new_login)
                    || rules.rejected
                    || (rules.hurry && !mark.is_permanent);
                if is_wanted { Step::SendResult } else { Step::Nothing }
            }
        }
    }
}

/// How many results were tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Results that arrived.
    pub(crate) delivered: usize,
    /// Results that still wait.
    pub(crate) waiting: usize,
    /// The signal that ended it.
    pub(crate) signal: Option<u8>,
}

impl Tally {
    fn add(&mut self, ended: Ended) {
        match ended {
            Ended::Done => self.delivered += 1,
            Ended::Uploads | Ended::Waits => self.waiting += 1,
            Ended::Stopped(signal) => self.signal = Some(signal),
        }
    }
}

/// What is known of servers in the course of one pass.
#[derive(Debug, Default)]
struct Pass {
    servers: BTreeMap<String, AtServer>,
}

#[derive(Debug)]
struct AtServer {
    /// None if its name cannot be one.
    server: Option<Server>,
    /// It is left alone for now.
    rests: bool,
    /// Results in a row that it did not take.
    failures: u32,
}

/// Tries waiting results after those of this run, for a bounded time, and reports it in one line.
pub(crate) async fn deliver_waiting(deliverer: &mut Deliverer, limit: Duration) -> Exit {
    let Tally { delivered, waiting, signal } =
        pass(deliverer, &Rules { limit: Some(limit), ..Rules::default() }).await;
    let results = |count| if count == 1 { "1 result".to_owned() } else { format!("{count} results") };
    if delivered > 0 {
        let rest = if waiting == 0 { String::new() } else { format!(", and {} still", results(waiting)) };
        deliverer.console.note(format!("delivered {} of earlier runs that waited{rest}", results(delivered)));
    }
    signal.map_or(Exit::Ok, Exit::Signal)
}

/// Tries all that waits, as far as the rules say.
pub(crate) async fn pass(deliverer: &mut Deliverer, rules: &Rules) -> Tally {
    let mut tally = Tally::default();
    let waiting = match open_runs(&deliverer.home) {
        Ok(waiting) => waiting,
        Err(error) => {
            deliverer.console.note(format!("cannot look for waiting results: {error}"));
            return tally;
        }
    };
    let begin = deliverer.console.clock.now();
    let mut pass = Pass::default();
    for Open { folder, active } in waiting {
        let left = rules
            .limit
            .map(|limit| limit.saturating_sub(deliverer.console.clock.now().saturating_sub(begin)));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let Ok(record) = folder.read_result() else { continue };
        let (ended, tried) = pass.run(deliverer, &folder, &record, rules, left).await;
        if ended == Ended::Done {
            deliverer.close(active);
        }
        if tried {
            tally.add(ended);
        }
        if tally.signal.is_some() {
            break;
        }
    }
    pass.close().await;
    tally
}

impl Pass {
    /// Tries one run; whether anything of it was tried.
    async fn run(
        &mut self,
        deliverer: &mut Deliverer,
        folder: &RunFolder,
        record: &RunRecord,
        rules: &Rules,
        left: Option<Duration>,
    ) -> (Ended, bool) {
        let (mut worst, mut any) = (Ended::Done, false);
        let names = match &rules.only {
            Some(server) => vec![server.name()],
            None => record.deliver_to.clone(),
        };
        for name in names {
            let standing = Standing::read(folder, &name);
            let unchanged = standing.ended();
            let at = self.at(deliverer, &name, rules);
            let tried = at.attempt(deliverer, (folder, record), standing, rules, left).await;
            any |= tried.is_some();
            let ended = tried.unwrap_or(unchanged);
            if let Ended::Stopped(_) = ended {
                return (ended, true);
            }
            if ended != Ended::Done {
                worst = ended;
            }
        }
        // Elsewhere it may wait still.
        let waits = |name: &String| Standing::read(folder, name).ended() != Ended::Done;
        if rules.only.is_some() && record.deliver_to.iter().any(waits) {
            return (if any { worst } else { Ended::Waits }, any);
        }
        (worst, any)
    }

    fn at(&mut self, deliverer: &Deliverer, name: &str, rules: &Rules) -> &mut AtServer {
        self.servers.entry(name.to_owned()).or_insert_with(|| {
            let server = rules.only.clone().or_else(|| deliverer.servers.of_receipt(name).ok());
            // Whether it can be read is said by a delivery.
            let backoff = ServerState::load(&deliverer.home, name).ok().and_then(|state| state.backoff);
            let rests = backoff.is_some_and(|backoff| !backoff.is_over(deliverer.console.clock.wall()));
            AtServer { server, rests: rests && !rules.hurry, failures: 0 }
        })
    }

    async fn close(self) {
        for server in self.servers.into_values().filter_map(|at| at.server) {
            server.close().await;
        }
    }
}

impl AtServer {
    /// Tries one run; none if nothing is to be done now.
    async fn attempt(
        &mut self,
        deliverer: &mut Deliverer,
        (folder, record): (&RunFolder, &RunRecord),
        standing: Standing,
        rules: &Rules,
        left: Option<Duration>,
    ) -> Option<Ended> {
        let server = self.server.as_ref()?;
        let name = server.name();
        if self.rests || self.failures >= PATIENCE || deliverer.unresponsive.contains(&name) {
            return None;
        }
        if let Standing::Unreadable(error) = &standing {
            deliverer.console.note(format!("{} is not sent to {name}: {error}", record.run_id));
        }
        let uploads = left.unwrap_or(deliverer.limits.uploads);
        let has_new_login = deliverer.servers.given.contains_key(&name);
        match (standing.step(rules, has_new_login, deliverer.console.clock.wall()), standing) {
            (Step::SendFiles, Standing::FilesWaiting(receipt)) => {
                return Some(deliverer.upload(None, folder, receipt, server, uploads).await);
            }
            (Step::SendResult, _) => {}
            (Step::Nothing | Step::SendFiles, _) => return None,
        }
        let timeout = deliverer.limits.timeout;
        let limit = left.map_or(timeout, |left| left.min(timeout));
        let options = DeliveryOptions { server, limit, by_name: rules.only.is_some(), hurry: rules.hurry };
        let ended = if rules.shown {
            deliverer.deliver(None, folder, record, options).await
        } else {
            match deliverer.try_delivery(folder, record, options).await {
                Attempt::Delivered(receipt, _) => {
                    deliverer.upload(None, folder, receipt, server, uploads).await
                }
                Attempt::Unwanted => Ended::Done,
                Attempt::Failed(_) => Ended::Waits,
                Attempt::Stopped(signal) => Ended::Stopped(signal),
            }
        };
        self.failures = if ended == Ended::Waits { self.failures + 1 } else { 0 };
        Some(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        delivery::receipt::{Upload, UploadState},
        server::backoff::Backoff,
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// Tried once, and due again after a minute.
    fn mark() -> OutboxMark {
        let backoff =
            Backoff { failures: 1, reason: "x".to_owned(), last: at(0), next: at(60), is_requested: false };
        OutboxMark {
            server: "s".to_owned(),
            backoff,
            is_permanent: false,
            is_login: false,
            is_given_up: false,
        }
    }

    fn files() -> Standing {
        let upload = Upload {
            file: "f".to_owned(),
            name: "f".to_owned(),
            description: "f".to_owned(),
            visible: true,
            packed: false,
            state: UploadState::Waiting { tries: 1, reason: None },
        };
        Standing::FilesWaiting(Receipt {
            server: "s".to_owned(),
            result_key: None,
            auth_key: Some("key".to_owned()),
            dialect: None,
            time: at(0),
            uploads: vec![upload],
            backoff: Some(mark().backoff),
        })
    }

    #[test]
    fn the_rules_of_the_outbox() {
        use Step::{Nothing, SendFiles, SendResult};
        let after_a_run = Rules::default();
        let submit = Rules { hurry: true, ..Rules::default() };
        let submit_all = Rules { rejected: true, ..submit.clone() };
        let to_server = Rules { only: Some(Server::embedded("results.db".into())), ..submit.clone() };
        let waiting = |mark| Standing::Waiting(Some(mark));
        let due = OutboxMark { backoff: Backoff { next: at(0), ..mark().backoff }, ..mark() };
        let rejected = || OutboxMark { is_permanent: true, ..mark() };
        let login = || OutboxMark { is_login: true, ..rejected() };
        let given_up = || Standing::GivenUp(OutboxMark { is_given_up: true, ..mark() });
        // standing, new login: after a run, submit, submit --all, submit -s SERVER
        for (standing, has_new_login, steps) in [
            (Standing::Delivered, false, [Nothing, Nothing, Nothing, Nothing]),
            (files(), false, [Nothing, SendFiles, SendFiles, SendFiles]),
            (Standing::Waiting(None), false, [SendResult, SendResult, SendResult, SendResult]),
            (waiting(due), false, [SendResult, SendResult, SendResult, SendResult]),
            (waiting(mark()), false, [Nothing, SendResult, SendResult, SendResult]),
            (waiting(rejected()), false, [Nothing, Nothing, SendResult, SendResult]),
            (waiting(rejected()), true, [Nothing, Nothing, SendResult, SendResult]),
            (waiting(login()), false, [Nothing, Nothing, SendResult, SendResult]),
            (waiting(login()), true, [SendResult, SendResult, SendResult, SendResult]),
            (given_up(), false, [Nothing, Nothing, Nothing, SendResult]),
        ] {
            let step = |rules: &Rules| standing.step(rules, has_new_login, at(1));
            let found = [&after_a_run, &submit, &submit_all, &to_server].map(step);
            assert_eq!(found, steps, "{standing:?} {has_new_login}");
        }
    }
}
