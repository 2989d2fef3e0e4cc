//! What routes and listeners count: one cell per shard, summed when the scrape looks.
//!
//! The handles are made once per configuration and live in the plan, so that a request touches no
//! map and no name. Nothing a client sends becomes a label.

use std::{sync::Arc, time::Duration};

use isobar_balance::stats::{Counter, Histogram, HistogramValues, PerShard};
use isobar_tls::{Facts, Version};

/// The status codes that have a cell of their own; the others are counted by class.
const CODES: [&str; 48] = [
    "100", "101", "103", "200", "201", "202", "203", "204", "205", "206", "207", "300", "301",
    "302", "303", "304", "307", "308", "400", "401", "403", "404", "405", "406", "408", "409",
    "410", "411", "412", "413", "414", "415", "416", "417", "421", "422", "425", "428", "429",
    "431", "499", "500", "501", "502", "503", "504", "505", "508",
];
const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
const CELLS: usize = CODES.len() + CLASSES.len();

/// From a status to its cell.
static POSITIONS: [u8; 600] = {
    let mut positions = [CODES.len() as u8; 600];
    let mut status = 100;
    while status < 600 {
        positions[status] = (CODES.len() + status / 100) as u8;
        status += 1;
    }
    let mut at = 0;
    while at < CODES.len() {
        let digits = CODES[at].as_bytes();
        let [a, b, c] = [digits[0] as usize, digits[1] as usize, digits[2] as usize];
        positions[(a * 100 + b * 10 + c) - 111 * b'0' as usize] = at as u8;
        at += 1;
    }
    positions
};

/// `http_requests_total` and `http_request_duration_seconds` of one route.
pub struct RouteMetrics {
    shards: PerShard<RouteCell>,
}

struct RouteCell {
    codes: [Counter; CELLS],
    seconds: Histogram,
}

impl Default for RouteCell {
    fn default() -> Self {
        Self { codes: std::array::from_fn(|_| Counter::default()), seconds: Histogram::default() }
    }
}

impl RouteMetrics {
    /// `cells` = number of shards.
    pub fn new(cells: usize) -> Self {
        Self { shards: PerShard::new(cells) }
    }

    /// A request was answered with this status, so long after its first byte.
    pub fn observe(&self, status: u16, took: Duration) {
        let cell = self.shards.here();
        // RFC 9110 §15: what is no status of HTTP is read as a 5xx.
        let status = usize::from(if status < 600 { status } else { 599 });
        cell.codes[usize::from(POSITIONS[status])].add(1);
        cell.seconds.observe(took);
    }

    /// The requests answered so far, by the value of the label `code`; only codes that occurred.
    pub fn codes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CODES.iter().chain(&CLASSES).enumerate().filter_map(|(at, label)| {
            let sum = self.shards.iter().map(|cell| cell.codes[at].value()).sum();
            (sum > 0).then_some((*label, sum))
        })
    }

    pub fn durations(&self) -> HistogramValues {
        self.shards.iter().map(|cell| cell.seconds.snapshot()).sum()
    }
}

/// `connections_active` and `bytes_total` of one listener, and the requests no route took.
pub struct ListenerMetrics {
    shards: PerShard<ListenerCell>,
    unrouted: Arc<RouteMetrics>,
}

/// A connection is opened and closed by the shard that serves it.
#[derive(Default)]
struct ListenerCell {
    opened: Counter,
    closed: Counter,
    received: Counter,
    sent: Counter,
    handshakes: [Counter; Handshake::ALL.len()],
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    Full12,
    Resumed12,
    Full13,
    Resumed13,
    /// No certificate, version, protocol or cipher suite for this client.
    Refused,
    Failed,
    Timeout,
    /// Nobody said anything.
    Gone,
}

impl Handshake {
    const ALL: [Handshake; 8] = [
        Handshake::Full12,
        Handshake::Resumed12,
        Handshake::Full13,
        Handshake::Resumed13,
        Handshake::Refused,
        Handshake::Failed,
        Handshake::Timeout,
        Handshake::Gone,
    ];

    pub(crate) fn done(facts: &Facts) -> Self {
        match (facts.version, facts.resumed) {
            (Version::Tls12, false) => Handshake::Full12,
            (Version::Tls12, true) => Handshake::Resumed12,
            (Version::Tls13, false) => Handshake::Full13,
            (Version::Tls13, true) => Handshake::Resumed13,
        }
    }

