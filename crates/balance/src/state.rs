//! What is true of a pool's workers: the pure reducer behind its supervisor.
//!
//! The supervisor, the only writer, feeds every observation (probes, refused connections, re-checks,
//! outliers, warm-ups, operators, a reload) through [`PoolState::apply`]; what comes back says
//! whether a new snapshot is due and what to log. What happens by itself (an ejection ends, a slow
//! start goes on) happens in the next `apply` after [`PoolState::next_due`]. Effective weight, share
//! and slots are decided here; sockets, timers and strategies are not known.
//!
//! Read `event` (what comes in and out), then `member` (one worker), then `usable` (all of them).

mod ejection;
mod event;
mod member;
mod ramp;
mod rules;
mod usable;

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Instant;

pub use self::ejection::Ejection;
pub use self::event::{AdminState, Changes, Event, Member, Panic, ProbeResult, Transition};
use self::member::At;
pub use self::member::{CONNECT_REFUSED, MemberState};
pub use self::rules::{Outlier, Rules};
pub use self::usable::{FULL_SHARE, Usable};
use crate::health::Health;
use crate::outlier::Sign;

pub struct PoolState {
    rules: Rules,
    members: Vec<MemberState>,
    /// Where the steps of slow starts are counted from: the first event.
    epoch: Option<Instant>,
    panic: bool,
    /// What was answered last, to tell a change from a repetition.
    known: Known,
}

#[derive(Default)]
struct Known {
    usable: Vec<(String, Part)>,
    limits: Vec<(String, Limits)>,
}

/// Slots and tunnel slots.
type Limits = (Option<NonZeroU32>, Option<NonZeroU32>);

/// What is known of a usable worker: weight, slots, share, tier.
type Part = (Option<NonZeroU32>, Option<NonZeroU32>, u32, u8);

impl PoolState {
    pub fn new(rules: Rules) -> Self {
        Self { rules, members: Vec::new(), epoch: None, panic: false, known: Known::default() }
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
        let stepped = self.tick(&mut transitions, now);
        let mut edited = false;
        for event in events {
            match event {
                Event::Set(members) => self.set(members, now),
                Event::Rules(rules) => self.set_rules(rules, &mut transitions, now),
                Event::Weight { worker, weight } => {
                    self.with(worker, now, |member, _| member.weight_override = weight);
                }
                Event::Slots { worker, slots } => {
                    self.with(worker, now, |member, _| member.slots_override = slots);
                }
                Event::Tunnels { worker, tunnels } => {
                    self.with(worker, now, |member, _| member.tunnels_override = tunnels);
                }
                // What they change shows as a transition, or as the end of hope below.
                Event::Admin { worker, state } => {
                    let seen = self.with(worker, now, |m, at| m.asked(state, at));
                    transitions.extend(seen.flatten());
                }
                Event::AdminOfAll { state } => {
                    let epoch = *self.epoch.get_or_insert(now);
                    let at = At { rules: &self.rules, epoch, now };
                    let asked = self.members.iter_mut().filter_map(|m| m.asked(state, &at));
                    transitions.extend(asked);
                }
                Event::WarmUp { worker, result } => {
                    let seen = self.with(worker, now, |m, at| m.warmed_up(result, at));
                    transitions.extend(seen.flatten());
                }
                // Probes are many and nearly always repeat themselves: no comparison for them.
                Event::Probe { worker, result } => {
                    let seen = self.with(worker, now, |m, at| m.probed(result, at));
                    transitions.extend(seen.flatten());
                    continue;
                }
                Event::Refused { worker } => {
                    transitions.extend(self.with(worker, now, MemberState::refused).flatten());
                    continue;
                }
                Event::Unreachable { worker, why } => {
                    let seen = self.with(worker, now, |member, at| member.away(why, at));
                    transitions.extend(seen.flatten());
                    continue;
                }
                Event::Recheck { worker, ok } => {
                    if ok {
                        let seen = self.with(worker, now, MemberState::rechecked);
                        transitions.extend(seen.flatten());
                    }
                    continue;
                }
                Event::Outlier { worker, sign } => {
                    transitions.extend(self.outlier(worker, sign, now));
                    continue;
                }
            }
            edited = true;
        }
        if !edited && !stepped && transitions.is_empty() {
            return Changes::default();
        }
        let panic = usable::panics(&self.members, &self.rules);
        let panic = match (std::mem::replace(&mut self.panic, panic), panic) {
            (false, true) => Some(Panic::Began),
            (true, false) => Some(Panic::Ended),
            _ => None,
        };
        for member in &mut self.members {
            member.step(now);
        }
        let (usable, limits) = (self.usable_is_new(), self.limits_are_new());
        let edited = edited && (usable || limits);
        Changes { usable, limits, edited, panic, transitions }
    }

