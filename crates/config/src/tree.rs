//! A YAML file as a tree whose every node knows its place. `parse` makes it, `read` makes values of
//! it; what its keys mean is not known here.

use crate::env;
use crate::source::Span;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// Its problem has been reported.
    Broken,
}

#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: Box<str>,
    /// As it stands in the file, where the environment had a part in `text`.
    pub(crate) written: Option<Box<str>>,
    /// Without quotes: only such a one can be nothing.
    pub(crate) plain: bool,
}

impl Scalar {
    pub(crate) fn quoted(text: &str) -> Scalar {
        Scalar { text: text.into(), written: None, plain: false }
    }

    /// For messages.
    pub(crate) fn shown(&self) -> String {
        let written = self.written.as_deref().filter(|_| self.is_secret());
        let text = written.unwrap_or(&self.text);
        match text.char_indices().nth(60) {
            Some((cut, _)) => format!("`{}…`", &text[..cut]),
            None => format!("`{text}`"),
        }
    }

    /// A variable is in it that is named like a secret: what it holds is never shown.
    pub(crate) fn is_secret(&self) -> bool {
        self.written.as_deref().is_some_and(env::names_a_secret)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// For messages: what stands here.
    pub(crate) fn found(&self) -> String {
        match &self.kind {
            Kind::Scalar(s) if s.is_null() => "nothing".to_owned(),
            Kind::Scalar(s) if s.text.is_empty() => "an empty string".to_owned(),
            Kind::Scalar(s) => s.shown(),
            Kind::List(items) if items.is_empty() => "an empty list".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(entries) if entries.is_empty() => "an empty map".to_owned(),
            Kind::Map(_) => "a map".to_owned(),
            Kind::Broken => "something broken".to_owned(),
        }
    }

    /// The text of a key.
    pub(crate) fn key(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(s) => Some(&s.text),
            _ => None,
        }
    }
}
