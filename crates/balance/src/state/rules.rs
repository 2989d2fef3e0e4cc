//! How single observations become a verdict: the policies of a pool as its state needs them.

use std::time::Duration;

/// Whatever is not asked for is off: an unprobed pool without any of it is `Rules::default()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether probes decide; if not, a worker is up until it refuses a connection.
    pub probed: bool,
    /// Successes in a row that bring a worker back.
    pub rise: u32,
    /// Failures in a row that take it out.
    pub fall: u32,
    pub outlier: Option<Outlier>,
    /// In thousandths: with a smaller share of workers up, ejections and probe time-outs are ignored.
    pub panic_below: u16,
    /// How long a worker takes to its full share after it came up; zero = it has it at once.
    pub slow_start: Duration,
    /// A worker serves only after its warm-up.
    pub warm_up: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            probed: false,
            rise: 1,
            fall: 1,
            outlier: None,
            panic_below: 0,
            slow_start: Duration::ZERO,
            warm_up: false,
        }
    }
}

/// What follows when a worker's own traffic speaks against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// The first ejection; the n-th in a row lasts n times as long.
    pub base_ejection: Duration,
    /// No ejection lasts longer.
    pub longest_ejection: Duration,
    /// In thousandths of the pool's workers, rounded down.
    pub max_ejected: u16,
}
