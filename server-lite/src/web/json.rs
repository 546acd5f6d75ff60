//! The pages as JSON. The shapes are public: `docs/server.md` has them.

use serde_json::{Value as Json, json};

use pony_wire::StoredResult;

use super::layout::timestamp;
use super::links::segment;
use super::lists::package_status;
use crate::clock::Time;
use crate::store::{ChainRow, PackageRow, Page, SlotRow, Summary};

pub(super) fn packages(list: &Page<PackageRow, String>) -> Json {
    let row = |row: &PackageRow| {
        json!({
            "package": row.name,
            "path": format!("p/{}/", segment(&row.name)),
            "status": package_status(row).word(),
            "slots": row.slots,
            "failing": row.failing,
            "latest": {"key": row.latest.to_string(), "received": timestamp(Time(row.received))},
        })
    };
    json!({"packages": list.rows.iter().map(row).collect::<Vec<_>>(), "next": list.next})
}

pub(super) fn slots(package: &str, list: &Page<SlotRow>) -> Json {
    let row = |slot: &SlotRow| json!({"latest": summary(&slot.latest), "build_requested": slot.requested});
    json!({"package": package, "slots": list.rows.iter().map(row).collect::<Vec<_>>(), "next": cursor(list.next)})
}

pub(super) fn history(package: &str, list: &Page<Summary>) -> Json {
    json!({
        "package": package,
        "results": list.rows.iter().map(summary).collect::<Vec<_>>(),
        "next": cursor(list.next),
    })
}

pub(super) fn chain(chain: &str, list: &Page<ChainRow>) -> Json {
    let row = |row: &ChainRow| {
        let path = format!("p/{}/{}/", segment(&row.package), row.result.key);
        json!({"package": row.package, "path": path, "summary": summary(&row.result)})
    };
    json!({"chain": chain, "results": list.rows.iter().map(row).collect::<Vec<_>>(), "next": cursor(list.next)})
}

pub(super) fn result(
    package: &str,
    result: &Summary,
    bags: &StoredResult,
    requested: bool,
    (previous, next): (Option<i64>, Option<i64>),
) -> Json {
    json!({
        "package": package,
        "summary": summary(result),
        "receipt": bags.receipt.to_value(),
        "client_info": bags.client_info.to_value(),
        "results": bags.results.iter().map(pony_wire::StepResult::to_value).collect::<Vec<_>>(),
        "build_requested": requested,
        "previous": cursor(previous),
        "next": cursor(next),
    })
}

fn summary(result: &Summary) -> Json {
    json!({
        "key": result.key.to_string(),
        "slot": result.slot.to_string(),
        "status": result.status.word(),
        "failed_step": result.failed_step,
        "received": timestamp(result.received),
        "duration": result.duration.map(|duration| duration.as_secs_f64()),
        "host": result.host,
        "arch": result.arch,
        "tags": result.tags,
    })
}

/// Keys are strings, as the calls have them.
fn cursor(key: Option<i64>) -> Json {
    key.map_or(Json::Null, |key| Json::String(key.to_string()))
}
