//! What waits for delivery: tried after every run for a bounded time, oldest first, and by `pony-run submit`.

use std::{collections::BTreeMap, time::Duration};

use super::deliverer::{Attempt, Deliverer, DeliveryOptions, Ended};
use crate::{
    exit::Exit,
    record::{
        RunRecord,
        folder::{Open, RunFolder, open_runs},
    },
    server::{Server, state::ServerState},
};

/// After so many results in a row that a server did not take, the rest is left for another time.
const PATIENCE: u32 = 3;

/// What is tried of that which waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Nothing is begun after so long, and what was begun is ended.
    pub(crate) limit: Option<Duration>,
    /// Only for this server, whether it is to have it or not.
    pub(crate) only: Option<Server>,
    /// Also what is not due yet.
    pub(crate) hurry: bool,
    /// Also what a server will not take as far as is known.
    pub(crate) also_final: bool,
    /// Each is shown by itself.
    pub(crate) shown: bool,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Results that are where they are to be.
    pub(crate) delivered: usize,
    /// Those that wait still, as far as that was looked at.
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

/// Tries what waits after the results of this run, for a bounded time, and says in a line how that went.
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
            let at = self.at(deliverer, &name, rules);
            let ended = one(deliverer, at, (folder, record), (&name, rules), left).await;
            any |= ended.is_some();
            let ended = ended.unwrap_or_else(|| standing(folder, &name));
            if let Ended::Stopped(_) = ended {
                return (ended, true);
            }
            if ended != Ended::Done {
                worst = ended;
            }
        }
        // Elsewhere it may wait still.
        if rules.only.is_some() && record.deliver_to.iter().any(|name| standing(folder, name) != Ended::Done)
        {
            return (if any { worst } else { Ended::Waits }, any);
        }
        (worst, any)
    }

    fn at(&mut self, deliverer: &Deliverer, name: &str, rules: &Rules) -> &mut AtServer {
        self.servers.entry(name.to_owned()).or_insert_with(|| {
            let server = rules.only.clone().or_else(|| deliverer.servers.of_receipt(name).ok());
            let backoff = ServerState::load(&deliverer.home, name).backoff;
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

/// How a run stands with a server without anything being tried.
fn standing(folder: &RunFolder, server: &str) -> Ended {
    match folder.read_receipt(server) {
        Some(receipt) if receipt.has_waiting() => Ended::Uploads,
        Some(_) => Ended::Done,
        None if folder.read_waiting(server).is_some_and(|waiting| waiting.dropped) => Ended::Done,
        None => Ended::Waits,
    }
}

/// Tries one run at one server; none if it is not to be tried now.
async fn one(
    deliverer: &mut Deliverer,
    at: &mut AtServer,
    (folder, record): (&RunFolder, &RunRecord),
    (name, rules): (&str, &Rules),
    left: Option<Duration>,
) -> Option<Ended> {
    let server = at.server.as_ref()?;
    if at.rests || at.failures >= PATIENCE || deliverer.unresponsive.contains(name) {
        return None;
    }
    let uploads = left.unwrap_or(deliverer.limits.uploads);
    if let Some(receipt) = folder.read_receipt(name) {
        let is_due = rules.hurry || receipt.is_due(deliverer.console.clock.wall());
        if !receipt.has_waiting() || !is_due {
            return None;
        }
        return Some(deliverer.upload(None, folder, receipt, server, uploads).await);
    }
    if let Some(waiting) = folder.read_waiting(name) {
        let is_due = waiting.is_due(deliverer.console.clock.wall());
        // With the login of this command line it may be let in.
        let may_enter = waiting.of_login && deliverer.servers.given.contains_key(name);
        let is_wanted = !waiting.dropped
            && (is_due || may_enter || rules.also_final || (rules.hurry && !waiting.is_final));
        if !is_wanted && rules.only.is_none() {
            return None;
        }
    }
    let timeout = deliverer.limits.timeout;
    let limit = left.map_or(timeout, |left| left.min(timeout));
    let way = DeliveryOptions { server, limit, by_name: rules.only.is_some(), hurry: rules.hurry };
    let ended = if rules.shown {
        deliverer.deliver(None, folder, record, way).await
    } else {
        match deliverer.try_delivery(folder, record, way).await {
            Attempt::Delivered(receipt, _) => deliverer.upload(None, folder, receipt, server, uploads).await,
            Attempt::Unwanted => Ended::Done,
            Attempt::Failed(_) => Ended::Waits,
            Attempt::Stopped(signal) => Ended::Stopped(signal),
        }
    };
    at.failures = if ended == Ended::Waits { at.failures + 1 } else { 0 };
    Some(ended)
}
