//! Values that are served because their load fails, and loads that aren't repeated.

use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::LoadError;
use hotshelf::backend::Operation;
use hotshelf::testing::TestStore;

use super::{MINUTE, Source, numbers, revalidating, settle, stale_on_error, two_processes};

const DOWN: &str = "the database is down";

#[tokio::test]
async fn stale_value_is_served_while_the_source_fails() {
    let (test, [one, other]) = two_processes(stale_on_error);
    let source = Source::default();
    source.set(1);
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    source.fail(true);
    for _ in 0..3 {
        assert_eq!(source.get(&one).await, Ok(1));
        assert_eq!(source.get(&other).await, Ok(1));
        assert_eq!(source.get_apart(&other).await, Ok(1));
    }
    assert_eq!(source.loads(), 2, "one load in 30 s, over all processes");
    assert_eq!(one.stats().load_errors + other.stats().load_errors, 1);

    test.advance(MINUTE / 2);
    source.fail(false);
    source.set(2);
    assert_eq!(source.get(&other).await, Ok(2), "after the throttle the source is asked again");
    assert_eq!(source.get(&one).await, Ok(2));
}

/// After the first failure and after later ones.
#[tokio::test]
async fn stale_value_costs_a_read_while_its_load_is_not_repeated() {
    let (test, [one, _]) = two_processes(stale_on_error);
    let source = Source::default();
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    source.fail(true);
    for failure in 1..=3 {
        source.get(&one).await.unwrap();
        assert_eq!(source.loads(), 1 + failure);
        test.inject(|operation| match operation {
            Operation::Read(_) => None,
            operation => panic!("an unneeded {operation:?}"),
        });
        source.get(&one).await.unwrap();
        test.inject(|_| None);
        test.advance(MINUTE / 2);
    }
}

/// In the process in which the load has failed, too.
#[tokio::test]
async fn value_that_was_loaded_since_the_failure_is_loaded_anew_at_once() {
    for build in [stale_on_error, revalidating] {
        let (test, [one, other]) = two_processes(build);
        let source = Source::default();
        source.get(&one).await.unwrap();
        test.advance(MINUTE);
        source.fail(true);
        source.get(&one).await.unwrap();
        source.fail(false);
        other.invalidate("k").await.unwrap();
        let second = Duration::from_secs(1);
        other.entry("k").time_to_live(second).or_insert_with(async || 1).await;
        test.advance(second);
        source.set(2);
        assert_eq!(source.get(&one).await, Ok(2));
    }
}

/// The tag's invalidation doesn't know of the key's mark: calls that back off wait for its end, and
/// others replace it.
#[tokio::test]
async fn invalidation_by_tag_leaves_the_mark_of_a_failed_load() {
    for backoff in [Duration::ZERO, Duration::from_secs(1)] {
        let test = TestStore::new();
        let builder = numbers(test.store()).stale_if_error(10 * MINUTE).tags(|_| ["all"]);
        let cache = builder.error_backoff(backoff).build().unwrap();
        let source = Source::default();
        source.get(&cache).await.unwrap();
        test.advance(MINUTE);
        source.fail(true);
        source.get(&cache).await.unwrap();
        source.fail(false);
        cache.invalidate_tag("all").await.unwrap();
        let loaded = cache.get_or_try_insert_with("k", async || source.load().await).await;
        match backoff {
            Duration::ZERO => assert_eq!(*loaded.unwrap(), 0),
            _ => assert_eq!(loaded, Err(LoadError::BackingOff(MINUTE / 2))),
        }
        assert_eq!(cache.contains_key("k").await, backoff.is_zero());
        test.advance(MINUTE / 2);
        source.get(&cache).await.unwrap();
        assert!(cache.contains_key("k").await);
    }
}

#[tokio::test]
async fn callers_that_wait_get_the_stale_value_too() {
    let (test, [one, other]) = two_processes(stale_on_error);
    let source = Source::default();
    source.set(1);
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    source.fail(true);
    let calls = (0..20).map(|call| source.get(if call % 2 == 0 { &one } else { &other }));
    assert!(join_all(calls).await.into_iter().all(|value| value == Ok(1)));
    assert_eq!(source.loads(), 2);
}

