//! Values that are made of cached ones, and take over their tags.

use std::sync::Arc;
use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{Cache, LoadContext, Lookup, Store};

use super::{MINUTE, numbers, settle, stale_on_error, two_processes};

type Loaded = Result<u32, ()>;

fn sums(store: &Store) -> Cache<u32> {
    store.cache("sums").time_to_live(MINUTE).build().unwrap()
}

/// Loads a sum whose part has the tag `t`.
async fn sum(sums: &Cache<u32>, parts: &Cache<u32>) -> u32 {
    let load = async |context: LoadContext<u32>| {
        let part = parts.entry("part").tags(["t"]).tags_into(&context);
        Loaded::Ok(100 + *part.or_insert_with(async || 1).await)
    };
    *sums.entry("sum").or_load(load).await.unwrap()
}

/// Whether the part is loaded within the load, or found in the memory of the process or on the
/// server.
#[tokio::test]
async fn value_has_the_tags_of_its_parts_wherever_they_come_from() {
    for found_by in [None, Some(0), Some(1)] {
        let test = TestStore::new();
        let other = test.another_store();
        let stores = [test.store(), &other];
        let [parts, others] = stores.map(|store| numbers(store).build().unwrap());
        if let Some(found_by) = found_by {
            let cache = [&parts, &others][found_by];
            cache.entry("part").tags(["t"]).or_insert_with(async || 1).await;
        }
        let [sums, other_sums] = stores.map(sums);
        sum(&sums, &parts).await;
        assert_eq!(other_sums.get("sum").await.as_deref(), Some(&101), "stored at once");
        others.invalidate_tag("t").await.unwrap();
        assert_eq!(sums.get("sum").await, None, "{found_by:?}");
        assert_eq!(other_sums.get("sum").await, None, "{found_by:?}");
    }
}

/// The version that the tag has when the load ends belongs to newer data.
#[tokio::test]
async fn part_that_is_invalidated_during_the_load_makes_no_hit() {
    for named_by_both in [false, true] {
        let (_, [parts, other]) = two_processes(|store| numbers(store).build().unwrap());
        let load = async |context: LoadContext<u32>| {
            let part = parts.entry("part").tags(["t"]).tags_into(&context);
            let part = part.or_insert_with(async || 1).await;
            other.invalidate_tag("t").await.unwrap();
            // Another load captures the tag anew.
            other.entry("another").tags(["t"]).or_insert_with(async || 2).await;
            Loaded::Ok(*part)
        };
        let entry = parts.entry("sum");
        let entry = if named_by_both { entry.tags(["t"]) } else { entry };
        entry.or_load(load).await.unwrap();
        assert_eq!(parts.get("sum").await, None, "{named_by_both}");
        assert_eq!(other.get("sum").await, None, "{named_by_both}");
    }
}

#[tokio::test]
async fn tags_are_passed_on_through_several_loads_and_with_late_ones() {
    let test = TestStore::new();
    let cache = numbers(test.store()).tags(|_| ["all"]).build().unwrap();
    let load = async || {
        let outer = async |outer: LoadContext<u32>| {
            let middle = async |middle: LoadContext<u32>| {
                let inner = async |inner: LoadContext<u32>| {
                    inner.tags(["late"]);
                    Loaded::Ok(1)
                };
                let inner = cache.entry("inner").tags_into(&middle).or_load(inner).await?;
                Ok::<u32, hotshelf::LoadError<()>>(*inner)
            };
            let middle = cache.entry("middle").tags_into(&outer).or_load(middle).await;
            Loaded::Ok(*middle.unwrap())
        };
        cache.entry("outer").or_load(outer).await.unwrap();
    };
    for tag in ["late", "all"] {
        for _ in 0..3 {
            load().await;
            test.advance(Duration::from_secs(3));
        }
        for key in ["inner", "middle", "outer"] {
            assert!(cache.contains_key(key).await, "{key}");
        }
        cache.invalidate_tag(tag).await.unwrap();
        for key in ["inner", "middle", "outer"] {
            assert!(!cache.contains_key(key).await, "{key} after {tag}");
        }
    }
}

/// Its tags are those of an entry: that of the other call.
#[tokio::test]
async fn part_that_another_call_loads_has_its_tags() {
    let (_, [parts, other]) = two_processes(|store| numbers(store).build().unwrap());
    for part_of in [&parts, &other] {
        let goes_on = tokio::sync::Notify::new();
        let loading = parts.entry("part").tags(["t"]).or_insert_with(async || {
            goes_on.notified().await;
            1
        });
        let building = async {
            settle().await;
            let load = async |context: LoadContext<u32>| {
                let part = part_of.entry("part").tags(["t"]).tags_into(&context);
                settle().await;
                goes_on.notify_one();
                Loaded::Ok(*part.or_insert_with(async || 9).await)
            };
            *part_of.entry("sum").or_load(load).await.unwrap()
        };
        let (_, sum) = futures_util::future::join(loading, building).await;
        assert_eq!(sum, 1);
        assert!(parts.contains_key("sum").await);
        parts.invalidate_tag("t").await.unwrap();
        assert!(!parts.contains_key("sum").await);
    }
}

