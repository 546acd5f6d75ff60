//! Answers as JSON. The members are documented.

use pony_wire::Slot;
use serde_json::{Value as Json, json};

use super::Health;
use crate::server::reported::{FullResult, PackageSummary, Status, Step, Summary};

pub(crate) fn packages(packages: &[PackageSummary]) -> Json {
    let package = |package: &PackageSummary| {
        json!({
            "package": package.name,
            "status": package.status.map(Status::word),
            "verdict": package.status.map(|status| Health::of(status).word()),
            "slots": package.slots.map(|(slots, _)| slots),
            "failing": package.slots.map(|(_, failing)| failing),
            "latest": package.latest,
        })
    };
    packages.iter().map(package).collect()
}

pub(crate) fn slots(slots: &[Slot]) -> Json {
    let slot = |slot: &Slot| json!({"host": slot.host, "arch": slot.arch, "tags": slot.tags, "tagset": slot.tagset()});
    slots.iter().map(slot).collect()
}

pub(crate) fn summary(summary: &Summary) -> Json {
    json!({
        "key": summary.key,
        "package": summary.slot.package,
        "host": summary.slot.host,
        "arch": summary.slot.arch,
        "tags": summary.slot.tags,
        "status": summary.status.word(),
        "verdict": Health::of(summary.status).word(),
        "failed_step": summary.failed_step,
        "received": summary.received,
        "duration": summary.duration,
        "page": summary.page,
    })
}

pub(crate) fn full(full: &FullResult) -> Json {
    let step = |step: &Step| {
        json!({
            "name": step.name, "type": step.kind, "command": step.command, "status": step.status, "failed": step.failed,
            "allowed_to_fail": step.allowed_to_fail, "duration": step.duration, "output": step.output, "errout": step.errout,
        })
    };
    let mut json = summary(&full.summary);
    json["steps"] = full.steps.iter().map(step).collect();
    json["client_info"] = Json::Object(full.client_info.clone());
    json
}
