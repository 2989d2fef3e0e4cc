//! Whose own traffic speaks against it. Shards report a run of failures once, when it has become
//! too long; here, once a second, every worker is looked at: for the share of failures in a window,
//! and for runs whose report was lost or that nothing could be done about at the time.

use isobar_balance::Health;
use isobar_balance::outlier::{Sign, Thresholds};
use isobar_balance::state::Event;

use super::{Supervisor, now};

impl Supervisor {
    /// From now on these runs are reported.
    pub(super) fn watch_runs(&self) {
        let thresholds =
            self.settings.life.outlier.map_or(Thresholds::default(), |outlier| outlier.thresholds);
        for reached in self.reached.values() {
            reached.target.worker().stats().watch_runs(thresholds);
        }
    }

    pub(super) fn sample_failures(&mut self) {
        let Some(outlier) = self.settings.life.outlier else { return };
        let now = now();
        let mut signs = Vec::new();
        for known in self.state.members().filter(|known| *known.health() == Health::Up) {
            let Some(reached) = self.reached.get_mut(known.name()) else { continue };
            let stats = reached.target.worker().stats();
            // One sign is enough, but the window must not miss a sample.
            let (tally, fewest) = (stats.tally(), outlier.min_requests);
            let rate = reached.window.sample(tally, outlier.window, fewest, now);
            let rate = rate.filter(|rate| (1..=*rate).contains(&outlier.failure_rate));
            let rate = rate.map(Sign::FailureRate);
            if let Some(sign) = stats.sign(std::time::Instant::now()).or(rate) {
                signs.push((known.name().to_owned(), sign));
            }
        }
        if signs.is_empty() {
            return;
        }
        let events = signs.iter().map(|(worker, sign)| Event::Outlier { worker, sign: *sign });
        let changes = self.state.apply_all(events, now);
        self.settle_down(changes, std::time::Instant::now());
    }

    /// What happens by itself: an ejection ends, a slow start goes on.
    pub(super) fn on_time(&mut self) {
        // A timer may be early by less than its resolution; what is due is due.
        let due = self.due.unwrap_or_else(now);
        let changes = self.state.apply_all([], due.max(now()));
        self.settle_down(changes, due.min(std::time::Instant::now()));
    }
}
