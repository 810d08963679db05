//! The metrics of a store as families, with the names of Micrometer's convention, so that existing
//! dashboards read them.

use std::fmt;

use super::{CacheMetrics, LoadTimesSnapshot, MemoryUse, StoreMetrics};
use crate::stats::CacheStats;

/// Metrics of one name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// What is measured, in one sentence.
    pub help: &'static str,
    /// The type.
    pub kind: FamilyKind,
    /// The values, with their labels.
    pub samples: Vec<Sample>,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FamilyKind {
    /// It only grows.
    Counter,
    /// It may fall.
    Gauge,
    /// A distribution of times.
    Histogram,
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The labels: of a cache its name, prefix and version, and others. Never a key.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: SampleValue,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SampleValue {
    /// A number.
    Number(f64),
    /// A distribution.
    Times(LoadTimesSnapshot),
}

/// Labels beside those of the cache, and a value.
type Part = (Vec<(&'static str, &'static str)>, u64);

/// A counter of each cache: its name, what it counts, and its parts.
type CacheCounter = (&'static str, &'static str, fn(&StoreMetrics, &CacheStats) -> Vec<Part>);

const CACHE_COUNTERS: [CacheCounter; 9] = [
    ("cache_gets_total", "Calls that read a cache, by tier and result.", gets),
    ("cache_puts_total", "Values that were stored.", |_, it| alone(it.stored)),
    ("cache_loads_total", "Loads, by result.", |_, it| {
        let failed = it.load_errors.min(it.loads);
        let result = |result| vec![("result", result)];
        vec![(result("success"), it.loads - failed), (result("failure"), failed)]
    }),
    ("cache_coalesced_total", "Calls that got the value of another load.", |_, it| {
        alone(it.coalesced)
    }),
    ("cache_stale_served_total", "Stale values that were returned, by reason.", |_, it| {
        let instead = it.stale_instead.min(it.stale);
        let reason = |reason| vec![("reason", reason)];
        vec![(reason("revalidate"), it.stale - instead), (reason("error"), instead)]
    }),
    ("cache_refused_total", "Values that an invalidation refused.", |_, it| alone(it.refused)),
    ("cache_degraded_total", "Loads without the right to store.", |_, it| alone(it.degraded)),
    ("cache_load_timeouts_total", "Calls that stopped waiting for a load.", |_, it| {
        alone(it.timed_out)
    }),
    ("cache_errors_total", "Failures that no caller saw.", |_, it| alone(it.errors)),
];

/// A metric of the entries in memory.
type MemoryMetric = (&'static str, &'static str, FamilyKind, fn(&MemoryUse) -> u64);

const MEMORY: [MemoryMetric; 4] = [
    ("cache_size", "Entries in memory.", FamilyKind::Gauge, |it| it.entries),
    ("cache_weight_bytes", "Bytes that entries in memory take.", FamilyKind::Gauge, |it| {
        it.used_bytes
    }),
    ("cache_max_weight_bytes", "Bytes that entries in memory may take.", FamilyKind::Gauge, |it| {
        it.max_bytes
    }),
    ("cache_evictions_total", "Entries that were removed for others.", FamilyKind::Counter, |it| {
        it.evictions
    }),
];

fn alone(count: u64) -> Vec<Part> {
    vec![(Vec::new(), count)]
}

/// Returns the calls of a cache that read, by the tier that answered and the result: each call once.
fn gets(metrics: &StoreMetrics, stats: &CacheStats) -> Vec<Part> {
    let tier = if metrics.backend == "memory" { "memory" } else { "backend" };
    let near = [stats.near_hits, stats.near_stale_hits, stats.near_negatives];
    let all = [stats.hits, stats.stale_hits, stats.negatives];
    // The counters are not read atomically.
    let far: Vec<u64> = all.iter().zip(near).map(|(all, near)| all.saturating_sub(near)).collect();
    let by_result = |tier, counts: &[u64]| {
        let [hits, stale, negatives] = *counts else { return Vec::new() };
        let fresh = hits.saturating_sub(stale + negatives);
        let get = |result, count| (vec![("tier", tier), ("result", result)], count);
        vec![get("hit", fresh), get("stale", stale), get("negative", negatives)]
    };
    let mut gets = by_result(tier, &far);
    gets.push((vec![("tier", tier), ("result", "miss")], stats.misses));
    if metrics.near.is_some() {
        gets.extend(by_result("near", &near));
    }
    gets
}

impl StoreMetrics {
    /// Returns the metrics by their names.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families: Vec<_> =
            CACHE_COUNTERS.iter().map(|counter| self.of_caches(*counter)).collect();
        let name = "cache_load_duration_seconds";
        families.push(Family {
            samples: self.caches.iter().map(times).collect(),
            ..family(name, "How long loaders took.", FamilyKind::Histogram)
        });
        families.extend(self.of_store());
        families.extend(self.of_memory());
        families
    }

    fn of_caches(&self, (name, help, parts): CacheCounter) -> Family {
        let mut counter = family(name, help, FamilyKind::Counter);
        for cache in &self.caches {
            for (labels, count) in parts(self, &cache.stats) {
                let labels = labels.into_iter().map(|(name, value)| (name, value.to_owned()));
                let labels = labels_of(cache).into_iter().chain(labels).collect();
                counter.samples.push(number(labels, count as f64));
            }
        }
        counter
    }

    fn of_store(&self) -> [Family; 3] {
        let help = "Keys, tags and patterns that were invalidated.";
        let mut invalidations = family("cache_invalidations_total", help, FamilyKind::Counter);
        let super::Invalidations { keys, tags, patterns } = self.invalidations;
        for (kind, count) in [("key", keys), ("tag", tags), ("pattern", patterns)] {
            invalidations.samples.push(number(vec![("kind", kind.to_owned())], count as f64));
        }
        let mut up = family("cache_backend_up", "Whether the backend answers.", FamilyKind::Gauge);
        let backend = vec![("backend", self.backend.to_owned())];
        up.samples.push(number(backend, f64::from(u8::from(self.backend_up))));
        let help = "Operations of the backend that failed.";
        let mut errors = family("cache_backend_errors_total", help, FamilyKind::Counter);
        for failures in &self.failures {
            let labels =
                vec![("op", failures.operation.to_owned()), ("kind", failures.error.to_owned())];
            errors.samples.push(number(labels, failures.count as f64));
        }
        [invalidations, up, errors]
    }

    fn of_memory(&self) -> Vec<Family> {
        let memory = self.memory.map(|memory| ("memory", memory));
        let near = self.near.map(|near| ("near", near.memory));
        let tiers: Vec<_> = memory.into_iter().chain(near).collect();
        let mut families = Vec::new();
        for (name, help, kind, value) in MEMORY {
            let mut family = family(name, help, kind);
            for (tier, memory) in &tiers {
                let mut labels = vec![("tier", (*tier).to_owned())];
                if kind == FamilyKind::Counter {
                    labels.push(("cause", "size".to_owned()));
                }
                family.samples.push(number(labels, value(memory) as f64));
            }
            families.push(family);
        }
        let help = "How long ago near hits were last known to be valid.";
        let mut age = family("cache_near_validity_age_seconds", help, FamilyKind::Gauge);
        let known = self.near.and_then(|near| near.validity_age);
        age.samples.extend(known.map(|known| number(Vec::new(), known)));
        families.push(age);
        families.retain(|family| !family.samples.is_empty());
        families
    }
}

