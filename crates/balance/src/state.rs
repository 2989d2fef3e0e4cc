//! What is true of a pool's workers: the pure reducer behind its supervisor.
//!
//! The supervisor, the only writer, feeds every observation (probes, refused connections, re-checks,
//! operators, a reload) through [`PoolState::apply`]; what comes back says whether a new snapshot
//! is due and what to log. Effective weight and slots are decided here; sockets, timers and
//! strategies are not known.

use std::collections::{HashMap, HashSet};
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
    /// What was answered last, to tell a change from a repetition.
    known: Known,
}

/// One member with what is known of it.
#[derive(Clone, Debug)]
pub struct MemberState {
    member: Member,
    /// What probes and refusals say: starting, up or down.
    observed: Health,
    admin: AdminState,
    weight_override: Option<NonZeroU32>,
    slots_override: Option<NonZeroU32>,
    /// What follows from the two above.
    health: Health,
    since: Instant,
    /// Results in a row that speak against `observed`.
    streak: u32,
    last_probe: Option<Result<(), Arc<str>>>,
    awaits_recheck: bool,
}

#[derive(Default)]
struct Known {
    usable: Vec<(String, Option<NonZeroU32>, Option<NonZeroU32>)>,
    limits: Vec<(String, Option<NonZeroU32>)>,
}

impl PoolState {
    pub fn new(rules: Rules) -> Self {
        Self { rules, members: Vec::new(), known: Known::default() }
    }

    pub fn apply(&mut self, event: Event<'_>, now: Instant) -> Changes {
        self.apply_all([event], now)
    }

