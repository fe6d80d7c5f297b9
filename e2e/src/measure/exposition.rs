//! What a server says under `/metrics`, as numbers that can be subtracted, grouped and asked for quantiles.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use kube::client::Body;

/// Labels of a series.
type Labels = BTreeMap<String, String>;

/// Every series by name and labels.
#[derive(Debug, Clone, Default)]
pub struct Exposition(BTreeMap<(String, Labels), f64>);

impl Exposition {
    /// Asks a server.
    pub async fn read(server: &kube::Client) -> Result<Self> {
        let response = server.send(http::Request::get("/metrics").body(Body::empty())?).await?;
        ensure!(response.status() == 200, "/metrics: {}", response.status());
        let bytes = response.into_body().collect().await?.to_bytes();
        Self::parse(std::str::from_utf8(&bytes)?)
    }

    /// Reads the text form; labels hold no escapes here.
    pub fn parse(text: &str) -> Result<Self> {
        let mut all = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (series, value) = line.rsplit_once(' ').context("a series without a value")?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').split(',').filter_map(|label| {
                let (key, value) = label.split_once('=')?;
                Some((key.to_owned(), value.trim_matches('"').to_owned()))
            });
            all.insert((name.to_owned(), labels.collect()), value.parse()?);
        }
        Ok(Self(all))
    }

    /// What was added since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let difference = |(series, value): (&(String, Labels), &f64)| {
            let was = before.0.get(series).copied().unwrap_or_default();
            (series.clone(), value - was)
        };
        Self(self.0.iter().map(difference).collect())
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Labels, f64)> {
        let all = self.0.iter().filter(move |((own, _), _)| own == name);
        all.map(|((_, labels), value)| (labels, *value))
    }

    /// All series of a name together.
    pub fn sum(&self, name: &str) -> f64 {
        self.of(name).map(|(_, value)| value).sum()
    }

    /// The series of a name, grouped by what `row` makes of their labels (nothing: left out), the largest first.
    pub fn rows(&self, name: &str, row: impl Fn(&Labels) -> Option<String>) -> Vec<(String, f64)> {
        let mut grouped: BTreeMap<String, f64> = BTreeMap::new();
        for (labels, value) in self.of(name) {
            if let Some(row) = row(labels) {
                *grouped.entry(row).or_default() += value;
            }
        }
        let mut rows: Vec<(String, f64)> = grouped.into_iter().collect();
        rows.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        rows
    }

    /// The time within which so many of a hundred measured by a histogram of seconds fell, read between the bounds of its
    /// buckets; nothing when nothing was measured, or when it lies beyond the last bound.
    pub fn percentile(&self, name: &str, label: (&str, &str), percent: f64) -> Option<Duration> {
        let bucket = format!("{name}_bucket");
        let mut buckets: Vec<(f64, f64)> = self
            .of(&bucket)
            .filter(|(labels, _)| labels.get(label.0).is_some_and(|value| value == label.1))
            .filter_map(|(labels, count)| Some((labels.get("le")?.replace("+Inf", "inf").parse().ok()?, count)))
            .collect();
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let (_, all) = *buckets.last()?;
        let wanted = all * percent / 100.0;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in buckets {
            if 0.0 < all && wanted <= count {
                let within = if below < count {
                    (wanted - below) / (count - below)
                } else {
                    1.0
                };
                return Duration::try_from_secs_f64(lower + (bound - lower) * within).ok();
            }
            (lower, below) = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# TYPE a counter\na_total{verb=\"GET\",resource=\"pods\"} 2\nplain 1.5\n# EOF\n";
    const AFTER: &str = "a_total{verb=\"GET\",resource=\"pods\"} 5\na_total{verb=\"PATCH\",resource=\"pods\"} 4\nplain 1.5\n\
        lag_bucket{le=\"1.0\",stage=\"x\"} 50\nlag_bucket{le=\"2.0\",stage=\"x\"} 100\nlag_bucket{le=\"+Inf\",stage=\"x\"} 100\n\
        lag_bucket{le=\"1.0\",stage=\"y\"} 0\nlag_bucket{le=\"+Inf\",stage=\"y\"} 1\n";

    #[test]
    fn series_are_read_subtracted_and_grouped() {
        let difference = Exposition::parse(AFTER)
            .unwrap()
            .since(&Exposition::parse(BEFORE).unwrap());
        let rows = difference.rows("a_total", |labels| Some(labels["verb"].clone()));
        assert_eq!(rows, [("PATCH".to_owned(), 4.0), ("GET".to_owned(), 3.0)]);
        assert!((difference.sum("a_total") - 7.0).abs() < 1e-9);
        assert!(difference.sum("plain").abs() < 1e-9);
    }

    #[test]
    fn percentiles_lie_between_the_bounds_of_buckets() {
        let all = Exposition::parse(AFTER).unwrap();
        for (stage, percent, expected) in [
            ("x", 50.0, Some(1000)),
            ("x", 75.0, Some(1500)),
            ("x", 100.0, Some(2000)),
            ("y", 99.0, None),
            ("none", 50.0, None),
        ] {
            let found = all.percentile("lag", ("stage", stage), percent);
            assert_eq!(found, expected.map(Duration::from_millis), "{stage} {percent}");
        }
    }
}
