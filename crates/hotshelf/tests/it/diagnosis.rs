//! Where values come from, what is known of keys, and filling a cache before it is used.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{MissReason, NearOptions, RedisOptions, Remaining, Source, Store, Trace, Verdict};

use crate::support::{on_each_backend, on_tokio, pause, server};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn outcome_tells_where_a_value_comes_from() {
    on_each_backend(async |store| {
        let is_local = store.info().await.backend == "memory";
        let cache = store.cache::<u32>("n").stale_while_revalidate(MINUTE).build().unwrap();
        let traced = async |load: bool| {
            let trace = Trace::default();
            let entry = cache.entry("k").traced(&trace);
            match load {
                true => drop(entry.or_insert_with(async || 5).await),
                false => drop(entry.get().await),
            }
            trace.outcome()
        };
        let missed = traced(false).await;
        assert_eq!((missed.source, missed.reason), (Source::None, Some(MissReason::Missing)));
        let loaded = traced(true).await;
        assert_eq!((loaded.source, loaded.reason), (Source::Loader, Some(MissReason::Missing)));
        assert!(loaded.loaded && !loaded.is_stale);
        for load in [true, false] {
            let hit = traced(load).await;
            let expected = if is_local { Source::Local } else { Source::Server };
            assert_eq!((hit.source, hit.reason, hit.loaded), (expected, None, false));
            assert!(hit.age.unwrap() < MINUTE && hit.load_time.is_some());
        }
        cache.expire("k").await.unwrap();
        pause(Duration::from_millis(2)).await;
        let missed = traced(false).await;
        assert_eq!((missed.source, missed.reason), (Source::None, Some(MissReason::Expired)));
        let trace = Trace::default();
        let load = async |_| Ok::<_, ()>(6);
        cache.entry("k").traced(&trace).or_refresh_with(load).await.unwrap();
        let stale = trace.outcome();
        assert!(stale.is_stale, "{stale}");
        assert_eq!(stale.reason, Some(MissReason::Expired));
        let trace = Trace::default();
        cache.entry("k").traced(&trace).reload().or_insert_with(async || 7).await;
        assert_eq!(trace.outcome().to_string(), "loaded; the call loads in any case");
        store.set_enabled(false);
        for load in [true, false] {
            assert_eq!(traced(load).await.reason, Some(MissReason::Disabled));
        }
    });
}

