//! From a submission's bags to what is stored of it. Pure.

use pony_wire::{ClientInfo, Fault, StepResult, Value, encode_value};
use sha2::{Digest, Sha256};

use crate::clock::{Time, duration_from_seconds};
use crate::status::Status;
use crate::store::{NewResult, SlotName};

/// The key that lets a client add to its result: 128 random bits in hexadecimal. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AuthKey(String);

impl AuthKey {
    /// The key that a client has chosen, taken out of its bag: what is left is there for all to read. It has the answer to a
    /// result that is sent again be the answer that was lost, which a key of the server's cannot.
    pub(crate) fn take(client_info: &mut ClientInfo) -> Result<Option<Self>, Fault> {
        let Some(chosen) = client_info.extra.remove("upload_key") else { return Ok(None) };
        let text = chosen.as_str().and_then(Self::of_text);
        text.map(Some).ok_or_else(|| value_error("must be 32 hexadecimal digits"))
    }

    /// A key as it is written, if it can be one.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let is_key = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key.then(|| Self(text.to_owned()))
    }

    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// What a client is told whose key another result has already: files could not say whose they are.
pub(crate) fn key_in_use() -> Fault {
    value_error(
        "is that of another result; choose a new one for each run, and send it again with the same run_id only",
    )
}

fn value_error(what: &str) -> Fault {
    Fault { code: 1, message: format!("<type 'exceptions.ValueError'>:'upload_key' {what}") }
}

/// Makes the row of a submission that `client_ip` sent at `received`.
pub(crate) fn prepare(
    client_info: &ClientInfo,
    results: &[StepResult],
    client_ip: &str,
    received: Time,
    auth: &AuthKey,
) -> Result<NewResult, serde_json::Error> {
    let extra = |key| client_info.extra.get(key);
    let status = Status::of(client_info);
    Ok(NewResult {
        slot: SlotName::new(&client_info.slot)?,
        received,
        success: client_info.success,
        outcome: status.outcome(),
        chain: extra("chain").and_then(Value::as_str).and_then(chain).map(str::to_owned),
        failed_step: (status == Status::Failed).then(|| failed_step(results)).flatten(),
        duration: extra("duration").and_then(Value::as_f64).and_then(duration_from_seconds),
        client_ip: client_ip.to_owned(),
        run_id: extra("run_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned),
        auth: auth.hash(),
        client_info: encode_value(&client_info.to_value()),
        results: encode_value(&Value::Array(results.iter().map(StepResult::to_value).collect())),
    })
}

/// The name of a chain, if it can be one.
pub(crate) fn chain(text: &str) -> Option<&str> {
    (1..=200).contains(&text.len()).then_some(text)
}

/// Whether a step failed the build: it did not end well, and the client does not say that it may (`allow_failure`).
pub(crate) fn failed(step: &StepResult) -> bool {
    step.status.is_some_and(|status| status != 0)
        && step.extra.get("allow_failure") != Some(&Value::Bool(true))
}

/// Where a failed build failed: the first step that did.
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
        prepare(info, results, "::1", Time(7), &AuthKey("k".to_owned())).unwrap()
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
    fn odd_durations_and_run_ids_are_kept_in_the_bag_only() {
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
        let kept = prepared(&info(None, &[("run_id", Value::Int(1))]), &[]).client_info;
        assert!(kept.contains(r#""run_id":1"#), "{kept}");
    }

    #[test]
    fn auth_keys_are_128_bits_in_hex_and_differ() {
        let (a, b) = (AuthKey::random().unwrap(), AuthKey::random().unwrap());
        assert_ne!(a.hash(), b.hash());
        let text = a.into_text();
        assert!(AuthKey::of_text(&text).is_some(), "{text}");
    }

    #[test]
    fn a_chosen_key_is_taken_out_of_the_bag() {
        let chosen = "00112233445566778899aabbccddeeff";
        let mut bag = info(None, &[("upload_key", chosen.into()), ("other", "kept".into())]);
        let key = AuthKey::take(&mut bag).unwrap().unwrap();
        assert_eq!(key.into_text(), chosen);
        assert_eq!(bag, info(None, &[("other", "kept".into())]));
        assert!(AuthKey::take(&mut bag).unwrap().is_none());
        for odd in
            [Value::from("short"), "x0112233445566778899aabbccddeeff".into(), Value::Int(1), Value::Nil]
        {
            let fault = AuthKey::take(&mut info(None, &[("upload_key", odd)])).err().unwrap();
            assert!(fault.message.contains("'upload_key' must be 32 hexadecimal digits"), "{fault:?}");
        }
    }
}
