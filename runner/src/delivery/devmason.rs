//! What is devmason's own: builds as its REST interface takes them, and looking for a build among those that it shows.

use bytes::Bytes;
use jiff::{civil, fmt::rfc2822, tz::TimeZone};
use pony_wire::{ClientInfo, StepResult, Struct, Value};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value as Json, json};

use super::bag::WALL_CLOCK;
use crate::{
    record::RunRecord,
    server::{CALL, Server, error::CallError},
};

/// Builds on one page of its lists.
const PAGE: &str = "100";
/// Pages that are looked through; the newest come first.
const PAGES: usize = 3;

/// A build as `POST /SLUG/builds` takes it.
pub(super) fn build(client_info: ClientInfo, steps: Vec<StepResult>) -> Json {
    let ClientInfo { slot, success, mut extra } = client_info;
    let started = date(&mut extra, "start_time");
    let finished = date(&mut extra, "end_time");
    let mut client = plain(extra);
    client.insert("host".to_owned(), slot.host.into());
    client.insert("arch".to_owned(), slot.arch.into());
    json!({
        "success": success.unwrap_or(false),
        "started": started,
        "finished": finished,
        "tags": slot.tags,
        "client": client,
        "results": steps.into_iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: StepResult) -> Json {
    let StepResult { status, name, kind, command, output, errout, duration, mut extra } = step;
    let started = wall_clock(&mut extra, "start_time");
    let finished = started.as_ref().map(|started| {
        let seconds =
            jiff::SignedDuration::try_from_secs_f64(duration.unwrap_or_default()).unwrap_or_default();
        started.saturating_add(seconds)
    });
    let mut build = plain(extra);
    for (name, time) in [("started", started), ("finished", finished)] {
        if let Some(time) = time {
            build.insert(name.to_owned(), rfc2822(&time).into());
        }
    }
    for (name, text) in
        [("name", name), ("type", kind), ("command", command), ("output", output), ("errout", errout)]
    {
        build.insert(name.to_owned(), text.unwrap_or_default().into());
    }
    // Left out, a status counts as a success there.
    build.insert("success".to_owned(), (status == Some(0)).into());
    build.insert("status".to_owned(), status.into());
    Json::Object(build)
}

fn plain(bag: Struct) -> Map<String, Json> {
    bag.into_iter().filter_map(|(key, value)| Some((key, serde_json::to_value(value).ok()?))).collect()
}

fn wall_clock(bag: &mut Struct, key: &str) -> Option<jiff::Zoned> {
    let Some(Value::String(text)) = bag.remove(key) else { return None };
    civil::DateTime::strptime(WALL_CLOCK, text).ok()?.to_zoned(TimeZone::system()).ok()
}

fn date(bag: &mut Struct, key: &str) -> Json {
    wall_clock(bag, key).map_or(Json::Null, |time| rfc2822(&time).into())
}

fn rfc2822(time: &jiff::Zoned) -> String {
    rfc2822::to_string(time).unwrap_or_default()
}

/// Sends a build; where the project is not there yet, it is made first, which takes a login. The build's key, if the answer
/// says where it is.
///
/// # Errors
/// A 400 is final: it leaves a part of the build behind.
pub(super) async fn post(
    server: &Server,
    slug: &str,
    name: &str,
    build: Vec<u8>,
) -> Result<Option<String>, CallError> {
    let builds = [slug, "builds"];
    let build = Bytes::from(build);
    let (mut status, mut location) = server.send_json(Method::POST, &builds, build.clone(), CALL).await?;
    if status == StatusCode::NOT_FOUND {
        let project = json!({ "name": name });
        let (made, _) = server.send_json(Method::PUT, &[slug], project.to_string().into(), CALL).await?;
        if made == StatusCode::NOT_FOUND {
            return Err(missing(slug));
        }
        (status, location) = server.send_json(Method::POST, &builds, build, CALL).await?;
    }
    if status == StatusCode::NOT_FOUND {
        return Err(missing(slug));
    }
    Ok(location.and_then(|location| key(&location)))
}

fn missing(slug: &str) -> CallError {
    CallError::Status {
        status: StatusCode::NOT_FOUND,
        text: format!(" for the project {slug}"),
        retry_after: None,
    }
}

/// The last part of `…/SLUG/builds/7`.
fn key(address: &str) -> Option<String> {
    let last = address.trim_end_matches('/').rsplit('/').next()?;
    last.bytes().all(|byte| byte.is_ascii_digit()).then(|| last.to_owned()).filter(|key| !key.is_empty())
}

/// Where a build is, as far as its pages tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// It is there, under this key.
    There(Option<String>),
    /// It is not.
    Missing,
    /// The server shows no pages as JSON.
    Untold,
}

/// Looks for a run among the builds of its project.
pub(super) async fn find(server: &Server, slug: &str, record: &RunRecord) -> Result<Found, CallError> {
    for page in 1..=PAGES {
        let page = page.to_string();
        let list = server.json(&[slug, "builds"], &[("per_page", PAGE), ("page", &page)]).await;
        let list = match list {
            Ok(Some(list)) => list,
            // A page for people, or none: no builds, or no pages.
            Ok(None) | Err(CallError::Page { .. } | CallError::NotXmlRpc { .. }) => break,
            Err(error) => return Err(error),
        };
        let builds = list["builds"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(build) = builds.iter().find(|build| is_of(build, &record.run_id)) {
            let links = build["links"].as_array().map(Vec::as_slice).unwrap_or_default();
            let own = links.iter().find(|link| link["rel"] == "self").and_then(|link| link["href"].as_str());
            return Ok(Found::There(own.and_then(key)));
        }
        if list["num_pages"].as_u64().unwrap_or(1) <= page.parse().unwrap_or(1) {
            return Ok(Found::Missing);
        }
    }
    match server.json(&[], &[]).await {
        Ok(Some(root)) if root["projects"].is_array() => Ok(Found::Missing),
        Ok(_) | Err(CallError::Page { .. } | CallError::NotXmlRpc { .. }) => Ok(Found::Untold),
        Err(error) => Err(error),
    }
}

/// Whether a build that it shows is this run: by its id. Pure.
fn is_of(build: &Json, run_id: &str) -> bool {
    let steps = build["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    build["client"]["run_id"] == run_id
        || steps.iter().any(|step| step["version_info"].as_str().is_some_and(|info| info.contains(run_id)))
}

/// Of a build that comes by XML-RPC it keeps little: of the client no id, of a step its version. So the last step carries the id.
pub(super) fn mark(client_info: &ClientInfo, steps: &mut [StepResult]) {
    let (Some(run_id), Some(last)) =
        (client_info.extra.get("run_id").and_then(Value::as_str), steps.last_mut())
    else {
        return;
    };
    last.extra.entry("version_type".to_owned()).or_insert_with(|| "pony-run".into());
    let info = match last.extra.get("version_info").and_then(Value::as_str) {
        Some(info) => format!("{info} (run {run_id})"),
        None => format!("run {run_id}"),
    };
    last.extra.insert("version_info".to_owned(), Value::String(info));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_end_of_an_address() {
        assert_eq!(key("http://example.org/devmason/proj/builds/4").as_deref(), Some("4"));
        assert_eq!(key("/proj/builds/12/").as_deref(), Some("12"));
        assert_eq!(key("/proj/builds/"), None);
    }

    #[test]
    fn a_step_without_a_status_is_no_success() {
        let extra: Struct =
            [("start_time".to_owned(), "2026-11-22 05:44:22".into()), ("reason".to_owned(), "x".into())]
                .into();
        let json =
            step(StepResult { name: Some("a".into()), duration: Some(2.0), extra, ..StepResult::default() });
        assert_eq!(
            (&json["success"], &json["name"], &json["reason"]),
            (&json!(false), &json!("a"), &json!("x"))
        );
        assert!(json["started"].as_str().unwrap().starts_with("Sun, 22 Nov 2026 05:44:22"), "{json}");
        assert!(json["finished"].as_str().unwrap().starts_with("Sun, 22 Nov 2026 05:44:24"), "{json}");
        assert!(json.get("start_time").is_none());
    }
}
