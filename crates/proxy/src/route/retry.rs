//! When a request of a route is tried again.

use std::time::Duration;

pub struct RetryPolicy {
    /// The first one included.
    pub attempts: u32,
    /// From the request sent (one without a body: from its lease) to the response's head; what
    /// takes longer is tried again.
    pub per_try: Option<Duration>,
    /// No connection came about.
    pub connect: bool,
    /// The connection broke before the response's first byte went to the client.
    pub reset: bool,
    /// Responses that are not passed on while another attempt may be made.
    pub statuses: Box<[u16]>,
    /// Bytes of a request's body that are kept to be sent again; what was held ahead of the lease
    /// or came with the head is kept anyway.
    pub replay: usize,
}

impl RetryPolicy {
    /// One attempt, whatever comes of it.
    pub fn never() -> Self {
        Self {
            attempts: 1,
            per_try: None,
            connect: false,
            reset: false,
            statuses: Box::default(),
            replay: 0,
        }
    }
}
