//! Answers that are not what the call asked for, as errors: what they say in one line, without markup.

use pony_wire::text::{self, Colours};
use reqwest::Url;

use super::{address::hide, error::CallError, http::Response};

pub(super) fn not_xmlrpc(response: &Response, url: &Url, what: &str) -> CallError {
    let is_page = response.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"));
    let url = hide(url.as_str());
    // devmason calls its answers `text/html` too.
    if is_page && !response.body.trim_ascii_start().starts_with(b"<?xml") {
        return CallError::Page { title: title(&response.body), url };
    }
    CallError::NotXmlRpc { what: what.to_owned(), url }
}

pub(super) fn not_json(response: &Response, url: &Url, error: &serde_json::Error) -> CallError {
    not_xmlrpc(response, url, &format!("and this is not JSON: {error}"))
}

/// The title of a page, or its first line of text.
fn title(body: &[u8]) -> String {
    let text = text::clean(&body[..body.len().min(10_000)], Colours::Strip);
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|start| {
        let start = start + "<title>".len();
        let end = lower[start..].find("</title>")? + start;
        text.get(start..end)
    });
    match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => title.chars().take(100).collect(),
        None => first_line(body),
    }
}

/// The first line of a page, without markup.
pub(super) fn first_line(body: &[u8]) -> String {
    let text = text::clean(&body[..body.len().min(2000)], Colours::Strip);
    let mut plain = String::new();
    let mut tag = false;
    for c in text.chars() {
        match c {
            '<' => tag = true,
            '>' => tag = false,
            _ if !tag => plain.push(c),
            _ => {}
        }
    }
    let line = plain.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_named_by_its_title_or_first_words() {
        assert_eq!(title(b"<html><HEAD><Title> Log in </Title></head><body>x"), "Log in");
        assert_eq!(title(b"<html><body>\n<h1>Welcome</h1>\nmore"), "Welcome");
        assert_eq!(title(b""), "");
        assert_eq!(first_line("<b>I\u{130}\x1b[31m</b>".as_bytes()), "Iİ");
    }
}
