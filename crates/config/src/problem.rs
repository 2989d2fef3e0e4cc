//! What is wrong with a configuration: all of it at once, each with its place.
//!
//! Filled by the loader, shown by `isobar check` and by a refused reload. It decides how a problem
//! looks as text and as JSON, and what of a line is shown: control characters never reach the
//! terminal, and what looks like a secret is masked.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::source::{SourceKind, Sources, Span};
use crate::tree::{Kind, Node};

mod excerpt;

use excerpt::Excerpt;
pub(crate) use excerpt::clean;

/// A file may hold a hundred thousand mistakes; nobody reads more than these.
const KEPT: usize = 200;

/// Whether escape codes may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One problem and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub severity: Severity,
    /// The file, or the flag where there is none.
    pub file: String,
    /// From 1; both absent for a flag.
    pub line: Option<u32>,
    pub column: Option<u32>,
    /// What was found.
    pub message: String,
    pub expected: Option<String>,
    pub hint: Option<String>,
    #[serde(rename = "source")]
    excerpt: Excerpt,
}

/// Every problem of one configuration, in the order of its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// Found, but more than anybody reads.
    beyond: usize,
}

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All that were found, also those that are not kept.
    pub fn len(&self) -> usize {
        self.list.len() + self.beyond
    }

    /// How many of each kind, like `3 errors, 1 warning`; empty where there is none.
    pub fn tally(&self) -> String {
        let warnings = self.list.iter().filter(|p| p.severity == Severity::Warning).count();
        let errors = self.len() - warnings;
        let counted =
            [(errors, "error"), (warnings, "warning")].into_iter().filter(|(n, _)| *n > 0);
        let words = counted.map(|(n, word)| format!("{n} {word}{}", if n == 1 { "" } else { "s" }));
        words.collect::<Vec<_>>().join(", ")
    }

    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// For people: one paragraph a problem.
    pub fn render(&self, colour: Colour) -> String {
        let paint = Paint(colour);
        let mut out = String::new();
        for (i, problem) in self.list.iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            problem.render(paint, &mut out);
        }
        if self.beyond > 0 {
            let _ = writeln!(out, "\nand {} more", self.beyond);
        }
        out
    }

    /// For programs: an array of objects.
    pub fn to_json(&self) -> String {
        serde_json::json!(self.list).to_string()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Never))
    }
}

impl std::error::Error for Problems {}

impl Problem {
    fn render(&self, paint: Paint, out: &mut String) {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!("{}:{line}:{column}", self.file),
            _ => self.file.clone(),
        };
        let (code, word) = match self.severity {
            Severity::Error => ("1;31", "error"),
            Severity::Warning => ("1;33", "warning"),
        };
        let _ = writeln!(
            out,
            "{}: {}: {}",
            paint.with("1", &place),
            paint.with(code, word),
            self.message
        );
        let number = self.line.map(|l| l.to_string()).unwrap_or_default();
        let margin = " ".repeat(number.len());
        if !self.excerpt.line.trim().is_empty() {
            let bar = paint.with("34", "|");
            let indent = " ".repeat(self.excerpt.indent);
            let carets = paint.with(code, &"^".repeat(self.excerpt.width));
            let _ = writeln!(out, "{} {bar} {}", paint.with("34", &number), self.excerpt.line);
            let _ = writeln!(out, "{margin} {bar} {indent}{carets}");
        }
        if let Some(expected) = &self.expected {
            let _ = writeln!(out, "{margin} = expected {expected}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{margin} = {} {hint}", paint.with("32", "hint:"));
        }
    }
}

#[derive(Clone, Copy)]
struct Paint(Colour);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            Colour::Always if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// A problem whose line has not been looked up yet.
#[derive(Debug)]
pub(crate) struct Draft {
    span: Span,
    severity: Severity,
    message: String,
    expected: Option<String>,
    hint: Option<String>,
}

impl Draft {
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Draft {
        let message = message.into();
        Draft { span, severity: Severity::Error, message, expected: None, hint: None }
    }

