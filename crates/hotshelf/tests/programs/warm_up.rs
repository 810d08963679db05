//! A worker that warms 50,000 entries.

use hotshelf::testing::TestStore;
use hotshelf::{ErrorKind, Store};

async fn warm(store: &Store, rows: impl Iterator<Item = (u64, String)>) -> (usize, Vec<u64>) {
    let names = store.cache::<String>("names").build().unwrap();
    let rows: Vec<(u64, String)> = rows.collect();
    let ids: Vec<u64> = rows.iter().map(|(id, _)| *id).collect();
    let stored = names.insert_many(rows).await;
    let missed = ids.iter().zip(&stored).filter(|(_, stored)| !**stored).map(|(id, _)| *id);
    (stored.iter().filter(|stored| **stored).count(), missed.collect())
}

#[tokio::test]
async fn every_entry_is_reported() {
    let test = TestStore::new();
    let rows = || (0..50_000).map(|id| (id, format!("name {id}")));
    assert_eq!(warm(test.store(), rows()).await, (50_000, Vec::new()));
    let names = test.store().cache::<String>("names").build().unwrap();
    let ids: Vec<u64> = (0..50_000).collect();
    assert!(names.get_many(&ids).await.iter().all(Option::is_some));
}

#[tokio::test]
async fn failures_are_reported_per_key() {
    let test = TestStore::new();
    let names = test.store().cache::<String>("names").max_value_bytes(8).build().unwrap();
    let rows = [(1_u64, "short".to_owned()), (2, "much too long".to_owned())];
    let stored = names.fallible().insert_many(rows.clone()).await;
    assert!(matches!(&stored[0], Ok(true)));
    assert_eq!(stored[1].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    test.fail(true);
    assert_eq!(names.insert_many(rows).await, [false, false]);
}
