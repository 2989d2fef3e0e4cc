//! A request's head as it comes over HTTP/1.

use isobar_http1::{Parsed, RequestHead};
use tokio::time::Instant;

use super::{deadline::Deadline, wire::Wire};
use crate::{reason::Reason, table::ListenerPlan};

/// Why there is no head.
pub(crate) struct Unread {
    pub(crate) reason: Reason,
    /// The parser's status, which may be sharper than the reason's, and its words.
    pub(crate) said: Option<(u16, Box<str>)>,
}

impl From<Reason> for Unread {
    fn from(reason: Reason) -> Self {
        Self { reason, said: None }
    }
}

/// Step 2: the head, whole, within `timeouts.header` of its first byte.
pub(super) async fn read(
    wire: &mut Wire,
    timer: &mut Deadline,
    request: &mut RequestHead,
    listener: &ListenerPlan,
) -> Result<(), Unread> {
    let limits = listener.limits.of_heads();
    let Wire { stream, inbuf, fin, .. } = wire;
    request.reset();
    request.set_underscores(listener.underscores);
    let mut until = None;
    let used = loop {
        match request.parse(inbuf, &limits) {
            Ok(Parsed::Complete(used)) => break used,
            Ok(Parsed::Partial) => {}
            Err(error) => {
                let said = Some((error.status(), error.to_string().into()));
                return Err(Unread { reason: Reason::of(error.reason()), said });
            }
        }
        let until = *until.get_or_insert_with(|| Instant::now() + listener.timeouts.header);
        match timer.within(until, |cx| stream.poll_recv(cx, inbuf)).await {
            Some(Ok(1..)) => {}
            Some(_) => {
                *fin = true;
                return Err(Reason::ClientGone.into());
            }
            None => return Err(Reason::HeaderTimeout.into()),
        }
    };
    if used == inbuf.len() {
        inbuf.clear();
    } else {
        inbuf.drain(..used);
    }
    Ok(())
}
