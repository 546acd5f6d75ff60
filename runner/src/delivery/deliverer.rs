//! Delivers results and reports how that goes. Remembers for one pony-run which servers did not answer.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{Delivered, Delivery, receipt::Receipt};
use crate::{
    config,
    display::Console,
    exit::Exit,
    home::Home,
    process::signals::Signals,
    record::{
        RunRecord,
        event::Event,
        folder::{Active, RunFolder},
    },
    server::{Server, registry::Servers, state::ServerState},
};

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing is left to do: it is there, or is not to be.
    Done,
    /// It is there, and files of it wait.
    Uploads,
    /// It waits.
    Waits,
    /// A signal ended it.
    Stopped(u8),
}

impl Ended {
    /// What `pony-run` ends with for it.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Done | Self::Uploads => Exit::Ok,
            Self::Waits => Exit::NotDelivered,
            Self::Stopped(signal) => Exit::Signal(signal),
        }
    }
}

/// What came of a try.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It is there now, and shown on this page.
    Delivered(Receipt, Option<String>),
    /// It is not to be there.
    Unwanted,
    /// It is not there: why.
    Failed(String),
    /// A signal ended it.
    Stopped(u8),
}

/// To which server, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeliveryOptions<'w> {
    pub(crate) server: &'w Server,
    /// The longest that it may take, without files.
    pub(crate) limit: Duration,
    /// Somebody asked for this very one.
    pub(crate) by_name: bool,
    /// Somebody does not want to wait, whatever the server has asked for.
    pub(crate) hurry: bool,
}

impl<'w> DeliveryOptions<'w> {
    /// As a result goes that was just made.
    pub(crate) fn new(server: &'w Server, limit: Duration) -> Self {
        Self { server, limit, by_name: false, hurry: false }
    }
}

/// Delivers results, one after another.
#[derive(Clone)]
pub(crate) struct Deliverer {
    pub(crate) home: Home,
    /// How long deliveries may take.
    pub(crate) limits: config::DeliverySettings,
    pub(crate) servers: Servers,
    pub(crate) console: Console,
    pub(crate) signals: Signals,
    /// Servers that did not answer: what else is for them waits, or each result would wait for them as long.
    pub(crate) unresponsive: BTreeSet<String>,
}

impl Deliverer {
    /// One that has not tried any server yet.
    pub(crate) fn new(
        home: Home,
        limits: config::DeliverySettings,
        servers: Servers,
        console: Console,
        signals: Signals,
    ) -> Self {
        Self { home, limits, servers, console, signals, unresponsive: BTreeSet::new() }
    }

    /// Delivers a run, of the build of that name if it is one of those that are shown, and its files, and shows how that went.
    pub(crate) async fn deliver(
        &mut self,
        build: Option<&str>,
        folder: &RunFolder,
        record: &RunRecord,
        way: DeliveryOptions<'_>,
    ) -> Ended {
        let server = way.server.name();
        let (event, ended) = match self.try_delivery(folder, record, way).await {
            Attempt::Unwanted => return Ended::Done,
            Attempt::Delivered(receipt, page) => {
                let event = Event::Delivered { server, result_key: receipt.result_key.clone(), page };
                self.console.show(build, event);
                let limit = self.limits.uploads;
                return self.upload(build, folder, receipt, way.server, limit).await;
            }
            Attempt::Failed(reason) => (Event::NotDelivered { server, reason }, Ended::Waits),
            Attempt::Stopped(signal) => {
                (Event::NotDelivered { server, reason: "stopped".to_owned() }, Ended::Stopped(signal))
            }
        };
        self.console.show(build, event);
        ended
    }

    /// Tries to deliver a run, without its files and without a word but of what is odd.
    pub(crate) async fn try_delivery(
        &mut self,
        folder: &RunFolder,
        record: &RunRecord,
        way: DeliveryOptions<'_>,
    ) -> Attempt {
        let DeliveryOptions { server, limit, by_name, hurry } = way;
        let name = server.name();
        if self.unresponsive.contains(&name) {
            return Attempt::Failed("it did not answer a moment ago".to_owned());
        }
        // A server that asked to be left alone is; whatever else is wrong with it may have passed.
        if !hurry && let Some(until) = self.left_alone_until(&name) {
            return Attempt::Failed(format!(
                "it asks for time until {}",
                until.strftime("%Y-%m-%d %H:%M:%S UTC")
            ));
        }
        let (home, clock) = (self.home.clone(), self.console.clock);
        let delivery = Delivery { home: &home, server, limit, by_name };
        let delivered = tokio::select! {
            delivered = super::deliver(delivery, folder, record, || clock.wall()) => delivered,
            signal = self.signals.next() => return Attempt::Stopped(signal),
        };
        match delivered {
            Ok(None) => Attempt::Unwanted,
            Ok(Some(Delivered { receipt, page, notes })) => {
                for note in notes {
                    self.console.note(note);
                }
                Attempt::Delivered(receipt, page)
            }
            Err(error) => {
                if error.affects_server() {
                    self.unresponsive.insert(name);
                }
                let rest = if error.is_permanent() { "; it will not be tried again" } else { "" };
                Attempt::Failed(format!("{error}{rest}"))
            }
        }
    }

    /// Until when a server has asked to be left alone.
    fn left_alone_until(&self, server: &str) -> Option<Timestamp> {
        let backoff = ServerState::load(&self.home, server).ok()?.backoff?;
        (backoff.is_requested && !backoff.is_over(self.console.clock.wall())).then_some(backoff.next)
    }

    /// The run needs no more looking after.
    pub(crate) fn close(&mut self, active: Active) {
        if let Err(error) = active.close() {
            self.console.note(format!("cannot close the run: {error}"));
        }
    }
}

/// Reports that a result waits for its servers.
pub(crate) fn not_delivered(console: &Console, build: Option<&str>, record: &RunRecord, reason: &str) {
    for server in record.deliver_to.clone() {
        console.show(build, Event::NotDelivered { server, reason: reason.to_owned() });
    }
}
