//! Collects samples by metric name, in the order they first appear, and writes the page. A metric
//! without samples does not appear.

use isobar_balance::stats::{BOUNDS, HistogramValues};
use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// Name and help.
pub(crate) type Title = (&'static str, &'static str);
pub(crate) type Labels<'a> = [(&'static str, &'a str)];

#[derive(Default)]
pub(crate) struct Families {
    families: Vec<(Title, MetricType, Vec<Metric>)>,
}

impl Families {
    pub(crate) fn counter(&mut self, title: Title, labels: &Labels<'_>, value: f64) {
        let mut counter = Counter::default();
        counter.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_counter(counter);
        self.add(title, MetricType::COUNTER, metric);
    }

    pub(crate) fn gauge(&mut self, title: Title, labels: &Labels<'_>, value: f64) {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_gauge(gauge);
        self.add(title, MetricType::GAUGE, metric);
    }

    pub(crate) fn histogram(
        &mut self,
        title: Title,
        labels: &Labels<'_>,
        values: &HistogramValues,
    ) {
        let mut below = 0;
        let bucket = |(bound, count): (&f64, &u64)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(BOUNDS.iter().zip(&values.counts).map(bucket).collect());
        histogram.set_sample_count(values.count);
        histogram.set_sample_sum(values.sum_seconds);
        let mut metric = Metric::from_label(pairs(labels));
        metric.set_histogram(histogram);
        self.add(title, MetricType::HISTOGRAM, metric);
    }

    pub(crate) fn encode(self) -> prometheus::Result<String> {
        let families = self.families.into_iter().map(|((name, help), kind, metrics)| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family.set_metric(metrics);
            family
        });
        TextEncoder::new().encode_to_string(&families.collect::<Vec<_>>())
    }

    fn add(&mut self, title: Title, kind: MetricType, metric: Metric) {
        // Samples of one metric come together or nearly so: look from the end.
        match self.families.iter_mut().rev().find(|(known, ..)| known.0 == title.0) {
            Some((.., metrics)) => metrics.push(metric),
            None => self.families.push((title, kind, vec![metric])),
        }
    }
}

fn pairs(labels: &Labels<'_>) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    labels.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use isobar_balance::stats;
    use std::time::Duration;

    #[test]
    fn samples_of_one_name_stand_together_and_buckets_add_up() {
        let mut out = Families::default();
        out.counter(("a_total", "A."), &[("pool", "x\"y\n")], 1.0);
        let histogram = stats::Histogram::default();
        histogram.observe(Duration::from_millis(1));
        histogram.observe(Duration::from_secs(60));
        out.histogram(("h_seconds", "H."), &[], &histogram.snapshot());
        out.counter(("a_total", "A."), &[("pool", "z")], 2.0);
        let page = out.encode().unwrap();
        assert_eq!(page.matches("# TYPE a_total counter").count(), 1);
        assert!(page.contains("a_total{pool=\"x\\\"y\\n\"} 1\na_total{pool=\"z\"} 2\n"), "{page}");
        assert!(page.contains("h_seconds_bucket{le=\"0.0005\"} 0\n"), "{page}");
        assert!(page.contains("h_seconds_bucket{le=\"10\"} 1\n"), "{page}");
        assert!(page.contains("h_seconds_bucket{le=\"+Inf\"} 2\n"), "{page}");
        assert!(page.contains("h_seconds_count 2\n"), "{page}");
    }
}
