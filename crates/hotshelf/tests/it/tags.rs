//! Tags.

use std::convert::Infallible;

use futures_util::future::join;
use hotshelf::testing::TestStore;
use hotshelf::{Cache, ErrorKind, Foreign, Key, Lookup, Remaining, Store};
use hotshelf_core::Runtime;

use crate::support::{Loads, SECOND, on_each_backend, on_tokio, server, simulated};

async fn load(cache: &Cache<u32>, key: &str, tags: &[&str], loads: &Loads) -> u32 {
    let load = async || {
        loads.load("").await;
        loads.count()
    };
    *cache.entry(key).tags(tags).or_insert_with(load).await
}

#[test]
fn tag_invalidates_its_entries() {
    on_each_backend(async |store: Store| {
        let one = store.cache::<u32>("one").build().unwrap();
        let two = store.cache::<u32>("two").build().unwrap();
        let loads = Loads::default();
        for (cache, key, tags) in [
            (&one, "a", &["t"][..]),
            (&one, "b", &["u", "t"]),
            (&two, "c", &["t"]),
            (&two, "d", &[]),
        ] {
            load(cache, key, tags, &loads).await;
            load(cache, key, tags, &loads).await;
        }
        assert_eq!(loads.count(), 4, "each is a hit the second time");

        store.invalidate_tag("t").await.unwrap();
        assert_eq!(one.get("a").await, None);
        assert_eq!(one.get_many(["a", "b"]).await, [None, None]);
        assert_eq!(two.lookup("c").await, Lookup::Missing);
        assert!(two.contains_key("d").await, "an entry without the tag remains");
        load(&one, "a", &["t"], &loads).await;
        assert!(one.contains_key("a").await);
        assert_eq!(one.stats().foreign, 0);
    });
}

#[test]
fn several_tags_are_invalidated_at_once() {
    on_each_backend(async |store: Store| {
        let cache = store.cache::<u32>("n").build().unwrap();
        let loads = Loads::default();
        load(&cache, "a", &["t"], &loads).await;
        load(&cache, "b", &["u"], &loads).await;
        store.invalidate_tags(["t", "u"]).await.unwrap();
        assert_eq!(cache.get_many(["a", "b"]).await, [None, None]);
        cache.invalidate_tag("t").await.unwrap();
    });
}

#[test]
fn entry_with_other_tags_misses() {
    on_each_backend(async |store: Store| {
        let cache = store.cache::<u32>("n").build().unwrap();
        let loads = Loads::default();
        load(&cache, "k", &["t", "u"], &loads).await;
        load(&cache, "k", &["u", "t", "t"], &loads).await;
        assert_eq!(loads.count(), 1, "their order doesn't matter");
        load(&cache, "k", &["t"], &loads).await;
        assert_eq!(loads.count(), 2);
    });
}

#[test]
fn tag_invalidation_refuses_load_in_flight() {
    let (runtime, store, _) = simulated(1);
    let cache = store.cache::<String>("n").build().unwrap();
    let loads = Loads::default();
    let slow = async |value: &'static str| {
        let load = async || loads.load_slowly(&runtime, value).await;
        cache.entry("k").tags(["t"]).or_insert_with(load).await
    };
    let later = async {
        runtime.sleep(SECOND / 2).await;
        store.invalidate_tag("t").await.unwrap();
        slow("new").await
    };
    let (old, new) = runtime.block_on(join(slow("old"), later));
    assert_eq!((old.as_str(), new.as_str()), ("old", "new"));
    assert_eq!(runtime.block_on(cache.get("k")).unwrap().as_str(), "new");
}

#[test]
fn inserts_and_writes_carry_tags() {
    on_each_backend(async |store: Store| {
        let cache = store.cache::<u32>("n").epoch(true).build().unwrap();
        cache.entry("a").tags(["t"]).fallible().insert(1).await.unwrap();
        cache.insert("b", 2).await;
        drop(cache.write_through("c", async || Ok::<_, Infallible>(3)).await.unwrap());
        assert_eq!(cache.get("c").await.as_deref(), Some(&3));
        cache.invalidate_tag("t").await.unwrap();
        let read = cache.get_many(["b", "c"]).await;
        assert_eq!(read.iter().flatten().count(), 2);

        cache.invalidate_all().await.unwrap();
        assert_eq!(cache.get_many(["a", "b", "c"]).await, [None, None, None]);
        cache.insert("b", 4).await;
        assert_eq!(cache.get("b").await.as_deref(), Some(&4));
    });
}

