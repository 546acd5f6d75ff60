//! devmason-server, by XML-RPC and by its REST interface: its limits, names and pages, builds as JSON, and looking for a build
//! among those that its pages list.
#![expect(clippy::disallowed_methods, reason = "its bags hold local wall clocks")]

use std::collections::HashSet;

use bytes::Bytes;
use jiff::{Timestamp, ZonedDateTime, civil, fmt::rfc2822, tz::TimeZone};
use pony_wire::{ClientInfo, Dialect, Slot, StepResult, Struct, Submitted, Value, text::Colours};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value as Json, json};

use super::{
    CALL, Server,
    address::Address,
    error::CallError,
    kind::{BuildAdvice, Kind, Lookup, Presence, QueryFailure},
    pony_build,
    reported::{
        FullResult, LastResult, PackageSummary, Status, Step, Summary, failed_step, has_tags, step_name,
        text, texts,
    },
};

pub(super) const XML_RPC: Kind = Kind {
    description: "devmason, by XML-RPC",
    // It has no limit, but needs a great deal of time and memory for what it is sent.
    request_limit: 4_800_000,
    uploads: None,
    knows_run_ids: false,
    knows_outcomes: false,
    colours: Colours::Strip,
    lists_packages: true,
    lookup: Lookup::PackageAndKey,
    advice: BuildAdvice::AlwaysYes,
    listed_days: None,
    // It silently loses a result whose package is not its own slug.
    package_name: Some(slug),
    page,
};

pub(super) const REST: Kind =
    Kind { description: "devmason, by its REST interface", advice: BuildAdvice::None, ..XML_RPC };

/// Builds on one page of its lists.
const PER_PAGE: &str = "100";
/// Pages that are read for the last builds of a package.
const PAGES: usize = 50;
/// Pages that are looked through for a build that was just sent; the newest come first.
const NEWEST_PAGES: usize = 3;
/// How bags write local times; offsets are ignored by this server.
const WALL_CLOCK: &str = "%Y-%m-%d %H:%M:%S";

#[expect(clippy::unnecessary_wraps, reason = "other kinds have names without a page")]
fn page(address: &Address, slug: &str, key: Option<&str>) -> Option<String> {
    let url = match key {
        Some(key) => address.at(&[slug, "builds", key]),
        None => address.at(&[slug]),
    };
    Some(url.to_string())
}

/// A name as devmason makes it into an address (`[a-z0-9_-]+`): lower case, each run of blanks and `-` one `-`, any other
/// character `_`.
fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.trim().chars() {
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '_') => slug.push(c),
            c if c == '-' || c.is_whitespace() => {
                if !slug.ends_with('-') {
                    slug.push('-');
                }
            }
            _ => slug.push('_'),
        }
    }
    slug
}

/// A result as `add_results` takes it. Of the client's bag devmason keeps no id, of a step its version: so the last step carries
/// the run's id there.
pub(super) fn encode(client_info: ClientInfo, mut steps: Vec<StepResult>) -> Vec<u8> {
    if let (Some(run_id), Some(last)) =
        (client_info.extra.get("run_id").and_then(Value::as_str), steps.last_mut())
    {
        last.extra.entry("version_type".to_owned()).or_insert_with(|| "pony-run".into());
        let info = match last.extra.get("version_info").and_then(Value::as_str) {
            Some(info) => format!("{info} (run {run_id})"),
            None => format!("run {run_id}"),
        };
        last.extra.insert("version_info".to_owned(), Value::String(info));
    }
    pony_build::encode(client_info, steps)
}

/// A build as `POST /SLUG/builds` takes it.
pub(super) fn encode_rest(client_info: ClientInfo, steps: Vec<StepResult>) -> Vec<u8> {
    let ClientInfo { slot, success, mut extra } = client_info;
    let date = |time: Option<ZonedDateTime>| time.map_or(Json::Null, |time| to_rfc2822(&time).into());
    let started = date(wall_clock(&mut extra, "start_time"));
    let finished = date(wall_clock(&mut extra, "end_time"));
    let mut client = members(extra);
    client.insert("host".to_owned(), slot.host.into());
    client.insert("arch".to_owned(), slot.arch.into());
    let build = json!({
        "success": success.unwrap_or(false),
        "started": started,
        "finished": finished,
        "tags": slot.tags,
        "client": client,
        "results": steps.into_iter().map(step_json).collect::<Vec<_>>(),
    });
    build.to_string().into_bytes()
}

