//! What a loader is told, and decides.

use std::sync::Arc;
use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{LoadContext, Remaining, Store};

use super::{MINUTE, Source, numbers, revalidating, stale_on_error, two_processes};

const FINE: Result<u32, ()> = Ok(5);

#[tokio::test]
async fn loader_decides_how_long_its_value_is_fresh() {
    let (test, [one, _]) = two_processes(revalidating);
    for seconds in [5, 3_600] {
        let time = Duration::from_secs(seconds);
        let load = async |context: LoadContext<u32>| {
            context.time_to_live(time);
            FINE
        };
        one.entry("k").reload().or_load(load).await.unwrap();
        assert_eq!(one.remaining("k").await, Remaining::After(time));
        test.advance(time);
        assert_eq!(one.get("k").await, None);
    }
}

/// Its tags outlive it.
#[tokio::test]
async fn longer_lifetime_keeps_the_tags() {
    let (test, [one, _]) = two_processes(revalidating);
    let load = async |context: LoadContext<u32>| {
        context.time_to_live(1_000 * MINUTE);
        FINE
    };
    one.entry("k").tags(["t"]).or_load(load).await.unwrap();
    test.advance(999 * MINUTE);
    assert!(one.contains_key("k").await);
    one.invalidate_tag("t").await.unwrap();
    assert!(!one.contains_key("k").await);
}

#[tokio::test]
async fn value_is_not_stored_if_its_loader_says_so() {
    let (test, [one, _]) = two_processes(revalidating);
    one.insert("k", 1).await;
    let load = async |context: LoadContext<u32>| {
        context.skip_store();
        FINE
    };
    assert_eq!(*one.entry("k").reload().or_load(load).await.unwrap(), 5);
    test.advance(Duration::ZERO);
    assert_eq!(one.get("k").await, None);
}

#[tokio::test]
async fn loader_sees_the_previous_value_only_if_it_is_stale() {
    let (test, [one, other]) = two_processes(stale_on_error);
    let load = async |context: LoadContext<u32>| match context.previous() {
        // Not modified.
        Some(previous) => Ok::<_, ()>(Arc::clone(previous)),
        None => Ok(Arc::new(5)),
    };
    one.entry("k").or_load(load).await.unwrap();
    test.advance(MINUTE);
    let again = other.entry("k").or_load(async |context: LoadContext<u32>| {
        assert_eq!(context.previous().map(|value| **value), Some(5));
        Ok::<_, ()>(Arc::clone(context.previous().unwrap()))
    });
    assert_eq!(*again.await.unwrap(), 5);
    assert_eq!(one.remaining("k").await, Remaining::After(MINUTE), "it is fresh again");

    test.advance(MINUTE);
    one.invalidate("k").await.unwrap();
    let after = other.entry("k").or_load(async |context: LoadContext<u32>| {
        assert_eq!(context.previous(), None, "it was invalidated");
        Ok::<_, ()>(6)
    });
    assert_eq!(*after.await.unwrap(), 6);
}

async fn load_with_late_tag(store: &Store, source: &Source) -> u32 {
    let cache = numbers(store).build().unwrap();
    let loaded = cache.entry("k").or_load(async |context| {
        context.tags(["late"]);
        source.load().await
    });
    *loaded.await.unwrap()
}

#[tokio::test]
async fn tags_from_the_value_invalidate_it() {
    let test = TestStore::new();
    let other = test.another_store();
    let source = Source::default();
    load_with_late_tag(test.store(), &source).await;
    let cache = numbers(&other).build().unwrap();
    assert_eq!(
        cache.get("k").await,
        None,
        "the tag may have been invalidated since the load began"
    );
    test.advance(Duration::from_secs(2));
    load_with_late_tag(test.store(), &source).await;
    assert_eq!(source.loads(), 2);
    // Without naming the tag, and with others.
    assert!(cache.contains_key("k").await);
    load_with_late_tag(&other, &source).await;
    assert_eq!(source.loads(), 2);

    source.set(2);
    other.invalidate_tag("late").await.unwrap();
    assert_eq!(cache.get("k").await, None);
    assert_eq!(load_with_late_tag(test.store(), &source).await, 2);
}

/// The value may be older than the invalidation.
#[tokio::test]
async fn value_whose_late_tag_was_invalidated_during_the_load_is_not_stored() {
    let test = TestStore::new();
    let cache = numbers(test.store()).build().unwrap();
    let other = test.another_store();
    let another = numbers(&other).build().unwrap();
    let source = Source::default();
    for _ in 0..2 {
        load_with_late_tag(test.store(), &source).await;
        test.advance(Duration::from_secs(5));
    }
    cache.invalidate("k").await.unwrap();
    let load = async |context: LoadContext<u32>| {
        let loaded = source.load().await;
        other.invalidate_tag("late").await.unwrap();
        // The tag is captured by another load meanwhile.
        another.entry("another").tags(["late"]).or_insert_with(async || 1).await;
        test.advance(Duration::from_secs(3));
        context.tags(["late"]);
        loaded
    };
    cache.entry("k").or_load(load).await.unwrap();
    assert_eq!(cache.get("k").await, None);
}

