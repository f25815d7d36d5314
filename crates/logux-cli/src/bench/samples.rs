//! Summaries of measured values.

use serde::Serialize;

/// Latencies in microseconds.
#[derive(Debug, Default)]
pub(super) struct LatencySamples(Vec<u32>);

/// Percentiles and maximum of latencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LatencySummary {
    pub(super) p50_us: u32,
    pub(super) p99_us: u32,
    pub(super) max_us: u32,
}

/// Median, minimum and maximum of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl LatencySamples {
    pub(super) fn add(&mut self, microseconds: u64) {
        self.0.push(u32::try_from(microseconds).unwrap_or(u32::MAX));
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the summary and clears the samples. `None` without samples.
    pub(super) fn take(&mut self) -> Option<LatencySummary> {
        self.0.sort_unstable();
        let at = |percent: usize| {
            self.0.get((self.0.len() * percent / 100).min(self.0.len().saturating_sub(1))).copied()
        };
        let latency = LatencySummary { p50_us: at(50)?, p99_us: at(99)?, max_us: at(100)? };
        self.0.clear();
        Some(latency)
    }
}

impl Spread {
    /// Summarizes values. All fields are zero without values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let [min, .., max] = values[..] else {
            let only = values.first().copied().unwrap_or_default();
            return Self { median: only, min: only, max: only };
        };
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Self { median: f64::midpoint(low, high), min, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_summarized() {
        let mut samples = LatencySamples::default();
        (1..=200).rev().for_each(|n| samples.add(n));
        assert_eq!(samples.take(), Some(LatencySummary { p50_us: 101, p99_us: 199, max_us: 200 }));
        assert_eq!(samples.take(), None);
        samples.add(7);
        assert_eq!(samples.take(), Some(LatencySummary { p50_us: 7, p99_us: 7, max_us: 7 }));
    }

    #[test]
    fn median_of_an_even_number_is_the_midpoint() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]), Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert_eq!(Spread::of([5.0]), Spread { median: 5.0, min: 5.0, max: 5.0 });
    }
}
