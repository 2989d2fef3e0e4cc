//! Filters of the configuration as live ones.
//!
//! A filter that a reload did not change stays the very one it was: what it counted or remembers
//! is worth keeping.

use std::collections::BTreeMap;
use std::sync::Arc;

use isobar_config::model;
use isobar_proxy::filter::{
    Filter, access, basic_auth, compression, headers, max_body, rate_limit, rewrite,
};

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
        model::Filter::Rewrite(model::Rewrite { path, host }) => Arc::new(rewrite::Rewrite {
            path: path.as_ref().map(routes::new_path),
            host: host.clone(),
        }),
        model::Filter::RateLimit(limit) => {
            let key = match &limit.key {
                model::RateKey::ClientIp => rate_limit::Key::ClientIp,
                model::RateKey::Header(name) => rate_limit::Key::Header(name.clone()),
                model::RateKey::Global => rate_limit::Key::Global,
            };
            let model::RateLimit { count, unit, burst, keys, .. } = *limit;
            Arc::new(rate_limit::RateLimit::new(key, count, unit, burst, keys))
        }
        model::Filter::BasicAuth(auth) => {
            let users = auth.users.iter().map(|user| (user.name.clone(), user.hash.clone()));
            let forwarding = match auth.authorization {
                model::Forwarding::Remove => basic_auth::Forwarding::Remove,
                model::Forwarding::Keep => basic_auth::Forwarding::Keep,
            };
            Arc::new(basic_auth::BasicAuth::new(users.collect(), &auth.realm, forwarding))
        }
        model::Filter::Compression(wanted) => {
            let codings = wanted.encodings.iter().map(|coding| match coding {
                model::Coding::Gzip => compression::Coding::Gzip,
                model::Coding::Br => compression::Coding::Br,
                model::Coding::Zstd => compression::Coding::Zstd,
            });
            Arc::new(compression::Compression::new(
                codings.collect(),
                wanted.types.clone(),
                wanted.min_size,
                wanted.max_active,
            ))
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
    use std::collections::BTreeSet;

    use isobar_proxy::filter::TABLE;

    use super::*;

    /// The configuration must not know the proxy, so each has a list of its own; the documentation
    /// is the third.
    #[test]
    fn a_file_can_name_every_filter_there_is_and_no_other() {
        let there_are: BTreeSet<&str> = TABLE.iter().map(|entry| entry.name).collect();
        assert_eq!(there_are.len(), TABLE.len(), "one is there twice");
        let schema = isobar_config::schema(&crate::registry::registry());
        let keys = schema["$defs"]["Filter"]["properties"].as_object().unwrap();
        let keys: BTreeSet<&str> = keys.keys().map(String::as_str).collect();
        assert_eq!(keys, there_are);
        let sections = include_str!("../../../../docs/filters.md").lines();
        let sections = sections.filter_map(|line| line.strip_prefix("## "));
        let sections: BTreeSet<&str> = sections.flat_map(|names| names.split(", ")).collect();
        assert_eq!(sections, there_are);
    }

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
