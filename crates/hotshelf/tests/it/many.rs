//! Many keys at once.

use hotshelf::{ErrorKind, Store};

use crate::support::{on_each_backend, on_tokio, server};

#[test]
fn many_entries_keep_their_order() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        let stored = numbers.insert_many((0..2500).map(|number| (number, number * 2))).await;
        assert_eq!(stored, [true; 2500]);
        let read = numbers.get_many([7, 9999, 2499]).await;
        let read: Vec<Option<u32>> = read.iter().map(|value| value.as_deref().copied()).collect();
        assert_eq!(read, [Some(14), None, Some(4998)]);

        assert_eq!(numbers.invalidate_many(0..2400).await.unwrap().removed(), 2400);
        assert_eq!(numbers.get_many(2390..2410).await.iter().flatten().count(), 10);
        assert_eq!(numbers.stats().errors, 0);
    });
}

#[test]
fn last_entry_of_a_key_wins() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        assert_eq!(numbers.insert_many([("k", 1), ("k", 2)]).await, [false, true]);
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn key_collections_are_read_by_reference() {
    on_tokio(async {
        let numbers = Store::memory().cache::<u32>("numbers").build().unwrap();
        let (ids, names): (Vec<u64>, Vec<String>) = (vec![1, 2], vec!["a".into(), "b".into()]);
        numbers.insert_many([(1, 1), (2, 2)]).await;
        assert_eq!(numbers.get_many(&ids).await.len(), 2);
        assert_eq!(numbers.get_many(&names).await, [None, None]);
        assert_eq!(numbers.get_many(&["1", "b"]).await, [Some(1.into()), None]);
        assert_eq!(numbers.invalidate_many(ids.iter()).await.unwrap().removed(), 2);
    });
}

#[test]
fn empty_batches_are_valid() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        assert!(numbers.insert_many(Vec::<(u32, u32)>::new()).await.is_empty());
        assert!(numbers.get_many(Vec::<u32>::new()).await.is_empty());
        assert_eq!(numbers.invalidate_many(Vec::<u32>::new()).await.unwrap().removed(), 0);
    });
}

#[test]
fn large_value_stops_no_others() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").max_value_bytes(10).build().unwrap();
        texts.insert("b", "old".to_owned()).await;
        let entries = [("a", "1"), ("b", "much too long"), ("c", "3")];
        let entries = entries.map(|(key, text)| (key, text.to_owned()));
        let stored = texts.fallible().insert_many(entries).await;
        let kinds = stored.into_iter().map(|stored| stored.map_err(|error| error.kind()));
        assert_eq!(kinds.collect::<Vec<_>>(), [Ok(true), Err(ErrorKind::TooLarge), Ok(true)]);
        let read = texts.get_many(["a", "b", "c"]).await;
        assert_eq!(read.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    });
}

#[test]
fn unstorable_last_value_removes_entry() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").max_value_bytes(10).build().unwrap();
        let entries = [("k", "first"), ("k", "much too long")];
        let entries = entries.map(|(key, text)| (key, text.to_owned()));
        assert_eq!(texts.insert_many(entries).await, [false, false]);
        assert_eq!(texts.get("k").await, None);
    });
}

#[test]
fn thousand_entries_cost_two_round_trips() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.insert("warm", 0).await;
        let reads = |server: &hotshelf_testkit::RedisServer| -> u64 {
            let stats = server.cli(&["INFO", "stats"]);
            let line = stats.lines().find(|line| line.starts_with("total_reads_processed:"));
            line.unwrap().trim_end().split(':').nth(1).unwrap().parse().unwrap()
        };
        let before = reads(&server);
        numbers.insert_many((0..1000).map(|number| (number, number))).await;
        // The server reads at most 16 KiB at once, so one pipeline takes several reads; one
        // exchange for each entry would take 2,000.
        let taken = reads(&server) - before;
        assert!(taken < 40, "{taken} reads");
    });
}
