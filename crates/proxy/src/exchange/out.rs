//! The way out of every answer, whoever made it: past the filters that saw its request, then the
//! head as its client reads it, then the body.

use std::io;

use isobar_http1::{Connection as Keep, ResponseFraming};

use super::Exchange;
use crate::{
    answer,
    downstream::Meanwhile,
    filter::{Encoder, Maker},
    scratch::{self, Scratch},
};

impl Exchange<'_> {
    /// Shows the answer whose head is in `scratch.response` to every filter that saw the request:
    /// once, because it will be sent. What comes back is what its body is sent through.
    pub(crate) fn show(&mut self, maker: Maker) -> Option<Box<dyn Encoder>> {
        let passed = self.filters.as_ref()?;
        let Scratch { request, response, .. } = &mut *self.scratch;
        passed.respond(request, response, maker)
    }

    /// Lays that head out in `scratch.out`, in front of its body.
    pub(crate) fn begin(&mut self, framing: ResponseFraming, keep: Keep) {
        let Scratch { request, response, out, .. } = &mut *self.scratch;
        scratch::furnish(out);
        out.clear();
        self.downstream.begin(request.version(), response, framing, keep, out);
        self.record.head = out.len() as u64;
    }

    /// Sends the answer of our own whose head is in `scratch.response`, with all of its body.
    pub(crate) async fn send(&mut self, body: &[u8], keep: bool) -> io::Result<()> {
        self.show(Maker::Proxy);
        let framing = answer::framing(&self.scratch.response);
        self.begin(framing, if keep { Keep::KeepAlive } else { Keep::Close });
        let mut out = std::mem::take(&mut self.scratch.out);
        if framing != ResponseFraming::None {
            out.extend_from_slice(body);
        }
        let stall = self.listener.timeouts.write_stall;
        let sent = &mut self.record.sent;
        let input = if keep { Meanwhile::Keep } else { Meanwhile::Discard };
        let wrote = self.downstream.send(self.timer, &out, stall, sent, input).await;
        self.scratch.out = out;
        wrote
    }
}
