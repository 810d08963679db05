//! Writing to the source of truth and to the cache together.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::{FutureExt, join, select};
use hotshelf::{ErrorKind, Jitter, Remaining, Store};
use hotshelf_core::Runtime;

use crate::support::{SECOND, on_each_backend, on_tokio, server, simulated};

#[test]
fn written_value_is_read() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.insert("k", 1).await;
        let written = numbers.write_through("k", async || Ok::<_, String>(2)).await.unwrap();
        assert_eq!(*written, 2);
        written.cached().unwrap();
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn write_refuses_load_in_flight() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let database = Cell::new(1);
        let loaded = numbers.get_or_insert_with("k", async || {
            let row = database.get();
            let write = async || {
                database.set(2);
                Ok::<_, String>(2)
            };
            drop(numbers.write_through("k", write).await.unwrap());
            row
        });
        assert_eq!(*loaded.await, 1, "the call began before");
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn write_keeps_concurrent_invalidation() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let write = async || {
            numbers.invalidate("k").await.unwrap();
            Ok::<_, String>(1)
        };
        let written = numbers.write_through("k", write).await.unwrap();
        written.cached().expect("a removed entry is no error");
        assert_eq!(numbers.get("k").await, None);
        assert_eq!(numbers.stats().refused, 1);
    });
}

#[test]
fn failed_write_leaves_no_entry() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.insert("k", 1).await;
        let failed = numbers.write_through("k", async || Err("no".to_owned())).await;
        assert_eq!(failed.unwrap_err(), "no");
        assert_eq!(numbers.get("k").await, None, "the write may have been committed");
        assert_eq!(*numbers.get_or_insert_with("k", async || 2).await, 2, "no lease is left");
    });
}

#[test]
fn cancelled_write_leaves_no_entry() {
    let (runtime, _, texts) = simulated(1);
    runtime.block_on(async {
        texts.insert("k", "old".to_owned()).await;
        let write = async || {
            runtime.sleep(SECOND).await;
            Ok::<_, String>("new".to_owned())
        };
        let writing = texts.write_through("k", write).boxed_local();
        select(writing, runtime.sleep(SECOND / 2)).map(drop).await;
        runtime.sleep(SECOND / 100).await;
        assert_eq!(texts.get("k").await, None);
    });
}

#[test]
fn concurrent_writes_leave_no_entry() {
    let (runtime, _, texts) = simulated(1);
    let slow = texts.write_through("k", async || {
        runtime.sleep(SECOND).await;
        Ok::<_, String>("committed last".to_owned())
    });
    let quick = async {
        runtime.sleep(SECOND / 2).await;
        texts.write_through("k", async || Ok::<_, String>("committed first".to_owned())).await
    };
    let (slow, quick) = runtime.block_on(join(slow, quick));
    slow.unwrap().cached().unwrap();
    quick.unwrap().cached().unwrap();
    assert_eq!(
        runtime.block_on(texts.get("k")),
        None,
        "the order is unknown, so there is no entry"
    );
}

#[test]
fn write_runs_without_server() {
    on_tokio(async {
        let mut server = server();
        server.kill();
        let store = Store::connect(&server.url()).await.unwrap();
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let written = numbers.write_through("k", async || Ok::<_, String>(1)).await.unwrap();
        assert_eq!(*written, 1);
        assert_eq!(written.cached().unwrap_err().kind(), ErrorKind::Unavailable);
    });
}

/// The lease of a write guard lasts 5 s.
#[test]
fn long_write_keeps_its_lease() {
    let (runtime, _, texts) = simulated(1);
    let write = async || {
        runtime.sleep(SECOND * 60).await;
        Ok::<_, String>("written".to_owned())
    };
    runtime.block_on(texts.write_through("k", write)).unwrap().cached().unwrap();
    assert_eq!(runtime.block_on(texts.get("k")).unwrap().as_str(), "written");
    assert_eq!(texts.stats().refused, 0);
}

#[test]
fn write_uses_options_of_entry() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").jitter(Jitter::NONE).build().unwrap();
        let entry = || numbers.entry("k").tags(["t"]).time_to_live(SECOND * 10);
        let written = entry().write_through(async || Ok::<_, String>(1)).await.unwrap();
        written.cached().unwrap();
        assert_eq!(*entry().or_insert_with(async || 2).await, 1, "it has the tags of the load");
        assert!(
            matches!(numbers.remaining("k").await, Remaining::After(left) if left <= SECOND * 10)
        );
        store.invalidate_tag("t").await.unwrap();
        assert_eq!(numbers.get("k").await, None);
    });
}

#[test]
fn write_with_invalid_options_invalidates() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        for entry in
            [numbers.entry("k").tags([""]), numbers.entry("k").time_to_live(Duration::ZERO)]
        {
            numbers.insert("k", 1).await;
            let written = entry.write_through(async || Ok::<_, String>(2)).await.unwrap();
            assert_eq!(*written, 2);
            let kind = written.cached().unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::Key | ErrorKind::Configuration), "{kind:?}");
            assert_eq!(numbers.get("k").await, None);
        }
    });
}

