//! Filters of the configuration as live ones.
//!
//! A filter that a reload did not change stays the very one it was: what it counted or remembers
//! is worth keeping.

use std::collections::BTreeMap;
use std::sync::Arc;

use isobar_config::model;
use isobar_proxy::filter::{Filter, access, headers, max_body};

use super::routes;

/// The filters of one listener, or of one of its routes.
pub(crate) type Place = (String, Option<String>);

/// What serves, with what it was made from.
pub(crate) type Kept = BTreeMap<Place, Vec<(model::Filter, Arc<dyn Filter>)>>;

/// Makes what is new of `wanted`; takes the rest out of `before`.
pub(crate) fn live(
    wanted: &[model::Filter],
    before: &[(model::Filter, Arc<dyn Filter>)],
) -> Vec<(model::Filter, Arc<dyn Filter>)> {
    let mut before: Vec<_> = before.iter().collect();
    let mut live = Vec::with_capacity(wanted.len());
    for filter in wanted {
        let same = before.iter().position(|(made_from, _)| made_from == filter);
        let one = match same {
            Some(at) => before.remove(at).1.clone(),
            None => build(filter),
        };
        live.push((filter.clone(), one));
    }
    live
}

fn build(filter: &model::Filter) -> Arc<dyn Filter> {
    match filter {
        model::Filter::Headers { request, response } => {
            Arc::new(headers::Headers { request: edits(request), response: edits(response) })
        }
        model::Filter::Allow(networks) => Arc::new(access::Allow(routes::networks(networks))),
        model::Filter::Deny(networks) => Arc::new(access::Deny(routes::networks(networks))),
        model::Filter::MaxBody(bytes) => Arc::new(max_body::MaxBody(*bytes)),
    }
}

fn edits(edits: &model::FieldEdits) -> headers::Edits {
    let model::FieldEdits { remove, set, add } = edits.clone();
    headers::Edits { remove, set, add }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remove(name: &str) -> model::Filter {
        let edits = model::FieldEdits { remove: vec![name.to_owned()], ..Default::default() };
        model::Filter::Headers { request: edits, response: Default::default() }
    }

    #[test]
    fn what_did_not_change_is_kept() {
        let first = live(&[remove("a"), remove("a"), remove("b")], &[]);
        let second = live(&[remove("b"), remove("a"), remove("c")], &first);
        assert!(Arc::ptr_eq(&first[2].1, &second[0].1));
        assert!(Arc::ptr_eq(&first[0].1, &second[1].1));
        assert!(first.iter().all(|(_, old)| !Arc::ptr_eq(old, &second[2].1)));
    }
}
