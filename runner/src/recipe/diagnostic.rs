//! Errors of a recipe with their positions, rendered with `file:line:column`, the line, a caret and a hint.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, Title};
use serde::Serialize;

use super::credentials::redacted;

/// How many errors of a recipe are kept; further ones are counted.
pub(super) const MAX_ERRORS: usize = 100;

/// One error of a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// One line, lower case.
    pub message: String,
    /// Line of the recipe, from 1; 0 where the error is not in the text (a wrong `--set`).
    pub line: usize,
    /// Column in characters, from 1; 0 where the error is not in the text.
    pub column: usize,
    /// What to do about it.
    pub hint: Option<String>,
    #[serde(skip)]
    span: Option<Range<usize>>,
    #[serde(skip)]
    label: Option<String>,
    #[serde(skip)]
    context: Vec<(Range<usize>, String)>,
}

impl Diagnostic {
    /// An error at these bytes of the text.
    pub(crate) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span: Some(span), ..Self::general(message) }
    }

    /// An error without a position in the text.
    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            line: 0,
            column: 0,
            hint: None,
            span: None,
            label: None,
            context: Vec::new(),
        }
    }

    /// Text next to the caret.
    #[must_use]
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    #[must_use]
    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// Another relevant position.
    #[must_use]
    pub(crate) fn also(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.context.push((span, label.into()));
        self
    }

    /// For sorting; errors without a position come last.
    fn start(&self) -> usize {
        self.span.as_ref().map_or(usize::MAX, |span| span.start)
    }

    fn group<'a>(&'a self, path: &'a str, text: &'a str) -> Group<'a> {
        let title = Level::ERROR.primary_title(&*self.message);
        let group = match &self.span {
            None => Group::with_title(title),
            Some(span) => self.snippet(title, span, path, text),
        };
        match &self.hint {
            Some(hint) => group.element(Level::HELP.with_name("hint").message(&**hint)),
            None => group,
        }
    }

    /// The lines from the first to the last relevant position, or the part of a very long line around the caret. The
    /// renderer gets nothing else: its time grows with its input.
    fn snippet<'a>(
        &'a self,
        title: Title<'a>,
        span: &Range<usize>,
        path: &'a str,
        text: &'a str,
    ) -> Group<'a> {
        const MAX_SHOWN: usize = 16 * 1024;
        let mut shown = lines_around(text, span);
        let mut context: &[(Range<usize>, String)] = &self.context;
        let all = context.iter().fold(shown.clone(), |all, (span, _)| {
            let lines = lines_around(text, span);
            all.start.min(lines.start)..all.end.max(lines.end)
        });
        if all.len() <= MAX_SHOWN {
            shown = all;
        } else {
            context = &[];
        }
        let is_whole = shown.len() <= MAX_SHOWN;
        if !is_whole {
            let start = text.floor_char_boundary(span.start.saturating_sub(200).max(shown.start));
            shown = start..text.ceil_char_boundary((span.end.min(start + 400) + 200).min(shown.end));
        }
        let within = |span: &Range<usize>| {
            let span = first_line(text, span);
            span.start.clamp(shown.start, shown.end) - shown.start
                ..span.end.clamp(shown.start, shown.end) - shown.start
        };
        let mut caret = AnnotationKind::Primary.span(within(span));
        if let Some(label) = &self.label {
            caret = caret.label(&**label);
        }
        let first = line_number(text, shown.start);
        let snippet = Snippet::source(text.get(shown.clone()).unwrap_or_default())
            .line_start(first)
            .annotation(caret)
            .annotations(
                context
                    .iter()
                    .map(|(span, label)| AnnotationKind::Context.span(within(span)).label(&**label)),
            );
        if is_whole {
            title.element(snippet.path(path))
        } else {
            title.element(Origin::path(path).line(self.line).char_column(self.column)).element(snippet)
        }
    }
}

/// All errors of one recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    path: PathBuf,
    text: String,
    found: Vec<Diagnostic>,
    more: usize,
}

