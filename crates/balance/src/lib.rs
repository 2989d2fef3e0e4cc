//! Which worker, may it, and what did that outcome mean.
//!
//! Everything here is synchronous and pure: time comes in as an [`std::time::Instant`], chance as
//! a passed-in generator. `pool` drives it and `simulate` replays it; it knows no socket, no
//! runtime, no clock and no YAML.
//!
//! Read in this order: [`slots`](Slots) (may it), [`strategy`] (which), [`waiters`](Waiters) (who
//! is next when nothing is free), [`state`] (which workers may be used at all).

pub mod budget;
mod candidate;
pub mod fairness;
mod health;
mod key_hash;
mod lease;
mod need;
pub mod outlier;
pub mod shard;
mod slots;
pub mod state;
pub mod stats;
pub mod strategy;
mod sync;
mod timing;
mod waiters;
mod worker;

pub use candidate::{Candidate, PickCx, Reserved, Tried, Turns};
pub use health::Health;
pub use key_hash::{client_key, text_key};
pub use lease::{Failure, Outcome};
pub use need::{Held, Need};
pub use slots::{SlotWord, Slots};
pub use strategy::{Key, Picker, SlowStart, Strategy};
pub use timing::Timing;
pub use waiters::{Grant, Join, Seat, Seats, Ticket, Waiters};
pub use worker::{Worker, WorkerId, WorkerStats};
