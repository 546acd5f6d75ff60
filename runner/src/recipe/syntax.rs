//! Errors of the YAML parser in plain words, for recipes and `config.yaml`.

use std::ops::Range;

use serde_saphyr::{
    Error, ExternalMessageSource, Location,
    budget::BudgetBreach,
    granit_parser::{ErrorKind, ScanError},
};

use super::diagnostic::Diagnostic;

/// A message and, where there is a way out, a hint.
type Explained = (&'static str, Option<&'static str>);

/// The error of the YAML parser, at its place in `text`.
pub(crate) fn explain(error: &Error, text: &str) -> Diagnostic {
    let at = error.location().map_or(0..0, |location| place(text, location));
    let lines = Lines::around(text, at.start);
    let explained = match innermost(error) {
        Error::ExternalMessage { source, .. } => match &**source {
            ExternalMessageSource::Parser(error) => explain_syntax(error, &lines),
            _ => None,
        },
        error => explain_structure(error),
    };
    let (message, hint) = explained.unwrap_or(("not valid YAML", None));
    Diagnostic::at(at, message).label("here").maybe_hint(hint.map(str::to_owned))
}

/// The bytes of a location: exact where the parser knows bytes, else found by line and column.
fn place(text: &str, location: Location) -> Range<usize> {
    if let Some(range) = known_bytes(location) {
        return range;
    }
    let known = |number: u64| usize::try_from(number).ok();
    let (Some(line), Some(column)) = (known(location.line()), known(location.column())) else {
        return 0..0;
    };
    let start: usize =
        text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>().min(text.len());
    let rest = text.get(start..).unwrap_or_default();
    let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(index, _)| index);
    let at = start + within;
    at..at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8)
}

/// The bytes of a location, where the parser knows them.
pub(super) fn known_bytes(location: Location) -> Option<Range<usize>> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    Some(start..start + length)
}

/// The line of an error, and the last line before it that is not blank.
struct Lines<'t> {
    line: &'t str,
    above: &'t str,
}

impl<'t> Lines<'t> {
    fn around(text: &'t str, at: usize) -> Self {
        let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = before.len() + after.find('\n').unwrap_or(after.len());
        let above = text.get(..start).unwrap_or_default().trim_end().lines().last();
        Self { line: text.get(start..end).unwrap_or_default(), above: above.unwrap_or_default() }
    }

    /// `key:value` above: YAML reads it as text that goes on here.
    fn is_space_missing_above(&self) -> bool {
        self.above.contains(':') && !self.above.contains(": ") && !self.above.ends_with(':')
    }

    fn begins_with_template(&self) -> bool {
        self.line.contains(": {{") || self.line.contains("- {{")
    }
}

/// Without what the library wraps around it.
fn innermost(mut error: &Error) -> &Error {
    loop {
        match error {
            Error::AliasError { error: inner, .. } | Error::WithSnippet { error: inner, .. } => error = inner,
            error => return error,
        }
    }
}

/// Errors of a file that has the right syntax: limits, anchors, tags.
fn explain_structure(error: &Error) -> Option<Explained> {
    Some(match error {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "too many values once aliases are expanded",
            Some("the limit is 20,000 values; an alias counts each time it is used"),
        ),
        Error::MultipleDocuments { .. } => (
            "a second YAML document begins here, but only one is allowed",
            Some("put each document into a file of its own"),
        ),
        Error::UnknownAnchor { .. } => (
            "this alias has no anchor",
            Some("put text that begins with `*` in quotes; an anchor `&name` comes before its alias `*name`"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("this alias is inside its own anchor", Some("move it out of the part that `&name` marks"))
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => ("only maps can be merged with `<<`", None),
        Error::UnsupportedTag { .. } => {
            ("YAML tags such as `!name` are not supported", Some("remove it, or put the text in quotes"))
        }
        _ => return None,
    })
}

fn too_deep() -> Explained {
    ("nested too deeply", Some("recipes have only a few levels; is this file really one?"))
}

fn explain_syntax(error: &ScanError, lines: &Lines<'_>) -> Option<Explained> {
    const CLOSED: Option<&str> = Some("is a `[`, a `{` or a quote above never closed?");
    let flow = || {
        if lines.line.contains("{{") {
            Some("between `{ }` or `[ ]`, put text with `{{name}}` in quotes")
        } else {
            CLOSED
        }
    };
    Some(match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => (
            "YAML cannot be indented with tabs",
            Some("replace the tabs at the beginning of the line with spaces"),
        ),
        _ if lines.begins_with_template() => (
            "not valid YAML: text that begins with `{{` must be in quotes",
            Some("put the whole value in quotes: `\"{{name}} …\"`"),
        ),
        ErrorKind::UnexpectedCharacter { .. } => {
            ("not valid YAML: text cannot begin with this character", Some("put the whole value in quotes"))
        }
        ErrorKind::UnclosedQuotedScalar => (
            "not valid YAML: this quote is never closed",
            Some("close it, or use `run: |` for text of several lines"),
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "not valid YAML: unknown `\\` escape in double quotes",
            Some("use single quotes, or write `\\\\` for a backslash"),
        ),
        ErrorKind::MappingValueNotAllowed if lines.is_space_missing_above() => {
            ("not valid YAML: unexpected `:`", Some("the line above needs a space after its `:`"))
        }
        ErrorKind::MappingValueNotAllowed => (
            "not valid YAML: unexpected `: `",
            Some("put text that contains `: ` in quotes, or below `run: |`"),
        ),
        ErrorKind::SimpleKeyExpected => (
            "not valid YAML: this key has no `:`",
            Some("write `key: value`; text of several lines goes below `run: |`, all lines indented alike"),
        ),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry => (
            "not valid YAML: this line does not fit the lines above",
            Some("keys of one map begin in the same column; text of several lines goes below `run: |`"),
        ),
        ErrorKind::UnclosedFlowCollection { .. } => ("not valid YAML: this bracket is never closed", flow()),
        ErrorKind::MismatchedFlowCollectionEnd { .. } | ErrorKind::MisplacedFlowCollectionEnd => {
            ("not valid YAML: this bracket closes nothing", flow())
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            ("not valid YAML: a `,` or a closing bracket is missing here", flow())
        }
        ErrorKind::InvalidColonPlacement => ("not valid YAML: unexpected `:`", flow()),
        ErrorKind::FlowMappingValueAdjacentCollection
        | ErrorKind::BlockEntryInFlowCollection
        | ErrorKind::InvalidFlowScalarIndent
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::UnexpectedEof => ("not valid YAML", flow()),
        ErrorKind::InvalidIndentation
        | ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::InvalidQuotedScalarIndent => (
            "not valid YAML: this line is indented wrongly",
            Some("lines that belong together begin in the same column"),
        ),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "not valid YAML: text follows a closing quote",
            Some("put the whole value in quotes, or use the other kind of quotes inside it"),
        ),
        _ => return None,
    })
}
