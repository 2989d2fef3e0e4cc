//! The kit the end-to-end tests are made of: the built binary on a configuration of its own, raw
//! HTTP clients, origins that record or misbehave, real gunicorn and uvicorn workers, open-loop
//! load, and the queueing arithmetic the promise is judged by.
//!
//! It knows the binary only from outside (command line, sockets, logs, metrics) and none of the
//! crates. Ports are always 0, nothing is shared between tests, and a process is only ever killed
//! by the id this kit was given when it started it.

pub mod access_log;
pub mod apps;
pub mod black_hole;
pub mod cgroup;
pub mod clock;
pub mod crowd;
pub mod discovery;
pub mod dns;
pub mod http;
pub mod isobar;
pub mod load;
pub mod machine;
pub mod metrics;
pub mod origin;
pub mod proxy;
pub mod queueing;
pub mod scratch;
pub mod skip;
pub mod sockets;
pub mod terminal;
pub mod tls;
pub mod wait;