/// Also in a call that had found the value before.
#[tokio::test]
async fn invalidated_value_is_not_served_on_error() {
    for tagged in [false, true] {
        let (test, [one, other]) = two_processes(|store| {
            numbers(store).stale_if_error(10 * MINUTE).tags(|_| ["all"]).build().unwrap()
        });
        let source = Source::default();
        source.get(&one).await.unwrap();
        test.advance(MINUTE);
        source.fail(true);
        let load = async || {
            let failed = source.load().await;
            match tagged {
                true => other.invalidate_tag("all").await.map(drop).unwrap(),
                false => other.invalidate("k").await.map(drop).unwrap(),
            }
            failed
        };
        let failed = one.get_or_try_insert_with("k", load).await;
        assert_eq!(failed.unwrap_err().loader(), Some(&DOWN), "tagged: {tagged}");
        assert_eq!(source.get(&one).await, Err(DOWN));
        assert_eq!(source.get(&other).await, Err(DOWN));
    }
}

#[tokio::test]
async fn value_that_was_stored_meanwhile_is_served_instead_of_an_error() {
    let (test, [one, other]) = two_processes(stale_on_error);
    let source = Source::default();
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    let load = async || {
        other.insert("k", 7).await;
        Err::<u32, _>(DOWN)
    };
    assert_eq!(*one.get_or_try_insert_with("k", load).await.unwrap(), 7);
}

#[tokio::test]
async fn loader_may_reject_stale_values() {
    let (test, [one, _]) = two_processes(stale_on_error);
    Source::default().get(&one).await.unwrap();
    test.advance(MINUTE);
    let gone = one.entry("k").or_load(async |context| {
        context.reject_stale();
        Err::<u32, _>("gone")
    });
    assert_eq!(gone.await.unwrap_err().loader(), Some(&"gone"));
}

#[tokio::test]
async fn window_of_errors_ends() {
    let (test, [one, _]) = two_processes(stale_on_error);
    let source = Source::default();
    source.get(&one).await.unwrap();
    source.fail(true);
    test.advance(11 * MINUTE);
    assert_eq!(source.get(&one).await, Err(DOWN));
}

#[tokio::test]
async fn failed_load_without_a_value_backs_off() {
    let (test, [one, other]) = two_processes(|store| {
        numbers(store).error_backoff(Duration::from_secs(5)).build().unwrap()
    });
    let source = Source::default();
    source.fail(true);
    assert_eq!(source.get(&one).await, Err(DOWN));
    for cache in [&one, &other] {
        let limited = cache.get_or_try_insert_with("k", async || source.load().await).await;
        assert_eq!(limited, Err(LoadError::BackingOff(Duration::from_secs(5))));
        assert_eq!(cache.stats().backed_off, 1);
    }
    assert_eq!(source.loads(), 1);

    // A loader that can't fail has to end with a value.
    assert_eq!(*other.get_or_insert_with("k", async || 9).await, 9);
    assert_eq!(source.get(&one).await, Ok(9), "its value ends the pause");
    other.invalidate("k").await.unwrap();

    assert_eq!(source.get(&one).await, Err(DOWN));
    source.fail(false);
    test.advance(Duration::from_secs(5));
    assert_eq!(source.get(&other).await, Ok(0));
}

#[tokio::test]
async fn invalidation_ends_the_backing_off() {
    let (_, [one, other]) = two_processes(|store| {
        numbers(store).error_backoff(Duration::from_secs(5)).build().unwrap()
    });
    let source = Source::default();
    source.fail(true);
    assert_eq!(source.get(&one).await, Err(DOWN));
    source.fail(false);
    other.invalidate("k").await.unwrap();
    assert_eq!(source.get(&one).await, Ok(0));
}

/// The cache behaves as without stale windows if the backend is down.
#[tokio::test]
async fn failing_backend_and_failing_source_are_an_error() {
    let (test, [one, _]) = two_processes(stale_on_error);
    let source = Source::default();
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    source.fail(true);
    test.fail(true);
    assert_eq!(source.get(&one).await, Err(DOWN));
    test.fail(false);
    settle().await;
    assert_eq!(source.get(&one).await, Ok(0));
}

#[tokio::test]
async fn rejected_value_is_not_served_to_later_calls_either() {
    for same_process in [true, false] {
        let (test, [one, other]) = two_processes(stale_on_error);
        Source::default().get(&one).await.unwrap();
        test.advance(MINUTE);
        for cache in [&one, if same_process { &one } else { &other }] {
            let gone = cache.entry("k").or_load(async |context| {
                context.reject_stale();
                Err::<u32, _>("gone")
            });
            assert!(gone.await.is_err(), "same process: {same_process}");
        }
    }
}

