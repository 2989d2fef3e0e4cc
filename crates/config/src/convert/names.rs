//! The names of pools and sites that listeners and routes may refer to, and who did: a pool serves HTTP
//! or TCP, and what nobody uses is said. What a route does with a pool is not known here.

use std::collections::HashMap;

use super::http_only::HttpOnly;
use crate::leaf::Text;
use crate::model::{OnOff, RouteTimeouts};
use crate::problem::Draft;
use crate::raw::{self, Protocol};
use crate::read::{Cx, Field, Many, Spanned, did_you_mean};
use crate::source::Span;

/// The names that may be referred to.
pub(super) struct Names {
    /// The pools that exist, whether or not they are whole.
    pub(super) pools: HashMap<String, PoolFacts>,
    /// All pools could be read: a name that is not there does not exist.
    pub(super) pools_known: bool,
    pub(super) sites: HashMap<String, Site>,
    pub(super) sites_known: bool,
    /// What listeners say nothing about.
    pub(super) forwarded: OnOff,
    /// Somebody may say who clients are.
    pub(super) trusts_proxies: bool,
}

pub(super) struct Site {
    pub(super) name: Span,
    pub(super) routes: Field<Many<raw::Route>>,
    pub(super) used: bool,
}

/// What the routes need to know of a pool.
pub(super) struct PoolFacts {
    pub(super) name: Span,
    pub(super) timeouts: RouteTimeouts,
    /// The first listener's protocol, and its name.
    pub(super) serves: Option<(Protocol, String)>,
    pub(super) http_only: HttpOnly,
}

impl Names {
    /// A listener's or route's `pool`; None = reported, or not to be known.
    pub(super) fn pool(
        &mut self,
        reference: &Spanned<Text>,
        protocol: Protocol,
        listener: &str,
        cx: &mut Cx<'_>,
    ) -> Option<&PoolFacts> {
        let Spanned { value, span } = reference;
        let Some(facts) = self.pools.get_mut(&value.text) else {
            if self.pools_known {
                let names = self.pools.keys().map(String::as_str);
                let hint = did_you_mean(&value.text, names);
                let mut known: Vec<&str> = self.pools.keys().map(String::as_str).collect();
                known.sort_unstable();
                known.truncate(20);
                let expected = match known.is_empty() {
                    true => "a pool under `pools:`".to_owned(),
                    false => format!("one of the pools {}", known.join(", ")),
                };
                let message = format!("there is no pool {}", value.shown);
                cx.report(Draft::error(*span, message).expected(expected).hint(hint));
            }
            return None;
        };
        match &facts.serves {
            Some((other, by)) if *other != protocol => {
                let word = |p| if p == Protocol::Http { "http" } else { "tcp" };
                let message = format!("the pool {} serves {} already", value.shown, word(*other));
                cx.report(
                    Draft::error(*span, message)
                        .expected(format!("a pool of its own for {}", word(protocol)))
                        .hint(format!("the listener `{by}` uses it")),
                );
            }
            Some(_) => {}
            None => {
                facts.serves = Some((protocol, listener.to_owned()));
                if protocol == Protocol::Tcp {
                    facts.http_only.report(listener, cx);
                }
            }
        }
        self.pools.get(&value.text)
    }

    pub(super) fn report_unused(&self, cx: &mut Cx<'_>) {
        if cx.incomplete || cx.has_errors() {
            return;
        }
        for (name, facts) in &self.pools {
            if facts.serves.is_none() {
                let message = format!("the pool `{name}` is never used");
                cx.report(Draft::warning(facts.name, message));
            }
        }
    }
}