fn family(name: &'static str, help: &'static str, kind: FamilyKind) -> Family {
    Family { name, help, kind, samples: Vec::new() }
}

fn number(labels: Vec<(&'static str, String)>, value: f64) -> Sample {
    Sample { labels, value: SampleValue::Number(value) }
}

fn times(cache: &CacheMetrics) -> Sample {
    Sample { labels: labels_of(cache), value: SampleValue::Times(cache.load_times.clone()) }
}

fn labels_of(cache: &CacheMetrics) -> Vec<(&'static str, String)> {
    let version = cache.version.clone().unwrap_or_default();
    vec![("cache", cache.name.clone()), ("prefix", cache.prefix.clone()), ("version", version)]
}

/// Writes the text format of Prometheus, version 0.0.4.
impl fmt::Display for StoreMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Family { name, help, kind, samples } in self.families() {
            let kind = match kind {
                FamilyKind::Counter => "counter",
                FamilyKind::Gauge => "gauge",
                FamilyKind::Histogram => "histogram",
            };
            writeln!(formatter, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            for Sample { labels, value } in samples {
                match value {
                    SampleValue::Number(value) => write_sample(formatter, name, &labels, value)?,
                    SampleValue::Times(times) => write_times(formatter, name, &labels, &times)?,
                }
            }
        }
        Ok(())
    }
}

