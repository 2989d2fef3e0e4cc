//! The pool against real sockets: leases, the queue, connections that travel, health, overrides.
//! Shards are threads with a runtime each, as in the product; timers run in virtual time.

mod change;
mod connections;
mod discovery;
mod health;
mod hold;
mod kit;
mod life;
mod origin;
mod queue;
mod sticky;
mod tiers;
mod tunnels;
