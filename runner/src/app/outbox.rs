//! What waits for delivery: tried after every run for a bounded time, oldest first, and by `pony-run submit`.

use std::{collections::BTreeMap, time::Duration};

use super::session::{Ended, Session, Tried, Way};
use crate::{
    exit::Exit,
    record::{
        RunRecord,
        folder::{Open, RunFolder, open_runs},
    },
    server::{Server, known::Known},
};

/// After so many results in a row that a server did not take, the rest is left for another time.
const PATIENCE: u32 = 3;

/// What is tried of that which waits.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Nothing is begun after so long, and what was begun is ended.
    pub(super) limit: Option<Duration>,
    /// Only for this server, whether it is to have it or not.
    pub(super) only: Option<Server>,
    /// Also what is not due yet.
    pub(super) hurry: bool,
    /// Also what a server will not take as far as is known.
    pub(super) also_final: bool,
    /// Each is shown by itself.
    pub(super) shown: bool,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Results that are where they are to be.
    pub(super) delivered: usize,
    /// Those that wait still, as far as that was looked at.
    pub(super) waiting: usize,
    /// The signal that ended it.
    pub(super) signal: Option<u8>,
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
pub(super) async fn deliver_waiting(session: &mut Session, limit: Duration) -> Exit {
    let Tally { delivered, waiting, signal } =
        pass(session, &Rules { limit: Some(limit), ..Rules::default() }).await;
    let results = |count| if count == 1 { "1 result".to_owned() } else { format!("{count} results") };
    if delivered > 0 {
        let rest = if waiting == 0 { String::new() } else { format!(", and {} still", results(waiting)) };
        session.note(format!("delivered {} of earlier runs that waited{rest}", results(delivered)));
    }
    signal.map_or(Exit::Ok, Exit::Signal)
}

/// Tries all that waits, as far as the rules say.
pub(super) async fn pass(session: &mut Session, rules: &Rules) -> Tally {
    let mut tally = Tally::default();
    let waiting = match open_runs(&session.home) {
        Ok(waiting) => waiting,
        Err(error) => {
            session.note(format!("cannot look for waiting results: {error}"));
            return tally;
        }
    };
    let begin = session.clock.now();
    let mut pass = Pass::default();
    for Open { folder, active } in waiting {
        let left = rules.limit.map(|limit| limit.saturating_sub(session.clock.now().saturating_sub(begin)));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        let Ok(record) = folder.read_result() else { continue };
        let (ended, tried) = pass.run(session, &folder, &record, rules, left).await;
        if ended == Ended::Done {
            session.close(active);
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
        session: &mut Session,
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
            let at = self.at(session, &name, rules);
            let ended = one(session, at, (folder, record), (&name, rules), left).await;
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

    fn at(&mut self, session: &Session, name: &str, rules: &Rules) -> &mut AtServer {
        self.servers.entry(name.to_owned()).or_insert_with(|| {
            let server = rules.only.clone().or_else(|| session.servers.of_receipt(name).ok());
            let trouble = Known::load(&session.home, name).trouble;
            let rests = trouble.is_some_and(|trouble| !trouble.is_over(session.clock.wall()));
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
    session: &mut Session,
    at: &mut AtServer,
    (folder, record): (&RunFolder, &RunRecord),
    (name, rules): (&str, &Rules),
    left: Option<Duration>,
) -> Option<Ended> {
    let server = at.server.as_ref()?;
    if at.rests || at.failures >= PATIENCE || session.silent.contains(name) {
        return None;
    }
    let uploads = left.unwrap_or(session.config.delivery.uploads);
    if let Some(receipt) = folder.read_receipt(name) {
        let is_due = rules.hurry || receipt.is_due(session.clock.wall());
        if !receipt.has_waiting() || !is_due {
            return None;
        }
        return Some(session.upload(None, folder, receipt, server, uploads).await);
    }
    if let Some(waiting) = folder.read_waiting(name) {
        let is_due = waiting.is_due(session.clock.wall());
        // With the login of this command line it may be let in.
        let may_enter = waiting.of_login && session.servers.given.contains_key(name);
        let is_wanted = !waiting.dropped
            && (is_due || may_enter || rules.also_final || (rules.hurry && !waiting.is_final));
        if !is_wanted && rules.only.is_none() {
            return None;
        }
    }
    let timeout = session.config.delivery.timeout;
    let limit = left.map_or(timeout, |left| left.min(timeout));
    let way = Way { server, limit, by_name: rules.only.is_some(), hurry: rules.hurry };
    let ended = if rules.shown {
        session.deliver(None, folder, record, way).await
    } else {
        match session.try_delivery(folder, record, way).await {
            Tried::Delivered(receipt) => session.upload(None, folder, receipt, server, uploads).await,
            Tried::Unwanted => Ended::Done,
            Tried::Failed(_) => Ended::Waits,
            Tried::Stopped(signal) => Ended::Stopped(signal),
        }
    };
    at.failures = if ended == Ended::Waits { at.failures + 1 } else { 0 };
    Some(ended)
}