fn write_times(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    labels: &[(&'static str, String)],
    times: &LoadTimesSnapshot,
) -> fmt::Result {
    let mut sum = 0;
    for (bound, count) in &times.buckets {
        sum += count;
        let bound = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
        let labels = [labels, &[("le", bound)]].concat();
        write_sample(formatter, &format!("{name}_bucket"), &labels, sum as f64)?;
    }
    write_sample(formatter, &format!("{name}_sum"), labels, times.sum)?;
    write_sample(formatter, &format!("{name}_count"), labels, times.count as f64)
}

fn write_sample(
    formatter: &mut fmt::Formatter<'_>,
    name: &str,
    labels: &[(&'static str, String)],
    value: f64,
) -> fmt::Result {
    formatter.write_str(name)?;
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if !labels.is_empty() {
        write!(formatter, "{{{}}}", labels.join(","))?;
    }
    writeln!(formatter, " {value}")
}

/// Escapes the value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Failures, Invalidations, LoadTimes, NearUse};

    fn metrics() -> StoreMetrics {
        let stats =
            CacheStats { hits: 10, near_hits: 4, misses: 3, loads: 2, ..CacheStats::default() };
        let times = LoadTimes::default();
        times.record(std::time::Duration::from_millis(3));
        let name = "a \"b\"\\\n".to_owned();
        let (prefix, version) = ("app".to_owned(), Some("v1".to_owned()));
        StoreMetrics {
            backend: "redis",
            backend_up: true,
            enabled: true,
            failures: vec![Failures { operation: "read", error: "timeout", count: 2 }],
            invalidations: Invalidations { keys: 5, ..Invalidations::default() },
            memory: None,
            near: Some(NearUse {
                memory: MemoryUse { entries: 7, ..MemoryUse::default() },
                max_staleness: 2.0,
                validity_age: Some(0.5),
            }),
            caches: vec![CacheMetrics {
                prefix,
                version,
                name,
                value_type: "u64".into(),
                stats,
                load_times: times.read(),
                key_prefix: "cache:v1:numbers:".into(),
            }],
        }
    }

    #[test]
    fn text_has_each_family_once() {
        let text = metrics().to_string();
        let cache = r#"cache="a \"b\"\\\n",prefix="app",version="v1""#;
        for line in [
            format!(r#"cache_gets_total{{{cache},tier="backend",result="hit"}} 6"#),
            format!(r#"cache_gets_total{{{cache},tier="near",result="hit"}} 4"#),
            format!(r#"cache_load_duration_seconds_bucket{{{cache},le="0.005"}} 1"#),
            format!(r#"cache_load_duration_seconds_bucket{{{cache},le="+Inf"}} 1"#),
            format!("cache_load_duration_seconds_sum{{{cache}}} 0.003"),
            r#"cache_invalidations_total{kind="key"} 5"#.to_owned(),
            r#"cache_backend_errors_total{op="read",kind="timeout"} 2"#.to_owned(),
            r#"cache_backend_up{backend="redis"} 1"#.to_owned(),
            r#"cache_size{tier="near"} 7"#.to_owned(),
            "cache_near_validity_age_seconds 0.5".to_owned(),
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        let mut types: Vec<_> = text.lines().filter(|it| it.starts_with("# TYPE")).collect();
        let count = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), count);
    }
}
