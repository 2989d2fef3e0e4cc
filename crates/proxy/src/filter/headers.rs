//! `headers`: sets, adds and removes fields of the request and of the response.
//!
//! Names and values are judged by the configuration; the codec once more refuses whatever would
//! change framing or end a line.

use super::{Entry, Filter, RequestCx, ResponseCx, Step};

pub(super) const ENTRY: Entry = Entry {
    name: "headers",
    about: "sets, adds and removes header fields of the request and the response",
    samples,
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    pub request: Edits,
    pub response: Edits,
}

/// Done in this order: remove, set, add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    pub remove: Vec<String>,
    /// Replaces every field of the name.
    pub set: Vec<(String, String)>,
    pub add: Vec<(String, String)>,
}

impl Filter for Headers {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        let Edits { remove, set, add } = &self.request;
        let head = cx.edit();
        remove.iter().for_each(|name| head.remove_named(name));
        set.iter().for_each(|(name, value)| head.set(name, value));
        add.iter().for_each(|(name, value)| head.append(name, value));
        Step::Next
    }

    fn response(&self, cx: &mut ResponseCx<'_>) {
        let Edits { remove, set, add } = &self.response;
        let head = cx.edit();
        remove.iter().for_each(|name| head.remove_named(name));
        set.iter().for_each(|(name, value)| head.set(name, value));
        add.iter().for_each(|(name, value)| head.append(name, value));
    }
}

fn samples() -> Vec<Box<dyn Filter>> {
    let pairs = |name: &str| vec![(name.to_owned(), "one".to_owned())];
    let edits = || Edits {
        remove: vec!["Cookie".to_owned(), "X-Two".to_owned()],
        set: pairs("X-One"),
        add: pairs("x-one"),
    };
    let both = Headers { request: edits(), response: edits() };
    vec![Box::new(Headers::default()), Box::new(both)]
}
