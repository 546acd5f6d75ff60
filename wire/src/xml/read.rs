//! XML-RPC documents to values: a recursive descent of bounded depth over quick-xml's tokens.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::error::{WireError, excerpt};
use crate::fault::{Answer, Fault};
use crate::value::{Struct, Value};

/// How deep arrays and structs may nest in one parameter of a call. A stored parameter is returned one level deeper,
/// inside `[receipt, client_info, results]`.
const MAX_DEPTH: usize = 32;

/// How deep they may nest in an answer.
const MAX_ANSWER_DEPTH: usize = MAX_DEPTH + 1;

/// Longest tag in bytes; XML-RPC has no attributes, so that even the longest with a namespace is far shorter.
const MAX_TAG: usize = 1024;

/// Most values in one document. A value of eight bytes of XML can take hundreds in memory.
const MAX_VALUES: usize = 500_000;

/// Reads a request document, `<methodCall>`: the method's name and the parameters.
pub(crate) fn read_call(document: &[u8]) -> Result<(String, Vec<Value>), WireError> {
    let text = decode_bytes(document)?;
    let mut parser = Parser::new(&text, MAX_DEPTH);
    parser.open("methodCall")?;
    parser.open("methodName")?;
    let method = parser.text_until("methodName")?.trim().to_owned();
    let mut params = Vec::new();
    match parser.tag("`<params>`")? {
        Token::Open("params") => {
            while parser.open_or_close("param", "params")? {
                params.push(parser.value_element()?);
                parser.close("param")?;
            }
            parser.close("methodCall")?;
        }
        Token::Close("methodCall") => {}
        other => return Err(parser.unexpected("`<params>`", &other)),
    }
    parser.end()?;
    Ok((method, params))
}

/// Reads a response document, `<methodResponse>`: one value or a fault.
pub fn decode_answer(document: &[u8]) -> Result<Answer, WireError> {
    let text = decode_bytes(document)?;
    let mut parser = Parser::new(&text, MAX_ANSWER_DEPTH);
    parser.open("methodResponse")?;
    let answer = match parser.tag("`<params>` or `<fault>`")? {
        Token::Open("params") => {
            parser.open("param")?;
            let value = parser.value_element()?;
            parser.close("param")?;
            parser.close("params")?;
            Ok(value)
        }
        Token::Open("fault") => {
            let value = parser.value_element()?;
            let fault = fault(value).ok_or_else(|| {
                parser.error("expected a fault with an int `faultCode` and a string `faultString`".to_owned())
            })?;
            parser.close("fault")?;
            Err(fault)
        }
        other => return Err(parser.unexpected("`<params>` or `<fault>`", &other)),
    };
    parser.close("methodResponse")?;
    parser.end()?;
    Ok(answer)
}

fn fault(value: Value) -> Option<Fault> {
    let Value::Struct(mut members) = value else { return None };
    match (members.remove("faultCode"), members.remove("faultString")) {
        (Some(Value::Int(code)), Some(Value::String(message))) => Some(Fault { code, message }),
        _ => None,
    }
}

/// The document as text. Bytes that are illegal in its encoding are replaced, never refused: Python 2 clients send build
/// output as it is.
fn decode_bytes(document: &[u8]) -> Result<Cow<'_, str>, WireError> {
    let refuse = |encoding: &str| {
        let message =
            format!("encoding `{encoding}` is not read; send UTF-8 (US-ASCII and ISO-8859-1 are read too)");
        WireError { line: 1, column: 1, message }
    };
    let document = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document);
    if matches!(document, [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [b'<', 0, ..] | [0, b'<', ..]) {
        return Err(refuse("UTF-16"));
    }
    match declared_encoding(document) {
        None => Ok(String::from_utf8_lossy(document)),
        Some(name) => match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(String::from_utf8_lossy(document)),
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin-1" | "latin1" => {
                Ok(document.iter().map(|byte| char::from(*byte)).collect())
            }
            _ => Err(refuse(&excerpt(&name))),
        },
    }
}

/// The name in `<?xml … encoding="name"?>`, if there is one.
fn declared_encoding(document: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(document.get(..document.len().min(MAX_TAG))?);
    let (declaration, _) = head.trim_start().strip_prefix("<?xml")?.split_once("?>")?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, _) = value.get(1..)?.split_once(quote)?;
    Some(name.trim().to_owned())
}

