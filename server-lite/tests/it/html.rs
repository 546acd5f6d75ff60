//! A page as a tree of elements that CSS selectors find, strict where browsers forgive: each error of the tokenizer and
//! each element that is not closed in its place fails the test.

use std::collections::BTreeMap;

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// Elements that have no content and no end.
const VOID: [&str; 6] = ["br", "hr", "img", "input", "link", "meta"];

/// A page. Element 0 holds all others.
#[derive(Debug)]
pub(crate) struct Html(Vec<Element>);

#[derive(Debug, Default)]
pub(crate) struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    /// What it is in.
    parent: usize,
    /// The element before it in the same parent.
    before: Option<usize>,
    last: bool,
    text: String,
}

impl Element {
    /// Its text, that of what is in it included.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn attr(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

impl Html {
    pub(crate) fn parse(text: &str) -> Self {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut elements = vec![Element::default()];
        let mut open = vec![0];
        let mut last_in: Vec<Option<usize>> = vec![None];
        for token in Tokenizer::new_with_emitter(text, emitter).flatten() {
            let parent = *open.last().unwrap();
            match token {
                Token::StartTag(tag) => {
                    let name = utf8(&tag.name);
                    let attributes = tag.attributes.iter().map(|(name, value)| (utf8(name), utf8(value)));
                    let before = last_in[parent].replace(elements.len());
                    if let Some(before) = before {
                        elements[before].last = false;
                    }
                    if !VOID.contains(&name.as_str()) {
                        open.push(elements.len());
                    }
                    let attributes = attributes.collect();
                    elements.push(Element {
                        name,
                        attributes,
                        parent,
                        before,
                        last: true,
                        text: String::new(),
                    });
                    last_in.push(None);
                }
                Token::EndTag(tag) => {
                    let closed = open.pop().unwrap();
                    assert_eq!(utf8(&tag.name), elements[closed].name, "closes what is open: {text}");
                }
                Token::String(string) => {
                    // A line feed just behind `<pre>` is not part of it.
                    let string = utf8(&string);
                    let is_first = elements[parent].name == "pre" && elements[parent].text.is_empty();
                    let string = string.strip_prefix('\n').filter(|_| is_first).unwrap_or(&string);
                    for at in &open {
                        elements[*at].text += string;
                    }
                }
                Token::Error(error) => panic!("{error:?}: {text}"),
                Token::Comment(_) | Token::Doctype(_) => {}
            }
        }
        assert_eq!(open, [0], "all is closed: {text}");
        Self(elements)
    }

    /// What a selector finds: names, `.class`, `[attribute]`, `[attribute=value]`, `:first-child`, `:last-child`, joined by
    /// blanks, `>` and `+` that stand apart.
    pub(crate) fn select(&self, selector: &str) -> Vec<&Element> {
        let words: Vec<&str> = selector.split_whitespace().collect();
        (1..self.0.len()).filter(|at| self.matches(*at, &words)).map(|at| &self.0[at]).collect()
    }

    fn matches(&self, at: usize, words: &[&str]) -> bool {
        let Some((last, left)) = words.split_last() else { return true };
        let element = &self.0[at];
        if at == 0 || !is(element, last) {
            return false;
        }
        match left.split_last() {
            None => true,
            Some((&">", left)) => self.matches(element.parent, left),
            Some((&"+", left)) => element.before.is_some_and(|before| self.matches(before, left)),
            Some(_) => {
                let mut above = element.parent;
                while above != 0 && !self.matches(above, left) {
                    above = self.0[above].parent;
                }
                above != 0
            }
        }
    }
}

/// Whether an element is what one word of a selector asks for.
fn is(element: &Element, word: &str) -> bool {
    let end = word.find(['.', '[', ':']).unwrap_or(word.len());
    let (name, mut rest) = word.split_at(end);
    let mut fits = name.is_empty() || name == element.name;
    while !rest.is_empty() {
        let end = rest[1..].find(['.', '[', ':']).map_or(rest.len(), |end| end + 1);
        let (part, more) = rest.split_at(end);
        fits &= match part.split_at(1) {
            (".", class) => {
                element.attr("class").is_some_and(|all| all.split_whitespace().any(|it| it == class))
            }
            (":", "first-child") => element.before.is_none(),
            (":", "last-child") => element.last,
            (_, attribute) => match attribute.trim_end_matches(']').split_once('=') {
                Some((name, value)) => element.attr(name) == Some(value),
                None => element.attr(attribute.trim_end_matches(']')).is_some(),
            },
        };
        rest = more;
    }
    fits
}

fn utf8(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).unwrap().to_owned()
}
