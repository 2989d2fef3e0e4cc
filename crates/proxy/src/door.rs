//! Where connections come in: accepted, admitted or turned away, and handed to who speaks their
//! protocol.

mod answer;
pub(crate) mod greet;
pub(crate) mod listener;
mod passthrough;
mod proxied;
mod secure;
pub(crate) mod socket;

pub use socket::ListenSocket;