fn step_json(step: StepResult) -> Json {
    let StepResult { status, name, kind, command, output, errout, duration, mut extra } = step;
    let started = wall_clock(&mut extra, "start_time");
    let finished = started.as_ref().map(|started| {
        let seconds =
            jiff::SignedDuration::try_from_secs_f64(duration.unwrap_or_default()).unwrap_or_default();
        started.saturating_add(seconds)
    });
    let mut json = members(extra);
    for (name, time) in [("started", started), ("finished", finished)] {
        if let Some(time) = time {
            json.insert(name.to_owned(), to_rfc2822(&time).into());
        }
    }
    for (name, text) in
        [("name", name), ("type", kind), ("command", command), ("output", output), ("errout", errout)]
    {
        json.insert(name.to_owned(), text.unwrap_or_default().into());
    }
    // Left out, a status counts as a success there.
    json.insert("success".to_owned(), (status == Some(0)).into());
    json.insert("status".to_owned(), status.into());
    Json::Object(json)
}

fn members(bag: Struct) -> Map<String, Json> {
    bag.into_iter().filter_map(|(key, value)| Some((key, serde_json::to_value(value).ok()?))).collect()
}

fn wall_clock(bag: &mut Struct, key: &str) -> Option<ZonedDateTime> {
    let Some(Value::String(text)) = bag.remove(key) else { return None };
    civil::DateTime::strptime(WALL_CLOCK, text).ok()?.to_zoned_datetime(TimeZone::system()).ok()
}

fn to_rfc2822(time: &ZonedDateTime) -> String {
    rfc2822::to_string(time).unwrap_or_default()
}

/// By XML-RPC. It says `Processed Correctly` in any case, so its pages are asked whether it has the build.
pub(super) async fn submit(
    server: &Server,
    slug: &str,
    run_id: &str,
    document: Vec<u8>,
) -> Result<Submitted, CallError> {
    let mut submitted = pony_build::submit(server, document).await?;
    if submitted.dialect == Dialect::Devmason {
        match find_run(server, slug, run_id).await? {
            Presence::Stored(key) => submitted.result_key = key,
            Presence::Absent => {
                return Err(CallError::Lost(format!("no build of {slug} has the id {run_id}")));
            }
            Presence::Unknown => tracing::warn!("{} does not show whether it stored anything", server.name()),
        }
    }
    Ok(submitted)
}

/// By REST; where the project is not there yet, it is created first, which takes a login.
///
/// # Errors
/// A 400 is permanent: it leaves a part of the build behind.
pub(super) async fn submit_rest(
    server: &Server,
    slug: &str,
    name: &str,
    build: Vec<u8>,
) -> Result<Submitted, CallError> {
    let missing = || CallError::Status {
        status: StatusCode::NOT_FOUND,
        text: format!(" for the project {slug}"),
        retry_after: None,
    };
    let builds = [slug, "builds"];
    let build = Bytes::from(build);
    let (mut status, mut location) = server.send_json(Method::POST, &builds, build.clone(), CALL).await?;
    if status == StatusCode::NOT_FOUND {
        let project = json!({ "name": name });
        let (created, _) = server.send_json(Method::PUT, &[slug], project.to_string().into(), CALL).await?;
        if created == StatusCode::NOT_FOUND {
            return Err(missing());
        }
        (status, location) = server.send_json(Method::POST, &builds, build, CALL).await?;
    }
    if status == StatusCode::NOT_FOUND {
        return Err(missing());
    }
    let result_key = location.and_then(|location| build_number(&location));
    Ok(Submitted { dialect: Dialect::DevmasonRest, result_key, auth_key: None })
}

/// Looks for a run among the newest builds of its project.
pub(super) async fn find_run(server: &Server, slug: &str, run_id: &str) -> Result<Presence, CallError> {
    for number in 1..=NEWEST_PAGES {
        let list = match builds(server, slug, number).await {
            Ok(Some(list)) => list,
            // A page for people, or none: no builds, or no pages as JSON.
            Ok(None) | Err(CallError::Page { .. } | CallError::NotXmlRpc { .. }) => break,
            Err(error) => return Err(error),
        };
        if let Some(build) = list.builds().find(|build| is_of(build, run_id)) {
            return Ok(Presence::Stored(own_link(build).and_then(build_number)));
        }
        if list.pages() <= number {
            return Ok(Presence::Absent);
        }
    }
    match server.json(&[], &[]).await {
        Ok(Some(root)) if is_root(&root) => Ok(Presence::Absent),
        Ok(_) | Err(CallError::Page { .. } | CallError::NotXmlRpc { .. }) => Ok(Presence::Unknown),
        Err(error) => Err(error),
    }
}

