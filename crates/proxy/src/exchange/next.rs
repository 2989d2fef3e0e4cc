//! What a request leaves of the connection that it came by.

use super::forward::Tunnel;

pub(crate) enum Next {
    /// Ready for another request.
    Request,
    /// The client sends nothing more: it said so, or it has left.
    Close,
    /// We end the connection, and another request may already be on its way.
    Part,
    /// A body, or unknown bytes, are still to come: shut down our side, discard them, close.
    Linger,
    /// The client must see that the answer is not whole: reset the connection.
    Reset,
    /// Its bytes are copied from here on.
    Tunnel(Box<Tunnel>),
}
