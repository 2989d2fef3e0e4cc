//! What every reader has at hand: where the text is from, what may still be spent, and the problems so
//! far. Also how a wrong value is reported.

use crate::env::{Bad, Lookup};
use crate::problem::{Concealment, Draft, Gathered, Problems};
use crate::source::{Sources, Span};
use crate::tree::{Kind, Node, Scalar};

/// Keys and values of all files, aliases expanded: some 50,000 workers or routes.
pub(crate) const MAX_NODES: usize = 500_000;

/// What every reader needs at hand.
pub(crate) struct Cx<'a> {
    pub(crate) sources: Sources,
    pub(crate) env: Lookup<'a>,
    pub(crate) nodes_left: usize,
    pub(crate) expansion_left: usize,
    pub(crate) bytes_left: u64,
    /// Something could not be read whole: what is missing may only look missing.
    pub(crate) incomplete: bool,
    /// The key whose value is being read.
    pub(crate) key: &'static str,
    pub(super) concealed: Concealment,
    pub(super) gathered: Gathered,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(env: Lookup<'a>) -> Cx<'a> {
        Cx {
            sources: Sources::default(),
            env,
            nodes_left: MAX_NODES,
            expansion_left: crate::env::MAX_EXPANSION,
            bytes_left: crate::source::MAX_TOTAL,
            incomplete: false,
            key: "",
            concealed: Concealment::default(),
            gathered: Gathered::default(),
        }
    }

    pub(crate) fn report(&mut self, draft: Draft) {
        self.gathered.push(draft);
    }

    /// For warnings alone: an error elsewhere never hides an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.gathered.has_errors()
    }

    pub(crate) fn finish(self) -> Result<Problems, Problems> {
        self.gathered.finish(&self.sources, &self.concealed)
    }

    /// Something else was expected than what stands at `node`.
    pub(crate) fn mismatch(&mut self, node: &Node, expected: &str) {
        self.wrong(node, Bad::new("", expected));
    }

    pub(crate) fn wrong(&mut self, node: &Node, bad: Bad) {
        if matches!(node.kind, Kind::Broken) {
            return;
        }
        let found = match &node.kind {
            Kind::Scalar(s) if !s.is_null() && self.concealed.hides(node.span) => {
                "found a text, which is not shown".to_owned()
            }
            _ if bad.found.is_empty() => format!("found {}", node.found()),
            _ => bad.found,
        };
        let secret = matches!(&node.kind, Kind::Scalar(s) if s.is_secret());
        let hint = match bad.hint {
            Some(_) if secret => None,
            None if !self.concealed.hides(node.span) => habit(node, self.key),
            hint => hint,
        };
        self.report(Draft::error(node.span, found).expected(bad.expected).hint(hint));
    }

    pub(crate) fn not_built(&mut self, span: Span, what: &str) {
        self.report(
            Draft::error(span, format!("{what} is not built yet"))
                .expected("a version of isobar that has it"),
        );
    }

    /// A scalar that says something.
    pub(crate) fn scalar<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n Scalar> {
        match &node.kind {
            Kind::Scalar(s) if !s.is_null() => Some(s),
            _ => {
                self.mismatch(node, expected);
                None
            }
        }
    }
}

/// Habits from other files that can be seen in any value.
fn habit(node: &Node, key: &str) -> Option<String> {
    let Kind::Scalar(scalar) = &node.kind else { return None };
    let text = &*scalar.text;
    if let Some(hint) = crate::foreign::word(key, text) {
        return Some(hint);
    }
    if let Some(name) = crate::env::bare_variable(text) {
        return Some(format!("a variable is written `${{{name}}}`"));
    }
    let short = text.len() <= 60 && !scalar.is_secret();
    match text.strip_suffix([';', ',']) {
        Some(plain) if short => Some(format!("no `;` or `,` ends a line of YAML: `{plain}`")),
        _ => None,
    }
}
