//! TLS: sessions, certificates, and which client is served with which.
//!
//! Nobody else names rustls. A [`Session`] sits between a socket, which it never waits for, and plain
//! bytes; a [`Server`] says with which certificate a client is served and whether it must show one. The
//! provider of the cryptography is always passed on explicitly: two of them in one program cannot get
//! into each other's way.

mod authority;
mod certificate;
mod client;
mod facts;
mod hello;
mod names;
mod pem;
mod provider;
mod server;
mod session;
mod words;

pub use authority::{Authority, Clients};
pub use certificate::{Certificate, Loaded};
pub use client::{Client, Trust};
pub use facts::{Facts, Version};
pub use hello::{Heard, Hello, Refused};
pub use names::Names;
pub use pem::Bad;
pub use server::{Offer, Options, Server, Unknown};
pub use session::{Got, Look, Session, Shaken, Transport};
pub use words::{Side, why};