#[tokio::test]
async fn explanation_compares_tags() {
    let test = TestStore::new();
    let build = |store: &Store| store.cache::<u32>("n").tags(|_| ["t"]).build().unwrap();
    let (cache, other) = (build(test.store()), build(&test.another_store()));
    assert_eq!(cache.explain("k").await.unwrap().verdict, Verdict::Miss);
    cache.insert("k", 5).await;
    test.advance(Duration::from_secs(2));
    let hit = other.explain("k").await.unwrap();
    assert_eq!(hit.verdict, Verdict::Hit);
    let entry = hit.entry.unwrap();
    assert_eq!((entry.age, entry.value_bytes), (Some(Duration::from_secs(2)), 1));
    assert_eq!(entry.fresh_for, Some(Duration::from_secs(298)));
    assert_eq!(entry.expires_in, entry.fresh_for);
    assert_eq!(hit.tags.len(), 1);
    assert!(hit.tags[0].required && hit.tags[0].recorded == hit.tags[0].current);

    cache.invalidate_tag("t").await.unwrap();
    let missed = other.explain("k").await.unwrap();
    assert_eq!(missed.reason, Some(MissReason::TagsChanged));
    assert_eq!(missed.tags[0].current, None);
    let text = missed.to_string();
    for part in ["a miss: a tag of the entry was invalidated", "loaded   2s ago", ": invalidated"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(other.stats().hits + other.stats().misses, 0);
    test.store().set_enabled(false);
    assert_eq!(cache.explain("k").await.unwrap().reason, Some(MissReason::Disabled));
}

#[tokio::test]
async fn explanation_of_stale_and_foreign_entries() {
    let test = TestStore::new();
    let builder = test.store().cache::<u32>("n").time_to_live(MINUTE).stale_if_error(MINUTE);
    let cache = builder.stale_while_revalidate(MINUTE / 2).build().unwrap();
    cache.insert("k", 5).await;
    for verdict in [Verdict::StaleWhileRevalidating, Verdict::StaleOnError] {
        test.advance(if verdict == Verdict::StaleOnError { MINUTE / 2 } else { MINUTE });
        assert_eq!(cache.explain("k").await.unwrap().verdict, verdict);
    }
    let texts = test.store().cache::<String>("n").build();
    assert!(texts.is_err(), "another type");
    let plain = test.store().cache::<u32>("plain").strict_plain(true).build().unwrap();
    plain.insert("k", 5).await;
    let explained = plain.explain("k").await.unwrap();
    assert_eq!(explained.verdict, Verdict::Hit);
    assert_eq!(explained.entry.unwrap().fill, None);
    let json = serde_json::to_value(cache.explain("missing").await.unwrap()).unwrap();
    assert_eq!((&json["verdict"], &json["reason"]), (&"miss".into(), &"missing".into()));
}

#[test]
fn explanation_tells_whether_the_near_tier_answers() {
    let server = server();
    on_tokio(async {
        let options = RedisOptions::from_url(&server.url()).unwrap();
        let near = NearOptions::default();
        let store = Store::builder().redis(options).near(near).build().unwrap();
        let cache = store.cache::<u32>("n").build().unwrap();
        cache.insert("k", 5).await;
        while cache.explain("k").await.unwrap().near != Some(true) {
            cache.get("k").await;
            pause(Duration::from_millis(5)).await;
        }
        cache.invalidate("k").await.unwrap();
        assert_eq!(cache.explain("k").await.unwrap().near, Some(false));
    });
}

#[tokio::test]
async fn warming_loads_what_is_missing_with_staggered_lifetimes() {
    let test = TestStore::new();
    let cache = test.store().cache::<u64>("n").time_to_live(MINUTE).build().unwrap();
    cache.insert(3, 3).await;
    let (running, most, seen) = (Cell::new(0), Cell::new(0), RefCell::new(Vec::new()));
    let load = async |key: u64| {
        running.set(running.get() + 1);
        most.set(most.get().max(running.get()));
        tokio::task::yield_now().await;
        running.set(running.get() - 1);
        if key == 7 { Err("down") } else { Ok(key) }
    };
    let progress = std::sync::Mutex::new(Vec::new());
    let warm = cache.warm(0..100, load).concurrency(4);
    let warmed = warm.progress(|done| progress.lock().unwrap().push(done)).run().await;
    assert_eq!((warmed.loaded, warmed.cached), (98, 1));
    assert_eq!((warmed.failed[0].0, warmed.failed[0].1.loader()), (7, Some(&"down")));
    assert_eq!(most.get(), 4);
    assert!((1..=100).eq(progress.into_inner().unwrap()));
    for key in (0..100).filter(|key| ![3, 7].contains(key)) {
        let Remaining::After(left) = cache.remaining(key).await else { panic!("{key}") };
        assert!(left >= MINUTE / 2 && left <= MINUTE);
        seen.borrow_mut().push(left.as_secs());
    }
    seen.borrow_mut().sort_unstable();
    seen.borrow_mut().dedup();
    assert!(seen.borrow().len() > 25, "they end at different times");
    let again = cache.warm(0..100, async |key| Ok::<_, ()>(key)).stagger(f64::NAN).run().await;
    assert_eq!((again.loaded, again.cached), (1, 99));
}

#[tokio::test]
async fn outcome_of_a_failed_load_has_no_source() {
    let test = TestStore::new();
    let cache = test.store().cache::<u32>("n").stale_if_error(MINUTE).build().unwrap();
    cache.insert("k", 1).await;
    test.advance(5 * MINUTE);
    let trace = Trace::default();
    let failed = cache.entry("k").traced(&trace).or_load(async |context| {
        context.reject_stale();
        Err::<u32, _>("gone")
    });
    assert!(failed.await.is_err());
    assert_eq!((trace.outcome().source, trace.outcome().is_stale), (Source::None, false));
}

#[tokio::test]
async fn outcome_of_a_call_does_not_change_when_its_refresh_ends() {
    let test = TestStore::new();
    let cache = test.store().cache::<u32>("n").stale_while_revalidate(MINUTE).build().unwrap();
    cache.insert("k", 1).await;
    test.advance(5 * MINUTE);
    let trace = Trace::default();
    let load = |_| async { Ok::<u32, ()>(2) };
    let given = cache.entry("k").traced(&trace).or_refresh_with(load).await;
    assert_eq!(*given.unwrap(), 1);
    let outcome = trace.outcome();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let later = trace.outcome();
    assert_eq!((later.source, later.is_stale), (outcome.source, outcome.is_stale));
    assert!(outcome.loaded, "it was begun in the background");
}