#[tokio::test]
async fn value_that_was_invalidated_while_a_call_waited_is_not_served_after_the_failure() {
    for same_process in [false, true] {
        let (test, [one, other]) = two_processes(|store| {
            numbers(store).stale_if_error(10 * MINUTE).tags(|_| ["all"]).build().unwrap()
        });
        Source::default().get(&one).await.unwrap();
        test.advance(MINUTE);
        let (began, goes_on) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        let failing = one.get_or_try_insert_with("k", async || {
            began.notify_one();
            goes_on.notified().await;
            Err::<u32, _>(DOWN)
        });
        let waiting = async {
            began.notified().await;
            let cache = if same_process { &one } else { &other };
            cache.get_or_try_insert_with("k", async || Err::<u32, _>(DOWN)).await
        };
        let changing = async {
            settle().await;
            other.invalidate_tag("all").await.unwrap();
            goes_on.notify_one();
        };
        let (failed, waited, ()) = futures_util::future::join3(failing, waiting, changing).await;
        assert!(failed.is_err());
        assert!(waited.is_err(), "same process: {same_process}, {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn joiner_of_a_failing_reload_is_served_its_stale_value() {
    let (test, [one, _]) = two_processes(stale_on_error);
    Source::default().get(&one).await.unwrap();
    test.advance(MINUTE);
    let slow = hotshelf::testing::Fault::Delay(Duration::from_millis(20));
    test.inject(move |operation| matches!(operation, Operation::Acquire(_)).then_some(slow));
    let down = async || Err::<u32, _>(DOWN);
    let reloading = one.entry("k").reload().or_try_insert_with(down);
    let joining = one.get_or_try_insert_with("k", down);
    let (reloaded, joined) = futures_util::future::join(reloading, joining).await;
    assert!(reloaded.is_err());
    assert_eq!(joined.map(|value| *value), Ok(0));
}

#[tokio::test(start_paused = true)]
async fn joiners_fall_back_if_the_backend_cannot_be_read_after_the_failure() {
    let (test, [one, _]) = two_processes(stale_on_error);
    Source::default().get(&one).await.unwrap();
    test.advance(MINUTE);
    let slow = hotshelf::testing::Fault::Delay(Duration::from_millis(20));
    test.inject(move |operation| matches!(operation, Operation::Acquire(_)).then_some(slow));
    let load = async || {
        test.fail(true);
        Err::<u32, _>(DOWN)
    };
    let calls = [(); 2].map(|()| one.get_or_try_insert_with("k", load));
    let given: Vec<_> = join_all(calls).await;
    assert!(given.iter().all(Result::is_ok), "{given:?}");
}

#[tokio::test]
async fn reload_replaces_the_mark_of_a_failed_load() {
    let test = TestStore::new();
    let cache = numbers(test.store()).error_backoff(MINUTE).build().unwrap();
    let source = Source::default();
    source.fail(true);
    source.get(&cache).await.unwrap_err();
    let loaded = cache.entry("k").reload().or_try_insert_with(async || Ok::<_, &str>(7)).await;
    assert_eq!(loaded.map(|value| *value), Ok(7));
}

#[tokio::test]
async fn ticket_replaces_the_mark_of_a_failed_load() {
    let test = TestStore::new();
    let cache = numbers(test.store()).error_backoff(MINUTE).build().unwrap();
    let source = Source::default();
    source.fail(true);
    source.get(&cache).await.unwrap_err();
    assert!(cache.ticket("k").await.unwrap().can_store());
}

#[tokio::test]
async fn stale_counts_the_calls_that_were_given_a_stale_value() {
    let mut counted = Vec::new();
    for background in [true, false] {
        let (test, [one, _]) = two_processes(revalidating);
        let source = Source::default();
        source.get(&one).await.unwrap();
        test.advance(MINUTE);
        source.fail(true);
        match background {
            true => source.get_apart(&one).await.unwrap(),
            false => source.get(&one).await.unwrap(),
        };
        settle().await;
        counted.push(one.stats().stale);
    }
    let (test, [one, _]) = two_processes(stale_on_error);
    let source = Source::default();
    source.get(&one).await.unwrap();
    test.advance(MINUTE);
    source.fail(true);
    let given = join_all((0..10).map(|_| source.get(&one))).await;
    assert!(given.iter().all(|value| *value == Ok(0)));
    counted.push(one.stats().stale);
    assert_eq!(counted, [1, 1, 10]);
}