enum Token<'a> {
    Open(&'a str),
    Close(&'a str),
    Text(Cow<'a, str>),
    End,
}

struct Parser<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// Byte at which the last token began.
    at: usize,
    /// The end of an empty element `<x/>`, whose start was returned.
    pending: Option<&'a str>,
    values: usize,
    max_depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, max_depth: usize) -> Self {
        let mut reader = Reader::from_str(text);
        // Names are compared by this parser, for better messages.
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        Self { text, reader, at: 0, pending: None, values: 0, max_depth }
    }

    fn next(&mut self) -> Result<Token<'a>, WireError> {
        if let Some(name) = self.pending.take() {
            return Ok(Token::Close(name));
        }
        loop {
            self.at = self.position();
            match self.reader.read_event() {
                Ok(Event::Start(_)) => return Ok(Token::Open(self.name()?)),
                Ok(Event::End(_)) => return Ok(Token::Close(self.name()?)),
                Ok(Event::Empty(_)) => {
                    let name = self.name()?;
                    self.pending = Some(name);
                    return Ok(Token::Open(name));
                }
                Ok(Event::Text(text)) => return Ok(Token::Text(line_ends(text.into_inner()))),
                Ok(Event::CData(text)) => return Ok(Token::Text(line_ends(text.into_inner()))),
                Ok(Event::GeneralRef(entity)) => {
                    return Ok(Token::Text(self.entity(&entity)?));
                }
                Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_)) => {}
                Ok(Event::DocType(_)) => {
                    return Err(self.error("a document type definition is refused".to_owned()));
                }
                Ok(Event::Eof) => return Ok(Token::End),
                Err(error) => {
                    self.at = usize::try_from(self.reader.error_position()).unwrap_or(self.text.len());
                    return Err(self.error(error.to_string()));
                }
            }
        }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(self.text.len())
    }

    /// The name of the tag just read, without attributes and namespace prefix.
    fn name(&self) -> Result<&'a str, WireError> {
        let tag = self.text.get(self.at..self.position()).unwrap_or_default();
        if tag.len() > MAX_TAG {
            return Err(self.error(format!("a tag of {} bytes; the limit is {MAX_TAG}", tag.len())));
        }
        let name = tag.trim_matches(['<', '>', '/']).split_ascii_whitespace().next().unwrap_or_default();
        Ok(name.rsplit(':').next().unwrap_or(name))
    }

    fn entity(&self, entity: &BytesRef<'a>) -> Result<Cow<'static, str>, WireError> {
        let name: &str = entity;
        let named = match name {
            "lt" => "<",
            "gt" => ">",
            "amp" => "&",
            "apos" => "'",
            "quot" => "\"",
            _ => "",
        };
        if !named.is_empty() {
            return Ok(named.into());
        }
        let Some(digits) = name.strip_prefix('#') else {
            return Err(self.error(format!("unknown entity `&{};`", excerpt(name))));
        };
        let code = match digits.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        let code = code.map_err(|_| self.error(format!("`&{};` is no character", excerpt(name))))?;
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).to_string().into())
    }

    /// The next tag, or the end; only blanks are allowed between tags.
    fn tag(&mut self, expected: &str) -> Result<Token<'a>, WireError> {
        loop {
            match self.next()? {
                Token::Text(text) if text.trim().is_empty() => {}
                text @ Token::Text(_) => return Err(self.unexpected(expected, &text)),
                tag => return Ok(tag),
            }
        }
    }

    fn open(&mut self, name: &str) -> Result<(), WireError> {
        let expected = format!("`<{name}>`");
        match self.tag(&expected)? {
            Token::Open(found) if found == name => Ok(()),
            other => Err(self.unexpected(&expected, &other)),
        }
    }

    fn close(&mut self, name: &str) -> Result<(), WireError> {
        let expected = format!("`</{name}>`");
        match self.tag(&expected)? {
            Token::Close(found) if found == name => Ok(()),
            other => Err(self.unexpected(&expected, &other)),
        }
    }

    /// Whether another `<item>` begins; `</list>` ends them.
    fn open_or_close(&mut self, item: &str, list: &str) -> Result<bool, WireError> {
        let expected = format!("`<{item}>` or `</{list}>`");
        match self.tag(&expected)? {
            Token::Open(found) if found == item => Ok(true),
            Token::Close(found) if found == list => Ok(false),
            other => Err(self.unexpected(&expected, &other)),
        }
    }

    fn end(&mut self) -> Result<(), WireError> {
        match self.tag("the end of the document")? {
            Token::End => Ok(()),
            other => Err(self.unexpected("the end of the document", &other)),
        }
    }

    fn text_until(&mut self, name: &str) -> Result<String, WireError> {
        let mut content = String::new();
        loop {
            match self.next()? {
                Token::Text(text) if content.is_empty() => content = text.into_owned(),
                Token::Text(text) => content.push_str(&text),
                Token::Close(found) if found == name => return Ok(content),
                other => return Err(self.unexpected(&format!("`</{name}>`"), &other)),
            }
        }
    }

    fn value_element(&mut self) -> Result<Value, WireError> {
        self.open("value")?;
        self.value(0)
    }

    /// What follows `<value>`, to its end tag.
    fn value(&mut self, depth: usize) -> Result<Value, WireError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(format!("more than {MAX_VALUES} values")));
        }
        let mut content = String::new();
        loop {
            match self.next()? {
                Token::Text(text) if content.is_empty() => content = text.into_owned(),
                Token::Text(text) => content.push_str(&text),
                Token::Close("value") => return Ok(Value::String(content)),
                Token::Open(tag) if content.trim().is_empty() => {
                    let value = self.typed(tag, depth)?;
                    self.close("value")?;
                    return Ok(value);
                }
                other => return Err(self.unexpected("`</value>`", &other)),
            }
        }
    }

    fn typed(&mut self, tag: &'a str, depth: usize) -> Result<Value, WireError> {
        if matches!(tag, "array" | "struct") && depth >= self.max_depth {
            return Err(self.error(format!("nested more than {} levels deep", self.max_depth)));
        }
        let at = self.at;
        match tag {
            "array" => self.array(depth + 1),
            "struct" => self.structure(depth + 1),
            "string" => self.text_until(tag).map(Value::String),
            "dateTime.iso8601" => self.text_until(tag).map(Value::DateTime),
            "nil" => self.close("nil").map(|()| Value::Nil),
            "int" | "i4" | "i8" | "i1" | "i2" | "boolean" | "double" | "float" | "base64" => {
                let content = self.text_until(tag)?;
                scalar(tag, &content).ok_or_else(|| {
                    self.at = at;
                    self.error(format!("`{}` is no {tag}", excerpt(&content)))
                })
            }
            _ => Err(self.unexpected("a type", &Token::Open(tag))),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, WireError> {
        let mut items = Vec::new();
        if self.open_or_close("data", "array")? {
            while self.open_or_close("value", "data")? {
                items.push(self.value(depth)?);
            }
            self.close("array")?;
        }
        Ok(Value::Array(items))
    }

    /// Of several members with one name the last counts, as in Python.
    fn structure(&mut self, depth: usize) -> Result<Value, WireError> {
        let mut members = Struct::new();
        while self.open_or_close("member", "struct")? {
            self.open("name")?;
            let name = self.text_until("name")?;
            self.open("value")?;
            members.insert(name, self.value(depth)?);
            self.close("member")?;
        }
        Ok(Value::Struct(members))
    }

    fn unexpected(&self, expected: &str, found: &Token<'_>) -> WireError {
        let found = match found {
            Token::Open(name) => format!("`<{}>`", excerpt(name)),
            Token::Close(name) => format!("`</{}>`", excerpt(name)),
            Token::Text(text) => format!("text `{}`", excerpt(text.trim())),
            Token::End => "the end of the document".to_owned(),
        };
        self.error(format!("expected {expected}, but {found} was found"))
    }

    /// An error at the last token.
    fn error(&self, message: String) -> WireError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        WireError {
            line: count(before.matches('\n').count()) + 1,
            column: count(before[line_start..].chars().count()) + 1,
            message,
        }
    }
}

fn scalar(tag: &str, content: &str) -> Option<Value> {
    let content = content.trim();
    match tag {
        "boolean" => match content {
            "1" => Some(Value::Bool(true)),
            "0" => Some(Value::Bool(false)),
            _ => None,
        },
        "double" | "float" => content.parse().ok().map(Value::Double),
        "base64" => base64(content).map(Value::Base64),
        _ => content.parse().ok().map(Value::Int),
    }
}

/// Python breaks base64 into lines, and reads it without padding.
fn base64(content: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let digits: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, config).decode(digits).ok()
}

/// XML 1.0, 2.11: CRLF and CR in the document are read as LF.
fn line_ends(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text }
}
