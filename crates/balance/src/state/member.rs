//! One member of a pool with what is known of it: what was observed, what an operator asked for,
//! whether its own traffic speaks against it, whether it is warm, how far its slow start has come.
//! Its health follows from these; what the others' health means for it is not known here.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use super::ejection::{Ejection, Ejections};
use super::event::{AdminState, Member, ProbeResult, Transition};
use super::ramp::{FULL, Ramp};
use super::rules::Rules;
use crate::health::Health;
use crate::outlier::Sign;

/// The cause of a worker that refused a connection.
pub const CONNECT_REFUSED: &str = "connect_refused";

#[derive(Clone, Debug)]
pub struct MemberState {
    pub(super) member: Member,
    /// What probes and refusals say: starting, up or down.
    pub(super) observed: Health,
    pub(super) admin: AdminState,
    pub(super) weight_override: Option<NonZeroU32>,
    pub(super) slots_override: Option<NonZeroU32>,
    pub(super) tunnels_override: Option<NonZeroU32>,
    /// What follows from all the rest.
    pub(super) health: Health,
    since: Instant,
    /// Results in a row that speak against `observed`.
    streak: u32,
    last_probe: Option<Result<(), Arc<str>>>,
    awaits_recheck: bool,
    /// A connect to it failed, and nothing since speaks for it.
    is_away: bool,
    /// It is down, and all that is known is that it did not answer a probe in time.
    silent: bool,
    ejections: Ejections,
    /// It has not served since it started or came back.
    cold: bool,
    /// Warm-ups in a row that failed, and how the last one did.
    failed_warm_ups: (u32, Option<Arc<str>>),
    ramp: Option<Ramp>,
    /// Tenths of its share, as of the last event.
    pub(super) share: u32,
}

impl MemberState {
    pub(super) fn new(member: Member, at: &At<'_>) -> Self {
        let observed = if at.rules.probed { Health::Starting } else { Health::Up };
        let mut new = Self {
            member,
            observed,
            admin: AdminState::Up,
            weight_override: None,
            slots_override: None,
            tunnels_override: None,
            health: Health::Starting,
            since: at.now,
            streak: 0,
            last_probe: None,
            awaits_recheck: false,
            is_away: false,
            silent: false,
            ejections: Ejections::default(),
            cold: true,
            failed_warm_ups: (0, None),
            ramp: None,
            share: FULL,
        };
        // It is news as a whole; how it begins is none.
        let _ = new.conclude("", at);
        new
    }

    pub(super) fn renewed(self, member: Member) -> Self {
        let weight_override = self.weight_override.filter(|_| self.member.weight == member.weight);
        let slots_override = self.slots_override.filter(|_| self.member.slots == member.slots);
        let tunnels_override =
            self.tunnels_override.filter(|_| self.member.tunnels == member.tunnels);
        Self { member, weight_override, slots_override, tunnels_override, ..self }
    }

    pub(super) fn probed(&mut self, result: ProbeResult, at: &At<'_>) -> Option<Transition> {
        if !at.rules.probed {
            return None;
        }
        let silent = matches!(result, ProbeResult::TimedOut(_));
        let failure: Option<Arc<str>> = match result {
            ProbeResult::Inconclusive => return None,
            ProbeResult::Ok => None,
            ProbeResult::Failed(cause) | ProbeResult::TimedOut(cause) => Some(cause.into()),
        };
        self.last_probe = Some(failure.clone().map_or(Ok(()), Err));
        // The first verdict needs no run: there is nothing it could flap from.
        let needed = match (&self.observed, &failure) {
            (Health::Starting, _) => 1,
            (Health::Up, Some(_)) => at.rules.fall,
            (Health::Down(_), None) => at.rules.rise,
            // Silence might have been forgiven; what it says now is not.
            (Health::Down(_), Some(_)) if self.silent && !silent => 1,
            _ => {
                self.streak = 0;
                return None;
            }
        };
        self.streak += 1;
        if self.streak < needed {
            return None;
        }
        self.silent = silent;
        match failure {
            Some(cause) => self.observe(Health::Down(cause.clone()), &cause, at),
            None => self.observe(Health::Up, "probe succeeded", at),
        }
    }

    /// A refused connection needs no second opinion: nobody listens there.
    pub(super) fn refused(&mut self, at: &At<'_>) -> Option<Transition> {
        self.away(CONNECT_REFUSED, at)
    }

    /// The same for every other way in which a connect can fail, where no probe knows better.
    pub(super) fn away(&mut self, why: &str, at: &At<'_>) -> Option<Transition> {
        self.streak = 0;
        if matches!(self.observed, Health::Down(_)) && !self.silent {
            return None;
        }
        self.silent = false;
        self.awaits_recheck = !at.rules.probed;
        let away = self.observe(Health::Down(why.into()), why, at);
        self.is_away = true;
        away
    }

    pub(super) fn rechecked(&mut self, at: &At<'_>) -> Option<Transition> {
        self.awaits_recheck.then(|| self.observe(Health::Up, "connection accepted", at))?
    }

    /// Whoever asks whether it may be ejected has made sure that the pool can spare it.
    pub(super) fn ejected(&mut self, sign: Sign, at: &At<'_>) -> Option<Transition> {
        let outlier = at.rules.outlier.as_ref()?;
        let length = self.ejections.begin(sign, outlier, at.now);
        self.conclude(&format!("{sign}; for {length:?}"), at)
    }

