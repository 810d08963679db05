//! Values that a call makes stale, and keys that are held after an invalidation.

use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{ErrorKind, Foreign, Remaining, Store};

use super::{MINUTE, Source, numbers, revalidating, settle, stale_on_error, two_processes};

#[tokio::test]
async fn expired_value_is_served_while_it_is_loaded_anew() {
    let (_, [one, other]) = two_processes(revalidating);
    let source = Source::default();
    source.get_apart(&one).await.unwrap();
    source.set(2);
    assert!(other.expire("k").await.unwrap());
    assert_eq!(one.get("k").await, None);
    assert_eq!(one.remaining("k").await, Remaining::Missing);
    assert_eq!(source.get_apart(&one).await, Ok(0));
    settle().await;
    assert_eq!(source.get_apart(&other).await, Ok(2));
    assert!(!other.expire("missing").await.unwrap());
}

#[tokio::test]
async fn expired_value_lasts_for_its_whole_window() {
    let (test, [one, other]) = two_processes(stale_on_error);
    let source = Source::default();
    source.get(&one).await.unwrap();
    source.fail(true);
    test.advance(MINUTE / 2);
    assert!(one.entry("k").expire().await.unwrap());
    assert!(one.expire("k").await.unwrap(), "twice is once");
    test.advance(10 * MINUTE - Duration::from_secs(1));
    assert_eq!(source.get(&other).await, Ok(0));
    test.advance(Duration::from_secs(1));
    assert!(source.get(&other).await.is_err());
}

#[tokio::test]
async fn value_without_a_window_is_a_miss_once_it_has_expired() {
    let (_, [one, other]) = two_processes(|store| numbers(store).build().unwrap());
    let source = Source::default();
    source.get(&one).await.unwrap();
    source.set(2);
    assert!(one.expire("k").await.unwrap());
    assert_eq!(source.get(&other).await, Ok(2));
    assert_eq!(other.get("k").await.as_deref(), Some(&2));
}

#[tokio::test]
async fn value_that_was_replaced_is_not_brought_back() {
    let (_, [one, other]) = two_processes(revalidating);
    one.insert("k", 1).await;
    other.invalidate("k").await.unwrap();
    assert!(!one.expire("k").await.unwrap());
    assert_eq!(other.get("k").await, None);
}

#[tokio::test]
async fn plain_entries_cannot_expire() {
    let store = Store::memory();
    let plain = store.cache::<u32>("plain").strict_plain(true).build().unwrap();
    let read = store.cache::<u32>("read").plain_readers(true).build().unwrap();
    for cache in [plain, read] {
        let error = cache.expire("k").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("invalidate"), "{error}");
    }
    let accepting = store.cache::<u32>("foreign").foreign(Foreign::Accept).build().unwrap();
    assert!(!accepting.expire("k").await.unwrap());
}

#[tokio::test]
async fn held_key_is_loaded_and_not_stored() {
    let hold = Duration::from_secs(3);
    let test = TestStore::new();
    let other = test.another_store();
    let [one, other] = [test.store(), &other]
        .map(|store| numbers(store).hold(Duration::from_secs(3)).build().unwrap());
    let source = Source::default();
    source.get(&one).await.unwrap();
    one.invalidate("k").await.unwrap();
    for loads in 2..5 {
        assert_eq!(source.get(&other).await, Ok(0));
        assert_eq!((source.loads(), other.get("k").await), (loads, None));
    }
    assert!(!other.insert("k", 7).await);
    assert_eq!(one.get("k").await, None);
    test.advance(hold);
    assert!(!other.contains_key("k").await);
    source.get(&other).await.unwrap();
    assert!(one.contains_key("k").await);
}

/// A load might replace it by an older value that a replica still has.
#[tokio::test]
async fn inserted_value_is_not_replaced_while_its_key_is_held() {
    let test = TestStore::new();
    let builder = numbers(test.store()).hold(Duration::from_secs(3));
    let cache = builder.stale_while_revalidate(MINUTE).build().unwrap();
    assert!(cache.insert("k", 7).await);
    assert!(cache.expire("k").await.unwrap());
    let source = Source::default();
    assert_eq!(source.get_apart(&cache).await, Ok(7));
    settle().await;
    assert_eq!((source.loads(), cache.stats().refreshes), (0, 0));
    let written = cache.write_through("k", async || Ok::<_, ()>(8)).await.unwrap();
    assert!(written.cached().is_ok());
    assert_eq!(cache.get("k").await, None, "it is invalidated while its key is held");
    test.advance(Duration::from_secs(3));
    assert_eq!(source.get(&cache).await, Ok(0));
}

/// Its mark is removed with its lease by those that don't know of it; so all of them hold.
#[tokio::test]
async fn every_invalidation_of_a_cache_holds() {
    let test = TestStore::new();
    let cache = numbers(test.store()).hold(Duration::from_secs(3)).build().unwrap();
    cache.insert_many([("a", 1), ("b", 2)]).await;
    cache.invalidate_many(["a", "b"]).await.unwrap();
    assert_eq!(cache.insert_many([("a", 1), ("b", 2)]).await, [false, false]);
    test.advance(Duration::from_secs(2));
    // What a refused insert removes is held anew.
    assert!(!cache.insert("a", 3).await);
    test.advance(Duration::from_secs(2));
    assert!(!cache.insert("a", 3).await);
    assert!(cache.insert("b", 3).await);
}

#[tokio::test]
async fn expired_negative_has_no_window() {
    let test = TestStore::new();
    let builder = numbers(test.store()).negative_ttl(10 * MINUTE);
    let cache = builder.stale_while_revalidate(10 * MINUTE).build().unwrap();
    let absent = async || Ok::<Option<u32>, ()>(None);
    cache.entry("k").or_try_load_optional(absent).await.unwrap();
    test.advance(MINUTE);
    assert!(cache.expire("k").await.unwrap());
    let load = |_| async { Ok::<_, ()>(Some(1)) };
    let found = cache.entry("k").or_refresh_optional_with(load).await;
    assert_eq!(found.unwrap().as_deref(), Some(&1));
}

#[tokio::test]
async fn expire_finds_no_value_that_was_invalidated_by_tag() {
    let test = TestStore::new();
    let cache = numbers(test.store()).stale_if_error(MINUTE).tags(|_| ["all"]).build().unwrap();
    Source::default().get(&cache).await.unwrap();
    cache.invalidate_tag("all").await.unwrap();
    assert!(!cache.expire("k").await.unwrap());
}

#[tokio::test]
async fn expired_value_has_its_window_however_short() {
    let test = TestStore::new();
    let window = Duration::from_millis(200);
    let cache = numbers(test.store()).stale_while_revalidate(window).build().unwrap();
    let source = Source::default();
    source.get(&cache).await.unwrap();
    test.advance(MINUTE / 2);
    cache.expire("k").await.unwrap();
    source.set(9);
    assert_eq!(source.get_apart(&cache).await, Ok(0));
}
