//! What looks after a worker between its requests: its probe, or the re-check after a refusal
//! where no probe does, and its warm-up; nothing else.

use std::future::Future;

use isobar_balance::Health;
use tokio::task::JoinHandle;

use super::{Reached, Supervisor, recheck};
use crate::probe::schedule;
use crate::warm_up;

/// A task that ends with its owner.
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) enum Watch {
    None,
    Probe(#[expect(dead_code, reason = "held for its drop")] Task),
    Recheck(#[expect(dead_code, reason = "held for its drop")] Task),
}

impl Supervisor {
    /// Every worker is probed, or re-checked after a refusal, or left alone; and warmed up.
    pub(super) fn watch(&mut self) {
        for known in self.state.members() {
            let Some(reached) = self.reached.get_mut(known.name()) else { continue };
            let Reached { target, watch, warm_up, .. } = reached;
            match (&self.settings.life.warm_up, known.health()) {
                (Some(_), Health::Warming) if warm_up.is_some() => {}
                (Some(wanted), Health::Warming) => {
                    let warming = warm_up::run(target.clone(), wanted.clone());
                    *warm_up = Some(Task(self.runtime.spawn(warming)));
                }
                _ => *warm_up = None,
            }
            match (&self.settings.health, &*watch) {
                (Some(_), Watch::Probe(_)) => {}
                (Some(health), _) => {
                    let probing = schedule::run(target.clone(), health.clone());
                    *watch = Watch::Probe(Task(self.runtime.spawn(probing)));
                }
                (None, Watch::Recheck(_)) if known.awaits_recheck() => {}
                (None, _) if known.awaits_recheck() => {
                    let again = recheck::run(target.clone(), self.settings.connect_timeout);
                    *watch = Watch::Recheck(Task(self.runtime.spawn(again)));
                }
                (None, _) => *watch = Watch::None,
            }
        }
    }
}
