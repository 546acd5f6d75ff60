//! What holds for any value, any text and any bytes.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use pony_wire::text::{Colours, clean, encoded_len, shorten};
use pony_wire::{Call, Struct, Value, decode_answer, decode_value, encode_answer, encode_value};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Text in which what makes trouble is frequent.
fn text() -> impl Strategy<Value = String> {
    let trouble = proptest::sample::select(
        "\0\u{1b}\u{8}\u{7}\r\n\t[]m;0\\<&>$\u{9b}\u{9c}\u{85}\u{fffe}\u{ffff}é🦄"
            .chars()
            .collect::<Vec<_>>(),
    );
    vec(prop_oneof![3 => trouble, 1 => any::<char>()], 0..40).prop_map(|chars| chars.into_iter().collect())
}

fn value() -> impl Strategy<Value = Value> {
    let double =
        prop_oneof![any::<f64>(), proptest::num::f64::ANY, Just(f64::NAN), Just(f64::INFINITY), Just(-0.0)];
    let int = prop_oneof![
        any::<i64>(),
        any::<i32>().prop_map(i64::from),
        any::<i32>().prop_map(|n| i64::from(n) << 20)
    ];
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        int.prop_map(Value::Int),
        double.prop_map(Value::Double),
        text().prop_map(Value::String),
        vec(any::<u8>(), 0..20).prop_map(Value::Base64),
        text().prop_map(Value::DateTime),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            btree_map(prop_oneof![text(), "[$a-c]{0,2}"], inner, 0..6).prop_map(Value::Struct),
        ]
    })
}

fn forbidden(c: char) -> bool {
    (c < ' ' && !"\t\n\r".contains(c)) || c == '\u{fffe}' || c == '\u{ffff}'
}

fn legal(text: &str) -> String {
    text.chars().map(|c| if forbidden(c) { '\u{fffd}' } else { c }).collect()
}

/// What the other end reads of a value.
fn as_read(value: &Value) -> Value {
    match value {
        Value::Nil => Value::from(""),
        Value::Int(int) if i32::try_from(*int).is_err() => match format!("{int}.0").parse() {
            Ok(double) if format!("{double:.0}") == int.to_string() => Value::Double(double),
            _ => Value::from(int.to_string()),
        },
        Value::String(text) => Value::String(legal(text)),
        Value::DateTime(text) => Value::DateTime(legal(text)),
        Value::Array(items) => Value::Array(items.iter().map(as_read).collect()),
        Value::Struct(members) => {
            let sent = members.iter().filter(|(_, member)| **member != Value::Nil);
            Value::Struct(sent.map(|(name, member)| (legal(name), as_read(member))).collect::<Struct>())
        }
        other => other.clone(),
    }
}

/// The recorded documents, to be damaged.
static DOCUMENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let folders =
        ["2009", "2010", "devmason"].map(|folder| fs::read_dir(recorded.join(folder)).expect("a folder"));
    let mut paths: Vec<_> = folders.into_iter().flatten().map(|file| file.expect("a file").path()).collect();
    paths.sort();
    let body = |path: &std::path::PathBuf| {
        let message = fs::read(path).expect("a recorded message");
        let start = message.windows(5).position(|window| window == b"<?xml")?;
        Some(message[start..].to_vec())
    };
    paths.iter().filter_map(body).collect()
});

/// A recorded document with a few pieces overwritten, moved, repeated or cut out.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let pieces: [&[u8]; 16] = [
        b"<",
        b">",
        b"/",
        b"&",
        b"<value>",
        b"</value>",
        b"<struct>",
        b"</struct>",
        b"<array><data>",
        b"<!--",
        b"<![CDATA[",
        b"]]>",
        b"<!DOCTYPE x>",
        b"&#x0;",
        b"\xff\0\x1b",
        b"<nil/>",
    ];
    let edit = (
        any::<prop::sample::Index>(),
        0..40_usize,
        proptest::sample::select(pieces.to_vec()),
        any::<prop::sample::Index>(),
    );
    (any::<prop::sample::Index>(), vec(edit, 1..6)).prop_map(|(document, edits)| {
        let mut document = document.get(&DOCUMENTS).clone();
        for (at, cut, piece, from) in edits {
            let at = at.index(document.len() + 1);
            let end = document.len().min(at + cut);
            let from = from.index(document.len() + 1);
            let moved = document[from..document.len().min(from + cut)].to_vec();
            document.splice(at..end, piece.iter().copied().chain(moved));
        }
        document
    })
}

fn read_both_ways(document: &[u8]) -> Result<(), TestCaseError> {
    match decode_answer(document) {
        Ok(answer) => {
            let sent = encode_answer(&answer);
            prop_assert!(decode_answer(&sent).is_ok());
            if let Ok(value) = answer {
                prop_assert_eq!(
                    format!("{:?}", decode_value(&encode_value(&value))),
                    format!("{:?}", Ok::<_, ()>(value))
                );
            }
        }
        Err(error) => prop_assert!(error.to_string().len() < 500, "{}", error),
    }
    match Call::decode(document) {
        Ok(call) => {
            prop_assert_eq!(Call::decode(&call.encode()).map(|call| call.method()), Ok(call.method()));
        }
        Err(fault) => prop_assert!(fault.message.len() < 500, "{}", fault),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(2009), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_answered_is_legal_and_read_as_it_should_be(value in value()) {
        let document = encode_answer(&Ok(value.clone()));
        let text = std::str::from_utf8(&document).expect("UTF-8");
        prop_assert!(!text.chars().any(|c| forbidden(c) || c == '\r'));
        let read = decode_answer(&document).expect("legal").expect("no fault");
        prop_assert_eq!(format!("{read:?}"), format!("{:?}", as_read(&value)));
    }

    #[test]
    fn what_is_stored_is_given_back_exactly(value in value()) {
        let stored = encode_value(&value);
        prop_assert!(!stored.chars().any(|c| c < ' '));
        prop_assert_eq!(format!("{:?}", decode_value(&stored)), format!("{:?}", Ok::<_, ()>(value)));
    }

    #[test]
    fn plain_json_can_always_be_made(value in value()) {
        let json = serde_json::to_string(&value).expect("JSON");
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }

    #[test]
    fn no_bytes_do_harm(bytes in vec(any::<u8>(), 0..200), text in text()) {
        read_both_ways(&bytes)?;
        read_both_ways(text.as_bytes())?;
        let _ = decode_value(&text);
    }

    #[test]
    fn no_damage_to_a_document_does_harm(document in damaged()) {
        read_both_ways(&document)?;
    }

    #[test]
    fn clean_text_is_legal_and_stays_as_it_is(text in text(), bytes in vec(any::<u8>(), 0..60)) {
        for colours in [Colours::Strip, Colours::Symbol] {
            for input in [text.as_bytes(), bytes.as_slice()] {
                let cleaned = clean(input, colours);
                prop_assert!(!cleaned.chars().any(forbidden), "{cleaned:?}");
                prop_assert_eq!(clean(cleaned.as_bytes(), colours), cleaned);
            }
        }
    }

    #[test]
    fn short_text_is_within_the_limit(text in text(), repeat in 1..50_usize, limit in 0..2000_usize) {
        let text = text.repeat(repeat);
        let short = shorten(&text, limit, "runs/p/7/03-make.out");
        prop_assert!(short.len() <= limit);
        prop_assert!(text.len() > limit || short == text);
        prop_assert_eq!(encoded_len(&text), encode_answer(&Ok(text.clone().into())).len() - encode_answer(&Ok("".into())).len());
    }
}
