//! The worker's side of a body: what comes from it goes behind what waits for the client, and its
//! lease ends with its last byte, or with the body that will not become whole.

use std::{io, task::Poll};

use isobar_balance::{Failure, Outcome};
use isobar_http1::{BodyReader, ResponseBody, State};

use super::{By, Download, Stage, compact};
use crate::{
    exchange::{Exchange, record::Record},
    reason::Reason,
    scratch::{self, Scratch},
    upstream::finish::{self, Left},
};

impl Download {
    /// Reads once from the worker, behind what waits for the client.
    pub(super) fn poll_body(
        &mut self,
        exchange: &mut Exchange<'_>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Result<(), Reason>> {
        let Some((_, worker)) = &mut self.from else { return Poll::Ready(Ok(())) };
        let scratch = &mut exchange.scratch;
        if self.overflow.is_none() {
            compact(&mut scratch.out, &mut self.sent);
        }
        worker.poll_read(cx, &mut scratch.down).map(|read| {
            // A large body keeps a turn busy for long.
            exchange.clock.outdate();
            match read {
                Ok(1..) => self.take(exchange),
                ended => self.ended(exchange, ended),
            }
        })
    }

    /// Takes what came from the worker into what goes to the client.
    pub(super) fn take(&mut self, exchange: &mut Exchange<'_>) -> Result<(), Reason> {
        match self.stage {
            Stage::Held(length) => {
                let Scratch { down, parsed, .. } = &mut *exchange.scratch;
                if down.len() - *parsed < length {
                    // Room for what is to come, and for no more.
                    down.drain(..std::mem::take(parsed));
                    down.reserve_exact(length - down.len());
                    return Ok(());
                }
                self.begin(exchange);
            }
            Stage::Ready => {
                self.look_ahead(exchange)?;
                self.begin(exchange);
            }
            Stage::Begun | Stage::Ended => {}
        }
        let scratch = &mut *exchange.scratch;
        scratch::furnish(&mut scratch.out);
        let mut used = std::mem::take(&mut scratch.parsed);
        while used < scratch.down.len() && !self.reader.is_done() {
            let progress = self.reader.advance(&scratch.down[used..]);
            let progress = progress.map_err(|error| bad(&mut exchange.record, &error))?;
            let start = used + progress.skip;
            let data = &scratch.down[start..start + progress.data];
            if let Some(encoding) = &mut self.encoding {
                encoding.take(data);
            } else if !data.is_empty() {
                exchange.record.body += data.len() as u64;
                exchange.downstream.lay_out(self.framing, data, &mut scratch.out);
            }
            used = start + progress.data;
            if progress.state == State::Done || progress.skip + progress.data == 0 {
                break;
            }
        }
        // Bytes behind the end of a message belong to nobody (UP-10).
        let surplus = self.reader.is_done() && used < scratch.down.len();
        if used == scratch.down.len() || surplus {
            scratch.down.clear();
        } else {
            scratch.down.drain(..used);
        }
        if self.reader.is_done() {
            self.worker_keeps &= !surplus;
            return self.whole(exchange);
        }
        if let Some(encoding) = &mut self.encoding {
            encoding.advance().map_err(|_| Reason::Internal)?;
            self.lay_encoded(exchange);
        }
        Ok(())
    }

    /// What is already known to be broken is not begun.
    fn look_ahead(&self, exchange: &mut Exchange<'_>) -> Result<(), Reason> {
        let Scratch { down, parsed, .. } = &*exchange.scratch;
        if !matches!(self.reader, BodyReader::Chunked(_)) {
            return Ok(());
        }
        let (mut reader, mut used) = (self.reader.clone(), *parsed);
        while used < down.len() && !reader.is_done() {
            let progress = reader.advance(&down[used..]);
            let progress = progress.map_err(|error| bad(&mut exchange.record, &error))?;
            let moved = progress.skip + progress.data;
            if moved == 0 {
                break;
            }
            used += moved;
        }
        Ok(())
    }

