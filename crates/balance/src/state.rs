//! What is true of a pool's workers: the pure reducer behind its supervisor.
//!
//! The supervisor, the only writer, feeds every observation (probes, refused connections, re-checks,
//! operators, a reload) through [`PoolState::apply`]; what comes back says whether a new snapshot
//! is due and what to log. Effective weight and slots are decided here; sockets, timers and
//! strategies are not known.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use crate::health::Health;

/// The cause of a worker that refused a connection.
pub const CONNECT_REFUSED: &str = "connect_refused";

/// How single observations become a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether probes decide; if not, a worker is up until it refuses a connection.
    pub probed: bool,
    /// Successes in a row that bring a worker back.
    pub rise: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
}

/// A worker as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub weight: Option<NonZeroU32>,
    pub slots: Option<NonZeroU32>,
    /// 0 serves; 1 and up are backups.
    pub tier: u8,
}

#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The whole set, in the file's order. Names must be distinct.
    Set(Vec<Member>),
    Probe {
        worker: &'a str,
        result: ProbeResult,
    },
    /// A connect was refused.
    Refused {
        worker: &'a str,
    },
    /// A connect was tried again after a refusal.
    Recheck {
        worker: &'a str,
        ok: bool,
    },
    Admin {
        worker: &'a str,
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
    Rules(Rules),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    Ok,
    Failed(String),
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
    /// [`PoolState::usable`] gives another answer: a new snapshot is due.
    pub usable: bool,
    /// Some member's effective slots are others.
    pub limits: bool,
    /// In the order in which they happened, for the log.
    pub transitions: Vec<Transition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub worker: String,
    pub from: Health,
    pub to: Health,
    pub cause: String,
}

/// A worker that may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usable<'a> {
    pub name: &'a str,
    /// Effective and explicit.
    pub weight: Option<NonZeroU32>,
    pub slots: Option<NonZeroU32>,
}

pub struct PoolState {
    rules: Rules,
    members: Vec<MemberState>,
}

/// One member with what is known of it.
#[derive(Clone, Debug)]
pub struct MemberState {
    member: Member,
    health: Health,
    since: Instant,
}

impl PoolState {
    pub fn new(rules: Rules) -> Self {
        Self { rules, members: Vec::new() }
    }

    pub fn apply(&mut self, event: Event<'_>, now: Instant) -> Changes {
        if let Event::Rules(rules) = event {
            self.rules = rules;
        } else if let Event::Set(members) = event {
            self.members = members
                .into_iter()
                .map(|member| MemberState { member, health: Health::Up, since: now })
                .collect();
        }
        Changes { usable: true, ..Changes::default() }
    }

    /// The workers of the lowest tier that has any up, in the file's order.
    pub fn usable(&self) -> Vec<Usable<'_>> {
        Vec::new()
    }

    pub fn members(&self) -> impl Iterator<Item = &MemberState> {
        self.members.iter()
    }

    /// Every member has had its first verdict.
    pub fn is_settled(&self) -> bool {
        true
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

impl Usable<'_> {
    /// Its share of turns.
    pub fn weight_or_one(&self) -> NonZeroU32 {
        self.weight.unwrap_or(NonZeroU32::MIN)
    }

    /// What it can do: its weight, else its slots, else 1.
    pub fn capacity(&self) -> NonZeroU32 {
        self.weight.or(self.slots).unwrap_or(NonZeroU32::MIN)
    }
}

impl MemberState {
    pub fn name(&self) -> &str {
        &self.member.name
    }

    /// As the file has it.
    pub fn member(&self) -> &Member {
        &self.member
    }

    pub fn health(&self) -> &Health {
        &self.health
    }

    /// When its health last changed.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Effective weight.
    pub fn weight(&self) -> Option<NonZeroU32> {
        self.member.weight
    }

    /// Effective slots.
    pub fn slots(&self) -> Option<NonZeroU32> {
        self.member.slots
    }

    pub fn admin(&self) -> AdminState {
        AdminState::Up
    }

    pub fn weight_override(&self) -> Option<NonZeroU32> {
        None
    }

    pub fn slots_override(&self) -> Option<NonZeroU32> {
        None
    }

    /// Why the last conclusive probe failed; `None` if it succeeded or there was none.
    pub fn last_probe(&self) -> Option<&Result<(), Arc<str>>> {
        None
    }

    /// It refused a connection and must be looked at again.
    pub fn awaits_recheck(&self) -> bool {
        false
    }
}
