//! Values that are served while they are loaded anew.

use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::Remaining;

use super::{MINUTE, Source, numbers, revalidating, settle, two_processes};

#[tokio::test]
async fn stale_value_is_served_while_one_process_loads_in_the_background() {
    let (test, [one, other]) = two_processes(revalidating);
    let source = Source::default();
    source.set(1);
    assert_eq!(source.get_apart(&one).await, Ok(1));
    test.advance(MINUTE);
    source.set(2);
    for cache in [&one, &other, &one, &other] {
        assert_eq!(source.get_apart(cache).await, Ok(1), "nobody waits");
    }
    settle().await;
    assert_eq!(source.loads(), 2);
    assert_eq!([source.get_apart(&one).await, source.get_apart(&other).await], [Ok(2), Ok(2)]);
    assert_eq!(one.stats().refreshes + other.stats().refreshes, 1);
    assert_eq!((one.stats().stale, other.stats().stale), (2, 2));
    assert_eq!(one.stats().misses, 1, "a stale value is a hit");
}

#[tokio::test]
async fn loader_that_borrows_is_waited_for_by_one_caller() {
    let (test, [one, other]) = two_processes(revalidating);
    let source = Source::default();
    source.set(1);
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    source.set(2);
    let calls = [&one, &one, &other, &one, &other].map(|cache| source.get(cache));
    let mut values: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    values.sort_unstable();
    assert_eq!(values, [1, 1, 1, 1, 2]);
    assert_eq!(source.loads(), 2);
}

#[tokio::test]
async fn window_ends() {
    let (test, [one, _]) = two_processes(revalidating);
    let source = Source::default();
    source.set(1);
    source.get_apart(&one).await.unwrap();
    source.set(2);
    test.advance(11 * MINUTE);
    assert_eq!(source.get_apart(&one).await, Ok(2));
}

#[tokio::test]
async fn reads_without_loader_see_fresh_values_only() {
    let (test, [one, _]) = two_processes(revalidating);
    Source::default().get(&one).await.unwrap();
    assert!(one.contains_key("k").await);
    assert_eq!(one.remaining("k").await, Remaining::After(MINUTE));
    test.advance(MINUTE);
    assert_eq!(one.get("k").await, None);
    assert_eq!(one.get_many(["k"]).await, [None]);
    assert_eq!(one.remaining("k").await, Remaining::Missing);
    assert_eq!(one.fallible().lookup("k").await.unwrap().present(), None);
}

/// A value is fresh since its load began.
#[tokio::test]
async fn remaining_time_ends_when_reads_miss() {
    let (test, [one, other]) = two_processes(revalidating);
    let slow = Duration::from_millis(300);
    let load = async || {
        test.advance(slow);
        Ok::<_, ()>(1)
    };
    one.get_or_try_insert_with("k", load).await.unwrap();
    assert_eq!(other.remaining("k").await, Remaining::After(MINUTE - slow));
    test.advance(MINUTE - slow);
    assert_eq!(other.get("k").await, None);
    assert_eq!(other.remaining("k").await, Remaining::Missing);
}

/// The refresh has read the source before the invalidation.
#[tokio::test]
async fn refresh_never_brings_an_invalidated_value_back() {
    let (test, [one, other]) = two_processes(revalidating);
    let source = Source::default();
    source.set(1);
    source.get_apart(&one).await.unwrap();
    test.advance(MINUTE);
    let (slow, invalidating) = (source.clone(), other.clone());
    let slow = |_| async move {
        let read = slow.load().await;
        slow.set(2);
        invalidating.invalidate("k").await.unwrap();
        read
    };
    assert_eq!(*one.entry("k").or_refresh_with(slow).await.unwrap(), 1);
    settle().await;
    assert_eq!(one.stats().refused, 1);
    assert_eq!(one.get("k").await, None);
    assert_eq!(source.get_apart(&other).await, Ok(2));
}

#[tokio::test]
async fn invalidated_value_is_not_served_while_it_is_loaded() {
    for tagged in [false, true] {
        let (test, [one, other]) = two_processes(|store| {
            let builder = numbers(store).stale_while_revalidate(10 * MINUTE);
            builder.tags(|_| ["all"]).build().unwrap()
        });
        let source = Source::default();
        source.get_apart(&one).await.unwrap();
        test.advance(MINUTE);
        source.set(2);
        match tagged {
            true => other.invalidate_tag("all").await.map(drop).unwrap(),
            false => other.invalidate("k").await.map(drop).unwrap(),
        }
        assert_eq!(source.get_apart(&one).await, Ok(2), "tagged: {tagged}");
    }
}

#[tokio::test]
async fn failed_refresh_is_not_repeated_at_once_and_serves_on() {
    let (test, [one, other]) = two_processes(revalidating);
    let source = Source::default();
    source.set(1);
    source.get_apart(&one).await.unwrap();
    test.advance(MINUTE);
    source.fail(true);
    for _ in 0..3 {
        for cache in [&one, &other] {
            assert_eq!(source.get_apart(cache).await, Ok(1));
            settle().await;
        }
    }
    assert_eq!(source.loads(), 2, "one load in 30 s, over all processes");
    test.advance(MINUTE / 2);
    source.fail(false);
    source.set(2);
    source.get_apart(&other).await.unwrap();
    settle().await;
    assert_eq!(source.get_apart(&one).await, Ok(2));
}

