//! Every recorded exchange with the servers of 2009, 2010 and devmason parses, and reads as `transcript.txt` tells.

use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use pony_wire::{
    Call, Dialect, Fault, ShouldBuild, Slot, StepResult, StoredResult, Submitted, Tagset, Tagsets, Value,
    decode_answer, visible_tags,
};

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// Head and body of a recorded message, the body unpacked.
fn message(name: &str) -> (String, Vec<u8>) {
    let bytes = std::fs::read(recorded().join(name)).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut body = bytes[end + 4..].to_vec();
    if head.contains("Content-Encoding: gzip") {
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked).unwrap();
        body = unpacked;
    }
    (head, body)
}

fn request(exchange: &str) -> Result<Call, Fault> {
    Call::decode(&message(&format!("{exchange}.request.http")).1)
}

fn answer(exchange: &str) -> Result<Value, Fault> {
    decode_answer(&message(&format!("{exchange}.response.http")).1).unwrap()
}

fn exchanges(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(recorded().join(folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut exchanges: Vec<_> = names
        .filter_map(|name| name.strip_suffix(".request.http").map(|name| format!("{folder}/{name}")))
        .collect();
    exchanges.sort();
    exchanges
}

fn summary(results: &[StepResult]) -> String {
    results.iter().fold(String::new(), |mut line, step| {
        let name = step.name.as_deref().unwrap_or("-");
        write!(line, " · {name} {} {}", step.kind.as_deref().unwrap(), step.status.unwrap()).unwrap();
        line
    })
}

fn request_line(call: &Call) -> String {
    let slot = |slot: &Slot| format!("{} {:?}", slot.package, slot.tags);
    let what = match call {
        Call::AddResults { client_info, results } => {
            format!("{} {}{}", slot(&client_info.slot), client_info.success.unwrap(), summary(results))
        }
        Call::CheckShouldBuild { client_info, reserve, allowance } => {
            assert_eq!(client_info.success, None);
            format!("{} {reserve} {allowance}", slot(&client_info.slot))
        }
        Call::GetTagsetsForPackage { package } => package.clone(),
        Call::GetLastResultForTagset { package, tagset } => format!("{package} {tagset:?}"),
        Call::GetResults { result_key } => result_key.clone(),
    };
    format!("{} {what}", call.method())
}

fn answered(call: &Call, answer: Value) -> String {
    let stored = |stored: StoredResult| {
        let StoredResult { receipt, client_info, results } = stored;
        format!("{} {}{}", receipt.result_key, client_info.slot.package, summary(&results))
    };
    match call {
        Call::AddResults { .. } => match Submitted::from_answer(&answer).unwrap() {
            Submitted { dialect: Dialect::V2010, result_key: Some(key), auth_key: Some(auth_key) } => {
                format!("V2010 {key} {auth_key}")
            }
            Submitted { dialect, result_key: None, auth_key: None } => format!("{dialect:?}"),
            other => panic!("{other:?}"),
        },
        Call::CheckShouldBuild { .. } => {
            let ShouldBuild { build, reason } = ShouldBuild::from_value(&answer).unwrap();
            format!("{build} {}", reason.split('(').next().unwrap())
        }
        Call::GetTagsetsForPackage { .. } => {
            let Tagsets(tagsets) = Tagsets::from_value(answer).unwrap();
            let visible = |tagset: &Tagset| visible_tags(tagset).collect::<Vec<_>>().join(" ");
            format!("{:?}", tagsets.iter().map(visible).collect::<Vec<_>>())
        }
        Call::GetLastResultForTagset { .. } => {
            StoredResult::from_last_result(answer).unwrap().map_or_else(|| "none".to_owned(), stored)
        }
        Call::GetResults { .. } => stored(StoredResult::from_value(answer).unwrap()),
    }
}

#[test]
fn every_exchange_says_what_was_said() {
    let mut transcript = String::new();
    for exchange in ["2009", "2010", "devmason"].iter().flat_map(|folder| exchanges(folder)) {
        if exchange.contains("/rest-") || exchange == "2010/upload-egg" {
            continue;
        }
        let (request, answer) = (request(&exchange), answer(&exchange));
        let requested = request.as_ref().map_or_else(|fault| format!("[{fault}]"), request_line);
        let answered = match (&request, answer) {
            (Ok(call), Ok(value)) => answered(call, value),
            (_, Err(fault)) => fault.to_string(),
            (Err(_), Ok(value)) => panic!("{exchange}: {value:?}"),
        };
        writeln!(transcript, "{exchange}\n  {requested}\n  {answered}").unwrap();
        // ESC is read, but never written.
        if let Some(call) = request.ok().filter(|_| exchange != "2010/add-results-ansi-rejected") {
            assert_eq!(Call::decode(&call.encode()).as_ref(), Ok(&call), "{exchange}");
        }
    }
    let expected = std::fs::read_to_string(recorded().join("transcript.txt")).unwrap();
    assert_eq!(transcript, expected);
}

fn only_step(exchange: &str) -> StepResult {
    let Ok(Call::AddResults { results, .. }) = request(exchange) else { panic!("{exchange} was not read") };
    <[StepResult; 1]>::try_from(results).unwrap().into_iter().next().unwrap()
}

#[test]
fn results_that_the_old_servers_lost_are_accepted() {
    assert_eq!(
        only_step("2010/add-results-ansi-rejected").output.as_deref(),
        Some("\u{1b}[31mred\u{1b}[0m\n")
    );
    assert_eq!(only_step("2010/add-results-latin1-rejected").output.as_deref(), Some("caf\u{FFFD}\n"));
    assert_eq!(only_step("2010/add-results-utf8").output.as_deref(), Some("caf\u{e9} \u{2018}x\u{2019}\n"));
}

#[test]
fn a_checkout_step_keeps_its_nested_structs_and_its_own_name_for_output() {
    let Ok(Call::AddResults { results, .. }) = request("2010/add-results-git-fresh-cache") else { panic!() };
    let checkout = &results[0];
    assert_eq!((checkout.output.as_deref(), checkout.duration), (None, None));
    assert_eq!(checkout.shown_output(), "");
    let keys: Vec<_> = checkout.extra.keys().map(String::as_str).collect();
    assert_eq!(keys, ["clone", "create cache", "out", "version_info", "version_type"]);
    let clone = StepResult::from_value(checkout.extra["clone"].clone()).unwrap();
    assert_eq!(clone.status, Some(0));
    assert_eq!(clone.errout.as_deref(), Some("Cloning into 'hello'...\ndone.\n"));
}

#[test]
fn an_upload_step_has_keys_of_its_own() {
    let Ok(Call::AddResults { results, .. }) = request("2010/add-results-with-upload-step") else { panic!() };
    let upload = &results[2];
    assert_eq!(upload.kind.as_deref(), Some("file_upload"));
    assert_eq!(upload.extra["filesize"], Value::Int(151_344));
}

#[test]
fn a_duration_that_was_not_measured_is_read() {
    let Ok(Call::AddResults { results, .. }) = request("2009/add-results-svn") else { panic!() };
    assert_eq!(results[0].duration, Some(-1.0));
}

#[test]
fn devmasons_rest_exchanges_are_json() {
    let mut bodies = 0;
    let rest: Vec<_> =
        exchanges("devmason").into_iter().filter(|exchange| exchange.contains("/rest-")).collect();
    assert_eq!(rest.len(), 11, "{rest:?}");
    for exchange in rest {
        for side in ["request", "response"] {
            let (head, body) = message(&format!("{exchange}.{side}.http"));
            if head.to_lowercase().contains("content-type: application/json") && !body.is_empty() {
                serde_json::from_slice::<serde_json::Value>(&body).unwrap();
                bodies += 1;
            }
        }
    }
    assert_eq!(bodies, 11);
    let (_, build) = message("devmason/rest-post-build.request.http");
    let build: serde_json::Value = serde_json::from_slice(&build).unwrap();
    assert_eq!(build["client"]["arch"], "macosx-10.5-i386");
    assert_eq!(build["results"][1]["name"], "test");
    let (head, _) = message("devmason/rest-post-build.response.http");
    assert!(head.starts_with("HTTP/1.0 201 CREATED") && head.contains("Location: "), "{head}");
}

#[test]
fn the_upload_is_there() {
    let (head, body) = message("2010/upload-egg.request.http");
    assert!(
        head.starts_with("POST /upload?visible=yes&description=an+egg+installation+file&auth_key="),
        "{head}"
    );
    assert!(body.starts_with(b"PK\x03\x04") && body.len() == 920);
}
