//! What the supervisor tells the state, and what the state answers.

use std::num::NonZeroU32;

use super::rules::Rules;
use crate::health::Health;
use crate::outlier::Sign;

/// A worker as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub weight: Option<NonZeroU32>,
    pub slots: Option<NonZeroU32>,
    /// Tunnels and event streams, where they are counted apart from slots.
    pub tunnels: Option<NonZeroU32>,
    /// 0 serves; 1 and up are backups.
    pub tier: u8,
}

#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The whole set, in the file's order. A name counts once.
    Set(Vec<Member>),
    Probe {
        worker: &'a str,
        result: ProbeResult,
    },
    /// A connect was refused.
    Refused {
        worker: &'a str,
    },
    /// A connect failed in another way, which `why` says.
    Unreachable {
        worker: &'a str,
        why: &'a str,
    },
    /// A connect was tried again after a refusal.
    Recheck {
        worker: &'a str,
        ok: bool,
    },
    /// Its own traffic speaks against it.
    Outlier {
        worker: &'a str,
        sign: Sign,
    },
    /// How an attempt at its warm-up ended.
    WarmUp {
        worker: &'a str,
        result: Result<(), String>,
    },
    Admin {
        worker: &'a str,
        state: AdminState,
    },
    /// Of every worker that the pool has now.
    AdminOfAll {
        state: AdminState,
    },
    /// `None` goes back to the file's value.
    Weight {
        worker: &'a str,
        weight: Option<NonZeroU32>,
    },
    /// `None` goes back to the file's value.
    Slots {
        worker: &'a str,
        slots: Option<NonZeroU32>,
    },
    /// `None` goes back to the file's value.
    Tunnels {
        worker: &'a str,
        tunnels: Option<NonZeroU32>,
    },
    Rules(Rules),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    Ok,
    /// It answered, and not as it should, or the way to it is broken.
    Failed(String),
    /// It did not answer in time; in a panic that is forgiven.
    TimedOut(String),
    /// Nothing was learnt: late timer, no free slot.
    Inconclusive,
}

/// What an operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdminState {
    #[default]
    Up,
    Drain,
    Maintenance,
}

/// What an event did. Nothing set: it stops here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// [`PoolState::usable`](super::PoolState::usable) gives another answer: a new snapshot is due.
    pub usable: bool,
    /// Some member's effective slots or tunnel slots are others.
    pub limits: bool,
    /// Something other than the passing of time did it.
    pub edited: bool,
    /// The pool began to panic, or came to itself.
    pub panic: Option<Panic>,
    /// In the order in which they happened, for the log.
    pub transitions: Vec<Transition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panic {
    Began,
    Ended,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub worker: String,
    pub from: Health,
    pub to: Health,
    pub cause: String,
}
