//! `isobar proxy`: a configuration from flags.
//!
//! Every flag is a source of its own, so that the readers of the file read the flags too and a problem
//! names the flag.

use std::num::NonZeroU32;

use crate::convert;
use crate::model::Config;
use crate::problem::Problems;
use crate::raw;
use crate::read::{Cx, Field, Many, OneOrMany, Read, Spanned, Switch};
use crate::registry::Registry;
use crate::source::{SourceKind, Span};
use crate::tree::{Kind, Node, Scalar};

impl Config {
    /// One listener, one pool, no file: the listener is `web`, the pool `app`.
    pub fn proxy(
        from: &str,
        to: &[String],
        strategy: Option<&str>,
        slots: Option<NonZeroU32>,
        registry: &Registry,
    ) -> Result<Config, Problems> {
        // The shell has filled in the variables.
        let mut cx = Cx::new(&|_| None);
        let from = flag("--from", from, &mut cx);
        let span = from.span;
        let to_missing = to.is_empty().then(|| flag("--to", "", &mut cx));
        let bind = match Spanned::read(&from, &mut cx) {
            Some(one) => Field::Given(Spanned { value: OneOrMany(vec![one]), span }),
            None => Field::Broken,
        };
        let mut workers = Vec::with_capacity(to.len());
        for address in to {
            let node = flag("--to", address, &mut cx);
            workers.extend(Spanned::<raw::Worker>::read(&node, &mut cx));
        }
        let workers_span = to_missing.map_or(span, |node| node.span);
        let strategy = match strategy {
            None => Field::Absent,
            Some(name) => Field::read(&flag("--strategy", name, &mut cx), &mut cx),
        };
        let slots = match slots {
            None => Field::Absent,
            // Through its reader: the same bounds as in a file.
            Some(n) => Field::<Switch<_>>::read(&flag("--slots", &n.to_string(), &mut cx), &mut cx),
        };
        let pool_name = Node { span, kind: Kind::Scalar(Scalar::quoted("app")) };
        let listener = raw::Listener {
            bind,
            pool: Field::read(&pool_name, &mut cx),
            ..raw::Listener::empty(span)
        };
        let workers = match workers.is_empty() && !to.is_empty() {
            true => Field::Broken,
            false => Field::Given(Spanned { value: Many(workers), span: workers_span }),
        };
        let pool = raw::Pool { strategy, slots, workers, ..raw::Pool::empty(span) };
        let config = convert::convert(raw::File::of(listener, pool, span), registry, &mut cx);
        cx.finish().map(|_| config)
    }
}

fn flag(name: &str, value: &str, cx: &mut Cx<'_>) -> Node {
    let source = cx.sources.add(SourceKind::Flag, name, value.to_owned());
    let width = value.chars().count().max(1) as u32;
    let span = Span { width, ..Span::start(source) };
    Node { span, kind: Kind::Scalar(Scalar::quoted(value)) }
}
