//! Many keys at once.

use hotshelf::{ErrorKind, KeyLayout, Store};

use crate::support::{on_each_backend, on_tokio, server};

#[test]
fn many_are_written_read_and_removed_in_order() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.try_insert_many((0..2500).map(|number| (number, number * 2))).await.unwrap();
        let read = numbers.get_many([7, 9999, 2499]).await;
        let read: Vec<Option<u32>> = read.iter().map(|value| value.as_deref().copied()).collect();
        assert_eq!(read, [Some(14), None, Some(4998)]);

        assert_eq!(numbers.invalidate_many(0..2400).await.unwrap().removed(), 2400);
        assert_eq!(numbers.get_many(2390..2410).await.iter().flatten().count(), 10);
        assert_eq!(numbers.stats().errors, 0);
    });
}

#[test]
fn of_two_entries_with_one_key_the_later_stands() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.try_insert_many([("k", 1), ("k", 2)]).await.unwrap();
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn nothing_at_all_is_fine() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        numbers.try_insert_many(Vec::<(u32, u32)>::new()).await.unwrap();
        assert!(numbers.get_many(Vec::<u32>::new()).await.is_empty());
        assert_eq!(numbers.invalidate_many(Vec::<u32>::new()).await.unwrap().removed(), 0);
    });
}

#[test]
fn one_that_is_too_large_stops_no_other() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").max_value_bytes(10).build().unwrap();
        texts.insert("b", "old".to_owned()).await;
        let entries = [("a", "1"), ("b", "much too long"), ("c", "3")];
        let entries = entries.map(|(key, text)| (key, text.to_owned()));
        let error = texts.try_insert_many(entries).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let read = texts.get_many(["a", "b", "c"]).await;
        assert_eq!(read.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    });
}

#[test]
fn a_key_that_is_none_stops_no_other() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("v2").key_layout(KeyLayout::V2).build().unwrap();
        numbers.insert("a", 1).await;
        let error = numbers.try_insert_many([("a", 2), ("b\n", 2), ("c", 2)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        let read = numbers.get_many(["a", "b\n", "c"]).await;
        let read: Vec<Option<u32>> = read.iter().map(|value| value.as_deref().copied()).collect();
        assert_eq!(read, [Some(2), None, Some(2)]);
        let error = numbers.try_get_many(["a", "b\n"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
    });
}

#[test]
fn the_last_value_of_a_key_counts_even_if_it_cant_be_stored() {
    on_each_backend(async |store: Store| {
        let texts = store.cache::<String>("texts").max_value_bytes(10).build().unwrap();
        let entries = [("k", "first"), ("k", "much too long")];
        let entries = entries.map(|(key, text)| (key, text.to_owned()));
        texts.try_insert_many(entries).await.unwrap_err();
        assert_eq!(texts.get("k").await, None);
    });
}

#[test]
fn a_thousand_entries_are_two_round_trips() {
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
        numbers.try_insert_many((0..1000).map(|number| (number, number))).await.unwrap();
        // The server reads at most 16 KiB at once, so that one pipeline is several reads;
        // an exchange for each entry would be 2,000 of them.
        let taken = reads(&server) - before;
        assert!(taken < 40, "{taken} reads");
    });
}
