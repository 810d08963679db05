//! Calls that stop waiting for a load.

use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{Cache, ErrorKind, LoadError, Store};

use super::{MINUTE, Source, numbers, settle, two_processes};
use crate::support::pause;

const SOFT: Duration = Duration::from_millis(100);
const HARD: Duration = Duration::from_secs(1);

fn patient(store: &Store) -> Cache<u32> {
    let builder = numbers(store).stale_if_error(10 * MINUTE).soft_timeout(SOFT).hard_timeout(HARD);
    builder.build().unwrap()
}

/// Loads after ten seconds.
async fn slowly(source: Source) -> Result<u32, &'static str> {
    let loaded = source.load().await;
    pause(Duration::from_secs(10)).await;
    loaded
}

#[tokio::test(start_paused = true)]
async fn slow_load_goes_on_in_the_background() {
    let (test, [one, other]) = two_processes(patient);
    let source = Source::default();
    source.set(1);
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    source.set(2);
    // In each process the first call waits.
    for (cache, waits) in [(&one, SOFT), (&other, SOFT), (&one, Duration::ZERO)] {
        let began = tokio::time::Instant::now();
        let slow = source.clone();
        let value = cache.entry("k").or_refresh_with(move |_| slowly(slow)).await.unwrap();
        assert_eq!((*value, began.elapsed()), (1, waits));
    }
    assert_eq!(source.loads(), 2, "it never runs twice at once");
    assert!(one.stats().timed_out > 0);
    pause(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(one.get("k").await.as_deref(), Some(&2), "it has stored its value");
}

#[tokio::test(start_paused = true)]
async fn slow_load_without_a_value_times_out_and_goes_on() {
    let (_, [one, other]) = two_processes(patient);
    let source = Source::default();
    for cache in [&one, &one, &other] {
        let began = tokio::time::Instant::now();
        let slow = source.clone();
        let limited = cache.entry("k").or_refresh_with(move |_| slowly(slow)).await;
        assert_eq!((limited, began.elapsed()), (Err(LoadError::TimedOut), HARD));
    }
    assert_eq!(source.loads(), 1);
    pause(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(other.get("k").await.as_deref(), Some(&0));
}

#[tokio::test(start_paused = true)]
async fn timed_out_load_that_was_invalidated_stores_nothing() {
    let (_, [one, other]) = two_processes(patient);
    let source = Source::default();
    let slow = source.clone();
    let limited = one.entry("k").or_refresh_with(move |_| slowly(slow)).await;
    assert_eq!(limited, Err(LoadError::TimedOut));
    source.set(2);
    other.invalidate("k").await.unwrap();
    pause(Duration::from_secs(10)).await;
    settle().await;
    assert_eq!(one.stats().refused, 1);
    assert_eq!(other.get("k").await, None);
}

#[tokio::test(start_paused = true)]
async fn slow_loader_that_borrows_is_dropped() {
    let (test, [one, other]) = two_processes(patient);
    let source = Source::default();
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    let load = async || slowly(source.clone()).await;
    assert_eq!(*one.get_or_try_insert_with("k", load).await.unwrap(), 0);
    other.invalidate("k").await.unwrap();
    let limited = other.get_or_try_insert_with("k", load).await;
    assert_eq!(limited, Err(LoadError::TimedOut));
    // Its lease was released.
    assert_eq!(source.get(&one).await, Ok(0));
    assert_eq!(one.get("k").await.as_deref(), Some(&0));
}

#[tokio::test(start_paused = true)]
async fn invalidated_value_is_not_served_after_a_soft_timeout() {
    let (test, [one, other]) = two_processes(patient);
    let source = Source::default();
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    let load = async || {
        other.invalidate("k").await.unwrap();
        slowly(source.clone()).await
    };
    let limited = one.get_or_try_insert_with("k", load).await;
    assert_eq!(limited, Err(LoadError::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn loader_that_cannot_fail_has_no_hard_timeout() {
    let test = TestStore::new();
    let cache = patient(test.store());
    let load = async || {
        pause(Duration::from_secs(10)).await;
        5
    };
    assert_eq!(*cache.get_or_insert_with("k", load).await, 5);
}

#[test]
fn impossible_options_are_errors_that_name_the_cure() {
    let store = Store::memory();
    let builder = || numbers(&store);
    for (invalid, cure) in [
        (builder().soft_timeout(SOFT), "set `stale_if_error`"),
        (builder().hard_timeout(Duration::ZERO), "use a positive duration"),
        (builder().stale_if_error(MINUTE).soft_timeout(HARD).hard_timeout(HARD), "shorter"),
        (builder().stale_if_error(MINUTE).plain_readers(true), "remove `plain_readers`"),
        (builder().stale_while_revalidate(MINUTE).strict_plain(true), "remove `strict_plain`"),
        (builder().early_refresh(1.0).strict_plain(true), "remove `early_refresh`"),
        (builder().early_refresh(-1.0), "from 0 (off) to 100"),
        (builder().early_refresh(f64::NAN), "from 0 (off) to 100"),
        (builder().hold(Duration::MAX), "at most 100 years"),
    ] {
        let error = invalid.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(cure), "{error}");
    }
    assert!(builder().plain_readers(true).build().is_ok());
}

#[tokio::test]
async fn value_that_a_soft_timeout_has_found_invalidated_is_not_served_later() {
    let (test, [one, other]) = two_processes(|store| {
        let builder = numbers(store).stale_if_error(10 * MINUTE).tags(|_| ["all"]);
        builder.soft_timeout(SOFT).build().unwrap()
    });
    Source::default().get(&one).await.unwrap();
    test.advance(MINUTE);
    let (began, goes_on) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let failing = one.entry("k").reload().or_try_insert_with(async || {
        began.notify_one();
        goes_on.notified().await;
        Err::<u32, _>("down")
    });
    let waiting = async {
        began.notified().await;
        other.get_or_try_insert_with("k", async || Err::<u32, _>("down")).await
    };
    let changing = async {
        settle().await;
        one.invalidate_tag("all").await.unwrap();
        pause(3 * SOFT).await;
        goes_on.notify_one();
    };
    let (_, waited, ()) = futures_util::future::join3(failing, waiting, changing).await;
    assert!(waited.is_err(), "{waited:?}");
}
