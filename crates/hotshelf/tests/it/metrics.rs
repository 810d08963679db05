//! Metrics and events.

use std::time::Duration;

use futures_util::FutureExt;
use hotshelf::observe::{EventKind, SampleValue, StoreMetrics};
use hotshelf::testing::TestStore;
use hotshelf::{Cache, NearOptions, Store};

use crate::support::{now, on_each_backend, on_tokio, pause, server};

/// Returns the value of a line of Prometheus's text format.
fn value(metrics: &StoreMetrics, line: &str) -> Option<f64> {
    let text = metrics.to_string();
    let found = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '))?;
    Some(found.parse().unwrap())
}

fn of_numbers(name: &str, labels: &str) -> String {
    let labels = if labels.is_empty() { String::new() } else { format!(",{labels}") };
    format!("{name}{{cache=\"numbers\",prefix=\"cache\",version=\"v1\"{labels}}}")
}

#[test]
fn each_call_is_counted_once() {
    on_each_backend(async |store| {
        let ttl = Duration::from_secs(60);
        let cache: Cache<u32> = store.cache("numbers").negative_ttl(ttl).build().unwrap();
        cache.insert("a", 1).await;
        cache.get("a").await;
        cache.get("missing").await;
        for _ in 0..3 {
            assert_eq!(cache.entry("none").or_insert_optional_with(async || None).await, None);
        }
        let failed = cache.get_or_try_insert_with("fails", async || Err("no")).await;
        assert!(failed.is_err());
        cache.invalidate_many(["a", "b"]).await.unwrap();
        store.invalidate_tag("t").await.unwrap();
        cache.invalidate_pattern("x*").await.unwrap();

        let metrics = store.metrics();
        let tier = if store.backend() == "memory" { "memory" } else { "backend" };
        let get = |result: &str| {
            let labels = format!("tier=\"{tier}\",result=\"{result}\"");
            value(&metrics, &of_numbers("cache_gets_total", &labels)).unwrap()
        };
        assert_eq!([get("hit"), get("negative"), get("miss"), get("stale")], [1.0, 2.0, 3.0, 0.0]);
        let of = |name, labels| value(&metrics, &of_numbers(name, labels)).unwrap();
        assert_eq!(of("cache_puts_total", ""), 2.0);
        assert_eq!(of("cache_loads_total", "result=\"success\""), 1.0);
        assert_eq!(of("cache_loads_total", "result=\"failure\""), 1.0);
        assert_eq!(of("cache_load_duration_seconds_count", ""), 2.0);
        for (kind, count) in [("key", 2.0), ("tag", 1.0), ("pattern", 1.0)] {
            let line = format!("cache_invalidations_total{{kind=\"{kind}\"}}");
            assert_eq!(value(&metrics, &line), Some(count), "{kind}");
        }
        let up = format!("cache_backend_up{{backend=\"{}\"}}", store.backend());
        assert_eq!(value(&metrics, &up), Some(1.0));
    });
}

/// No call has to tell: a service that seldom invalidates would keep a false alarm.
#[tokio::test]
async fn backend_is_up_five_seconds_after_its_last_failure() {
    let test = TestStore::new();
    let cache = test.store().cache::<u32>("numbers").build().unwrap();
    let is_up = || test.store().metrics().backend_up;
    assert!(is_up());
    test.fail(true);
    cache.get("a").await;
    cache.invalidate("a").await.unwrap_err();
    test.fail(false);
    cache.get("a").await;
    assert!(!is_up());
    test.advance(Duration::from_millis(4_999));
    assert!(!is_up());
    test.advance(Duration::from_millis(1));
    assert!(is_up());
}

#[tokio::test]
async fn reads_of_a_failing_backend_are_misses() {
    let test = TestStore::new();
    let cache = test.store().cache::<u32>("numbers").build().unwrap();
    test.fail(true);
    cache.get("a").await;
    cache.get_many(["b", "c"]).await;
    cache.get_or_insert_with("d", async || 1).await;
    assert_eq!((cache.stats().misses, cache.stats().errors), (4, 3));
}

/// Negatives and stale values of the near tier, and stale values while a failed load isn't repeated.
#[test]
fn each_read_is_one_get_whatever_it_finds_and_where() {
    on_tokio(async {
        let server = server();
        let near = NearOptions::default();
        let store = Store::builder().url(server.url()).near(near).build().unwrap();
        let long = Duration::from_secs(600);
        let cache = store.cache::<u32>("numbers").negative_ttl(long).stale_if_error(long);
        let cache = cache.build().unwrap();
        cache.insert("old", 1).await;
        cache.expire("old").await.unwrap();

        let (mut reads, began) = (0.0, now());
        let stats = || cache.stats();
        while stats().near_negatives == 0 || stats().near_stale_hits == 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "{:?}", stats());
            assert_eq!(cache.entry("none").or_insert_optional_with(async || None).await, None);
            let old = cache.get_or_try_insert_with("old", async || Err("no")).await;
            assert_eq!(*old.unwrap(), 1);
            reads += 2.0;
            pause(Duration::from_millis(2)).await;
        }
        let metrics = store.metrics();
        let families = metrics.families();
        let gets = families.iter().find(|family| family.name == "cache_gets_total").unwrap();
        let counts = gets.samples.iter().map(|sample| match sample.value {
            SampleValue::Number(count) => count,
            _ => panic!("{sample:?}"),
        });
        assert_eq!(counts.sum::<f64>(), reads, "{gets:#?}");
        for result in ["stale", "negative"] {
            let labels = format!("tier=\"near\",result=\"{result}\"");
            assert!(value(&metrics, &of_numbers("cache_gets_total", &labels)).unwrap() > 0.0);
        }
    });
}

