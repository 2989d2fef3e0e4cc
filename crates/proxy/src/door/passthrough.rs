//! TLS that is only passed on: the client's first words name a host, and by that its pool is chosen. They are
//! its worker's to answer.

use std::{sync::Arc, task::Poll};

use isobar_pool::{Pool, Stream};
use isobar_tls::{Heard, Hello, Refused};
use tokio::time::Instant;

use super::secure::Unsecured;
use crate::{
    downstream::{deadline::Deadline, standing::Place},
    table::Passthrough,
};

/// Who has said more than this without a whole ClientHello has said none.
const MOST: usize = 16 * 1024;

/// Who cannot be understood, or does not speak in time, has named no host. The bytes are for the worker.
pub(super) async fn choose(
    stream: &mut Stream,
    through: &Passthrough,
    place: &Place,
    timer: &mut Deadline,
    until: Instant,
) -> Result<(Arc<Pool>, Vec<u8>), Unsecured> {
    let mut hello = Hello::to_pass_on();
    let heard = loop {
        let heard = place.idle_while(timer, until, |cx| stream.poll_hello(cx, &mut hello)).await;
        match heard {
            Some(Poll::Ready(Ok(Some(Heard::Again)))) if hello.bytes().len() <= MOST => {}
            Some(Poll::Ready(Ok(Some(heard)))) => break heard.name(),
            // No TLS, or of a kind that only the worker may know.
            Some(Poll::Ready(Err(_))) => break None,
            Some(Poll::Pending | Poll::Ready(Ok(None))) => return Err(Unsecured::Gone),
            None if through.otherwise.is_some() => break None,
            None => return Err(Unsecured::Timeout),
        }
    };
    let named = heard.as_deref().and_then(|name| through.names.find(name));
    match named.or(through.otherwise.as_ref()) {
        Some(pool) => Ok((Arc::clone(pool), hello.bytes().to_vec())),
        None => Err(Unsecured::Refused(Refused::unknown_name("pool", heard.as_deref()))),
    }
}
