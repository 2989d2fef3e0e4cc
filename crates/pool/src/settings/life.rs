//! How a worker comes to its share and how it loses it: slow start, warm-up, ejection, panic.

use std::time::Duration;

use isobar_balance::outlier::Thresholds;

/// The default turns all of it off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    pub outlier: Option<Outlier>,
    /// In thousandths; 0 = never.
    pub panic_below: u16,
    /// Zero = a worker that came up has its whole share at once.
    pub slow_start: Duration,
    pub warm_up: Option<WarmUp>,
}

/// When a worker's own traffic takes it out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlier {
    pub thresholds: Thresholds,
    /// In thousandths of the requests in the window; 0 = never.
    pub failure_rate: u16,
    pub window: Duration,
    /// With fewer in the window the rate says nothing.
    pub min_requests: u64,
    /// The first ejection; the n-th in a row lasts n times as long, up to `longest_ejection`.
    pub base_ejection: Duration,
    pub longest_ejection: Duration,
    /// In thousandths of the pool's workers, rounded down; the last one up is never ejected.
    pub max_ejected: u16,
}

/// What Isobar asks a worker before anybody else may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// Paths, asked for in this order.
    pub requests: Vec<String>,
    /// Rounds of them.
    pub count: u32,
    /// For each answer.
    pub timeout: Duration,
    /// The Host field; the address if absent.
    pub host: Option<String>,
}
