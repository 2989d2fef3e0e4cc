//! Where connections come in: accepted, admitted or turned away, and handed to who speaks their
//! protocol.

pub(crate) mod greet;
pub(crate) mod listener;
pub(crate) mod socket;

pub use socket::ListenSocket;
