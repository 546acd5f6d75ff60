//! From what servers answer to what they mean: bags of XML-RPC, JSON of pony-serve, JSON of devmason. Pure.

use std::collections::HashSet;

use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use pony_wire::{Slot, StepResult, StoredResult, Value};
use serde_json::{Map, Value as Json};

use super::{Full, Package, Row, Status, Step};

/// A result as `get_results` gives it.
pub(super) fn stored(stored: StoredResult) -> Full {
    let StoredResult { receipt, client_info, results } = stored;
    let steps: Vec<Step> = results.iter().enumerate().map(|(index, result)| step(index, result)).collect();
    let said = |key: &str| client_info.extra.get(key);
    let status = match (client_info.success, said("outcome").and_then(Value::as_str)) {
        (_, Some("skipped")) => Status::Skipped,
        (_, Some("cancelled")) => Status::Cancelled,
        (Some(true), _) => Status::Passed,
        (Some(false), _) => Status::Failed,
        (None, _) => Status::Unknown,
    };
    let row = Row {
        key: Some(receipt.result_key),
        slot: client_info.slot.clone(),
        status,
        failed_step: failed_step(status, &steps),
        received: seconds(receipt.time),
        duration: said("duration").and_then(Value::as_f64).filter(|seconds| *seconds >= 0.0),
        page: None,
    };
    let client_info = match serde_json::to_value(client_info.to_value()) {
        Ok(Json::Object(members)) => members,
        _ => Map::new(),
    };
    Full { row, steps, client_info }
}

fn step(index: usize, result: &StepResult) -> Step {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Step {
        name: named(result.name.as_deref(), index),
        kind: text(&result.kind),
        command: text(&result.command),
        status: result.status,
        failed: result.status.is_some_and(|status| status != 0),
        allowed: result.extra.get("allow_failure") == Some(&Value::Bool(true)),
        duration: result.duration.filter(|seconds| *seconds >= 0.0),
        output: result.shown_output().to_owned(),
        errout: text(&result.errout),
    }
}

fn named(name: Option<&str>, index: usize) -> String {
    name.map_or_else(|| format!("step {}", index + 1), str::to_owned)
}

fn failed_step(status: Status, steps: &[Step]) -> Option<String> {
    let culprit = steps.iter().find(|step| step.failed && !step.allowed);
    culprit.filter(|_| status == Status::Failed).map(|step| step.name.clone())
}

fn seconds(time: f64) -> Option<Timestamp> {
    let since = jiff::SignedDuration::try_from_secs_f64(time).ok()?;
    Timestamp::UNIX_EPOCH.checked_add(since).ok()
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

fn texts(json: &Json) -> Vec<String> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned).collect()
}

/// `/` of pony-serve: a page of packages.
pub(super) fn serve_packages(page: &Json) -> Vec<Package> {
    let package = |row: &Json| Package {
        name: text(&row["package"]),
        status: Some(Status::of_word(row["status"].as_str().unwrap_or_default())),
        slots: row["slots"].as_u64().zip(row["failing"].as_u64()),
        latest: row["latest"]["received"].as_str().and_then(|time| time.parse().ok()),
    };
    page["packages"].as_array().into_iter().flatten().map(package).collect()
}

/// `/p/PACKAGE/` of pony-serve: a page of slots.
pub(super) fn serve_slots(package: &str, page: &Json) -> Vec<Row> {
    let row = |slot: &Json| {
        let latest = &slot["latest"];
        Row {
            key: latest["key"].as_str().map(str::to_owned),
            slot: Slot {
                package: package.to_owned(),
                host: text(&latest["host"]),
                arch: text(&latest["arch"]),
                tags: texts(&latest["tags"]),
            },
            status: Status::of_word(latest["status"].as_str().unwrap_or_default()),
            failed_step: latest["failed_step"].as_str().map(str::to_owned),
            received: latest["received"].as_str().and_then(|time| time.parse().ok()),
            duration: latest["duration"].as_f64(),
            page: None,
        }
    };
    page["slots"].as_array().into_iter().flatten().map(row).collect()
}