    pub(crate) fn warning(span: Span, message: impl Into<String>) -> Draft {
        Draft { severity: Severity::Warning, ..Draft::error(span, message) }
    }

    pub(crate) fn expected(self, what: impl Into<String>) -> Draft {
        Draft { expected: Some(what.into()), ..self }
    }

    pub(crate) fn hint(self, what: impl Into<Option<String>>) -> Draft {
        Draft { hint: what.into().or(self.hint), ..self }
    }
}

/// The scalars that no message and no excerpt shows: where each begins, and the column it ends before.
#[derive(Debug, Default)]
pub(crate) struct Concealment(BTreeMap<(u32, u32, u32), u32>);

impl Concealment {
    /// All scalars of a node.
    pub(crate) fn add(&mut self, node: &Node) {
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|item| self.add(item)),
            Kind::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.add(key);
                self.add(value);
            }),
            Kind::Scalar(_) | Kind::Broken => {
                let Span { source, line, column, width } = node.span;
                // One character, or several lines.
                let end = if width > 1 { column.saturating_add(width) } else { u32::MAX };
                self.0.insert((source, line, column), end);
            }
        }
    }

    pub(crate) fn hides(&self, span: Span) -> bool {
        let Span { source, line, column, .. } = span;
        let before = self.0.range((source, line, 0)..=(source, line, column));
        before.last().is_some_and(|(_, end)| column < *end)
    }

    fn on_line(&self, span: Span) -> impl Iterator<Item = (u32, u32)> {
        let Span { source, line, .. } = span;
        let all = self.0.range((source, line, 0)..=(source, line, u32::MAX));
        all.map(|((_, _, from), to)| (*from, *to))
    }
}

/// Gathers drafts, so that one mistake never hides another.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    errors: Vec<Draft>,
    warnings: Vec<Draft>,
    beyond: usize,
}

impl Gathered {
    pub(crate) fn push(&mut self, draft: Draft) {
        let list = match draft.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() < KEPT {
            list.push(draft);
        } else if draft.severity == Severity::Error {
            self.beyond += 1;
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether more words about a mistake would still be read by anybody.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= KEPT
    }

    /// The warnings of a configuration without errors, or everything.
    pub(crate) fn finish(
        mut self,
        sources: &Sources,
        concealed: &Concealment,
    ) -> Result<Problems, Problems> {
        self.warnings.retain(|warning| !concealed.hides(warning.span));
        if self.errors.is_empty() {
            return Ok(settle(self.warnings, 0, sources, concealed));
        }
        // What is wrong is not also odd.
        let wrong: HashSet<Span> = self.errors.iter().map(|error| error.span).collect();
        self.warnings.retain(|warning| !wrong.contains(&warning.span));
        self.errors.append(&mut self.warnings);
        Err(settle(self.errors, self.beyond, sources, concealed))
    }
}

fn settle(
    mut drafts: Vec<Draft>,
    beyond: usize,
    sources: &Sources,
    concealed: &Concealment,
) -> Problems {
    drafts.sort_by_key(|d| d.span);
    let mut lines: HashMap<(u32, u32), &str> = HashMap::new();
    let mut list: Vec<Problem> = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let span = draft.span;
        let key = (span.source, span.line);
        let line = *lines.entry(key).or_insert_with(|| sources.line(span));
        let (at_line, at_column) = match sources.kind(span.source) {
            SourceKind::File => (Some(span.line), Some(span.column)),
            SourceKind::Flag => (None, None),
        };
        let problem = Problem {
            severity: draft.severity,
            file: clean(sources.name(span.source)),
            line: at_line,
            column: at_column,
            message: clean(&draft.message),
            expected: draft.expected.as_deref().map(clean),
            hint: draft.hint.as_deref().map(clean),
            excerpt: Excerpt::new(line, span.column, span.width, concealed.on_line(span)),
        };
        // An alias repeats a mistake as often as it is used.
        if list.last() != Some(&problem) {
            list.push(problem);
        }
    }
    Problems { list, beyond }
}
