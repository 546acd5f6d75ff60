//! pony-serve, this project's own server: its limits and pages, and the lists that it gives as JSON. Calls are those of 2010.

use pony_wire::{Slot, text::Colours};
use serde_json::Value as Json;

use super::{
    Server,
    address::Address,
    error::CallError,
    kind::{BuildAdvice, Kind, Lookup, QueryFailure, UploadLimits},
    reported::{LastResult, PackageSummary, Status, Summary, has_tags, text, texts},
};

pub(super) const PONY_SERVE: Kind = Kind {
    description: "this project's own server",
    // It takes 64 MiB unless it is told otherwise.
    request_limit: 48_000_000,
    uploads: Some(UploadLimits { file: None, result: None }),
    knows_run_ids: true,
    knows_outcomes: true,
    colours: Colours::Symbol,
    lists_packages: true,
    lookup: Lookup::Key,
    advice: BuildAdvice::Decides,
    listed_days: None,
    package_name: None,
    page,
};

/// Pages of a list that are read.
const PAGES: usize = 50;

#[expect(clippy::unnecessary_wraps, reason = "other kinds have names without a page")]
fn page(address: &Address, package: &str, key: Option<&str>) -> Option<String> {
    let package = segment(package);
    let segments: Vec<&str> = ["p", &package].into_iter().chain(key).chain([""]).collect();
    Some(address.at(&segments).to_string())
}

/// A package's name in a path: one that a browser would take for a direction carries a mark.
fn segment(package: &str) -> String {
    let mark = if matches!(package, "." | ".." | "") || package.starts_with('~') { "~" } else { "" };
    format!("{mark}{package}")
}

pub(super) async fn packages(server: &Server) -> Result<Vec<PackageSummary>, QueryFailure> {
    let pages = pages(server, &[], "packages").await?.unwrap_or_default();
    Ok(pages.iter().flat_map(packages_on).collect())
}

pub(super) async fn last_results(
    server: &Server,
    package: &str,
    tags: &[String],
) -> Result<Vec<LastResult>, QueryFailure> {
    let Some(pages) = pages(server, &["p", &segment(package), ""], "slots").await? else {
        return Err(QueryFailure::NoPackage { package: package.to_owned(), listed_days: None });
    };
    let summaries = pages.iter().flat_map(|page| slots_on(package, page));
    let summaries = summaries.filter(|summary| has_tags(&summary.slot, tags));
    Ok(summaries.map(|summary| LastResult { summary, full: None }).collect())
}

/// All pages of a list; none if there is no such list.
async fn pages(server: &Server, segments: &[&str], list: &str) -> Result<Option<Vec<Json>>, CallError> {
    let mut pages: Vec<Json> = Vec::new();
    let mut from: Option<String> = None;
    while pages.len() < PAGES {
        let query: Vec<(&str, &str)> = from.iter().map(|from| ("from", from.as_str())).collect();
        let Some(page) = server.json(segments, &query).await? else { break };
        from = page["next"].as_str().map(str::to_owned);
        let is_list = page[list].is_array();
        pages.push(page);
        if from.is_none() || !is_list {
            break;
        }
    }
    Ok((!pages.is_empty()).then_some(pages))
}

fn packages_on(page: &Json) -> Vec<PackageSummary> {
    let package = |row: &Json| PackageSummary {
        name: text(&row["package"]),
        status: Some(Status::from_word(row["status"].as_str().unwrap_or_default())),
        slots: row["slots"].as_u64().zip(row["failing"].as_u64()),
        latest: row["latest"]["received"].as_str().and_then(|time| time.parse().ok()),
    };
    page["packages"].as_array().into_iter().flatten().map(package).collect()
}

fn slots_on(package: &str, page: &Json) -> Vec<Summary> {
    let summary = |slot: &Json| {
        let latest = &slot["latest"];
        Summary {
            key: latest["key"].as_str().map(str::to_owned),
            slot: Slot {
                package: package.to_owned(),
                host: text(&latest["host"]),
                arch: text(&latest["arch"]),
                tags: texts(&latest["tags"]),
            },
            status: Status::from_word(latest["status"].as_str().unwrap_or_default()),
            failed_step: latest["failed_step"].as_str().map(str::to_owned),
            received: latest["received"].as_str().and_then(|time| time.parse().ok()),
            duration: latest["duration"].as_f64(),
            page: None,
        }
    };
    page["slots"].as_array().into_iter().flatten().map(summary).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_survive_any_package_name() {
        let address = Address::new("http://h/").unwrap();
        for (package, expected) in [
            ("demo", "http://h/p/demo/7/"),
            ("a b/c", "http://h/p/a%20b%2Fc/7/"),
            ("..", "http://h/p/~../7/"),
            ("~x", "http://h/p/~~x/7/"),
            ("...", "http://h/p/.../7/"),
        ] {
            assert_eq!(page(&address, package, Some("7")).as_deref(), Some(expected));
        }
        assert_eq!(page(&address, "demo", None).as_deref(), Some("http://h/p/demo/"));
    }

    #[test]
    fn unexpected_json_lists_nothing() {
        for json in [json!(null), json!([1]), json!({"packages": 1, "slots": {}})] {
            assert!(packages_on(&json).is_empty() && slots_on("p", &json).is_empty());
        }
    }
}
