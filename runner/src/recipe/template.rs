//! `{{name}}` in text. `{{{{` stands for a literal `{{`; a `}}` alone is itself, and so is a `{` before `{{name}}`.

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Taken as it is.
    Text(&'t str),
    /// The value of this name, blanks around it removed; `nth` counts the `{{` of the text from 0.
    Name { name: &'t str, nth: usize },
}

/// What is wrong with the template at its `nth` `{{`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong<'t> {
    /// No `}}` follows.
    Open { nth: usize },
    /// Between the braces stands this, which is no name.
    NoName { inner: &'t str, nth: usize },
}

/// Whether `text` is the form of a variable's name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// Cuts `text` into pieces; all that is wrong is told at once.
pub(super) fn parse(text: &str) -> Result<Vec<Piece<'_>>, Vec<Wrong<'_>>> {
    let (mut pieces, mut wrong) = (Vec::new(), Vec::new());
    let mut rest = text;
    let mut nth = 0;
    while let Some((before, after)) = rest.split_once("{{") {
        pieces.push(Piece::Text(before));
        if let Some(literal) = after.strip_prefix("{{") {
            pieces.push(Piece::Text("{{"));
            nth += 2;
            rest = literal;
            continue;
        }
        let after = match after.strip_prefix('{') {
            Some(after) => {
                pieces.push(Piece::Text("{"));
                after
            }
            None => after,
        };
        let Some((inner, behind)) = after.split_once("}}") else {
            wrong.push(Wrong::Open { nth });
            return Err(wrong);
        };
        let name = inner.trim();
        if is_name(name) {
            pieces.push(Piece::Name { name, nth });
        } else {
            wrong.push(Wrong::NoName { inner, nth });
        }
        nth += 1 + inner.matches("{{").count();
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    if wrong.is_empty() { Ok(pieces) } else { Err(wrong) }
}

/// `text` such that a template of it fills in to `text`.
pub(super) fn escape(text: &str) -> String {
    text.replace("{{", "{{{{")
}

/// As [`escape`], but what `late` finds at its beginning stays a template: it answers how long that is.
pub(super) fn escape_but(text: &str, late: impl Fn(&str) -> Option<usize>) -> String {
    let (mut escaped, mut done) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices('{') {
        let Some(length) = text.get(at..).filter(|_| at >= done).and_then(&late) else { continue };
        escaped.push_str(&escape(text.get(done..at).unwrap_or_default()));
        escaped.push_str(text.get(at..at + length).unwrap_or_default());
        done = at + length;
    }
    escaped + &escape(text.get(done..).unwrap_or_default())
}

/// Where the `nth` `{{` of a template stands in `raw`, its source as written (quoted, folded, indented).
pub(super) fn find_open(raw: &str, nth: usize) -> Option<usize> {
    let mut from = 0;
    for _ in 0..nth {
        from += raw.get(from..)?.find("{{")? + 2;
    }
    Some(from + raw.get(from..)?.find("{{")?)
}

/// The `nth` `{{…}}` of a scalar.
pub(super) fn place_of(
    text: &str,
    scalar: &std::ops::Range<usize>,
    nth: usize,
) -> Option<std::ops::Range<usize>> {
    let raw = text.get(scalar.clone())?;
    let open = find_open(raw, nth)?;
    let line = raw.get(open..).unwrap_or_default().lines().next().unwrap_or_default();
    let length = line.find("}}").map_or(2, |close| close + 2);
    Some(scalar.start + open..scalar.start + open + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_text_and_escapes() {
        assert_eq!(
            parse("a {{x}}{{ y-2 }}}} {{{{z}}"),
            Ok(vec![
                Piece::Text("a "),
                Piece::Name { name: "x", nth: 0 },
                Piece::Text(""),
                Piece::Name { name: "y-2", nth: 1 },
                Piece::Text("}} "),
                Piece::Text("{{"),
                Piece::Text("z}}"),
            ])
        );
        assert_eq!(find_open("a {{x}}{{ y-2 }}}} {{{{z}}", 1), Some(7));
    }

    #[test]
    fn a_brace_before_a_name_is_itself() {
        let name = |nth| Piece::Name { name: "x", nth };
        assert_eq!(
            parse("${{{x}}}"),
            Ok(vec![Piece::Text("$"), Piece::Text("{"), name(0), Piece::Text("}")])
        );
        assert_eq!(
            parse("{{{{{{{x}}"),
            Ok(vec![
                Piece::Text(""),
                Piece::Text("{{"),
                Piece::Text(""),
                Piece::Text("{"),
                name(2),
                Piece::Text(""),
            ])
        );
    }

    #[test]
    fn what_is_wrong_is_told_together() {
        assert_eq!(
            parse("{{.Names}} {{ }} {{a b}} {{x"),
            Err(vec![
                Wrong::NoName { inner: ".Names", nth: 0 },
                Wrong::NoName { inner: " ", nth: 1 },
                Wrong::NoName { inner: "a b", nth: 2 },
                Wrong::Open { nth: 3 },
            ])
        );
    }

    #[test]
    fn an_escaped_text_fills_in_to_itself() {
        for text in ["", "{", "{{", "{{{", "{{{{", "{{{{{", "a{{b}}c", "}}", "{{{{{{x}}}}}}"] {
            let escaped = escape(text);
            let filled: String = parse(&escaped)
                .unwrap()
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text,
                    Piece::Name { name, .. } => panic!("{name} in {escaped}"),
                })
                .collect();
            assert_eq!(filled, text);
        }
    }
}
