//! `{{name}}` in text. `{{{{` is a literal `{{`; a `}}` alone and a `{` before `{{name}}` stand for themselves.

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Literal text.
    Text(&'t str),
    /// A name, without spaces around it; `nth` counts the `{{` of the text from 0.
    Name { name: &'t str, nth: usize },
}

/// An error at the `nth` `{{` of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TemplateError<'t> {
    /// No `}}` follows.
    Unclosed { nth: usize },
    /// The text between the braces is not a name.
    NotAName { inner: &'t str, nth: usize },
}

/// Whether `text` can be the name of a variable.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// Cuts `text` into pieces.
///
/// # Errors
/// All errors of the text.
pub(super) fn parse(text: &str) -> Result<Vec<Piece<'_>>, Vec<TemplateError<'_>>> {
    let (mut pieces, mut errors) = (Vec::new(), Vec::new());
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
            errors.push(TemplateError::Unclosed { nth });
            return Err(errors);
        };
        let name = inner.trim();
        if is_name(name) {
            pieces.push(Piece::Name { name, nth });
        } else {
            errors.push(TemplateError::NotAName { inner, nth });
        }
        nth += 1 + inner.matches("{{").count();
        rest = behind;
    }
    pieces.push(Piece::Text(rest));
    if errors.is_empty() { Ok(pieces) } else { Err(errors) }
}

/// The template that fills in to `text`.
pub(super) fn escape(text: &str) -> String {
    text.replace("{{", "{{{{")
}

/// As [`escape`], but deferred names stay templates: `deferred` returns the length of one at the beginning of its argument.
pub(super) fn escape_except(text: &str, deferred: impl Fn(&str) -> Option<usize>) -> String {
    let (mut escaped, mut done) = (String::with_capacity(text.len()), 0);
    for (at, _) in text.match_indices('{') {
        let Some(length) = text.get(at..).filter(|_| at >= done).and_then(&deferred) else { continue };
        escaped.push_str(&escape(text.get(done..at).unwrap_or_default()));
        escaped.push_str(text.get(at..at + length).unwrap_or_default());
        done = at + length;
    }
    escaped + &escape(text.get(done..).unwrap_or_default())
}

/// Position of the `nth` `{{` of a template in `raw`, its source as written (quoted, folded, indented).
pub(super) fn find_open(raw: &str, nth: usize) -> Option<usize> {
    let mut from = 0;
    for _ in 0..nth {
        from += raw.get(from..)?.find("{{")? + 2;
    }
    Some(from + raw.get(from..)?.find("{{")?)
}

/// Position of the `nth` `{{…}}` of a scalar in the recipe.
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
    fn a_brace_before_a_name_is_literal() {
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
    fn all_errors_are_reported() {
        assert_eq!(
            parse("{{.Names}} {{ }} {{a b}} {{x"),
            Err(vec![
                TemplateError::NotAName { inner: ".Names", nth: 0 },
                TemplateError::NotAName { inner: " ", nth: 1 },
                TemplateError::NotAName { inner: "a b", nth: 2 },
                TemplateError::Unclosed { nth: 3 },
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
