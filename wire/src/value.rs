//! The dynamic value of XML-RPC.

use std::collections::BTreeMap;

/// Members of an XML-RPC struct, by name.
pub type Struct = BTreeMap<String, Value>;

/// Any XML-RPC value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `<nil/>`: read, never written (members holding it are left out).
    Nil,
    /// `<boolean>`.
    Bool(bool),
    /// `<int>`, `<i4>`, `<i8>`; written as `<int>` within 32 bits, else as `<double>` or a string.
    Int(i64),
    /// `<double>`.
    Double(f64),
    /// `<string>` or untyped text.
    String(String),
    /// `<base64>`.
    Base64(Vec<u8>),
    /// `<dateTime.iso8601>`, its text as it was sent.
    DateTime(String),
    /// `<array>`.
    Array(Vec<Value>),
    /// `<struct>`.
    Struct(Struct),
}
