//! What looks after a worker between its requests: its probe, or the re-check after a refusal
//! where no probe does, and its warm-up; nothing else.

use isobar_balance::Health;

use super::reached::{Reached, Watch};
use super::{Supervisor, recheck};
use crate::pace::Pace;
use crate::probe::schedule;
use crate::task::Task;
use crate::warm_up;

impl Supervisor {
    /// Every worker is probed, or re-checked after a refusal, or left alone; and warmed up.
    pub(super) fn watch(&mut self) {
        let holding = self.is_holding();
        for known in self.state.members() {
            let Some(reached) = self.reached.get_mut(known.name()) else { continue };
            let Reached { target, watch, warm_up, .. } = reached;
            match (&self.settings.life.warm_up, known.health()) {
                (Some(_), Health::Warming) if warm_up.is_some() => {}
                (Some(wanted), Health::Warming) => {
                    let warming = warm_up::run(target.clone(), wanted.clone());
                    *warm_up = Some(Task::spawn_on(&self.runtime, warming));
                }
                _ => *warm_up = None,
            }
            let pace = match known.health() {
                Health::Down(_) if holding => Pace::Quick,
                _ => Pace::Usual,
            };
            let goes_on = watch.serves(pace);
            match (&self.settings.health, &*watch) {
                (Some(_), Watch::Probe(..)) if goes_on => {}
                (Some(health), _) => {
                    let probing = schedule::run(target.clone(), health.clone(), pace);
                    *watch = Watch::Probe(pace, Task::spawn_on(&self.runtime, probing));
                }
                (None, Watch::Recheck(..)) if known.awaits_recheck() && goes_on => {}
                (None, _) if known.awaits_recheck() => {
                    let timeout = self.settings.connect_timeout;
                    let again = recheck::run(target.clone(), timeout, pace);
                    *watch = Watch::Recheck(pace, Task::spawn_on(&self.runtime, again));
                }
                (None, _) => *watch = Watch::None,
            }
        }
    }
}
