//! Reads Prometheus text as far as the tests need it.

#[derive(Clone, Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    pub fn parse(text: &str) -> Metrics {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Metrics { samples: lines.filter_map(Sample::parse).collect() }
    }

    /// The sum of every series of that name that carries these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|sample| sample.value).sum()
    }

    pub fn has(&self, name: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == name)
    }

    /// The upper bound of the bucket that holds the quantile; None while nothing was observed.
    pub fn quantile(&self, histogram: &str, labels: &[(&str, &str)], quantile: f64) -> Option<f64> {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for sample in self.matching(&format!("{histogram}_bucket"), labels) {
            let bound = sample.label("le")?.parse().unwrap_or(f64::INFINITY);
            match buckets.iter_mut().find(|(other, _)| *other == bound) {
                Some((_, count)) => *count += sample.value,
                None => buckets.push((bound, sample.value)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = buckets.last()?.1;
        let holds = |(_, count): &&(f64, f64)| *count >= quantile * total;
        (total > 0.0).then(|| buckets.iter().find(holds).map(|(bound, _)| *bound))?
    }

    fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        let fits = move |sample: &&Sample| {
            sample.name == name && labels.iter().all(|(key, v)| sample.label(key) == Some(v))
        };
        self.samples.iter().filter(fits)
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Sample> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, rest.strip_suffix('}')?),
            None => (series, ""),
        };
        let labels = labels.split("\",").filter_map(|pair| {
            let (key, value) = pair.split_once("=\"")?;
            Some((key.to_owned(), value.trim_end_matches('"').to_owned()))
        });
        Some(Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().ok()? })
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x y\nreqs{pool=\"a\",code=\"200\"} 3\nreqs{pool=\"b\",code=\"200\"} 4\n\
        up 1\nh_bucket{le=\"0.001\"} 90\nh_bucket{le=\"0.01\"} 99\nh_bucket{le=\"+Inf\"} 100\n";

    #[test]
    fn sums_the_series_that_match() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.sum("reqs", &[]), 7.0);
        assert_eq!(metrics.sum("reqs", &[("pool", "b"), ("code", "200")]), 4.0);
        assert_eq!(metrics.sum("up", &[]), 1.0);
        assert!(!metrics.has("down"));
    }

    #[test]
    fn a_quantile_is_its_buckets_bound() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.quantile("h", &[], 0.5), Some(0.001));
        assert_eq!(metrics.quantile("h", &[], 0.99), Some(0.01));
        assert_eq!(metrics.quantile("h", &[], 0.999), Some(f64::INFINITY));
        assert_eq!(metrics.quantile("absent", &[], 0.5), None);
    }
}
