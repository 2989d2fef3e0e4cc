//! One request's way through its filters.

use std::{sync::Arc, task::Poll};

use super::Exchange;
use crate::{
    filter::{Answer, Chain, Passed, PathCx, RequestCx, Step, Waiting},
    reason::Reason,
    route::path::Behind,
};

impl Exchange<'_> {
    /// Shows the request to every filter in order. `Err`: one of them answered it, or nobody waits
    /// for an answer any more.
    pub(crate) async fn pass(&mut self, chain: Arc<Chain>) -> Result<(), Reason> {
        let mut passed = Passed::none_of(chain);
        let mut result = Ok(());
        let route = self.route.as_ref();
        // Lent to the filters, and given back below.
        let target = self.target.take();
        let path = PathCx {
            target: target.as_deref(),
            matched: route.map_or(0, |route| route.matched),
            behind: route.map_or(Behind::Plain, |route| route.behind),
            slashes: self.slashes(),
        };
        while let Some(filter) = passed.next() {
            let mut cx = RequestCx {
                head: &mut self.scratch.request,
                client_ip: self.client_ip,
                now: self.clock.now(),
                most_body: u64::MAX,
                path,
            };
            let step = filter.request(&mut cx);
            self.incoming.limit(cx.most_body);
            result = self.take_step(step, &mut passed).await;
            if result.is_err() {
                break;
            }
        }
        self.target = target;
        self.filters = Some(passed);
        result
    }

    async fn take_step(&mut self, mut step: Step, passed: &mut Passed) -> Result<(), Reason> {
        loop {
            match step {
                Step::Next => return Ok(()),
                Step::Answer(Answer { reason, fields }) => {
                    (passed.answered, passed.fields) = (true, fields);
                    return Err(reason);
                }
                Step::Wait(waiting) => step = self.wait_for(waiting).await?,
            }
        }
    }

    /// Waits no longer than the client and the request's own time.
    async fn wait_for(&mut self, mut waiting: Waiting) -> Result<Step, Reason> {
        let request = self.limits().request;
        let on_fin = self.listener.client_fin;
        let Self { downstream, timer, .. } = &mut *self;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(step) = waiting.as_mut().poll(cx) {
                return Poll::Ready(Ok(step));
            }
            if downstream.poll_left(cx, timer, on_fin).is_ready() {
                return Poll::Ready(Err(Reason::ClientGone));
            }
            match request {
                Some(until) => timer.poll_at(cx, until).map(|()| Err(Reason::RequestTimeout)),
                None => Poll::Pending,
            }
        })
        .await
    }
}
