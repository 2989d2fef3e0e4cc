//! A pool's candidates and whom its strategy would choose: the strategy's own code, over workers
//! rebuilt from what the running process says of them, or from the file.
//!
//! Turns, chance and response times live in the running process alone: there it can only be said
//! among whom it would choose.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use isobar_balance::strategy::{self, Choice};
use isobar_balance::{Candidate, PickCx, Tried, Worker, WorkerId};
use isobar_config::model::{self, OnOff};
use isobar_proxy::explain::Request;
use serde_json::{Value, json};

use super::Process;
use crate::admin::path;

/// `share`: of a split.
pub(super) fn explain(
    pool: &model::Pool,
    share: Option<f64>,
    request: &Request,
    running: Option<&Process>,
) -> Value {
    let live = running.and_then(|process| process.fetch(&path::pool(&pool.name)).ok());
    let live = live.and_then(|answer| answer.accepted().ok());
    let members: Vec<Member> = match &live {
        Some(live) => live["workers"].as_array().into_iter().flatten().map(Member::live).collect(),
        None => pool.workers.iter().map(Member::of_file).collect(),
    };
    let usable = |member: &&Member| matches!(&*member.health, "up" | "warming" | "");
    let tier = serving(members.iter().filter(usable), pool.overflow);
    let may: Vec<&Member> =
        members.iter().filter(usable).filter(|member| Some(member.tier) == tier).collect();
    json!({
        "pool": pool.name,
        "share": share,
        "strategy": pool.strategy.name,
        "state": if live.is_some() { "running" } else { "file" },
        "waiting": live.as_ref().map(|live| live["queue"]["depth"].clone()),
        "candidates": members.iter().map(|member| member.as_json(&may)).collect::<Vec<_>>(),
        "choice": choice(pool, &may, request),
    })
}

/// The lowest tier that has somebody; where the pool overflows, that has a free slot, if one has.
fn serving<'m>(usable: impl Iterator<Item = &'m Member> + Clone, overflow: OnOff) -> Option<u64> {
    let free = usable.clone().filter(|member| overflow == OnOff::On && !member.is_full());
    let lowest = |members: &mut dyn Iterator<Item = &'m Member>| members.map(|m| m.tier).min();
    lowest(&mut { free }).or_else(|| lowest(&mut { usable }))
}

/// One worker, as far as a choice depends on it.
#[derive(Clone, Debug, PartialEq)]
struct Member {
    name: String,
    address: String,
    /// Empty: not known.
    health: String,
    in_flight: u32,
    slots: Option<NonZeroU32>,
    weight: Option<NonZeroU32>,
    tier: u64,
}

impl Member {
    fn live(worker: &Value) -> Member {
        let text = |key: &str| worker[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| worker[key].as_u64().and_then(|n| u32::try_from(n).ok());
        Member {
            name: text("name"),
            address: text("address"),
            health: text("health"),
            in_flight: number("slots_taken").unwrap_or(0),
            slots: number("slots").and_then(NonZeroU32::new),
            weight: number("weight").and_then(NonZeroU32::new),
            tier: worker["tier"].as_u64().unwrap_or(0),
        }
    }

    fn of_file(worker: &model::Worker) -> Member {
        Member {
            name: worker.name.clone(),
            address: worker.address.to_string(),
            health: String::new(),
            in_flight: 0,
            slots: worker.slots,
            weight: worker.weight,
            tier: u64::from(worker.tier),
        }
    }

    fn candidate(&self, id: u32) -> Candidate {
        let worker = Worker::new(WorkerId(id), &self.name, self.slots, 1);
        for _ in 0..self.in_flight {
            if !worker.slots().try_reserve() {
                break;
            }
        }
        let weight = self.weight.unwrap_or(NonZeroU32::MIN);
        let capacity = self.weight.or(self.slots).unwrap_or(NonZeroU32::MIN);
        Candidate { worker: Arc::new(worker), weight, capacity }
    }

    /// Requests in flight for each one it can take at a time; the lower, the lighter.
    fn score(&self) -> f64 {
        let capacity = self.weight.or(self.slots).map_or(1, NonZeroU32::get);
        f64::from(self.in_flight) / f64::from(capacity)
    }

    fn is_full(&self) -> bool {
        self.slots.is_some_and(|slots| self.in_flight >= slots.get())
    }

    fn as_json(&self, may: &[&Member]) -> Value {
        let out = match (may.contains(&self), self.is_full()) {
            (true, false) => None,
            (true, true) => Some("every slot is taken"),
            (false, _) if matches!(&*self.health, "up" | "warming" | "") => Some("a backup"),
            (false, _) => Some("not in use"),
        };
        json!({
            "worker": self.name,
            "address": self.address,
            "health": if self.health.is_empty() { "unknown" } else { &self.health },
            "in_flight": self.in_flight,
            "slots": self.slots,
            "weight": self.weight,
            "tier": self.tier,
            "score": self.score(),
            "out": out,
        })
    }
}

fn choice(pool: &model::Pool, may: &[&Member], request: &Request) -> String {
    if may.is_empty() {
        return String::from("nobody: 503 no_worker");
    }
    let Some(entry) = strategy::find(&pool.strategy.name) else { return String::new() };
    let Ok(strategy) = (entry.build)(&pool.strategy.options) else { return String::new() };
    let candidates: Vec<Candidate> =
        may.iter().zip(0..).map(|(member, id)| member.candidate(id)).collect();
    let free: Vec<&str> =
        may.iter().filter(|member| !member.is_full()).map(|member| &*member.name).collect();
    if free.is_empty() {
        return match pool.queue {
            Some(_) => String::from("nobody yet: it waits for a slot"),
            None => String::from("nobody: 503 queue_full"),
        };
    }
    let key = request.key(&strategy.key());
    let among = free.join(", ");
    let known = match entry.choice {
        Choice::Key => key.is_some(),
        Choice::Lightest => pool.strategy.name == "least_connections",
        Choice::Turns | Choice::Chance | Choice::Sampled => false,
    };
    if free.len() > 1 && !known {
        return match entry.choice {
            Choice::Turns => format!("whose turn it is, of {among}"),
            Choice::Key => format!("by chance, of {among}: the request lacks the strategy's key"),
            Choice::Lightest => format!("the quickest to answer, of {among}"),
            Choice::Chance => format!("by chance, of {among}"),
            Choice::Sampled => format!("the lighter of two that chance proposes, of {among}"),
        };
    }
    let tried = Tried::new();
    let mut rng = fastrand::Rng::with_seed(0);
    let picker = strategy.prepare(&candidates);
    let mut cx = PickCx::new(&candidates, key, &tried, &mut rng, Instant::now());
    match picker.pick(&candidates, &mut cx) {
        Some(reserved) => may[reserved.index()].name.clone(),
        None => match cx.bound().and_then(|at| may.get(at)) {
            Some(bound) => format!("{}, for whose slot it waits", bound.name),
            None => String::from("nobody yet: it waits for a slot"),
        },
    }
}
