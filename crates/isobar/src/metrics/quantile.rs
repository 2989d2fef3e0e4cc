//! How long most requests took, estimated from a histogram.

use std::time::Duration;

use isobar_balance::stats::{BOUNDS, HistogramValues};

/// A value that this share of the observations did not exceed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Quantile {
    /// Within a bucket, as if its observations were spread evenly.
    About(Duration),
    /// Beyond the last bound.
    Above(Duration),
}

impl Quantile {
    /// Beyond the last bound: that bound.
    pub(crate) fn millis(self) -> f64 {
        let (Quantile::About(time) | Quantile::Above(time)) = self;
        time.as_secs_f64() * 1000.0
    }
}

/// `None`: nothing was observed.
pub(crate) fn quantile(values: &HistogramValues, share: f64) -> Option<Quantile> {
    if values.count == 0 {
        return None;
    }
    let rank = share * values.count as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (&count, &upper) in values.counts.iter().zip(BOUNDS) {
        let count = count as f64;
        if count > 0.0 && below + count >= rank {
            let seconds = lower + (upper - lower) * (rank - below) / count;
            return Some(Quantile::About(Duration::from_secs_f64(seconds)));
        }
        below += count;
        lower = upper;
    }
    Some(Quantile::Above(Duration::from_secs_f64(lower)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(counts: &[(usize, u64)]) -> HistogramValues {
        let mut values = HistogramValues::default();
        for (bucket, count) in counts {
            values.counts[*bucket] = *count;
            values.count += count;
        }
        values
    }

    #[test]
    fn a_quantile_lies_within_its_bucket() {
        assert_eq!(quantile(&values(&[]), 0.5), None);
        // 10 to 25 ms.
        let about = |millis| Some(Quantile::About(Duration::from_micros(millis)));
        assert_eq!(quantile(&values(&[(5, 2)]), 0.5), about(17_500));
        assert_eq!(quantile(&values(&[(5, 98), (8, 2)]), 0.99), about(175_000));
        assert_eq!(quantile(&values(&[(0, 100)]), 0.5), about(250));
        let above = Some(Quantile::Above(Duration::from_secs(10)));
        assert_eq!(quantile(&values(&[(0, 1), (14, 99)]), 0.5), above);
    }
}
