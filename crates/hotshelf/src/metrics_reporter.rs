//! Metrics for the exporters of the `metrics` crate.

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_core::Runtime;
use hotshelf_core::observe::{FamilyKind, LoadTimesSnapshot, Sample, SampleValue};
use metrics::{Histogram, Label, counter, gauge, histogram};

use crate::runtime::TokioRuntime;
use crate::store::Store;

/// The labels of a metric, by which it is known again.
type Labels = Vec<(&'static str, String)>;

/// Reports the metrics of a store to the recorder of the `metrics` crate, whichever exporter has
/// installed it.
///
/// The counters of a store exist anyway: calls of the cache cost nothing more. Durations of loads
/// are reported as the upper bounds of their buckets, from 0.5 ms to a minute.
///
/// ```no_run
/// # async fn example(store: hotshelf::Store) {
/// use std::time::Duration;
/// use hotshelf::MetricsReporter;
///
/// tokio::spawn(MetricsReporter::new(&store).report_every(Duration::from_secs(5)));
/// # }
/// ```
#[derive(Debug)]
pub struct MetricsReporter {
    store: Store,
    /// The numbers of loads in each bucket, as reported last, by the labels of the cache.
    reported: HashMap<Labels, Vec<u64>>,
}

impl MetricsReporter {
    /// Creates a reporter.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), reported: HashMap::new() }
    }

    /// Reports again and again. Never completes; dropping it ends it.
    pub async fn report_every(mut self, interval: Duration) {
        let runtime = TokioRuntime::new();
        loop {
            self.report();
            runtime.sleep(interval).await;
        }
    }

    /// Reports the metrics of now.
    pub fn report(&mut self) {
        for family in self.store.metrics().families() {
            for Sample { labels, value, .. } in family.samples {
                let owned = |(name, value)| Label::new(name, value);
                let all: Vec<Label> = labels.iter().cloned().map(owned).collect();
                match (family.kind, value) {
                    (FamilyKind::Counter, SampleValue::Number(value)) => {
                        counter!(family.name, all).absolute(value as u64);
                    }
                    (_, SampleValue::Number(value)) => gauge!(family.name, all).set(value),
                    (_, SampleValue::Times(times)) => {
                        self.report_times(&histogram!(family.name, all), labels, &times);
                    }
                    _ => {}
                }
            }
        }
    }

    fn report_times(&mut self, to: &Histogram, labels: Labels, times: &LoadTimesSnapshot) {
        let buckets = &times.buckets;
        let reported = self.reported.entry(labels).or_insert_with(|| vec![0; buckets.len()]);
        let last = buckets.iter().rfind(|(bound, _)| bound.is_finite());
        let longest = last.map_or(0.0, |(bound, _)| *bound);
        for ((bound, count), reported) in buckets.iter().zip(reported) {
            let new = usize::try_from(count.saturating_sub(*reported)).unwrap_or(usize::MAX);
            if new > 0 {
                to.record_many(bound.min(longest), new);
            }
            *reported = *count;
        }
    }
}