    /// Ends an ejection that is due.
    pub(super) fn tick(&mut self, at: &At<'_>) -> Option<Transition> {
        let ejection = self.ejections.current()?;
        if ejection.until > at.now {
            return None;
        }
        self.ejections.end(at.now);
        self.cool_down();
        self.conclude("ejection over", at)
    }

    pub(super) fn warmed_up(
        &mut self,
        result: Result<(), String>,
        at: &At<'_>,
    ) -> Option<Transition> {
        if self.health != Health::Warming {
            return None;
        }
        match result {
            Ok(()) => {
                self.cold = false;
                let up = self.conclude("warmed up", at);
                self.begin_ramp(at);
                up
            }
            Err(cause) => {
                self.failed_warm_ups.0 = self.failed_warm_ups.0.saturating_add(1);
                self.failed_warm_ups.1 = Some(cause.into());
                None
            }
        }
    }

    pub(super) fn asked(&mut self, state: AdminState, at: &At<'_>) -> Option<Transition> {
        // Who works on a worker may have replaced what was warm; who drains it has not.
        if self.admin == AdminState::Maintenance && state == AdminState::Up {
            self.cool_down();
        }
        self.admin = state;
        if state == AdminState::Up && self.ejections.end(at.now) {
            self.cool_down();
        }
        self.conclude("operator", at)
    }

    /// Where probes stop nothing would ever bring a worker back that only they had taken out; the
    /// same holds for ejections and warm-ups.
    pub(super) fn ruled(&mut self, at: &At<'_>) -> Option<Transition> {
        let refused = self.is_away;
        self.awaits_recheck = !at.rules.probed && refused;
        if at.rules.slow_start.is_zero() {
            self.ramp = None;
        }
        if at.rules.outlier.is_none() {
            self.ejections.end(at.now);
        }
        if at.rules.probed || refused || self.observed == Health::Up {
            return self.conclude("other rules", at);
        }
        self.observe(Health::Up, "no longer probed", at)
    }

    fn observe(&mut self, observed: Health, cause: &str, at: &At<'_>) -> Option<Transition> {
        self.streak = 0;
        self.awaits_recheck &= observed != Health::Up;
        // A probe, too, may have been refused.
        self.is_away = observed.cause() == Some(CONNECT_REFUSED);
        if matches!(observed, Health::Down(_)) {
            self.cool_down();
        } else {
            self.silent = false;
        }
        self.observed = observed;
        self.conclude(cause, at)
    }

    /// What it had at hand may be gone: it begins anew when it comes back.
    fn cool_down(&mut self) {
        self.cold = true;
        self.failed_warm_ups = (0, None);
    }

    fn conclude(&mut self, cause: &str, at: &At<'_>) -> Option<Transition> {
        let health = match (self.admin, &self.observed) {
            (AdminState::Drain, _) => Health::Draining,
            (AdminState::Maintenance, _) => Health::Maintenance,
            (_, Health::Up) if self.ejections.current().is_some() => Health::Ejected,
            (_, Health::Up) if self.cold && at.rules.warm_up => Health::Warming,
            (_, observed) => observed.clone(),
        };
        if health == Health::Up && self.cold {
            self.cold = false;
            self.begin_ramp(at);
        }
        if health == self.health {
            return None;
        }
        self.since = at.now;
        let from = std::mem::replace(&mut self.health, health.clone());
        Some(Transition { worker: self.member.name.clone(), from, to: health, cause: cause.into() })
    }

    fn begin_ramp(&mut self, at: &At<'_>) {
        self.ramp = Ramp::begin(at.rules.slow_start, at.epoch, at.now);
    }

    /// True if its share is another now.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        let share = self.ramp.map_or(FULL, |ramp| ramp.tenths(now));
        if share == FULL {
            self.ramp = None;
        }
        std::mem::replace(&mut self.share, share) != share
    }

    /// When something about it changes by itself.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let ends = self.ejections.current().map(|ejection| ejection.until);
        let steps = self.ramp.and_then(|ramp| ramp.next_step(now));
        ends.into_iter().chain(steps).min()
    }

    pub(super) fn is_silent(&self) -> bool {
        self.silent && matches!(self.health, Health::Down(_))
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

    /// Effective slots, when its slow start is over.
    pub fn slots(&self) -> Option<NonZeroU32> {
        self.slots_override.or(self.member.slots)
    }

    /// Effective tunnel slots; `None`: tunnels take its slots.
    pub fn tunnels(&self) -> Option<NonZeroU32> {
        self.tunnels_override.or(self.member.tunnels)
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

    /// Why it is ejected, and until when.
    pub fn ejection(&self) -> Option<&Ejection> {
        self.ejections.current()
    }

    /// Warm-ups in a row that failed since it came back, and why the last one did.
    pub fn failed_warm_ups(&self) -> (u32, Option<&str>) {
        (self.failed_warm_ups.0, self.failed_warm_ups.1.as_deref())
    }
}

/// What every change is judged by.
pub(super) struct At<'r> {
    pub(super) rules: &'r Rules,
    /// Where the pool's steps of slow start are counted from.
    pub(super) epoch: Instant,
    pub(super) now: Instant,
}