    /// A storm costs one rebuild, or none: what went and came back changed nothing but the log.
    /// (A slot word closed by a refusal still has to be opened again by whoever closed it.)
    pub fn apply_all<'a>(
        &mut self,
        events: impl IntoIterator<Item = Event<'a>>,
        now: Instant,
    ) -> Changes {
        let mut transitions = Vec::new();
        let mut edited = false;
        for event in events {
            match event {
                Event::Set(members) => self.set(members, now),
                Event::Rules(rules) => self.set_rules(rules, now, &mut transitions),
                Event::Weight { worker, weight } => {
                    self.with(worker, |member, _| member.weight_override = weight);
                }
                Event::Slots { worker, slots } => {
                    self.with(worker, |member, _| member.slots_override = slots);
                }
                Event::Admin { worker, state } => {
                    transitions.extend(self.with(worker, |m, _| m.asked(state, now)).flatten());
                }
                // Probes are many and nearly always repeat themselves: no comparison for them.
                Event::Probe { worker, result } => {
                    let seen = self.with(worker, |m, rules| m.probed(result, rules, now));
                    transitions.extend(seen.flatten());
                    continue;
                }
                Event::Refused { worker } => {
                    transitions.extend(self.with(worker, |m, r| m.refused(r, now)).flatten());
                    continue;
                }
                Event::Recheck { worker, ok } => {
                    if ok {
                        transitions.extend(self.with(worker, |m, _| m.rechecked(now)).flatten());
                    }
                    continue;
                }
            }
            edited = true;
        }
        let (usable, limits) = match edited || !transitions.is_empty() {
            true => (self.usable_is_new(), self.limits_are_new()),
            false => (false, false),
        };
        Changes { usable, limits, transitions }
    }

    /// The workers of the lowest tier that has any up, in the file's order.
    pub fn usable(&self) -> Vec<Usable<'_>> {
        let up = || self.members.iter().filter(|member| member.health == Health::Up);
        let tier = up().map(|member| member.member.tier).min();
        up().filter(|member| Some(member.member.tier) == tier)
            .map(|member| Usable {
                name: member.name(),
                weight: member.weight(),
                slots: member.slots(),
            })
            .collect()
    }

    pub fn members(&self) -> impl Iterator<Item = &MemberState> {
        self.members.iter()
    }

    /// Every member has had its first verdict.
    pub fn is_settled(&self) -> bool {
        self.members.iter().all(|member| member.observed != Health::Starting)
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// A kept name keeps its health and what an operator asked for; an overridden weight or limit
    /// gives way only where the file's own value changed.
    fn set(&mut self, members: Vec<Member>, now: Instant) {
        let before = std::mem::take(&mut self.members).into_iter();
        let mut before: HashMap<_, _> = before.map(|old| (old.member.name.clone(), old)).collect();
        let mut seen = HashSet::new();
        for member in members {
            if !seen.insert(member.name.clone()) {
                continue;
            }
            self.members.push(match before.remove(&member.name) {
                Some(old) => old.renewed(member),
                None => MemberState::new(member, &self.rules, now),
            });
        }
    }

    fn set_rules(&mut self, rules: Rules, now: Instant, transitions: &mut Vec<Transition>) {
        self.rules = rules;
        for member in &mut self.members {
            transitions.extend(member.ruled(&self.rules, now));
        }
    }

    /// An event about a worker that is gone is late, not wrong.
    fn with<R>(
        &mut self,
        name: &str,
        then: impl FnOnce(&mut MemberState, &Rules) -> R,
    ) -> Option<R> {
        let member = self.members.iter_mut().find(|member| member.member.name == name)?;
        Some(then(member, &self.rules))
    }

    fn usable_is_new(&mut self) -> bool {
        let usable: Vec<_> = self
            .usable()
            .into_iter()
            .map(|usable| (usable.name.to_owned(), usable.weight, usable.slots))
            .collect();
        std::mem::replace(&mut self.known.usable, usable) != self.known.usable
    }

    fn limits_are_new(&mut self) -> bool {
        let limits: Vec<_> =
            self.members.iter().map(|member| (member.name().to_owned(), member.slots())).collect();
        std::mem::replace(&mut self.known.limits, limits) != self.known.limits
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
    fn new(member: Member, rules: &Rules, now: Instant) -> Self {
        let health = if rules.probed { Health::Starting } else { Health::Up };
        Self {
            member,
            observed: health.clone(),
            admin: AdminState::Up,
            weight_override: None,
            slots_override: None,
            health,
            since: now,
            streak: 0,
            last_probe: None,
            awaits_recheck: false,
        }
    }

    fn renewed(self, member: Member) -> Self {
        let weight_override = self.weight_override.filter(|_| self.member.weight == member.weight);
        let slots_override = self.slots_override.filter(|_| self.member.slots == member.slots);
        Self { member, weight_override, slots_override, ..self }
    }

    fn probed(&mut self, result: ProbeResult, rules: &Rules, now: Instant) -> Option<Transition> {
        if !rules.probed {
            return None;
        }
        let failure: Option<Arc<str>> = match result {
            ProbeResult::Inconclusive => return None,
            ProbeResult::Ok => None,
            ProbeResult::Failed(cause) => Some(cause.into()),
        };
        self.last_probe = Some(failure.clone().map_or(Ok(()), Err));
        // The first verdict needs no run: there is nothing it could flap from.
        let needed = match (&self.observed, &failure) {
            (Health::Starting, _) => 1,
            (Health::Up, Some(_)) => rules.fall,
            (Health::Down(_), None) => rules.rise,
            _ => {
                self.streak = 0;
                return None;
            }
        };
        self.streak += 1;
        if self.streak < needed {
            return None;
        }
        match failure {
            Some(cause) => self.observe(Health::Down(cause.clone()), &cause, now),
            None => self.observe(Health::Up, "probe succeeded", now),
        }
    }

    /// A refused connection needs no second opinion: nobody listens there.
    fn refused(&mut self, rules: &Rules, now: Instant) -> Option<Transition> {
        self.streak = 0;
        if matches!(self.observed, Health::Down(_)) {
            return None;
        }
        self.awaits_recheck = !rules.probed;
        self.observe(Health::Down(CONNECT_REFUSED.into()), CONNECT_REFUSED, now)
    }

    fn rechecked(&mut self, now: Instant) -> Option<Transition> {
        self.awaits_recheck.then(|| self.observe(Health::Up, "connection accepted", now))?
    }

    fn asked(&mut self, state: AdminState, now: Instant) -> Option<Transition> {
        self.admin = state;
        self.conclude("operator", now)
    }

    /// Where probes stop nothing would ever bring a worker back that only they had taken out.
    fn ruled(&mut self, rules: &Rules, now: Instant) -> Option<Transition> {
        let refused = self.observed.cause() == Some(CONNECT_REFUSED);
        self.awaits_recheck = !rules.probed && refused;
        if rules.probed || refused || self.observed == Health::Up {
            return None;
        }
        self.observe(Health::Up, "no longer probed", now)
    }

    fn observe(&mut self, observed: Health, cause: &str, now: Instant) -> Option<Transition> {
        self.streak = 0;
        self.awaits_recheck &= observed != Health::Up;
        self.observed = observed;
        self.conclude(cause, now)
    }

    fn conclude(&mut self, cause: &str, now: Instant) -> Option<Transition> {
        let health = match self.admin {
            AdminState::Up => self.observed.clone(),
            AdminState::Drain => Health::Draining,
            AdminState::Maintenance => Health::Maintenance,
        };
        if health == self.health {
            return None;
        }
        self.since = now;
        let from = std::mem::replace(&mut self.health, health.clone());
        Some(Transition { worker: self.member.name.clone(), from, to: health, cause: cause.into() })
    }

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
        self.weight_override.or(self.member.weight)
    }

    /// Effective slots.
    pub fn slots(&self) -> Option<NonZeroU32> {
        self.slots_override.or(self.member.slots)
    }

    pub fn admin(&self) -> AdminState {
        self.admin
    }

    pub fn weight_override(&self) -> Option<NonZeroU32> {
        self.weight_override
    }

    pub fn slots_override(&self) -> Option<NonZeroU32> {
        self.slots_override
    }

    /// How the last conclusive probe ended.
    pub fn last_probe(&self) -> Option<&Result<(), Arc<str>>> {
        self.last_probe.as_ref()
    }

    /// It refused a connection, no probe will bring it back, and so it must be dialled again.
    pub fn awaits_recheck(&self) -> bool {
        self.awaits_recheck
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
