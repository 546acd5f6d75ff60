//! The pony-build servers of 2009 and 2010: their limits, pages and quirks, and what they are asked by XML-RPC.

use pony_wire::{
    Answer, Call, ClientInfo, Dialect, Slot, StepResult, StoredResult, Submitted, Tagsets, Value,
    text::Colours,
};

use super::{
    CALL, Server,
    address::Address,
    error::CallError,
    kind::{BuildAdvice, Kind, Lookup, Presence, QueryFailure, RunIdentity, UploadLimits},
    reported::{FullResult, LastResult, has_tags, slot_of},
};

pub(super) const V2009: Kind = Kind {
    description: "pony-build, release of 2009",
    // It has no limit, but needs a great deal of time and memory for what it is sent.
    request_limit: 4_800_000,
    uploads: None,
    knows_run_ids: false,
    knows_outcomes: false,
    colours: Colours::Strip,
    lists_packages: false,
    lookup: Lookup::None,
    advice: BuildAdvice::Decides,
    listed_days: None,
    package_name: None,
    page: page_2009,
};

pub(super) const V2010: Kind = Kind {
    description: "pony-build, release of 2010",
    // It refuses any request above 5,000,000 bytes; a file is a request like any other.
    request_limit: 4_800_000,
    // Above 50 MB it drops files, all of a result at once.
    uploads: Some(UploadLimits { file: Some(5_000_000), result: Some(50_000_000) }),
    lookup: Lookup::Key,
    listed_days: Some(7),
    page: page_2010,
    ..V2009
};

fn page_2009(address: &Address, package: &str, key: Option<&str>) -> Option<String> {
    // Its own pages at the same place; `exit` ends the server.
    const TAKEN: [&str; 4] = ["css", "exit", "recv_file", "rss2"];
    if TAKEN.contains(&package) || !has_page(package) {
        return None;
    }
    Some(match key {
        Some(key) => {
            let mut url = address.at(&[package, "detail"]);
            url.query_pairs_mut().append_pair("result_key", key);
            url.to_string()
        }
        None => address.at(&[package, ""]).to_string(),
    })
}

fn page_2010(address: &Address, package: &str, key: Option<&str>) -> Option<String> {
    let segments: Vec<&str> = ["p", package].into_iter().chain(key).chain([""]).collect();
    has_page(package).then(|| address.at(&segments).to_string())
}

/// They unquote a path before they take it apart, and break over what is not ASCII.
fn has_page(package: &str) -> bool {
    package.is_ascii() && !package.contains('/') && !matches!(package, "" | "." | "..")
}

/// A result as they are sent it.
pub(super) fn encode(client_info: ClientInfo, results: Vec<StepResult>) -> Vec<u8> {
    Call::AddResults { client_info, results }.encode()
}

pub(super) async fn submit(server: &Server, document: Vec<u8>) -> Result<Submitted, CallError> {
    let answered = server.call(document, CALL).await?;
    let submitted = Submitted::from_answer(&answered.answer?).ok_or(CallError::Unexpected)?;
    Ok(if answered.is_pony_serve {
        Submitted { dialect: Dialect::PonyServe, ..submitted }
    } else {
        submitted
    })
}

/// Looks for a run: it is there if it is the last result of its slot.
pub(super) async fn find_run(server: &Server, run: RunIdentity<'_>) -> Result<Presence, CallError> {
    let call = Call::GetLastResultForTagset { package: run.slot.package.clone(), tagset: run.slot.tagset() };
    let mut presence = Presence::Absent;
    for answer in ask_twice(server, &call).await? {
        let value = match answer {
            Ok(value) => value,
            Err(fault) if fault.message.contains(call.method()) => return Ok(Presence::Unknown),
            // A result with nil, which we never send, can be stored and not be read: it is not this one.
            Err(fault) if fault.message.contains("cannot marshal None") => continue,
            Err(fault) => return Err(fault.into()),
        };
        let Some(last) = StoredResult::from_last_result(value).map_err(|_| CallError::Unexpected)? else {
            continue;
        };
        if last.client_info.extra.get("run_id").and_then(Value::as_str) == Some(run.run_id) {
            presence = Presence::Stored(Some(last.receipt.result_key));
        }
    }
    Ok(presence)
}

pub(super) async fn slots(server: &Server, package: &str) -> Result<Vec<Slot>, QueryFailure> {
    let call = Call::GetTagsetsForPackage { package: package.to_owned() };
    let Tagsets(tagsets) = Tagsets::from_value(server.ask(&call).await?)?;
    Ok(tagsets.iter().map(|tagset| slot_of(package, tagset)).collect())
}

pub(super) async fn last_results(
    server: &Server,
    package: &str,
    slots: Vec<Slot>,
    tags: &[String],
) -> Result<Vec<LastResult>, QueryFailure> {
    let mut all = Vec::new();
    for slot in slots.into_iter().filter(|slot| has_tags(slot, tags)) {
        let call = Call::GetLastResultForTagset { package: package.to_owned(), tagset: slot.tagset() };
        let mut results = Vec::new();
        for answer in ask_twice(server, &call).await? {
            results.extend(StoredResult::from_last_result(answer.map_err(CallError::from)?)?);
        }
        let newest = results.into_iter().max_by(|one, other| one.receipt.time.total_cmp(&other.receipt.time));
        // It may have gone since.
        all.extend(newest.map(|stored| FullResult::from(stored).into()));
    }
    Ok(all)
}

/// These servers reverse their list of results each time they are asked for the last one of a slot, and answer with what then
/// comes first: of two answers one is the newest result and the other the oldest. The second leaves the list as it was.
async fn ask_twice(server: &Server, call: &Call) -> Result<[Answer; 2], CallError> {
    let document = call.encode();
    let first = server.call(document.clone(), CALL).await?.answer;
    Ok([first, server.call(document, CALL).await?.answer])
}

/// By its key. 2010 only.
pub(super) async fn result(server: &Server, key: &str) -> Result<FullResult, QueryFailure> {
    let answer = server.ask(&Call::GetResults { result_key: key.to_owned() }).await;
    let answer = answer.map_err(|error| match error {
        CallError::Fault(fault)
            if ["KeyError", "ValueError"].iter().any(|word| fault.message.contains(word)) =>
        {
            QueryFailure::NoResult(key.to_owned())
        }
        error => error.into(),
    })?;
    Ok(StoredResult::from_value(answer)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_2009_and_2010() {
        let address = Address::new("http://h/pb").unwrap();
        for (package, key, of_2009, of_2010) in [
            ("demo", Some("7"), Some("http://h/pb/demo/detail?result_key=7"), Some("http://h/pb/p/demo/7/")),
            ("demo", None, Some("http://h/pb/demo/"), Some("http://h/pb/p/demo/")),
            ("a b", Some("7"), Some("http://h/pb/a%20b/detail?result_key=7"), Some("http://h/pb/p/a%20b/7/")),
            ("exit", Some("7"), None, Some("http://h/pb/p/exit/7/")),
            ("a/b", Some("7"), None, None),
            ("naïve", Some("7"), None, None),
            ("..", Some("7"), None, None),
        ] {
            assert_eq!(page_2009(&address, package, key).as_deref(), of_2009, "{package}");
            assert_eq!(page_2010(&address, package, key).as_deref(), of_2010, "{package}");
        }
    }
}
