//! Values to XML-RPC documents: always legal XML 1.0 that Python's parser accepts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::fault::{Answer, Fault};
use crate::text::is_legal;
use crate::value::{Struct, Value};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Writes a request document.
pub(crate) fn write_call(method: &str, params: &[Value]) -> Vec<u8> {
    let mut out = String::from(DECLARATION);
    out.push_str("<methodCall><methodName>");
    text(&mut out, method);
    out.push_str("</methodName><params>");
    for param in params {
        out.push_str("<param>");
        value(&mut out, param);
        out.push_str("</param>");
    }
    out.push_str("</params></methodCall>\n");
    out.into_bytes()
}

/// Writes a response document.
pub fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut out = String::from(DECLARATION);
    out.push_str("<methodResponse>");
    match answer {
        Ok(result) => {
            out.push_str("<params><param>");
            value(&mut out, result);
            out.push_str("</param></params>");
        }
        Err(Fault { code, message }) => {
            out.push_str("<fault>");
            let members = [("faultCode", Value::Int(*code)), ("faultString", Value::from(message.as_str()))];
            value(&mut out, &Value::Struct(members.map(|(name, value)| (name.to_owned(), value)).into()));
            out.push_str("</fault>");
        }
    }
    out.push_str("</methodResponse>\n");
    out.into_bytes()
}

fn value(out: &mut String, value: &Value) {
    out.push_str("<value>");
    match value {
        // Most servers cannot read nil, and a stored one breaks them later.
        Value::Nil => out.push_str("<string></string>"),
        Value::Bool(yes) => typed(out, "boolean", if *yes { "1" } else { "0" }),
        Value::Int(int) => integer(out, *int),
        Value::Double(double) => typed(out, "double", &format!("{double:?}")),
        Value::String(string) => typed(out, "string", string),
        Value::Base64(bytes) => typed(out, "base64", &STANDARD.encode(bytes)),
        Value::DateTime(when) => typed(out, "dateTime.iso8601", when),
        Value::Array(items) => {
            out.push_str("<array><data>");
            for item in items {
                self::value(out, item);
            }
            out.push_str("</data></array>");
        }
        Value::Struct(members) => structure(out, members),
    }
    out.push_str("</value>");
}

fn structure(out: &mut String, members: &Struct) {
    out.push_str("<struct>");
    for (name, member) in members.iter().filter(|(_, member)| **member != Value::Nil) {
        out.push_str("<member><name>");
        text(out, name);
        out.push_str("</name>");
        value(out, member);
        out.push_str("</member>");
    }
    out.push_str("</struct>");
}

/// `<int>` has 32 bits. Larger numbers are written as a double if that is exact, else as a string.
fn integer(out: &mut String, int: i64) {
    let magnitude = int.unsigned_abs();
    if i32::try_from(int).is_ok() {
        typed(out, "int", &int.to_string());
    } else if 64 - magnitude.leading_zeros() - magnitude.trailing_zeros() <= f64::MANTISSA_DIGITS {
        typed(out, "double", &format!("{int}.0"));
    } else {
        typed(out, "string", &int.to_string());
    }
}

fn typed(out: &mut String, tag: &str, content: &str) {
    out.push('<');
    out.push_str(tag);
    out.push('>');
    text(out, content);
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

/// Escapes markup, and replaces characters that XML 1.0 forbids. A carriage return is written as a reference, because readers
/// turn a plain one into a line feed.
fn text(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| matches!(c, '&' | '<' | '>' | '\r') || !is_legal(c)) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut after = special.chars();
        out.push_str(match after.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('\r') => "&#13;",
            _ => "\u{FFFD}",
        });
        rest = after.as_str();
    }
    out.push_str(rest);
}
