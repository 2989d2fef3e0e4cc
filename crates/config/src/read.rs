//! From a tree to typed values, gathering every problem on the way.
//!
//! `section!` makes a struct, its key table and its reader from one table in `raw`; leaves implement
//! [`Read`] in `leaf`. A reader that returns None has reported why, and says in its shape what it takes.
//! What values mean to each other is decided later, in `convert`.

mod concealed;
mod cx;
mod forms;
mod keys;
mod named;
mod near;
mod tables;

use serde_json::Value;

use crate::schema::Shapes;
use crate::source::Span;
use crate::tree::Node;
pub(crate) use concealed::Concealed;
pub(crate) use cx::{Cx, MAX_NODES};
pub(crate) use forms::{Many, OneOrMany, Switch, is_off};
pub(crate) use keys::{Keyed, Keys, Refused};
pub(crate) use named::Named;
pub(crate) use near::did_you_mean;
pub(crate) use tables::{section, words};

pub(crate) trait Read: Sized {
    /// None = reported.
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// The JSON Schema of what `read` takes: never narrower than it.
    fn shape(shapes: &mut Shapes<'_>) -> Value;

    /// How a list of it is written, for whoever wrote `node` instead of a list.
    fn as_items(_node: &Node) -> Option<String> {
        None
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T: Read> Read for Spanned<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::read(node, cx).map(|value| Spanned { value, span: node.span })
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        T::shape(shapes)
    }
}

/// What a section says about one of its keys.
#[derive(Debug, Clone, Default)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    /// It is there, and its problem has been reported.
    Broken,
    Given(Spanned<T>),
}

impl<T> Field<T> {
    pub(crate) fn given(self) -> Option<Spanned<T>> {
        match self {
            Field::Given(spanned) => Some(spanned),
            Field::Absent | Field::Broken => None,
        }
    }

    pub(crate) fn as_given(&self) -> Option<&Spanned<T>> {
        match self {
            Field::Given(spanned) => Some(spanned),
            Field::Absent | Field::Broken => None,
        }
    }

    pub(crate) fn value(self) -> Option<T> {
        self.given().map(|s| s.value)
    }

    pub(crate) fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }
}

impl<T: Read> Field<T> {
    pub(crate) fn read(node: &Node, cx: &mut Cx<'_>) -> Field<T> {
        Spanned::read(node, cx).map_or(Field::Broken, Field::Given)
    }
}
