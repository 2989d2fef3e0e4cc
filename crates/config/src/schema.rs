//! The JSON Schema (draft 2020-12) of a configuration, told by the very types that read it.
//!
//! Every reader says what it takes in [`Read::shape`]; `section!` and `words!` do so for what they
//! make, so that a key without a description does not compile and a type without a shape neither.
//! What is built is decided there; here is the frame. The pieces are below, each knowing less:
//! `shapes` (what has a name), `section` (a map of keys), `pieces` (everything smaller). A schema may
//! take more than the reader (what values mean to each other is `convert`'s), never less.

use serde_json::{Value, json};

use crate::raw::File;
use crate::read::Read;
use crate::registry::Registry;

mod pieces;
mod section;
mod shapes;

pub(crate) use pieces::{
    FILLED, IPV4, IPV6, PORT, PRINTABLE, any_of, called, described, list, number, scalar, text,
    words,
};
pub(crate) use section::{Section, rule};
pub(crate) use shapes::Shapes;

/// For editors, and whatever checks a file before Isobar does; YAML is read as its JSON.
pub fn schema(registry: &Registry) -> Value {
    let mut shapes = Shapes::new(registry);
    let root = File::shape(&mut shapes);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Isobar configuration",
        "$ref": root["$ref"],
        "$defs": shapes.into_named(),
    })
}