/// The id of a tag is the hash of a text. No tag name has the id of an epoch.
#[test]
fn no_tag_is_an_epoch() {
    on_each_backend(async |store: Store| {
        let cache = store.cache::<u32>("n").epoch(true).build().unwrap();
        cache.insert("k", 1).await;
        for name in ["epoch of cache:v1:n:", "cache:v1:n:", "\u{ff}cache:v1:n:"] {
            store.invalidate_tag(name).await.unwrap();
            assert_eq!(cache.get("k").await.as_deref(), Some(&1), "{name}");
        }
    });
}

/// Loading calls name the tags of their values; reads need not.
#[test]
fn call_without_tags_accepts_any() {
    on_each_backend(async |store: Store| {
        for (name, epoch) in [("without", false), ("with", true)] {
            let cache = store.cache::<u32>(name).epoch(epoch).build().unwrap();
            let loads = Loads::default();
            load(&cache, "a", &["t", "u"], &loads).await;
            load(&cache, "b", &["t"], &loads).await;
            load(&cache, "c", &[], &loads).await;
            assert_eq!(cache.get_many(["a", "b", "c"]).await.iter().flatten().count(), 3);
            assert!(cache.contains_key("a").await);
            assert_eq!(load(&cache, "a", &[], &loads).await, 1);
            assert_eq!(load(&cache, "a", &["u"], &loads).await, 4, "{name}: with other tags");

            store.invalidate_tag("t").await.unwrap();
            let left: Vec<_> =
                cache.get_many(["a", "b", "c"]).await.into_iter().flatten().collect();
            assert_eq!(left.iter().map(|value| **value).collect::<Vec<_>>(), [4, 3], "{name}");
            cache.invalidate_all().await.unwrap();
            assert_eq!(cache.get_many(["a", "b", "c"]).await, [None, None, None]);
        }
    });
}

/// A process without the epoch writes entries that no epoch invalidates.
#[test]
fn entry_without_epoch_misses() {
    on_tokio(async {
        let server = server();
        let [old, new] = [false, true].map(|epoch| {
            let url = server.url();
            async move {
                let store = Store::connect(&url).await.unwrap();
                store.cache::<u32>("n").epoch(epoch).build().unwrap()
            }
        });
        let (old, new) = (old.await, new.await);
        old.entry("k").tags(["t"]).insert(1).await;
        assert_eq!(old.get("k").await.as_deref(), Some(&1));
        assert_eq!(new.get("k").await, None);
        assert_eq!(*new.get_or_insert_with("k", async || 2).await, 2);
        assert_eq!(new.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn negatives_carry_tags() {
    on_each_backend(async |store: Store| {
        let cache = store.cache::<u32>("n").negative_ttl(SECOND * 30).build().unwrap();
        let none = async || Ok::<_, Infallible>(None);
        cache.entry("k").tags(["t"]).or_try_load_optional(none).await.unwrap();
        assert_eq!(cache.lookup("k").await, Lookup::Absent);
        store.invalidate_tag("t").await.unwrap();
        assert_eq!(cache.lookup("k").await, Lookup::Missing);
    });
}

#[test]
fn lost_tag_version_matches_nothing() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = store.cache::<u32>("n").build().unwrap();
        let loads = Loads::default();
        load(&cache, "k", &["t"], &loads).await;
        let tag = server.cli(&["KEYS", "hs:t:*"]);
        server.command(&["DEL", &tag]);
        assert_eq!(cache.get("k").await, None);
        load(&cache, "k", &["t"], &loads).await;
        assert_eq!(loads.count(), 2);
    });
}

#[test]
fn invalid_tags_store_nothing() {
    on_each_backend(async |store: Store| {
        let error = store.invalidate_tag("t").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "no cache was built");

        let cache = store.cache::<u32>("n").build().unwrap();
        let plain = store.cache::<u32>("plain").strict_plain(true).build().unwrap();
        let many: Vec<String> = (0..129).map(|number| number.to_string()).collect();
        for (cache, tags) in
            [(&cache, vec![String::new()]), (&cache, many), (&plain, vec!["t".into()])]
        {
            let error = cache.entry("k").tags(&tags).fallible().insert(1).await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Key | ErrorKind::Configuration), "{error}");
            assert_eq!(*cache.entry("k").tags(&tags).or_insert_with(async || 7).await, 7);
            assert!(!cache.contains_key("k").await);
        }
        assert_eq!(store.invalidate_tag("").await.unwrap_err().kind(), ErrorKind::Key);
        let error = store.cache::<u32>("both").strict_plain(true).epoch(true).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    });
}