#[tokio::test]
async fn value_whose_part_is_not_stored_is_not_stored_either() {
    let (test, [cache, _]) = two_processes(stale_on_error);
    let by_bypass = async |context: LoadContext<u32>| {
        let part = cache.entry("part").bypass().tags_into(&context);
        Loaded::Ok(*part.or_insert_with(async || 1).await)
    };
    cache.entry("sum").or_load(by_bypass).await.unwrap();
    assert_eq!(cache.get("sum").await, None);

    let unstored = async |context: LoadContext<u32>| {
        let load = async |inner: LoadContext<u32>| {
            inner.skip_store();
            Loaded::Ok(1)
        };
        let part = cache.entry("part").tags_into(&context).or_load(load).await;
        Loaded::Ok(*part.unwrap())
    };
    cache.entry("sum").or_load(unstored).await.unwrap();
    assert_eq!(cache.get("sum").await, None);

    cache.insert("part", 1).await;
    test.advance(MINUTE);
    // The second time the load isn't repeated.
    for round in 0..2 {
        let on_error = async |context: LoadContext<u32>| {
            let part = cache.entry("part").tags_into(&context);
            Loaded::Ok(*part.or_try_insert_with(async || Loaded::Err(())).await.unwrap())
        };
        cache.entry("sum").or_load(on_error).await.unwrap();
        assert_eq!(cache.get("sum").await, None, "{round}");
    }
}

#[tokio::test]
async fn negatives_have_the_tags_of_their_parts() {
    let test = TestStore::new();
    let cache = numbers(test.store()).negative_ttl(MINUTE).build().unwrap();
    let load = async |bypass: bool| {
        let outer = async |outer: LoadContext<u32>| {
            let middle = async |middle: LoadContext<u32>| {
                let part = cache.entry("part").tags(["t"]).tags_into(&middle);
                let part = if bypass { part.bypass() } else { part };
                let part = part.or_insert_with(async || 1).await;
                Ok::<_, ()>((*part == 0).then_some(7))
            };
            let middle = cache.entry("middle").tags_into(&outer).or_load_optional(middle).await;
            Loaded::Ok(middle.unwrap().map_or(0, |middle| *middle))
        };
        cache.entry("outer").or_load(outer).await.unwrap();
    };
    load(false).await;
    assert_eq!(cache.lookup("middle").await, Lookup::Absent);
    assert!(cache.contains_key("outer").await);
    cache.invalidate_tag("t").await.unwrap();
    assert_eq!(cache.lookup("middle").await, Lookup::Missing);
    assert_eq!(cache.lookup("outer").await, Lookup::Missing);
    load(true).await;
    assert_eq!(cache.lookup("middle").await, Lookup::Missing, "the tags are not known");

    test.advance(MINUTE);
    for _ in 0..2 {
        let late = async |context: LoadContext<u32>| {
            context.tags(["late"]);
            Ok::<Option<u32>, ()>(None)
        };
        cache.entry("late").or_load_optional(late).await.unwrap();
        test.advance(Duration::from_secs(3));
    }
    assert_eq!(cache.lookup("late").await, Lookup::Absent);
    cache.invalidate_tag("late").await.unwrap();
    assert_eq!(cache.lookup("late").await, Lookup::Missing);
}

#[tokio::test]
async fn missing_part_passes_no_tags() {
    let (_, [cache, _]) = two_processes(|store| numbers(store).build().unwrap());
    let load = async |context: LoadContext<u32>| {
        assert_eq!(cache.entry("part").tags_into(&context).get().await, None);
        Loaded::Ok(1)
    };
    cache.entry("sum").or_load(load).await.unwrap();
    assert!(cache.contains_key("sum").await);
}

#[tokio::test]
async fn tags_of_another_prefix_or_too_many_are_a_mistake() {
    let store = Store::memory();
    let sums = sums(&store);
    let elsewhere = numbers(&store).prefix("elsewhere").build().unwrap();
    assert_eq!(sum(&sums, &elsewhere).await, 101);
    assert_eq!(sums.get("sum").await, None);
    assert_eq!(sums.stats().errors, 1);

    let parts = numbers(&store).build().unwrap();
    let names: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let load = async |context: LoadContext<u32>| {
        for (part, tags) in names.chunks(100).enumerate() {
            let part = parts.entry(part).tags(tags).tags_into(&context);
            part.or_insert_with(async || 1).await;
        }
        Loaded::Ok(1)
    };
    sums.entry("sum").or_load(load).await.unwrap();
    assert_eq!(sums.get("sum").await, None);
    assert_eq!(sums.stats().errors, 2);

    // Without tags there is nothing to pass on.
    let untagged = async |context: LoadContext<u32>| {
        let part = elsewhere.entry("untagged").tags_into(&context);
        Loaded::Ok(*part.or_insert_with(async || 1).await)
    };
    sums.entry("sum").or_load(untagged).await.unwrap();
    assert!(sums.contains_key("sum").await);
}

/// Its load in the background is no part of the outer one.
#[tokio::test]
async fn stale_part_passes_the_tags_of_its_entry() {
    let (test, [cache, other]) = two_processes(|store| {
        let cache = numbers(store).tags(|_| ["all"]);
        cache.stale_while_revalidate(10 * MINUTE).build().unwrap()
    });
    cache.insert("part", 1).await;
    test.advance(MINUTE);
    let load = async |context: LoadContext<u32>| {
        let part = cache.entry("part").tags_into(&context);
        let part = part.or_refresh_with(|_| async { Loaded::Ok(2) }).await;
        settle().await;
        Loaded::Ok(*part.unwrap())
    };
    let sums = sums(test.store());
    assert_eq!(sums.entry("sum").or_load(load).await.unwrap(), Arc::new(1));
    assert!(sums.contains_key("sum").await);
    other.invalidate_tag("all").await.unwrap();
    assert!(!sums.contains_key("sum").await);
}