    /// The values of the labels `version` and `result`.
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Handshake::Full12 => ("1.2", "full"),
            Handshake::Resumed12 => ("1.2", "resumed"),
            Handshake::Full13 => ("1.3", "full"),
            Handshake::Resumed13 => ("1.3", "resumed"),
            Handshake::Refused => ("", "refused"),
            Handshake::Failed => ("", "failed"),
            Handshake::Timeout => ("", "timeout"),
            Handshake::Gone => ("", "gone"),
        }
    }
}

impl ListenerMetrics {
    /// `cells` = number of shards.
    pub fn new(cells: usize) -> Self {
        Self { shards: PerShard::new(cells), unrouted: Arc::new(RouteMetrics::new(cells)) }
    }

    pub(crate) fn opened(&self) {
        self.shards.here().opened.add(1);
    }

    pub(crate) fn closed(&self) {
        self.shards.here().closed.add(1);
    }

    pub(crate) fn add_bytes(&self, received: u64, sent: u64) {
        let cell = self.shards.here();
        cell.received.add(received);
        cell.sent.add(sent);
    }

    pub(crate) fn shook(&self, how: Handshake) {
        self.shards.here().handshakes[how as usize].add(1);
    }

    /// The handshakes so far, by the values of the labels `version` and `result`; only what occurred.
    pub fn handshakes(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        Handshake::ALL.into_iter().filter_map(|how| {
            let sum = self.shards.iter().map(|cell| cell.handshakes[how as usize].value()).sum();
            let (version, result) = how.labels();
            (sum > 0).then_some((version, result, sum))
        })
    }

    /// A request that was answered before it had a route.
    pub(crate) fn unrouted(&self, status: u16, took: Duration) {
        self.unrouted.observe(status, took);
    }

    pub fn connections(&self) -> u64 {
        let open = |cell: &ListenerCell| (cell.opened.value(), cell.closed.value());
        let (opened, closed) = self
            .shards
            .iter()
            .map(open)
            .fold((0, 0), |sum: (u64, u64), one| (sum.0 + one.0, sum.1 + one.1));
        // A close may be seen whose opening was not yet when it was looked at.
        opened.saturating_sub(closed)
    }

    /// Bytes that came from clients.
    pub fn received(&self) -> u64 {
        self.shards.iter().map(|cell| cell.received.value()).sum()
    }

    /// Bytes that went to clients.
    pub fn sent(&self) -> u64 {
        self.shards.iter().map(|cell| cell.sent.value()).sum()
    }

    /// The requests no route took; their labels `route` and `pool` are empty.
    pub fn without_route(&self) -> &Arc<RouteMetrics> {
        &self.unrouted
    }
}

#[cfg(test)]
mod tests {
    use isobar_balance::shard;

    use super::*;

    #[test]
    fn every_code_is_counted_once_under_its_label() {
        let metrics = RouteMetrics::new(2);
        for (index, status) in [(0, 200), (1, 200), (1, 404), (0, 418), (0, 599), (0, 0), (0, 700)]
        {
            shard::enter(index);
            metrics.observe(status, Duration::from_millis(3));
        }
        shard::enter(0);
        let codes: Vec<_> = metrics.codes().collect();
        assert_eq!(codes, [("200", 2), ("404", 1), ("other", 1), ("4xx", 1), ("5xx", 2)]);
        assert_eq!(metrics.durations().count, 7);
    }

    #[test]
    fn every_known_code_leads_to_its_own_cell() {
        for (at, code) in CODES.iter().enumerate() {
            assert_eq!(usize::from(POSITIONS[code.parse::<usize>().unwrap_or(0)]), at, "{code}");
        }
    }

    #[test]
    fn a_cell_stays_small() {
        assert!(size_of::<RouteCell>() <= 1024, "{}", size_of::<RouteCell>());
    }

    #[test]
    fn connections_and_bytes_add_up_over_shards() {
        let metrics = ListenerMetrics::new(2);
        for index in [0, 1, 1] {
            shard::enter(index);
            metrics.opened();
            metrics.add_bytes(10, 20);
        }
        metrics.closed();
        shard::enter(0);
        assert_eq!((metrics.connections(), metrics.received(), metrics.sent()), (2, 30, 60));
        metrics.unrouted(404, Duration::ZERO);
        assert_eq!(metrics.without_route().codes().collect::<Vec<_>>(), [("404", 1)]);
    }
}
