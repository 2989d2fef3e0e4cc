//! Times of many answers in little room: buckets that grow by 2 %, so that a quantile is right to
//! 2 % however long the demo runs.

use std::time::Duration;

const GROWTH: f64 = 1.02;
const LOWEST: f64 = 100e-6;
/// The last one begins beyond two minutes.
const BUCKETS: usize = 710;

#[derive(Clone, Debug)]
pub(super) struct Latencies {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Latencies {
    pub(super) fn observe(&mut self, took: Duration) {
        let place = (took.as_secs_f64() / LOWEST).max(1.0).ln() / GROWTH.ln();
        self.counts[(place as usize).min(BUCKETS - 1)] += 1;
        self.total += 1;
    }

    /// The time within which this share of the answers came; `None` without answers.
    pub(super) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = ((share * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = |count: &u64| {
            seen += count;
            seen >= wanted
        };
        let place = self.counts.iter().position(reached)?;
        Some(Duration::from_secs_f64(LOWEST * GROWTH.powi(place as i32 + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_percent() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        (1..=1000).for_each(|ms| latencies.observe(Duration::from_millis(ms)));
        for (share, exact) in [(0.01, 0.010), (0.5, 0.5), (0.99, 0.99), (1.0, 1.0)] {
            let found = latencies.quantile(share).unwrap().as_secs_f64();
            assert!((found / exact - 1.0).abs() < 0.021, "{share}: {found} for {exact}");
        }
    }

    #[test]
    fn nothing_falls_out_at_the_ends() {
        let mut latencies = Latencies::default();
        latencies.observe(Duration::ZERO);
        latencies.observe(Duration::from_secs(86_400));
        assert!(latencies.quantile(0.5).unwrap() < Duration::from_millis(1));
        assert!(latencies.quantile(1.0).unwrap() > Duration::from_secs(100));
    }
}