/// Whether this is its front page as JSON.
pub(super) fn is_root(json: &Json) -> bool {
    json["projects"].is_array()
}

fn is_of(build: &Json, run_id: &str) -> bool {
    let mut steps = build["results"].as_array().into_iter().flatten();
    build["client"]["run_id"] == run_id
        || steps.any(|step| step["version_info"].as_str().is_some_and(|info| info.contains(run_id)))
}

/// One page of the builds of a project, newest first.
struct BuildList(Json);

impl BuildList {
    fn builds(&self) -> impl Iterator<Item = &Json> {
        self.0["builds"].as_array().into_iter().flatten()
    }

    fn pages(&self) -> usize {
        self.0["num_pages"].as_u64().and_then(|pages| pages.try_into().ok()).unwrap_or(1)
    }
}

async fn builds(server: &Server, slug: &str, number: usize) -> Result<Option<BuildList>, CallError> {
    let number = number.to_string();
    let page = server.json(&[slug, "builds"], &[("per_page", PER_PAGE), ("page", &number)]).await?;
    Ok(page.map(BuildList))
}

/// Its projects, by the slugs that their own links end with, each once.
pub(super) async fn packages(server: &Server) -> Result<Vec<PackageSummary>, QueryFailure> {
    Ok(packages_on(&server.json(&[], &[]).await?.unwrap_or_default()))
}

fn packages_on(root: &Json) -> Vec<PackageSummary> {
    let mut seen = HashSet::new();
    let projects = root["projects"].as_array().into_iter().flatten();
    let names = projects.filter_map(|project| last_part(own_link(project)?));
    names
        .filter(|name| seen.insert(*name))
        .map(|name| PackageSummary { name: name.to_owned(), status: None, slots: None, latest: None })
        .collect()
}

/// devmason knows no slots: the first build of each host, architecture and tags in its list.
pub(super) async fn last_results(
    server: &Server,
    slug: &str,
    tags: &[String],
) -> Result<Vec<LastResult>, QueryFailure> {
    let mut all: Vec<LastResult> = Vec::new();
    for number in 1..=PAGES {
        let Some(list) = builds(server, slug, number).await? else {
            if number == 1 {
                return Err(QueryFailure::NoPackage { package: slug.to_owned(), listed_days: None });
            }
            break;
        };
        for build in list.builds() {
            let full = full_result(slug, build);
            let tagset = full.summary.slot.tagset();
            let known = all.iter_mut().find(|known| known.summary.slot.tagset() == tagset);
            match known {
                // Its times are seconds: of one second, what came later has the larger key.
                Some(known) if age(&known.summary) < age(&full.summary) => *known = full.into(),
                None if has_tags(&full.summary.slot, tags) => all.push(full.into()),
                Some(_) | None => {}
            }
        }
        if list.pages() <= number {
            break;
        }
    }
    Ok(all)
}

/// Greater is newer.
fn age(summary: &Summary) -> (Option<Timestamp>, Option<u64>) {
    (summary.received, summary.key.as_ref().and_then(|key| key.parse().ok()))
}

pub(super) async fn result(
    server: &Server,
    slug: &str,
    key: &str,
) -> Result<Option<FullResult>, QueryFailure> {
    let build = server.json(&[slug, "builds", key], &[]).await?;
    Ok(build.map(|build| full_result(slug, &build)))
}

