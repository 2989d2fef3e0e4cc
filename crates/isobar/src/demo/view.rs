//! What there is to see at one moment, as plain values: made by `scene`, drawn by `draw`, written
//! down by `summary`. Every figure says who it is from.

use std::time::Duration;

use super::worker::Mood;

#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) elapsed: Duration,
    /// Requests per second that arrive at each side.
    pub(super) rate: f64,
    /// What the workers can do together, in requests per second, when all are up and warm.
    pub(super) capacity: f64,
    /// Isobar first, then what it is compared with.
    pub(super) sides: Vec<Side>,
}

/// One pool and the load on it.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) title: &'static str,
    pub(super) address: String,
    pub(super) workers: Vec<Worker>,
    /// Requests in the pool's queue now; where there is none, inside the workers.
    pub(super) waiting: usize,
    pub(super) kind: Kind,
    /// From the load.
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) failures: Vec<(String, u64)>,
    pub(super) unsent: u64,
    pub(super) unanswered: usize,
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
    /// The slowest answer of each second, the oldest first.
    pub(super) slowest: Vec<Duration>,
    /// The most that were seen waiting in each second.
    pub(super) most_waiting: Vec<usize>,
    /// From the workers' journals.
    pub(super) waited: u64,
    pub(super) waited_while_free: u64,
    pub(super) strangers: u64,
    /// Left out of that, since the machine was busy elsewhere.
    pub(super) stalled: Duration,
}

/// Where requests wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// In one queue; `pool_idle_while_waiting_seconds_total` of it.
    OneQueue { idle_while_waiting: Duration },
    /// Each inside the worker it was given to.
    PrivateQueues,
}

#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) name: &'static str,
    pub(super) pace: Duration,
    pub(super) mood: Mood,
    /// The pool's word for its health.
    pub(super) health: &'static str,
    pub(super) slots: Option<u32>,
    /// Leases held now, by the pool.
    pub(super) in_flight: u32,
    /// Leases that ended well, by the pool.
    pub(super) requests: u64,
    /// Share of the last seconds in which it served, by its journal.
    pub(super) busy: f64,
    /// Share of the whole time.
    pub(super) busy_always: f64,
    /// Of the answers it gave, by the load.
    pub(super) p50: Option<Duration>,
    pub(super) p99: Option<Duration>,
}

impl Side {
    pub(super) fn failed(&self) -> u64 {
        self.failures.iter().map(|(_, count)| count).sum()
    }
}

/// `1,204`
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `3.2 ms`, `140 ms`, `1.94 s`; at most seven characters.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..0.00995 => format!("{:.1} ms", seconds * 1e3),
        ..0.9995 => format!("{:.0} ms", seconds * 1e3),
        ..9.995 => format!("{seconds:.2} s"),
        _ => format!("{seconds:.1} s"),
    }
}

pub(super) fn time_or_dash(known: Option<Duration>) -> String {
    known.map_or_else(|| String::from("–"), time)
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share.clamp(0.0, 9.99) * 100.0)
}

/// `0:12`
pub(super) fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [count(0), count(999), count(1_204), count(1_234_567)],
            ["0", "999", "1,204", "1,234,567"]
        );
        let ms = |ms| time(Duration::from_micros(ms));
        assert_eq!(
            [ms(3_240), ms(9_990), ms(140_400), ms(999_600), ms(1_940_000), ms(31_000_000)],
            ["3.2 ms", "10 ms", "140 ms", "1.00 s", "1.94 s", "31.0 s"]
        );
        assert_eq!(percent(0.834), "83 %");
        assert_eq!(clock(Duration::from_secs(61)), "1:01");
    }
}
