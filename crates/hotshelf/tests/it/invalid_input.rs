//! An invalid key, tag or lifetime affects only its own call, and leaves nothing outdated.

use std::time::Duration;

use hotshelf::{Entry, ErrorKind, Remaining, Store};

use crate::support::on_each_backend;

/// The ways in which a call with a valid key can be invalid.
const INVALID: [fn(Entry<'_, u32>) -> Entry<'_, u32>; 2] =
    [|entry| entry.tags([""]), |entry| entry.time_to_live(Duration::ZERO)];

#[test]
fn invalid_insert_removes_older_entry() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        for invalid in INVALID {
            numbers.fallible().insert("k", 1).await.unwrap();
            invalid(numbers.entry("k")).fallible().insert(2).await.unwrap_err();
            assert_eq!(numbers.get("k").await, None);
        }
    });
}

#[test]
fn invalid_reload_removes_older_entry() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        for invalid in INVALID {
            numbers.fallible().insert("k", 1).await.unwrap();
            let reload = invalid(numbers.entry("k").reload());
            assert_eq!(*reload.or_insert_with(async || 2).await, 2);
            assert_eq!(numbers.get("k").await, None);
        }
    });
}

#[test]
fn invalid_tags_stop_no_others() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("n").build().unwrap();
        numbers.entry("a").tags(["t"]).fallible().insert(1).await.unwrap();
        let invalidated = store.invalidate_tags(["", "t"]).await;
        assert_eq!(invalidated.unwrap_err().kind(), ErrorKind::Key);
        assert_eq!(numbers.get("a").await, None);
    });
}

#[test]
fn invalidated_entry_is_missing() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.entry("k").tags(["t"]).fallible().insert(1).await.unwrap();
        assert!(matches!(numbers.remaining("k").await, Remaining::After(_)));
        store.invalidate_tag("t").await.unwrap();
        assert_eq!(numbers.remaining("k").await, Remaining::Missing);
    });
}

#[test]
fn entry_of_older_epoch_is_missing() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").epoch(true).build().unwrap();
        numbers.fallible().insert("k", 1).await.unwrap();
        assert!(matches!(numbers.remaining("k").await, Remaining::After(_)));
        numbers.invalidate_all().await.unwrap();
        assert_eq!(numbers.remaining("k").await, Remaining::Missing);
    });
}