    /// Of all tiers, in the file's order.
    pub fn usable(&self) -> Vec<Usable<'_>> {
        usable::usable(&self.members, self.panic)
    }

    /// Every member and how many slots it may have taken now.
    pub fn limits(&self) -> Vec<(&MemberState, Option<NonZeroU32>)> {
        let usable = self.usable();
        let mut usable = usable.iter().peekable();
        let limit = |member| match usable.next_if(|usable| usable.name == MemberState::name(member))
        {
            Some(usable) => (member, usable.slots),
            None => (member, member.slots()),
        };
        self.members.iter().map(limit).collect()
    }

    pub fn members(&self) -> impl Iterator<Item = &MemberState> {
        self.members.iter()
    }

    /// Every member has had its first verdict, and where that takes one its warm-up.
    pub fn is_settled(&self) -> bool {
        !self.members.iter().any(usable::is_promising)
    }

    /// Ejections and probe time-outs are ignored.
    pub fn is_panicking(&self) -> bool {
        self.panic
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// When to apply nothing, for what happens by itself.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.next_due(now)).min()
    }

    /// Ejections end, slow starts go on.
    fn tick(&mut self, transitions: &mut Vec<Transition>, now: Instant) -> bool {
        let at = At { rules: &self.rules, epoch: *self.epoch.get_or_insert(now), now };
        let mut stepped = false;
        for member in &mut self.members {
            transitions.extend(member.tick(&at));
            stepped |= member.step(now);
        }
        stepped
    }

    /// A kept name keeps its health and what an operator asked for; an overridden weight or limit
    /// gives way only where the file's own value changed.
    fn set(&mut self, members: Vec<Member>, now: Instant) {
        let before = std::mem::take(&mut self.members).into_iter();
        let mut before: HashMap<_, _> = before.map(|old| (old.member.name.clone(), old)).collect();
        let mut seen = HashSet::new();
        let at = At { rules: &self.rules, epoch: *self.epoch.get_or_insert(now), now };
        for member in members {
            if !seen.insert(member.name.clone()) {
                continue;
            }
            self.members.push(match before.remove(&member.name) {
                Some(old) => old.renewed(member),
                None => MemberState::new(member, &at),
            });
        }
    }

    fn set_rules(&mut self, rules: Rules, transitions: &mut Vec<Transition>, now: Instant) {
        self.rules = rules;
        let at = At { rules: &self.rules, epoch: *self.epoch.get_or_insert(now), now };
        for member in &mut self.members {
            transitions.extend(member.ruled(&at));
        }
    }

    /// Ejects, if the pool can spare it: `max_ejected` counts all who are out, and one always stays.
    fn outlier(&mut self, name: &str, sign: Sign, now: Instant) -> Option<Transition> {
        let outlier = self.rules.outlier?;
        let ejected = self.members.iter().filter(|m| m.ejection().is_some()).count();
        let most = self.members.len() * usize::from(outlier.max_ejected) / 1000;
        let up = self.members.iter().filter(|m| m.health == Health::Up).count();
        let is_up = |m: &MemberState| m.health == Health::Up;
        let known = self.members.iter().any(|m| m.name() == name && is_up(m));
        if !known || ejected >= most || up < 2 {
            return None;
        }
        self.with(name, now, |m, at| m.ejected(sign, at)).flatten()
    }

    /// An event about a worker that is gone is late, not wrong.
    fn with<R>(
        &mut self,
        name: &str,
        now: Instant,
        then: impl FnOnce(&mut MemberState, &At<'_>) -> R,
    ) -> Option<R> {
        let at = At { rules: &self.rules, epoch: *self.epoch.get_or_insert(now), now };
        let member = self.members.iter_mut().find(|member| member.member.name == name)?;
        Some(then(member, &at))
    }

    fn usable_is_new(&mut self) -> bool {
        let usable: Vec<_> = self
            .usable()
            .into_iter()
            .map(|u| (u.name.to_owned(), (u.weight, u.slots, u.share, u.tier)))
            .collect();
        std::mem::replace(&mut self.known.usable, usable) != self.known.usable
    }

    fn limits_are_new(&mut self) -> bool {
        let limits: Vec<_> = self
            .limits()
            .into_iter()
            .map(|(member, slots)| (member.name().to_owned(), (slots, member.tunnels())))
            .collect();
        std::mem::replace(&mut self.known.limits, limits) != self.known.limits
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