    /// The worker pauses: what the client can have of the body is not kept back any longer.
    pub(super) fn flush(&mut self, exchange: &mut Exchange<'_>) -> Result<bool, Reason> {
        let Some(encoding) = &mut self.encoding else { return Ok(false) };
        encoding.flush().map_err(|_| Reason::Internal)?;
        Ok(self.lay_encoded(exchange))
    }

    /// Whether there was anything.
    fn lay_encoded(&mut self, exchange: &mut Exchange<'_>) -> bool {
        let Some(encoding) = &mut self.encoding else { return false };
        let encoded = encoding.encoded();
        if encoded.is_empty() {
            return false;
        }
        exchange.record.body += encoded.len() as u64;
        exchange.downstream.lay_out(self.framing, encoded, &mut exchange.scratch.out);
        encoded.clear();
        true
    }

    /// The worker closed or broke the connection.
    fn ended(&mut self, exchange: &mut Exchange<'_>, how: io::Result<usize>) -> Result<(), Reason> {
        if let Err(error) = how {
            exchange.record.words = Some(error.to_string().into());
            return Err(Reason::ResetMidBody);
        }
        if self.reader.eof().is_err() {
            return Err(Reason::ResetMidBody);
        }
        self.worker_keeps = false;
        self.whole(exchange)
    }

    /// The worker's last byte is here: its lease ends, and the slot moves on at once.
    fn whole(&mut self, exchange: &mut Exchange<'_>) -> Result<(), Reason> {
        self.end_lease(exchange);
        scratch::recycle(&mut exchange.scratch.down);
        match self.encoding {
            // Its end is some work, which is not the lease's: see `end`.
            Some(_) => Ok(()),
            None => self.end(exchange).map(|_| ()),
        }
    }

    /// Lays out the end of a body that is whole; of one that is encoded, a piece of what comes before it.
    /// `false`: the end is laid out already.
    pub(super) fn end(&mut self, exchange: &mut Exchange<'_>) -> Result<bool, Reason> {
        if std::mem::replace(&mut self.stage, Stage::Ended) == Stage::Ended {
            return Ok(false);
        }
        if let Some(encoding) = &mut self.encoding {
            encoding.advance().map_err(|_| Reason::Internal)?;
            let idle = encoding.is_idle();
            if idle {
                encoding.finish().map_err(|_| Reason::Internal)?;
            }
            self.lay_encoded(exchange);
            if !idle {
                self.stage = Stage::Begun;
                return Ok(true);
            }
        }
        let Exchange { downstream, scratch, .. } = exchange;
        downstream.end(self.framing, self.reader.trailers(), &mut scratch.out);
        Ok(true)
    }

    fn end_lease(&mut self, exchange: &mut Exchange<'_>) {
        let Some((lease, worker)) = self.from.take() else { return };
        let outcome = Outcome::Served { status: exchange.record.status };
        let Exchange { scratch, incoming, clock, .. } = exchange;
        let response = &scratch.response;
        let closes = !response.keep_alive() && !matches!(response.body(), ResponseBody::UntilClose);
        let took_all = self.upload.finished(incoming, &scratch.up) && !self.upload.gave_up();
        let left = match self.worker_keeps && took_all {
            true => Left::Clean,
            false if closes => Left::Closing,
            false => Left::Broken,
        };
        if left == Left::Clean
            && let Some(seconds) = response.idle_timeout()
        {
            lease.announced(std::time::Duration::from_secs(seconds.into()));
        }
        finish::answered(lease, worker, left, outcome, clock.now());
    }

    /// Ends the lease of a response that will not become whole.
    pub(super) fn broke(&mut self, exchange: &mut Exchange<'_>, reason: Reason) -> Reason {
        if let Some((lease, worker)) = self.from.take() {
            exchange.record.blame(&lease, None);
            let outcome = match reason {
                Reason::RequestTimeout if self.awaited == By::Worker => {
                    Outcome::Failed(Failure::Timeout)
                }
                reason => reason.outcome(),
            };
            finish::cut(lease, worker, outcome, exchange.asked());
        }
        reason
    }
}

#[cold]
fn bad(record: &mut Record, error: &isobar_http1::Error) -> Reason {
    record.words = Some(error.to_string().into());
    Reason::BadResponse
}
