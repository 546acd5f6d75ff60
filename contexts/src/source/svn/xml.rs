//! Output of svn with `--xml`, read into elements.

use quick_xml::{
    Reader,
    escape::{resolve_predefined_entity, unescape},
    events::{BytesStart, Event},
};

use crate::{error::Error, shell::is_complete};

/// The error for output that is not svn's, or was shortened.
pub(super) fn unreadable(label: &str) -> Error {
    let detail = "its output cannot be read, or is too long".to_owned();
    Error::Command { step: label.to_owned(), status: 0, detail }
}

/// Deepest nesting of elements; svn's own are at most six deep.
const MAX_DEPTH: usize = 16;

/// One element with all in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    /// All text that is directly in it.
    text: String,
}

impl Element {
    /// The one element that `output` consists of; `None` if it does not.
    pub(super) fn read(output: &str) -> Option<Self> {
        let mut reader = Reader::from_str(output);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().ok()? {
                Event::Start(tag) if open.len() < MAX_DEPTH => open.push(Self::open(&tag)?),
                Event::Start(_) => return None,
                Event::Empty(tag) => open.last_mut()?.children.push(Self::open(&tag)?),
                Event::End(_) => {
                    let closed = open.pop()?;
                    open.last_mut()?.children.push(closed);
                }
                Event::Text(text) => open.last_mut()?.text.push_str(&text),
                Event::CData(text) => open.last_mut()?.text.push_str(&text),
                Event::GeneralRef(name) => {
                    let text = &mut open.last_mut()?.text;
                    match name.resolve_char_ref().ok()? {
                        Some(character) => text.push(character),
                        None => text.push_str(resolve_predefined_entity(&name)?),
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let mut document = open.pop().filter(|_| open.is_empty())?;
        document.children.pop().filter(|_| document.children.is_empty())
    }

    fn open(tag: &BytesStart<'_>) -> Option<Self> {
        let mut attributes = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            let value = unescape(&attribute.value).ok()?.into_owned();
            attributes.push((attribute.key.as_ref().to_owned(), value));
        }
        Some(Self { name: tag.name().as_ref().to_owned(), attributes, ..Self::default() })
    }

    /// The first element of this name that is directly in it.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All elements of this name that are directly in it.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of this name that is directly in it.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(Self::text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The one element of an output; `None` if that was shortened.
pub(super) fn parse(output: &[u8]) -> Option<Element> {
    Some(output)
        .filter(|output| is_complete(output))
        .and_then(|output| Element::read(&String::from_utf8_lossy(output)))
}

/// Each complete element `name` of an output that may have a gap.
pub(super) fn parse_all(output: &str, name: &str) -> Vec<Element> {
    let (open, close) = (format!("<{name}"), format!("</{name}>"));
    let piece = |(at, _)| {
        let rest: &str = &output[at..];
        let end = rest.find(&close)? + close.len();
        Element::read(&rest[..end])
    };
    output.match_indices(&open).filter_map(piece).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_attributes_and_entities() {
        let read =
            Element::read("<?xml version=\"1.0\"?>\n<a\n   b=\"&lt;1&gt;\"><c>x &amp; &#x79;</c><c/></a>\n")
                .unwrap();
        assert_eq!(read.attribute("b"), Some("<1>"));
        assert_eq!(read.text_of("c"), Some("x & y"));
        assert_eq!(read.all("c").count(), 2);
        for broken in ["", "<a>", "<a></b>", "<a/><b/>", "<a>&what;</a>", &"<a>".repeat(100)] {
            assert_eq!(Element::read(broken), None, "{broken}");
        }
    }

    #[test]
    fn elements_around_a_gap() {
        let output =
            "<log><e n=\"3\"><m>three</m></e><e n=\"2\"><m>tw[… gap …]</e><e n=\"1\"><m>one</m></e></log>";
        let numbers: Vec<_> =
            parse_all(output, "e").iter().map(|entry| entry.attribute("n").unwrap().to_owned()).collect();
        assert_eq!(numbers, ["3", "1"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(text in any::<String>(), tags in "[<>/ab\"= &;]{0,60}") {
            for text in [text, tags] {
                let _ = (Element::read(&text), parse_all(&text, "a"));
            }
        }
    }
}
