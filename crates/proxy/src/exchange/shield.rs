//! Step 4½: what of a request's body is waited for ahead of the lease, in memory and on disk.
//!
//! Who talks with the worker while the body is under way (gRPC, or a chunked upload that pauses
//! after its first piece, as NDJSON both ways does) must not wait here for ever: it is streamed.

use std::{sync::Arc, task::Poll, time::Duration};

use isobar_http1::{Body, FieldId};

use isobar_pool::{Pool, Spill};
use tokio::time::Instant as Until;

use super::{
    Exchange, Expects, forward,
    spool::{Spilled, Spool},
};
use crate::{reason::Reason, scratch};

/// A chunked upload that is silent for so long waits for an answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What was waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    All,
    /// The client says nothing for now.
    Pauses,
}

impl Exchange<'_> {
    pub(super) fn hold_nothing(&mut self) {
        self.scratch.body.clear();
    }

    /// Step 4½, the shield: where slots are limited a slow client's body is waited for here, not
    /// in a worker. What already came is taken in any case, so that it can be sent again.
    pub(super) async fn hold_body(&mut self, pool: &Pool) -> Result<(), Reason> {
        let shield = self.shield(pool);
        scratch::furnish(&mut self.scratch.body);
        self.downstream.take_body(&mut self.incoming, &mut self.scratch.body)?;
        if !self.incoming.ended() && self.scratch.request.expect_continue() {
            self.expects = Expects::Continue { until: None };
            // Whoever reads ahead says so; else it is the worker's to say, or to refuse.
            if shield > 0 {
                self.tell_continue().await.map_err(|_| Reason::ClientGone)?;
            }
        }
        let mut body = std::mem::take(&mut self.scratch.body);
        let pause = (self.scratch.request.body() == Body::Chunked).then_some(PAUSE);
        let read = self.read_body(&mut body, shield, pause).await;
        self.scratch.body = body;
        if read? == Held::All
            && shield > 0
            && !self.incoming.ended()
            && let Some(spill) = pool.spill()
        {
            Box::pin(self.spill_body(&spill)).await?;
        }
        Ok(())
    }

    /// How much of the body is waited for in memory; 0 = it is streamed.
    fn shield(&self, pool: &Pool) -> usize {
        let kind = self.scratch.request.value(FieldId::ContentType).unwrap_or_default();
        if !pool.limited() || forward::is_grpc(kind) {
            return 0;
        }
        let route = self.to().and_then(|to| to.buffer.request);
        route.unwrap_or_else(|| pool.policy().buffer.request)
    }

    /// Reads until `body` has so many bytes or is whole, or the client says nothing for `pause`.
    async fn read_body(
        &mut self,
        body: &mut Vec<u8>,
        most: usize,
        pause: Option<Duration>,
    ) -> Result<Held, Reason> {
        let body_idle = self.listener.timeouts.body_idle;
        let request = self.limits().request;
        let Self { downstream, timer, incoming, .. } = self;
        while !incoming.ended() && body.len() < most {
            let now = Until::now();
            let (idle, paused) = (now + body_idle, pause.map(|pause| now + pause));
            let (until, late) = match request {
                Some(request) if request < idle => (request, Reason::RequestTimeout),
                _ => (idle, Reason::BodyTimeout),
            };
            let read = std::future::poll_fn(|cx| {
                if let Poll::Ready(read) = downstream.poll_body(cx, incoming, body) {
                    return Poll::Ready(read.map(|()| Held::All));
                }
                match paused.filter(|&paused| paused < until) {
                    Some(paused) => timer.poll_at(cx, paused).map(|()| Ok(Held::Pauses)),
                    None => timer.poll_at(cx, until).map(|()| Err(late)),
                }
            });
            if read.await? == Held::Pauses {
                return Ok(Held::Pauses);
            }
        }
        Ok(Held::All)
    }

    /// What the shield's memory does not hold goes to disk, as far as there is room.
    async fn spill_body(&mut self, spill: &Arc<Spill>) -> Result<(), Reason> {
        // It was said why not; the body is streamed.
        let Ok(mut spool) = Spool::create(spill).await else { return Ok(()) };
        let mut piece = scratch::buffer();
        while !self.incoming.ended() {
            self.read_body(&mut piece, scratch::BUFFER, None).await?;
            if spool.push(&mut piece).await.map_err(|_| Reason::Internal)? == Spilled::No {
                break;
            }
        }
        scratch::recycle(&mut piece);
        self.incoming.spool = Some(Box::new(spool));
        Ok(())
    }
}
