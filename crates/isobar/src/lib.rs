//! A process lives: threads, configuration, reload, drain, admin API, command line.
//!
//! This crate ties the others together and is the only one that knows them all. Start reading at
//! [`cli`] (what can be asked), then `app` (what `run` does), then `reload`. It knows no HTTP/1
//! framing, no strategy, and moves no client's byte.

mod admin;
mod app;
pub mod cli;
mod control;
mod demo;
mod descriptors;
mod drain;
mod duplex;
mod logging;
mod metrics;
mod notify;
mod overview;
mod plan;
mod registry;
mod reload;
mod renewal;
mod shard;
mod wellknown;
