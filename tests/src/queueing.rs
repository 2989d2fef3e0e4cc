//! What an ideal queue would have done with the same arrivals and the same work, and how long the
//! real one let a request wait beside an idle worker. Pure.

/// A span of time, in seconds of one clock.
pub type Span = (f64, f64);

/// The wait of each request in a FIFO queue before `servers` equal servers (the G/G/c recursion):
/// each request in order of arrival takes the server that is free first.
pub fn fifo_waits(arrivals: &[f64], occupancy: &[f64], servers: usize) -> Vec<f64> {
    assert_eq!(arrivals.len(), occupancy.len());
    let mut free_at = vec![f64::NEG_INFINITY; servers];
    let serve = |(arrival, work): (&f64, &f64)| {
        let first = free_at.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("a server");
        let begin = first.max(*arrival);
        *first = begin + work;
        begin - arrival
    };
    arrivals.iter().zip(occupancy).map(serve).collect()
}

/// How long at least one request was queued, and how much of that time at least one worker was
/// idle although something was queued.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdleWhileQueued {
    pub queued: f64,
    pub idle: f64,
}

/// Spans may overlap and be in any order.
pub fn idle_while_queued(queued: &[Span], idle: &[Span]) -> IdleWhileQueued {
    const QUEUED: usize = 0;
    const IDLE: usize = 1;
    let mut steps: Vec<(f64, usize, i32)> = Vec::new();
    for (which, spans) in [(QUEUED, queued), (IDLE, idle)] {
        for &(from, to) in spans.iter().filter(|(from, to)| to > from) {
            steps.extend([(from, which, 1), (to, which, -1)]);
        }
    }
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut open = [0, 0];
    let mut found = IdleWhileQueued { queued: 0.0, idle: 0.0 };
    let mut last = 0.0;
    for (at, which, change) in steps {
        if open[QUEUED] > 0 {
            found.queued += at - last;
            if open[IDLE] > 0 {
                found.idle += at - last;
            }
        }
        open[which] += change;
        last = at;
    }
    found
}

/// The most spans that were open at one moment; a span that ends as another begins is over.
pub fn most_at_once(spans: &[Span]) -> usize {
    let mut steps: Vec<(f64, i32)> = spans.iter().flat_map(|s| [(s.0, 1), (s.1, -1)]).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut open = 0;
    let open_after = steps.into_iter().map(|(_, change)| {
        open += change;
        open
    });
    open_after.max().unwrap_or(0) as usize
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

pub fn quantile(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_makes_the_second_wait() {
        assert_eq!(fifo_waits(&[0.0, 1.0, 10.0], &[3.0, 3.0, 3.0], 1), [0.0, 2.0, 0.0]);
    }

    #[test]
    fn two_servers_share() {
        let waits = fifo_waits(&[0.0, 0.0, 0.0, 0.0], &[5.0, 1.0, 1.0, 1.0], 2);
        assert_eq!(waits, [0.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn the_recursion_agrees_with_erlang_c() {
        // M/M/4 at 70 %: the mean wait is C(4, 2.8) / (4 - 2.8) = 0.357 service times.
        let mut rng = fastrand::Rng::with_seed(7);
        let mut exponential = |mean: f64| -(1.0 - rng.f64()).ln() * mean;
        let mut now = 0.0;
        let mut arrivals = Vec::new();
        let mut work = Vec::new();
        for _ in 0..400_000 {
            now += exponential(1.0 / 2.8);
            arrivals.push(now);
            work.push(exponential(1.0));
        }
        let wait = mean(&fifo_waits(&arrivals, &work, 4));
        assert!((wait - 0.357).abs() < 0.02, "{wait}");
    }

    #[test]
    fn idle_time_counts_only_while_someone_is_queued() {
        let found = idle_while_queued(&[(1.0, 3.0)], &[(2.0, 2.5), (2.9, 9.0)]);
        assert!((found.queued - 2.0).abs() < 1e-9 && (found.idle - 0.6).abs() < 1e-9, "{found:?}");
        let none = idle_while_queued(&[], &[(0.0, 1.0)]);
        assert_eq!(none, IdleWhileQueued { queued: 0.0, idle: 0.0 });
    }

    #[test]
    fn what_overlaps_counts_once() {
        let found = idle_while_queued(&[(1.0, 3.0), (2.0, 4.0)], &[(3.5, 5.0), (3.5, 6.0)]);
        assert_eq!(found, IdleWhileQueued { queued: 3.0, idle: 0.5 });
    }

    #[test]
    fn touching_spans_do_not_overlap() {
        assert_eq!(most_at_once(&[(0.0, 1.0), (1.0, 2.0)]), 1);
        assert_eq!(most_at_once(&[(0.0, 1.5), (1.0, 2.0)]), 2);
        assert_eq!(most_at_once(&[]), 0);
    }

    #[test]
    fn quantiles_are_ranks() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.95), 95.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
    }
}