/// Nobody has told them: a value that is written has the tags of its call.
#[tokio::test]
async fn written_values_have_no_late_tags() {
    let test = TestStore::new();
    let cache = numbers(test.store()).build().unwrap();
    let source = Source::default();
    load_with_late_tag(test.store(), &source).await;
    test.advance(Duration::from_secs(2));
    cache.insert("k", 1).await;
    cache.invalidate_tag("late").await.unwrap();
    assert_eq!(load_with_late_tag(test.store(), &source).await, 1);
}

#[tokio::test]
async fn late_tags_come_in_addition_to_those_of_the_call() {
    let test = TestStore::new();
    let cache = numbers(test.store()).build().unwrap();
    let load = || {
        let load = async |context: LoadContext<u32>| {
            context.tags(["a", "late"]);
            context.tags(["b"]);
            FINE
        };
        cache.entry("k").tags(["a"]).or_load(load)
    };
    load().await.unwrap();
    for tag in ["a", "b", "late"] {
        test.advance(Duration::from_secs(3));
        load().await.unwrap();
        test.advance(Duration::from_secs(3));
        load().await.unwrap();
        assert!(cache.entry("k").tags(["a"]).contains_key().await, "{tag}");
        cache.invalidate_tag(tag).await.unwrap();
        assert!(!cache.contains_key("k").await, "{tag}");
    }
    assert_eq!(cache.stats().other_tags, 0);
}

#[tokio::test]
async fn invalid_decisions_are_counted_and_nothing_is_stored() {
    let store = Store::memory();
    let cache = numbers(&store).build().unwrap();
    let decisions: [fn(&LoadContext<u32>); 3] = [
        |context| context.tags([""]),
        |context| context.tags((0..200).map(|tag| tag.to_string())),
        |context| context.time_to_live(Duration::ZERO),
    ];
    for (count, decide) in decisions.into_iter().enumerate() {
        let load = async |context: LoadContext<u32>| {
            decide(&context);
            FINE
        };
        assert_eq!(*cache.entry("k").or_load(load).await.unwrap(), 5);
        assert_eq!(cache.get("k").await, None);
        assert_eq!(cache.stats().errors, count as u64 + 1);
    }
}

#[tokio::test]
async fn previous_value_was_not_invalidated_while_the_call_waited() {
    for by_tag in [false, true] {
        let (test, [one, other]) = two_processes(|store| {
            numbers(store).stale_if_error(10 * MINUTE).tags(|_| ["all"]).build().unwrap()
        });
        Source::default().get(&one).await.unwrap();
        test.advance(MINUTE);
        let (began, goes_on) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
        let loading = one.get_or_try_insert_with("k", async || {
            began.notify_one();
            goes_on.notified().await;
            // By tag, another call leads on only if this load fails.
            if by_tag { Err("cancelled") } else { Ok(5) }
        });
        let mut previous = None;
        let waiting = async {
            began.notified().await;
            let load = async |context: LoadContext<u32>| {
                previous = context.previous().map(|value| **value);
                Ok::<_, &str>(previous.unwrap_or(6))
            };
            drop(other.entry("k").or_load(load).await);
        };
        let changing = async {
            super::settle().await;
            match by_tag {
                true => drop(one.invalidate_tag("all").await.unwrap()),
                false => drop(one.invalidate("k").await.unwrap()),
            }
            super::settle().await;
            goes_on.notify_one();
        };
        drop(futures_util::future::join3(loading, waiting, changing).await);
        let later = one.get("k").await;
        assert_eq!(previous, None, "by tag: {by_tag}; a later call is given {later:?}");
    }
}

#[tokio::test]
async fn previous_value_was_not_invalidated_before_the_lease() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt;
    use hotshelf::backend::Operation;

    let mut given = Vec::new();
    for background in [false, true] {
        let (test, [one, other]) = two_processes(revalidating);
        Source::default().get(&one).await.unwrap();
        test.advance(MINUTE);
        let (done, has_previous) = (AtomicBool::default(), Arc::new(AtomicBool::default()));
        test.inject(move |operation| {
            if matches!(operation, Operation::Acquire(_)) && !done.swap(true, Ordering::SeqCst) {
                other.invalidate("k").now_or_never().unwrap().unwrap();
            }
            None
        });
        let seen = Arc::clone(&has_previous);
        let load = move |context: LoadContext<u32>| {
            seen.store(context.previous().is_some(), Ordering::SeqCst);
            async { Ok::<u32, ()>(2) }
        };
        match background {
            false => drop(one.entry("k").or_load(load).await.unwrap()),
            true => drop(one.entry("k").or_refresh_with(load).await.unwrap()),
        }
        super::settle().await;
        given.push(has_previous.load(Ordering::SeqCst));
    }
    assert_eq!(given, [false, false]);
}
