//! One exchange's way through its filters, and its response's way back.

use std::{sync::Arc, task::Poll};

use isobar_http1::{
    Connection as Keep, Limits, Parsed, RequestHead, ResponseBody, ResponseFraming, ResponseHead,
};

use super::{Answer, Chain, Encoder, Passed, PathCx, RequestCx, ResponseCx, Step, Waiting};
use crate::{
    answer::KeepAlive, exchange::Exchange, reason::Reason, route::Behind, scratch::Scratch,
};

/// An answer of our own is never too large for its filters: a client chooses how long a `Location` is,
/// and a configuration how many headers there are.
const OWN_HEAD: Limits = Limits { head_bytes: usize::MAX, headers: usize::MAX, uri: 0 };

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
            let step = filter.request(&mut RequestCx {
                head: &mut self.scratch.request,
                client_ip: self.client_ip,
                now: self.clock.now(),
                body: &mut self.incoming,
                path,
            });
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
        let client = &mut *self.client;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(step) = waiting.as_mut().poll(cx) {
                return Poll::Ready(Ok(step));
            }
            if client.poll_left(cx, on_fin).is_ready() {
                return Poll::Ready(Err(Reason::ClientGone));
            }
            match request {
                Some(until) => {
                    client.deadline.poll_at(cx, until).map(|()| Err(Reason::RequestTimeout))
                }
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Shows the worker's response, in `scratch.response`, to whoever saw the request; says what
    /// its body is to be sent through.
    pub(crate) fn show_response(&mut self) -> Option<Box<dyn Encoder>> {
        let passed = self.filters.as_ref()?;
        let Scratch { request, response, .. } = &mut *self.scratch;
        let mut cx = ResponseCx::forwarded(request, response);
        passed.respond(&mut cx);
        cx.into_encoder()
    }

    /// Shows the answer of our own in `out`; what comes back is in its place.
    pub(crate) fn show_answer(&mut self, out: &mut Vec<u8>, alive: KeepAlive) {
        let Some(passed) = &self.filters else { return };
        let Scratch { request, response, .. } = &mut *self.scratch;
        edit_answer(passed, request, response, out, alive);
    }
}

pub(super) fn edit_answer(
    passed: &Passed,
    request: &RequestHead,
    response: &mut ResponseHead,
    out: &mut Vec<u8>,
    alive: KeepAlive,
) {
    response.reset();
    let Ok(Parsed::Complete(head)) = response.parse(out, &OWN_HEAD, request.method()) else {
        return;
    };
    let framing = match response.body() {
        ResponseBody::Length(length) => ResponseFraming::Length(length),
        _ => ResponseFraming::None,
    };
    passed.respond(&mut ResponseCx::own(request, response));
    let keep = match alive {
        KeepAlive::Yes | KeepAlive::Announced => Keep::KeepAlive,
        KeepAlive::Close => Keep::Close,
    };
    let body = out.split_off(head);
    out.clear();
    response.encode(out, framing, keep, request.version());
    out.extend_from_slice(&body);
}
