//! Delivery beside the builds: one result after another, in the order in which builds ended, so that what a build needs is
//! delivered before it.

use tokio::sync::mpsc;

use super::build::{Parcel, skip};
use crate::{
    delivery::{
        deliverer::{Deliverer, DeliveryOptions, Ended, not_delivered},
        receipt::Receipt,
    },
    exit::Exit,
    plan::Build,
    record::{Outcome, folder::RunFolder},
    server::Server,
};

/// What comes to be delivered.
#[derive(Debug)]
pub(crate) enum Post {
    /// A result.
    Result(Box<Parcel>),
    /// A build that will not run, because of another one that has come before.
    Skipped(Box<Build>, Cause),
}

/// Why builds are skipped: the build that failed.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    /// `zlib failed at make`
    pub(super) words: String,
    /// Where its result is.
    pub(super) folder: RunFolder,
}

impl Cause {
    /// That build.
    pub(super) fn of(name: &str, parcel: &Parcel) -> Self {
        let Parcel { folder, record, .. } = parcel;
        let how = match record.outcome {
            Outcome::Passed | Outcome::Failed => "failed",
            Outcome::TimedOut => "ran out of time",
            Outcome::Quiet => "fell silent",
            Outcome::Cancelled => "was cancelled",
            Outcome::InfraError => "could not be built, as the machine failed it",
            Outcome::Crashed => "crashed",
            Outcome::Skipped => "was skipped",
        };
        let place = record.culprit().map(|step| format!(" at {}", step.name)).unwrap_or_default();
        Self { words: format!("{name} {how}{place}"), folder: folder.clone() }
    }

    /// With the key of its result on the first server that gave one.
    fn reason(&self, servers: &[Server]) -> String {
        let key = servers.iter().find_map(|server| Receipt::result_key(&self.folder, &server.name()));
        key.map_or_else(|| self.words.clone(), |key| format!("{} (result {key})", self.words))
    }
}

/// Delivers what comes until nothing more can come.
pub(super) async fn deliver(
    mut deliverer: Deliverer,
    servers: Vec<Server>,
    mut post: mpsc::UnboundedReceiver<Post>,
) -> Exit {
    let mut exit = Exit::Ok;
    while let Some(post) = post.recv().await {
        let is_stopped = matches!(exit, Exit::Signal(_));
        let parcel = match post {
            Post::Result(parcel) => Ok(*parcel),
            Post::Skipped(build, cause) => {
                skip(&deliverer.home, &deliverer.console, &build, cause.reason(&servers))
            }
        };
        let (ended, is_ours) = match parcel {
            Ok(parcel) if is_stopped => {
                not_delivered(&deliverer.console, parcel.name.as_deref(), &parcel.record, "stopped");
                continue;
            }
            Ok(parcel) => {
                let is_ours = parcel.name.is_some();
                (hand_over(&mut deliverer, parcel, &servers).await, is_ours)
            }
            Err(exit) => (exit, true),
        };
        // What becomes of earlier results is not how these builds end.
        if is_ours || matches!(ended, Exit::Signal(_)) {
            exit = exit.worst(ended);
        }
    }
    for server in servers {
        server.close().await;
    }
    exit
}

/// Delivers a run to those of the servers that it is for, and closes it when nothing is left to do.
async fn hand_over(deliverer: &mut Deliverer, parcel: Parcel, servers: &[Server]) -> Exit {
    let Parcel { name, folder, active, record } = parcel;
    let mut exit = Exit::Ok;
    let mut left = record.deliver_to.len();
    for server in servers.iter().filter(|server| record.deliver_to.contains(&server.name())) {
        let limit = deliverer.limits.timeout;
        let ended =
            deliverer.deliver(name.as_deref(), &folder, &record, DeliveryOptions::new(server, limit)).await;
        left -= usize::from(ended == Ended::Done);
        exit = exit.worst(ended.exit());
        if matches!(exit, Exit::Signal(_)) {
            break;
        }
    }
    // Wanted by another server it waits.
    if left == 0 {
        deliverer.close(active);
    }
    exit
}