/// `/` of devmason: its projects, by the slugs that their own links end with, each once.
pub(super) fn devmason_packages(page: &Json) -> Vec<Package> {
    let mut seen = HashSet::new();
    let package = |project: &Json| {
        let name = last_part(own_link(project)?)?;
        Some(Package { name: name.to_owned(), status: None, slots: None, latest: None })
    };
    page["projects"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(package)
        .filter(|package| seen.insert(package.name.clone()))
        .collect()
}

/// A build of devmason. Steps that do not say how they ended count as passed there.
pub(super) fn devmason_build(package: &str, build: &Json) -> Full {
    let steps: Vec<Step> =
        build["results"].as_array().into_iter().flatten().enumerate().map(devmason_step).collect();
    let status = match build["success"].as_bool() {
        Some(true) => Status::Passed,
        Some(false) => Status::Failed,
        None => Status::Unknown,
    };
    let client = &build["client"];
    // Wall clocks of clients, with an offset that is the server's: right where the clients' clocks show what ours does.
    let time = |key: &str| {
        let told = rfc2822::parse(build[key].as_str()?).ok()?;
        Some(told.datetime().to_zoned(TimeZone::system()).ok()?.timestamp())
    };
    let (started, finished) = (time("started"), time("finished"));
    let duration =
        started.zip(finished).map(|(started, finished)| finished.duration_since(started).as_secs_f64());
    let row = Row {
        key: own_link(build).and_then(last_part).map(str::to_owned),
        slot: Slot {
            package: package.to_owned(),
            host: text(&client["host"]),
            arch: text(&client["arch"]),
            tags: texts(&build["tags"]),
        },
        status,
        failed_step: failed_step(status, &steps),
        received: finished,
        duration: client["duration"].as_f64().or(duration).filter(|seconds| *seconds >= 0.0),
        page: None,
    };
    Full { row, steps, client_info: client.as_object().cloned().unwrap_or_default() }
}

fn devmason_step((index, step): (usize, &Json)) -> Step {
    Step {
        name: named(step["name"].as_str(), index),
        kind: text(&step["type"]),
        command: text(&step["command"]),
        status: step["status"].as_i64(),
        failed: step["success"].as_bool() == Some(false),
        allowed: step["allow_failure"].as_bool() == Some(true),
        duration: step["duration"].as_f64(),
        output: text(&step["output"]),
        errout: text(&step["errout"]),
    }
}

fn own_link(thing: &Json) -> Option<&str> {
    let links = thing["links"].as_array()?;
    links.iter().find(|link| link["rel"] == "self")?["href"].as_str()
}

fn last_part(address: &str) -> Option<&str> {
    address.trim_end_matches('/').rsplit('/').next().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use pony_wire::decode_answer;
    use serde_json::json;

    use super::*;

    /// The body of a recorded answer.
    fn recorded(name: &str) -> Vec<u8> {
        let path = format!("{}/../wire/tests/recorded/{name}.response.http", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let body = &bytes[end + 4..];
        let mut plain = Vec::new();
        match body {
            [0x1f, 0x8b, ..] => std::io::copy(&mut flate2::read::GzDecoder::new(body), &mut plain).unwrap(),
            _ => return body.to_vec(),
        };
        plain
    }

    #[test]
    fn a_recorded_result_of_2009_is_read() {
        let answer = decode_answer(&recorded("2009/get-last-result-for-tagset")).unwrap().unwrap();
        let full = super::stored(StoredResult::from_last_result(answer).unwrap().unwrap());
        assert_eq!(full.row.slot.package, "hello-git");
        assert_eq!(full.row.status, Status::Passed);
        assert!(full.row.received.is_some() && full.row.key.is_some(), "{full:#?}");
        assert!(!full.steps.is_empty() && full.culprit().is_none());
        assert_eq!(full.client_info["package"], "hello-git");
    }

    #[test]
    fn recorded_builds_of_devmason_are_read() {
        let list: Json = serde_json::from_slice(&recorded("devmason/rest-list-builds")).unwrap();
        let builds: Vec<Full> =
            list["builds"].as_array().unwrap().iter().map(|build| devmason_build("proj", build)).collect();
        let keys: Vec<&str> = builds.iter().filter_map(|build| build.row.key.as_deref()).collect();
        assert_eq!(keys, ["6", "7", "5", "4", "8"]);
        let failed = &builds[2];
        assert_eq!((failed.row.status, failed.row.failed_step.as_deref()), (Status::Failed, Some("test")));
        assert_eq!(failed.culprit().unwrap().errout, "FAILED (failures=1)");
        assert_eq!((failed.row.slot.host.as_str(), failed.row.duration), ("example.com", Some(300.0)));
        let shown = failed.row.received.unwrap().to_zoned(TimeZone::system()).datetime();
        assert_eq!(shown.to_string(), "2009-10-20T10:25:00", "offsets are not to be believed");
    }

    #[test]
    fn a_failure_that_is_allowed_fails_nothing() {
        let bags = json!({"success": false, "results": [
            {"name": "lint", "success": false, "allow_failure": true},
            {"success": false},
        ]});
        let full = devmason_build("p", &bags);
        assert_eq!(full.row.failed_step.as_deref(), Some("step 2"));
        assert_eq!(
            devmason_build("p", &json!({"success": true, "results": [{"success": false}]})).row.failed_step,
            None
        );
    }

    #[test]
    fn rubbish_is_nothing() {
        for json in
            [json!(null), json!([1]), json!({"packages": 1, "slots": {}, "projects": [{}, {"links": []}]})]
        {
            assert!(serve_packages(&json).is_empty() && serve_slots("p", &json).is_empty());
            assert!(devmason_packages(&json).is_empty());
            assert_eq!(devmason_build("p", &json).row.status, Status::Unknown);
        }
        assert!(seconds(f64::NAN).is_none() && seconds(1e300).is_none());
        assert_eq!(Status::of_word("brown"), Status::Unknown);
    }
}
