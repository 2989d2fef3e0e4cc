//! Step 4½: what of a request's body is waited for ahead of the lease, in memory and on disk.

use std::{sync::Arc, task::Poll};

use isobar_pool::{Pool, Spill};
use tokio::time::Instant as Deadline;

use super::Exchange;
use crate::{
    answer,
    reason::Reason,
    scratch,
    spool::{Spilled, Spool},
};

impl Exchange<'_> {
    pub(super) fn hold_nothing(&mut self) {
        self.scratch.body.clear();
    }

    /// Step 4½, the shield: where slots are limited a slow client's body is waited for here, not
    /// in a worker. What already came is taken in any case, so that it can be sent again.
    pub(super) async fn hold_body(&mut self, pool: &Pool) -> Result<(), Reason> {
        let shield = if pool.limited() { pool.policy().buffer.request } else { 0 };
        scratch::furnish(&mut self.scratch.body);
        self.incoming.decode(&mut self.client.inbuf, &mut self.scratch.body)?;
        if !self.incoming.ended() && self.scratch.request.expect_continue() {
            let stall = self.listener.timeouts.write_stall;
            // No part of a response: another attempt may follow.
            let told = self.client.write_all(answer::CONTINUE, stall, &mut 0).await;
            told.map_err(|_| Reason::ClientGone)?;
        }
        let mut body = std::mem::take(&mut self.scratch.body);
        let read = self.read_body(&mut body, shield).await;
        self.scratch.body = body;
        read?;
        if shield > 0
            && !self.incoming.ended()
            && let Some(spill) = pool.spill()
        {
            Box::pin(self.spill_body(&spill)).await?;
        }
        Ok(())
    }

    /// Reads until `body` has so many bytes or is whole.
    async fn read_body(&mut self, body: &mut Vec<u8>, most: usize) -> Result<(), Reason> {
        let body_idle = self.listener.timeouts.body_idle;
        let request = self.limits().request;
        let Self { client, incoming, .. } = self;
        while !incoming.ended() && body.len() < most {
            let idle = Deadline::now() + body_idle;
            let (until, late) = match request {
                Some(request) if request < idle => (request, Reason::RequestTimeout),
                _ => (idle, Reason::BodyTimeout),
            };
            let read = std::future::poll_fn(|cx| {
                if let Poll::Ready(read) = incoming.poll_more(client, cx, body) {
                    return Poll::Ready(read);
                }
                client.deadline.poll_at(cx, until).map(|()| Err(late))
            });
            read.await?;
        }
        Ok(())
    }

    /// What the shield's memory does not hold goes to disk, as far as there is room.
    async fn spill_body(&mut self, spill: &Arc<Spill>) -> Result<(), Reason> {
        // It was said why not; the body is streamed.
        let Ok(mut spool) = Spool::create(spill).await else { return Ok(()) };
        let mut piece = scratch::buffer();
        while !self.incoming.ended() {
            self.read_body(&mut piece, scratch::BUFFER).await?;
            if spool.push(&mut piece).await.map_err(|_| Reason::Internal)? == Spilled::No {
                break;
            }
        }
        scratch::recycle(&mut piece);
        self.incoming.spool = Some(Box::new(spool));
        Ok(())
    }
}