#[test]
fn hit_is_one_command() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let cache = store.cache::<u32>("n").build().unwrap();
        let loads = Loads::default();
        load(&cache, "plain", &[], &loads).await;
        load(&cache, "tagged", &["t", "u"], &loads).await;
        server.command(&["CONFIG", "RESETSTAT"]);
        load(&cache, "plain", &[], &loads).await;
        load(&cache, "tagged", &["t", "u"], &loads).await;
        let stats = server.cli(&["INFO", "commandstats"]);
        let commands: Vec<_> = stats.lines().filter(|line| line.starts_with("cmdstat_")).collect();
        let names: Vec<_> = commands.iter().map(|line| line.split(',').next().unwrap()).collect();
        assert!(names.contains(&"cmdstat_get:calls=1"), "{names:?}");
        assert!(names.contains(&"cmdstat_mget:calls=1"), "{names:?}");
        assert_eq!(loads.count(), 2);
    });
}

#[test]
fn tag_rule_tags_by_key() {
    on_each_backend(async |store: Store| {
        let by_tenant = |key: &Key<'_>| [format!("tenant:{}", key.identifier())];
        let orders = store.cache::<u32>("orders").tags(by_tenant).build().unwrap();
        let [acme, other] = [("acme", 1), ("other", 1)];
        assert_eq!(orders.insert_many([(acme, 1), (other, 2)]).await, [true, true]);
        assert_eq!(orders.get(acme).await.as_deref(), Some(&1));
        store.invalidate_tag("tenant:acme").await.unwrap();
        assert_eq!(orders.get_many([acme, other]).await, [None, Some(2.into())]);
        assert_eq!(orders.remaining(acme).await, Remaining::Missing);

        assert_eq!(*orders.get_or_insert_with(acme, async || 3).await, 3);
        let both =
            orders.write_through_many([acme, other], async || Ok::<_, Infallible>(vec![4, 5]));
        both.await.unwrap().cached().unwrap();
        assert_eq!(orders.get_many([acme, other]).await, [Some(4.into()), Some(5.into())]);
        store.invalidate_tag("tenant:other").await.unwrap();
        assert_eq!(orders.get_many([acme, other]).await, [Some(4.into()), None]);

        let ticket = orders.ticket(other).await.unwrap();
        assert!(ticket.fill(6).await);
        store.invalidate_tag("tenant:other").await.unwrap();
        assert_eq!(orders.get(other).await, None);
        assert_eq!(orders.stats().other_tags, 0);
    });
}

#[test]
fn calls_add_to_tag_rule() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").tags(|_| ["all"]).build().unwrap();
        let entry = || numbers.entry("k").tags(["more"]);
        for tag in ["all", "more"] {
            assert!(entry().insert(1).await);
            assert_eq!(entry().get().await.as_deref(), Some(&1));
            store.invalidate_tag(tag).await.unwrap();
            assert_eq!(entry().get().await, None, "{tag}");
        }
    });
}

#[test]
fn tag_rule_refuses_load_in_flight() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").tags(|_| ["all"]).build().unwrap();
        let load = async || {
            store.invalidate_tag("all").await.unwrap();
            1
        };
        assert_eq!(*numbers.get_or_insert_with("k", load).await, 1);
        assert_eq!(numbers.get("k").await, None);
    });
}

#[test]
fn other_tags_are_counted() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").build().unwrap();
        for (tags, counted) in [(["a"], 0), (["b"], 1), (["a"], 2)] {
            numbers.entry("k").tags(tags).or_insert_with(async || 1).await;
            assert_eq!(numbers.stats().other_tags, counted);
        }
        store.invalidate_tag("a").await.unwrap();
        assert_eq!(numbers.entry("k").tags(["a"]).get().await, None);
        assert_eq!(numbers.stats().other_tags, 2, "an invalidated tag doesn't count");
    });
}