impl Diagnostics {
    /// Sorts errors by position, redacts credentials in the text, and keeps an error that an alias repeats only once.
    pub(crate) fn new(path: &Path, text: &str, mut found: Vec<Diagnostic>) -> Self {
        for diagnostic in &mut found {
            if let Some(span) = &diagnostic.span {
                let span = first_line(text, span);
                let before = text.get(..span.start).unwrap_or_default();
                let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
                diagnostic.line = line_number(text, span.start);
                diagnostic.column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
                diagnostic.span = Some(span);
            }
        }
        found.sort_by_key(Diagnostic::start);
        found.dedup_by(|a, b| a.span.is_some() && a.span == b.span && a.message == b.message);
        Self { path: path.to_owned(), text: redacted(text), found, more: 0 }
    }

    /// Adds the number of errors that were counted but not kept.
    #[must_use]
    pub(crate) fn and_more(mut self, more: usize) -> Self {
        self.more = more;
        self
    }

    /// Adds errors without a position.
    #[must_use]
    pub(crate) fn and(mut self, general: impl IntoIterator<Item = Diagnostic>) -> Self {
        self.found.extend(general);
        self
    }

    /// Takes over the errors of another pass over the same text, each once.
    pub(crate) fn join(&mut self, other: Self) {
        for diagnostic in other.found {
            if self.found.contains(&diagnostic) {
                continue;
            }
            if self.found.len() < MAX_ERRORS {
                self.found.push(diagnostic);
            } else {
                self.more += 1;
            }
        }
        self.found.sort_by_key(Diagnostic::start);
        self.more = self.more.max(other.more);
        if self.text.is_empty() {
            self.text = other.text;
        }
    }

    /// The number of errors, including those that were only counted.
    #[expect(clippy::len_without_is_empty, reason = "there is at least one error")]
    pub fn len(&self) -> usize {
        self.found.len() + self.more
    }

    /// Where the recipe was read from, as given to `load`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The errors in the order of the text (the first hundred of them).
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter()
    }

    /// All errors for people, ending in a newline, with ANSI colors if `color`.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let path = self.path.display().to_string();
        let mut shown = Vec::new();
        for diagnostic in &self.found {
            shown.push(renderer.render(&[diagnostic.group(&path, &self.text)]));
        }
        if self.more > 0 {
            shown.push(format!("… and {} more errors", self.more));
        }
        shown.join("\n\n") + "\n"
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = if self.len() == 1 { "error" } else { "errors" };
        write!(f, "the recipe `{}` has {} {errors}", self.path.display(), self.len())
    }
}

impl std::error::Error for Diagnostics {}

/// The line of the byte `at`, from 1.
fn line_number(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// The complete lines that `span` touches, without the last newline.
fn lines_around(text: &str, span: &Range<usize>) -> Range<usize> {
    let (start, end) = (text.floor_char_boundary(span.start), text.ceil_char_boundary(span.end));
    let before = text.get(..start).unwrap_or_default();
    let after = text.get(end..).unwrap_or_default();
    before.rfind('\n').map_or(0, |newline| newline + 1)..end + after.find('\n').unwrap_or(after.len())
}

/// The part of `span` on its first line, on character boundaries: a caret marks one line.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    let head = text.get(start..end).unwrap_or_default().lines().next().unwrap_or_default();
    start..start + head.trim_end().len()
}

/// `text` in backticks on one line, with control characters escaped and long text shortened.
pub(crate) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    if text.is_empty() {
        return "`\"\"`".to_owned();
    }
    let mut shown: String = text
        .chars()
        .take(MAX_CHARS)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The candidate that `word` is probably a misspelling of.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // The limits keep hostile recipes cheap.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let tolerance = |candidate: &str| (word.len().max(candidate.len()) / 3).max(1);
    candidates
        .into_iter()
        .take(100)
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= tolerance(candidate))
        .map(|candidate| (strsim::osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= tolerance(candidate))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean …" for [`nearest`].
pub(crate) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest(word, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}
