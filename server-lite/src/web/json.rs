//! The pages as JSON. The shapes are public: `docs/server.md` has them.

use serde_json::{Value as Json, json};

use super::layout::timestamp;
use super::links::{file_path, segment};
use super::lists::package_status;
use super::result::View;
use crate::clock::Time;
use crate::store::{ChainRow, FileRow, PackageRow, Page, SlotRow, Summary};

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

pub(super) fn result(view: &View) -> Json {
    let folder = format!("p/{}/{}/files", segment(view.package), view.summary.key);
    let file = |file: &FileRow| {
        json!({
            "name": file.about.name,
            "path": format!("{folder}/{}", file_path(&file.about.name)),
            "size": file.size,
            "description": file.about.description,
            "visible": file.about.visible,
            "received": timestamp(file.received),
        })
    };
    json!({
        "package": view.package,
        "summary": summary(view.summary),
        "receipt": view.bags.receipt.to_value(),
        "client_info": view.bags.client_info.to_value(),
        "results": view.bags.results.iter().map(pony_wire::StepResult::to_value).collect::<Vec<_>>(),
        "files": view.files.iter().map(file).collect::<Vec<_>>(),
        "build_requested": view.requested,
        "previous": cursor(view.previous),
        "next": cursor(view.next),
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
