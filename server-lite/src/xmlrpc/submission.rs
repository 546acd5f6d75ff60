//! From the bags of `add_results` to the row that is stored. Pure.

use pony_wire::{ClientInfo, Fault, StepResult, Value, encode_value};

use crate::clock::{Time, duration_from_seconds};
use crate::status::{Status, failed};
use crate::store::{NewResult, SlotKey};
use crate::upload_key::UploadKey;

/// Takes the upload key that a client has chosen out of its bag, since anyone can read what is left there. With a key of
/// its own, a client that sends a run again gets the answer that was lost.
pub(super) fn take_upload_key(client_info: &mut ClientInfo) -> Result<Option<UploadKey>, Fault> {
    let Some(chosen) = client_info.extra.remove("upload_key") else { return Ok(None) };
    let key = chosen.as_str().and_then(UploadKey::parse);
    key.map(Some).ok_or_else(|| upload_key_fault("must be 32 hexadecimal digits"))
}

/// An upload names its result by the upload key alone, so that two results cannot have the same.
pub(super) fn upload_key_in_use() -> Fault {
    upload_key_fault(
        "is that of another result; choose a new one for each run, and send it again with the same run_id only",
    )
}

fn upload_key_fault(what: &str) -> Fault {
    Fault { code: 1, message: format!("<type 'exceptions.ValueError'>:'upload_key' {what}") }
}

/// The row for a result that `client_ip` sent at `received`.
pub(super) fn prepare(
    client_info: &ClientInfo,
    results: &[StepResult],
    client_ip: &str,
    received: Time,
    upload_key: &UploadKey,
) -> Result<NewResult, serde_json::Error> {
    let extra = |key| client_info.extra.get(key);
    let status = Status::of(client_info);
    Ok(NewResult {
        slot: SlotKey::new(&client_info.slot)?,
        received,
        success: client_info.success,
        outcome: status.outcome(),
        chain: extra("chain").and_then(Value::as_str).and_then(chain).map(str::to_owned),
        failed_step: (status == Status::Failed).then(|| failed_step(results)).flatten(),
        duration: extra("duration").and_then(Value::as_f64).and_then(duration_from_seconds),
        client_ip: client_ip.to_owned(),
        run_id: extra("run_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned),
        upload_key_hash: upload_key.hash(),
        client_info: encode_value(&client_info.to_value()),
        results: encode_value(&Value::Array(results.iter().map(StepResult::to_value).collect())),
    })
}

/// The name of a chain, unless it is empty or too long for one.
fn chain(text: &str) -> Option<&str> {
    (1..=200).contains(&text.len()).then_some(text)
}

/// The name of the first step that failed.
fn failed_step(results: &[StepResult]) -> Option<String> {
    let (index, step) = results.iter().enumerate().find(|(_, step)| failed(step))?;
    Some(step.name.clone().unwrap_or_else(|| format!("step {}", index + 1)))
}

#[cfg(test)]
mod tests {
    use pony_wire::Slot;

    use super::*;

    fn info(success: Option<bool>, extra: &[(&str, Value)]) -> ClientInfo {
        let [package, host, arch] = ["p", "h", "a"].map(str::to_owned);
        let extra = extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        ClientInfo { slot: Slot { package, host, arch, tags: vec![] }, success, extra }
    }

    fn step(name: Option<&str>, status: Option<i64>) -> StepResult {
        StepResult { name: name.map(str::to_owned), status, ..StepResult::default() }
    }

    fn prepared(info: &ClientInfo, results: &[StepResult]) -> NewResult {
        prepare(info, results, "::1", Time(7), &UploadKey::random().unwrap()).unwrap()
    }

    #[test]
    fn the_first_step_that_failed_is_named() {
        let steps =
            [step(Some("ok"), Some(0)), step(None, None), step(None, Some(-9)), step(Some("b"), Some(1))];
        assert_eq!(prepared(&info(Some(false), &[]), &steps).failed_step.as_deref(), Some("step 3"));
        assert_eq!(prepared(&info(Some(false), &[]), &steps[..2]).failed_step, None);
        let mut allowed = steps.clone();
        allowed[2].extra.insert("allow_failure".to_owned(), Value::Bool(true));
        assert_eq!(prepared(&info(Some(false), &[]), &allowed).failed_step.as_deref(), Some("b"));
        assert_eq!(prepared(&info(Some(true), &[]), &steps).failed_step, None);
        assert_eq!(prepared(&info(None, &[]), &steps).failed_step, None);
    }

    #[test]
    fn odd_durations_and_run_ids_stay_in_the_bag_only() {
        let duration =
            |value| prepared(&info(None, &[("duration", value)]), &[]).duration.map(|d| d.as_millis());
        assert_eq!(duration(Value::Double(1.5)), Some(1_500));
        assert_eq!(duration(Value::Int(2)), Some(2_000));
        for odd in
            [Value::Double(-1.0), Value::Double(f64::NAN), Value::Double(1e300), Value::Nil, "x".into()]
        {
            assert_eq!(duration(odd), None);
        }
        let run_id = |value| prepared(&info(None, &[("run_id", value)]), &[]).run_id;
        assert_eq!(run_id("r1".into()).as_deref(), Some("r1"));
        assert_eq!(run_id("".into()), None);
        assert_eq!(run_id(Value::Int(1)), None);
        let bag = prepared(&info(None, &[("run_id", Value::Int(1))]), &[]).client_info;
        assert!(bag.contains(r#""run_id":1"#), "{bag}");
    }

    #[test]
    fn a_chosen_key_is_taken_out_of_the_bag() {
        let chosen = "00112233445566778899aabbccddeeff";
        let mut bag = info(None, &[("upload_key", chosen.into()), ("other", "stays".into())]);
        let key = take_upload_key(&mut bag).unwrap().unwrap();
        assert_eq!(key.into_text(), chosen);
        assert_eq!(bag, info(None, &[("other", "stays".into())]));
        assert!(take_upload_key(&mut bag).unwrap().is_none());
        for odd in
            [Value::from("short"), "x0112233445566778899aabbccddeeff".into(), Value::Int(1), Value::Nil]
        {
            let fault = take_upload_key(&mut info(None, &[("upload_key", odd)])).err().unwrap();
            assert!(fault.message.contains("'upload_key' must be 32 hexadecimal digits"), "{fault:?}");
        }
    }
}