#[tokio::test]
async fn evictions_are_counted_and_replacements_are_not() {
    let store = Store::builder().memory_capacity(200_000).build().unwrap();
    let cache = store.cache::<String>("texts").build().unwrap();
    for _ in 0..50 {
        cache.insert("same", "x".repeat(100)).await;
    }
    let memory = || store.metrics().memory.unwrap();
    assert_eq!((memory().entries, memory().evictions), (1, 0));
    for key in 0..5_000 {
        cache.insert(key, "x".repeat(1_000)).await;
    }
    let memory = memory();
    assert!(memory.used_bytes <= memory.max_bytes);
    assert!(memory.evictions + memory.entries >= 4_900, "{memory:?}");
}

#[tokio::test]
async fn failing_backend_is_an_event_once() {
    let test = TestStore::new();
    let cache = test.store().cache::<u32>("numbers").build().unwrap();
    let mut events = test.store().events();
    test.fail(true);
    for _ in 0..3 {
        cache.get("a").await;
    }
    assert!(matches!(events.next().await.kind, EventKind::BackendFails { operation: "read", .. }));
    let metrics = test.store().metrics();
    assert!(!metrics.backend_up);
    let line = "cache_backend_errors_total{op=\"read\",kind=\"unavailable\"}";
    assert_eq!(value(&metrics, line), Some(3.0));
    assert!(cache.invalidate("a").await.is_err());
    let EventKind::Invalidated { by: "key", names, count: 1, succeeded: false } =
        events.next().await.kind
    else {
        // The kind of operation fails for the first time, too.
        return assert!(matches!(events.next().await.kind, EventKind::Invalidated { .. }));
    };
    assert_eq!(names, ["cache:v1:numbers:a"]);
}

#[tokio::test]
async fn invalidations_and_switches_are_events() {
    let test = TestStore::new();
    let cache = test.store().cache::<u32>("numbers").build().unwrap();
    let mut events = test.store().events();
    cache.invalidate("a").await.unwrap();
    test.store().invalidate_tags(["t", "u"]).await.unwrap();
    test.store().set_enabled(false);
    test.store().set_enabled(false);
    let mut next = || events.next().now_or_never().map(|event| event.kind);
    assert!(matches!(
        next(),
        Some(EventKind::Invalidated { by: "key", count: 1, succeeded: true, .. })
    ));
    assert!(matches!(next(), Some(EventKind::Invalidated { by: "tag", count: 2, .. })));
    assert_eq!(next(), Some(EventKind::Enabled { enabled: false }));
    assert_eq!(next(), None);
}

#[tokio::test]
async fn slow_loads_are_events() {
    let test = TestStore::new();
    let cache = test.store().cache::<u32>("numbers").build().unwrap();
    let mut events = test.store().events();
    for (key, millis) in [("quick", 999), ("slow", 1_500)] {
        let load = async || {
            test.advance(Duration::from_millis(millis));
            1
        };
        cache.get_or_insert_with(key, load).await;
    }
    let event = events.next().now_or_never().unwrap();
    assert_eq!(event.kind, EventKind::SlowLoad { cache: "numbers".to_owned(), seconds: 1.5 });
    assert!(events.next().now_or_never().is_none());
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn reporter_tells_the_recorder() {
    use hotshelf::MetricsReporter;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder};

    let test = TestStore::new();
    let cache = test.store().cache::<u32>("numbers").build().unwrap();
    let mut reporter = MetricsReporter::new(test.store());
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    for round in 1..=2_u32 {
        cache.get_or_insert_with(round, async || 1).await;
        metrics::with_local_recorder(&recorder, || reporter.report());
        let snapshot = snapshotter.snapshot().into_vec();
        let find = |name: &str, label: &str| {
            let found = snapshot.iter().find(|(key, ..)| {
                let key = key.key();
                key.name() == name
                    && (label.is_empty() || key.labels().any(|it| it.value() == label))
            });
            &found.unwrap_or_else(|| panic!("{name} is missing")).3
        };
        assert_eq!(find("cache_puts_total", ""), &DebugValue::Counter(round.into()));
        assert_eq!(find("cache_loads_total", "success"), &DebugValue::Counter(round.into()));
        assert!(matches!(find("cache_backend_up", ""), DebugValue::Gauge(up) if up.0 == 1.0));
        let DebugValue::Histogram(times) = find("cache_load_duration_seconds", "") else {
            panic!("a histogram");
        };
        assert_eq!(times.len(), 1, "each load is reported once");
    }
}

#[test]
fn metrics_of_a_cache_name_the_beginning_of_its_keys() {
    on_each_backend(async |store| {
        for name in ["numbers", "two words"] {
            let cache: Cache<u32> = store.cache(name).build().unwrap();
            let metrics = store.metrics();
            let of_cache = metrics.caches.iter().find(|it| it.name == name).unwrap();
            let key = cache.wire_key("a");
            assert!(key.as_str().starts_with(&of_cache.key_prefix), "{key:?}: {of_cache:?}");
            assert_eq!(of_cache.id(), format!("cache:v1:{name}"));
        }
    });
}
