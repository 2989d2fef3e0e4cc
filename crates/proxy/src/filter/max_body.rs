//! `max_body`: how much of a request's body is taken. The listener's own limit still holds.

use isobar_http1::Body;

use super::{Answer, Entry, Filter, RequestCx, Step};
use crate::reason::Reason;

pub(super) const ENTRY: Entry = Entry {
    name: "max_body",
    about: "refuses requests whose body is larger",
    samples: || vec![Box::new(MaxBody(0)), Box::new(MaxBody(4)), Box::new(MaxBody(1 << 20))],
};

/// In bytes; 0 = no body at all.
pub struct MaxBody(pub u64);

impl Filter for MaxBody {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        if let Body::Length(length) = cx.head().body()
            && length > self.0
        {
            return Step::Answer(Answer::new(Reason::BodyTooLarge));
        }
        // What comes in chunks is counted as it comes.
        cx.limit_body(self.0);
        Step::Next
    }
}