#[test]
fn many_keys_are_written_together() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").epoch(true).build().unwrap();
        numbers.insert("c", 9).await;
        let write = async || Ok::<_, String>(vec![1, 2, 3]);
        let written = numbers.write_through_many(["a", "b", "a", "c"], write).await.unwrap();
        written.cached().unwrap();
        assert_eq!(*written, [1, 2, 3]);
        let read = numbers.get_many(["a", "b", "c"]).await;
        assert_eq!(read[0].as_deref(), Some(&3), "the later one");
        assert_eq!(read[1].as_deref(), Some(&2));
        assert_eq!(read[2], None, "it has no value");
        numbers.invalidate_all().await.unwrap();
        assert_eq!(numbers.get_many(["a", "b"]).await, [None, None], "they carry the epoch");
    });
}

#[test]
fn many_write_invalidates_keys_in_doubt() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let write = async || {
            numbers.invalidate("a").await.unwrap();
            drop(numbers.write_through("b", async || Ok::<_, String>(20)).await.unwrap());
            Ok::<_, String>(vec![1, 2, 3])
        };
        let written = numbers.write_through_many(["a", "b", "c"], write).await.unwrap();
        written.cached().unwrap();
        let read = numbers.get_many(["a", "b", "c"]).await;
        assert_eq!(read, [None, None, Some(3.into())], "the order of the writes of b is unknown");
        assert_eq!(numbers.stats().refused, 2);
        assert!(numbers.ticket("a").await.unwrap().can_store(), "no lease is left");
    });
}

#[test]
fn failed_many_write_leaves_no_entry() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.insert_many([("a", 1), ("b", 2)]).await;
        let write = async || Err::<Vec<u32>, _>("no");
        assert_eq!(numbers.write_through_many(["a", "b"], write).await.unwrap_err(), "no");
        assert_eq!(numbers.get_many(["a", "b"]).await, [None, None]);

        numbers.insert_many([("a", 1), ("b", 2)]).await;
        let write = async || {
            store.set_enabled(false);
            Ok::<_, String>(vec![3, 4])
        };
        numbers.write_through_many(["a", "b"], write).await.unwrap().cached().unwrap();
        store.set_enabled(true);
        assert_eq!(numbers.get_many(["a", "b"]).await, [None, None]);
    });
}

#[test]
fn cancelled_many_write_leaves_no_entry() {
    let (runtime, _, texts) = simulated(1);
    runtime.block_on(async {
        texts.insert_many([("a", "old".to_owned()), ("b", "old".to_owned())]).await;
        let write = async || {
            runtime.sleep(SECOND).await;
            Ok::<_, String>(vec!["new".to_owned(), "new".to_owned()])
        };
        let writing = texts.write_through_many(["a", "b"], write).boxed_local();
        select(writing, runtime.sleep(SECOND / 2)).map(drop).await;
        runtime.sleep(SECOND / 100).await;
        assert_eq!(texts.get_many(["a", "b"]).await, [None, None]);
    });
}

#[test]
fn ticket_uses_tags_of_entry() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let entry = || numbers.entry("k").tags(["t"]);
        assert!(entry().ticket().await.unwrap().fill(1).await);
        assert_eq!(*entry().or_insert_with(async || 2).await, 1);
        store.invalidate_tag("t").await.unwrap();
        assert_eq!(numbers.get("k").await, None);
        let error = numbers.entry("k").tags([""]).ticket().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
    });
}

#[test]
fn ticket_fills_its_key() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let ticket = numbers.ticket("k").await.unwrap();
        assert!(ticket.can_store());
        assert!(ticket.fill(1).await);
        assert!(numbers.ticket("k").await.unwrap().fill(2).await, "an existing entry is replaced");
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn invalidation_revokes_ticket() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let ticket = numbers.ticket("k").await.unwrap();
        numbers.invalidate("k").await.unwrap();
        assert!(!ticket.fill(1).await);
        assert_eq!(numbers.get("k").await, None);
        assert_eq!(numbers.stats().refused, 1);
    });
}

#[test]
fn second_ticket_waits_for_first() {
    let (runtime, _, texts) = simulated(1);
    runtime.block_on(async {
        let first = texts.ticket("k").await.unwrap();
        let second = texts.ticket("k").await.unwrap();
        assert!(first.can_store() && !second.can_store());
        assert!(!second.fill("second".to_owned()).await);
        drop(first);
        runtime.sleep(SECOND / 100).await;
        assert!(texts.ticket("k").await.unwrap().fill("third".to_owned()).await);
    });
}

#[test]
fn invalidate_all_removes_own_entries() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let others = store.cache::<u32>("others").build().unwrap();
        numbers.insert_many((0..10).map(|number| (number, number))).await;
        others.insert(1, 1).await;
        assert_eq!(numbers.invalidate_all().await.unwrap().removed(), 10);
        assert_eq!(numbers.get(1).await, None);
        assert!(others.contains_key(1).await);
    });
}