#[test]
fn invalid_tag_rule_stops_no_load() {
    on_each_backend(async |store: Store| {
        let tags = |key: &Key<'_>| [if key.identifier() == "bad" { "" } else { "good" }];
        let numbers = store.cache::<u32>("numbers").tags(tags).build().unwrap();
        assert_eq!(*numbers.get_or_insert_with("bad", async || 1).await, 1);
        assert_eq!(numbers.get("bad").await, None);
        assert_eq!(numbers.insert_many([("bad", 1), ("k", 2)]).await, [false, true]);
        let error = numbers.fallible().get("bad").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert_eq!(numbers.get_many(["bad", "k"]).await, [None, Some(2.into())]);
        assert_eq!(numbers.stats().other_tags, 0, "no entry has other tags");
        numbers.invalidate("bad").await.unwrap();
        let written = numbers.write_through("bad", async || Ok::<_, Infallible>(3)).await.unwrap();
        assert_eq!(*written, 3);
        assert_eq!(numbers.get("k").await.as_deref(), Some(&2));
    });
}

#[test]
fn plain_cache_rejects_tag_rule() {
    let builder = Store::memory().cache::<u32>("n").tags(|_| ["t"]).strict_plain(true);
    assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Configuration);
}

/// Another process, in Python or of an older release, may know nothing of the cache's tags.
#[test]
fn entries_without_the_caches_tags_miss() {
    let test = TestStore::new();
    let other = test.another_store();
    on_tokio(async {
        let tagged = test.store().cache::<u32>("n").tags(|_| ["a"]).build().unwrap();
        let untagged = other.cache::<u32>("n").build().unwrap();
        untagged.insert("k", 1).await;
        assert_eq!(tagged.get("k").await, None);
        assert_eq!(tagged.get_many(["k"]).await, [None]);
        assert_eq!(tagged.stats().other_tags, 2);
        tagged.insert_many([("k", 2), ("l", 3)]).await;
        assert_eq!(untagged.get_many(["k", "l"]).await, [Some(2.into()), Some(3.into())]);
        untagged.invalidate_tag("a").await.unwrap();
        assert_eq!(tagged.get_many(["k", "l"]).await, [None, None]);
    });
}

#[test]
fn plain_entries_miss_cache_tags() {
    on_tokio(async {
        let server = server();
        let store = Store::connect(&server.url()).await.unwrap();
        let accepting = store.cache::<u32>("n").foreign(Foreign::Accept).tags(|_| ["a"]);
        let cache = accepting.build().unwrap();
        server.command(&["SET", "cache:v1:n:k", "5"]);
        assert_eq!(cache.get("k").await, None);
        assert_eq!(cache.get_many(["k"]).await, [None]);
    });
}

#[test]
fn plain_reads_accept_further_tags() {
    on_each_backend(async |store: Store| {
        let numbers = store.cache::<u32>("numbers").tags(|_| ["all"]).build().unwrap();
        numbers.entry("k").tags(["more"]).insert(1).await;
        assert_eq!(numbers.get("k").await.as_deref(), Some(&1));
        assert!(matches!(numbers.remaining("k").await, Remaining::After(_)));
        assert_eq!(*numbers.get_or_insert_with("k", async || 2).await, 1);
        assert_eq!(numbers.get_many(["k"]).await, [Some(1.into())]);
        assert_eq!(numbers.entry("k").tags(["other"]).get().await, None);
        store.invalidate_tag("more").await.unwrap();
        assert_eq!(numbers.get("k").await, None);
    });
}

#[test]
fn differing_tag_functions_are_refused() {
    let store = Store::memory();
    let all = |_: &Key<'_>| ["all"];
    let build = || store.cache::<u32>("n").tags(all).build();
    build().unwrap();
    build().expect("the same function");
    let error = store.cache::<u32>("n").tags(|_| ["other"]).build().unwrap_err();
    assert!(error.to_string().contains("other `tags`"), "{error}");
    let captured = |tag: &'static str| store.cache::<u32>("m").tags(move |_| [tag]).build();
    captured("a").unwrap();
    assert_eq!(captured("b").unwrap_err().kind(), ErrorKind::Configuration);
}