/// With a load of 100 ms, a call within the last 100 ms refreshes with a chance of 37 % and more.
#[tokio::test(start_paused = true)]
async fn values_are_loaded_anew_before_they_end() {
    let (test, [one, other]) =
        two_processes(|store| numbers(store).early_refresh(1.0).build().unwrap());
    let source = Source::default();
    let load = async || {
        test.advance(Duration::from_millis(100));
        source.load().await
    };
    one.get_or_try_insert_with("k", load).await.unwrap();
    for _ in 0..100 {
        assert_eq!(source.get_apart(&one).await, Ok(0));
    }
    settle().await;
    assert_eq!(source.loads(), 1, "too early");
    test.advance(MINUTE - Duration::from_millis(120));
    for _ in 0..50 {
        for cache in [&one, &other] {
            assert_eq!(source.get_apart(cache).await, Ok(0));
        }
    }
    settle().await;
    assert_eq!(source.loads(), 2);
    assert_eq!(one.stats().misses + other.stats().misses, 1, "nobody waits");
    assert_eq!(one.remaining("k").await, Remaining::After(MINUTE));
}

/// The value is fresh still: nobody needs its load in a hurry.
#[tokio::test]
async fn failed_early_refresh_is_not_repeated_at_once() {
    let (test, [one, other]) =
        two_processes(|store| numbers(store).early_refresh(1.0).build().unwrap());
    let source = Source::default();
    let load = async || {
        test.advance(Duration::from_millis(100));
        source.load().await
    };
    one.get_or_try_insert_with("k", load).await.unwrap();
    test.advance(MINUTE - Duration::from_millis(120));
    source.fail(true);
    for _ in 0..50 {
        for cache in [&one, &other] {
            assert_eq!(source.get_apart(cache).await, Ok(0));
            settle().await;
        }
    }
    assert_eq!(source.loads(), 2);
}

#[test]
fn refresh_on_a_runtime_that_stands_still_is_taken_over() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (test, [one, _]) = two_processes(revalidating);
    let (running, idle) = (runtime(), runtime());
    let source = Source::default();
    running.block_on(source.get(&one)).unwrap();
    test.advance(MINUTE);
    idle.block_on(source.get_apart(&one)).unwrap();
    source.set(2);
    // A lease lasts for five seconds.
    for _ in 0..30 {
        test.advance(Duration::from_secs(10));
        running.block_on(async {
            source.get_apart(&one).await.unwrap();
            settle().await;
        });
    }
    assert_eq!(running.block_on(source.get_apart(&one)), Ok(2));
}

#[tokio::test]
async fn refresh_that_cannot_be_stored_is_not_repeated_at_once() {
    use hotshelf::backend::Operation;
    use hotshelf::testing::Fault;

    let (test, [one, _]) = two_processes(revalidating);
    let source = Source::default();
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    let fails = Fault::Fail(hotshelf::ErrorKind::Unavailable);
    test.inject(move |operation| matches!(operation, Operation::Store(_)).then_some(fails));
    for _ in 0..100 {
        source.get_apart(&one).await.unwrap();
        settle().await;
    }
    assert!(source.loads() <= 3, "{} loads at one moment", source.loads());
}

#[tokio::test]
async fn failing_early_refresh_serves_no_stale_value() {
    let test = hotshelf::testing::TestStore::new();
    let cache = numbers(test.store()).early_refresh(100.0).build().unwrap();
    let slow = async || {
        test.advance(Duration::from_secs(2));
        1
    };
    cache.get_or_insert_with("k", slow).await;
    test.advance(Duration::from_secs(57));
    let source = Source::default();
    source.fail(true);
    assert_eq!(source.get(&cache).await, Ok(1));
    assert_eq!((cache.stats().refreshes, cache.stats().stale), (1, 0));
}

#[tokio::test]
async fn refresh_that_finds_no_value_leaves_the_entry_of_another_cache() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use hotshelf::backend::Operation;
    use hotshelf::{Cache, KeyLayout};

    let test = hotshelf::testing::TestStore::new();
    let layout = KeyLayout::FastapiRc;
    let builder = numbers(test.store()).key_layout(layout).negative_ttl(MINUTE);
    let cache = builder.stale_while_revalidate(10 * MINUTE).build().unwrap();
    let store = test.another_store();
    let another: Cache<String> = store.cache("numbers").key_layout(layout).build().unwrap();
    cache.insert("k", 1).await;
    test.advance(MINUTE);
    let (writer, done) = (another.clone(), AtomicBool::default());
    test.inject(move |operation| {
        if matches!(operation, Operation::Acquire(_)) && !done.swap(true, Ordering::SeqCst) {
            let writer = writer.clone();
            let write = move || {
                let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
                tokio.unwrap().block_on(writer.insert("k", "theirs".to_owned()))
            };
            assert!(std::thread::spawn(write).join().unwrap());
        }
        None
    });
    let found = cache.entry("k").or_try_load_optional(async || Ok::<_, ()>(None)).await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(another.get("k").await.as_deref().map(String::as_str), Some("theirs"));
}
