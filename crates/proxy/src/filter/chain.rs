//! The filters of one route in their order, and how far into them a request came.
//!
//! Built by the control plane: the listener's filters, then the route's. A route without any has
//! no chain, which is all that the others pay for.

use std::sync::Arc;

use isobar_http1::{RequestHead, ResponseHead};

use super::{Encoder, Filter, Maker, ResponseCx};
use crate::{answer::Fields, metrics::RouteMetrics};

/// What a request of one route passes through.
pub struct Chain {
    filters: Box<[Arc<dyn Filter>]>,
    /// Counts what the filters answer: no pool had a part in it.
    pub(crate) answered: Arc<RouteMetrics>,
}

impl Chain {
    /// `None` for no filters. `answered` counts the requests that end in one of them.
    pub fn new(filters: Vec<Arc<dyn Filter>>, answered: Arc<RouteMetrics>) -> Option<Arc<Chain>> {
        let some = !filters.is_empty();
        some.then(|| Arc::new(Chain { filters: filters.into(), answered }))
    }
}

/// How far a request came.
pub(crate) struct Passed {
    pub(crate) chain: Arc<Chain>,
    /// So many filters have seen the request, and will see its response.
    seen: usize,
    /// The last of them answered it.
    pub(crate) answered: bool,
    /// What it wants to be said beside the reason.
    pub(crate) fields: Fields,
}

impl Passed {
    pub(crate) fn none_of(chain: Arc<Chain>) -> Self {
        Self { chain, seen: 0, answered: false, fields: Fields::new() }
    }

    /// The next filter, which counts as having seen the request from now on.
    pub(crate) fn next(&mut self) -> Option<Arc<dyn Filter>> {
        let next = self.chain.filters.get(self.seen).cloned();
        self.seen += usize::from(next.is_some());
        next
    }

    /// Shows the response to whoever saw the request, the last one first. What comes back is what its
    /// body is to be sent through.
    pub(crate) fn respond(
        &self,
        request: &RequestHead,
        response: &mut ResponseHead,
        maker: Maker,
    ) -> Option<Box<dyn Encoder>> {
        let mut cx = ResponseCx::new(request, response, maker);
        self.chain.filters[..self.seen].iter().rev().for_each(|filter| filter.response(&mut cx));
        cx.into_encoder()
    }
}