/// Steps that do not say how they ended count as passed there.
fn full_result(slug: &str, build: &Json) -> FullResult {
    let steps: Vec<Step> = build["results"].as_array().into_iter().flatten().enumerate().map(step).collect();
    let status = match build["success"].as_bool() {
        Some(true) => Status::Passed,
        Some(false) => Status::Failed,
        None => Status::Unknown,
    };
    let client = &build["client"];
    // Wall clocks of clients, with an offset that is the server's: right where the clients' clocks show what ours does.
    let time = |key: &str| {
        let shown = rfc2822::parse(build[key].as_str()?).ok()?;
        Some(shown.datetime().to_zoned_datetime(TimeZone::system()).ok()?.timestamp())
    };
    let (started, finished) = (time("started"), time("finished"));
    let duration =
        started.zip(finished).map(|(started, finished)| finished.duration_since(started).as_secs_f64());
    let summary = Summary {
        key: own_link(build).and_then(last_part).map(str::to_owned),
        slot: Slot {
            package: slug.to_owned(),
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
    FullResult { summary, steps, client_info: client.as_object().cloned().unwrap_or_default() }
}

fn step((index, step): (usize, &Json)) -> Step {
    Step {
        name: step_name(step["name"].as_str(), index),
        kind: text(&step["type"]),
        command: text(&step["command"]),
        status: step["status"].as_i64(),
        failed: step["success"].as_bool() == Some(false),
        allowed_to_fail: step["allow_failure"].as_bool() == Some(true),
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

/// The number at the end of `…/SLUG/builds/7`.
fn build_number(address: &str) -> Option<String> {
    last_part(address).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{super::reported::recorded, *};

    #[test]
    fn names_become_slugs() {
        for (name, expected) in [
            ("pony", "pony"),
            ("Pony Build", "pony-build"),
            ("a.b+c", "a_b_c"),
            (" x -  y ", "x-y"),
            ("naïve", "na_ve"),
        ] {
            assert_eq!(slug(name), expected);
        }
    }

    #[test]
    fn pages_of_builds_and_of_projects() {
        let address = Address::new("http://h/devmason/xmlrpc").unwrap();
        assert_eq!(page(&address, "my-package", Some("7")).unwrap(), "http://h/devmason/my-package/builds/7");
        assert_eq!(page(&address, "my-package", None).unwrap(), "http://h/devmason/my-package");
    }

    #[test]
    fn a_build_number_is_the_end_of_an_address() {
        assert_eq!(build_number("http://example.org/devmason/proj/builds/4").as_deref(), Some("4"));
        assert_eq!(build_number("/proj/builds/12/").as_deref(), Some("12"));
        assert_eq!(build_number("/proj/builds/"), None);
    }

    #[test]
    fn a_step_without_a_status_is_no_success() {
        let extra: Struct =
            [("start_time".to_owned(), "2026-11-22 05:44:22".into()), ("reason".to_owned(), "x".into())]
                .into();
        let step = StepResult { name: Some("a".into()), duration: Some(2.0), extra, ..StepResult::default() };
        let json = step_json(step);
        assert_eq!(
            (&json["success"], &json["name"], &json["reason"]),
            (&json!(false), &json!("a"), &json!("x"))
        );
        assert!(json["started"].as_str().unwrap().starts_with("Sun, 22 Nov 2026 05:44:22"), "{json}");
        assert!(json["finished"].as_str().unwrap().starts_with("Sun, 22 Nov 2026 05:44:24"), "{json}");
        assert!(json.get("start_time").is_none());
    }

    #[test]
    fn recorded_builds_are_read() {
        let list: Json = serde_json::from_slice(&recorded("devmason/rest-list-builds")).unwrap();
        let builds: Vec<FullResult> =
            list["builds"].as_array().unwrap().iter().map(|build| full_result("proj", build)).collect();
        let keys: Vec<&str> = builds.iter().filter_map(|build| build.summary.key.as_deref()).collect();
        assert_eq!(keys, ["6", "7", "5", "4", "8"]);
        let failed = &builds[2];
        assert_eq!(
            (failed.summary.status, failed.summary.failed_step.as_deref()),
            (Status::Failed, Some("test"))
        );
        assert_eq!(failed.culprit().unwrap().errout, "FAILED (failures=1)");
        assert_eq!(
            (failed.summary.slot.host.as_str(), failed.summary.duration),
            ("example.com", Some(300.0))
        );
        let shown = failed.summary.received.unwrap().to_zoned_datetime(TimeZone::system()).datetime();
        assert_eq!(shown.to_string(), "2009-10-20T10:25:00", "offsets are not to be believed");
    }

    #[test]
    fn a_failure_that_is_allowed_fails_nothing() {
        let bags = json!({"success": false, "results": [
            {"name": "lint", "success": false, "allow_failure": true},
            {"success": false},
        ]});
        assert_eq!(full_result("p", &bags).summary.failed_step.as_deref(), Some("step 2"));
        let passed = json!({"success": true, "results": [{"success": false}]});
        assert_eq!(full_result("p", &passed).summary.failed_step, None);
    }

    #[test]
    fn unexpected_json_lists_nothing() {
        for json in [json!(null), json!([1]), json!({"projects": [{}, {"links": []}]})] {
            assert!(packages_on(&json).is_empty());
            assert_eq!(full_result("p", &json).summary.status, Status::Unknown);
        }
    }
}
