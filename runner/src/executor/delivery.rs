//! Delivery beside the builds: one result after another, in the order in which builds ended, so that what a build needs is
//! delivered before it.

use tokio::sync::mpsc;

use super::build::{FinishedRun, skip};
use crate::{
    delivery::{
        deliverer::{Deliverer, DeliveryOptions, Ended, not_delivered},
        receipt::Receipt,
    },
    exit::Exit,
    plan::ReadyBuild,
    record::{Outcome, RunRecord, folder::RunFolder},
    server::Server,
};

/// What is delivered.
#[derive(Debug)]
pub(crate) enum DeliveryItem {
    /// A result.
    Result(Box<FinishedRun>),
    /// A build that will not run, because of another one that has come before.
    Skipped(Box<ReadyBuild>, FailureCause),
}

/// Why builds are skipped: the build that failed.
#[derive(Debug, Clone)]
pub(super) struct FailureCause {
    /// `zlib failed at make`
    pub(super) words: String,
    /// Where its result is.
    pub(super) folder: RunFolder,
}

impl FailureCause {
    /// That build.
    pub(super) fn of(name: &str, run: &FinishedRun) -> Self {
        Self { words: failure(name, &run.record), folder: run.folder.clone() }
    }

    /// With the key of its result on the first server that gave one.
    fn reason(&self, servers: &[Server]) -> String {
        let key = servers.iter().find_map(|server| Receipt::result_key(&self.folder, &server.name()));
        key.map_or_else(|| self.words.clone(), |key| format!("{} (result {key})", self.words))
    }
}

/// How a build ended that has not passed, and where: `zlib failed at make`.
fn failure(name: &str, record: &RunRecord) -> String {
    let how = match record.outcome {
        Outcome::Passed | Outcome::Failed => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::Quiet => "was stopped (no output)",
        Outcome::Cancelled => "was cancelled",
        Outcome::InfraError => "could not be built (not the code's fault)",
        Outcome::Crashed => "crashed",
        Outcome::Skipped => "was skipped",
    };
    let place = record.culprit().map(|step| format!(" at {}", step.name)).unwrap_or_default();
    format!("{name} {how}{place}")
}

/// Delivers what comes until nothing more can come.
pub(super) async fn deliver(
    mut deliverer: Deliverer,
    servers: Vec<Server>,
    mut items: mpsc::UnboundedReceiver<DeliveryItem>,
) -> Exit {
    let mut exit = Exit::Ok;
    while let Some(item) = items.recv().await {
        let is_stopped = matches!(exit, Exit::Signal(_));
        let run = match item {
            DeliveryItem::Result(run) => Ok(*run),
            DeliveryItem::Skipped(build, cause) => {
                skip(&deliverer.home, &deliverer.console, &build, cause.reason(&servers))
            }
        };
        let (ended, is_ours) = match run {
            Ok(run) if is_stopped => {
                not_delivered(&deliverer.console, run.name.as_deref(), &run.record, "stopped");
                continue;
            }
            Ok(run) => {
                let is_ours = run.name.is_some();
                (hand_over(&mut deliverer, run, &servers).await, is_ours)
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
async fn hand_over(deliverer: &mut Deliverer, run: FinishedRun, servers: &[Server]) -> Exit {
    let FinishedRun { name, folder, active, record } = run;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_build_failed_and_where() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tests/runs-of-format-1/failed");
        let mut record = RunFolder::at(std::path::Path::new(folder)).read_result().unwrap();
        let place = record.culprit().map(|step| format!(" at {}", step.name)).unwrap();
        for (outcome, how) in [
            (Outcome::Failed, "failed"),
            (Outcome::TimedOut, "timed out"),
            (Outcome::Quiet, "was stopped (no output)"),
            (Outcome::InfraError, "could not be built (not the code's fault)"),
        ] {
            record.outcome = outcome;
            assert_eq!(failure("zlib", &record), format!("zlib {how}{place}"));
        }
        record.steps.clear();
        assert_eq!(failure("zlib", &record), "zlib could not be built (not the code's fault)");
    }
}
