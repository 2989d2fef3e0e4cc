//! A member of the pool as it is reached and watched, and what watches it. When which of these is
//! due is the supervisor's to say.

use std::sync::Arc;

use isobar_balance::outlier::RateWindow;

use crate::pace::Pace;
use crate::target::Target;
use crate::task::Task;

pub(super) struct Reached {
    pub(super) target: Arc<Target>,
    pub(super) watch: Watch,
    pub(super) warm_up: Option<Task>,
    /// Its failures in the time that counts.
    pub(super) window: RateWindow,
}

pub(super) enum Watch {
    None,
    Probe(Pace, #[expect(dead_code, reason = "held for its drop")] Task),
    Recheck(Pace, #[expect(dead_code, reason = "held for its drop")] Task),
}

impl Reached {
    /// Nothing is known of it yet, and nothing watches it.
    pub(super) fn new(target: Arc<Target>) -> Reached {
        Reached { target, watch: Watch::None, warm_up: None, window: RateWindow::default() }
    }
}

impl Watch {
    /// It need not be begun anew. A quick one slows down by itself.
    pub(super) fn serves(&mut self, wanted: Pace) -> bool {
        match self {
            Watch::None => false,
            Watch::Probe(pace, _) | Watch::Recheck(pace, _) => {
                let slower = *pace == Pace::Usual && wanted == Pace::Quick;
                *pace = wanted;
                !slower
            }
        }
    }
}
