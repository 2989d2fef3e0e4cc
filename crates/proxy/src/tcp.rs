//! A TCP connection's life: it waits unread for a slot, gets a worker, and is copied both ways
//! under the lease.
//!
//! [`serve_tcp`] is called by `greet` for listeners of that kind. [`relay`] copies; `forward` uses
//! it too, for tunnels. Bytes are not looked at.

mod relay;
mod serve;
mod waiting;

pub(crate) use relay::{Early, Silence, relay};
pub(crate) use serve::serve_tcp;
