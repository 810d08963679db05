//! Changes by other processes, which are heard within the bound whatever happens.

use std::time::Duration;

use hotshelf::{Cache, KeyLayout, LoadContext, NearOptions, Store};
use hotshelf_testkit::{
    Conditions, Failover, Proxy, RedisCluster, RedisSentinels, RedisServer, Reply,
};

use super::{BOUND, near_store, numbers, tagged, until_missing, until_near};
use crate::support::{now, on_tokio, pause, server};

/// While a slot moves, before its keys do, after that, and at its new node.
#[test]
fn changes_are_heard_while_a_slot_moves() {
    on_tokio(async {
        let cluster = RedisCluster::start().unwrap();
        let (here, there) = (near_store(&cluster.url()), near_store(&cluster.url()));
        let cache = |store: &Store| -> Cache<u64> {
            store.cache("numbers").key_layout(KeyLayout::FastapiRc).build().unwrap()
        };
        let (mine, theirs) = (cache(&here), cache(&there));
        let keys: [String; 4] = std::array::from_fn(|number| format!("{{a}}{number}"));
        let slot = cluster.node(0).command(&["CLUSTER", "KEYSLOT", "{a}"]);
        let Reply::Integer(slot) = slot else { panic!("{slot:?}") };
        let slot = u16::try_from(slot).unwrap();
        let to = cluster.primaries().into_iter().find(|node| *node != cluster.owner(slot)).unwrap();
        for key in &keys {
            theirs.insert(key, 1).await;
            until_near(&mine, key).await;
        }
        let steps: [&dyn Fn(); 4] = [
            &|| cluster.migrate_begin(slot, to),
            &|| cluster.migrate_keys(slot, to),
            &|| cluster.migrate_end(slot, to),
            &|| {},
        ];
        for (key, step) in keys.iter().zip(steps) {
            step();
            theirs.invalidate(key).await.unwrap();
            assert!(until_missing(&mine, key).await <= BOUND, "{key}");
        }
        theirs.insert(&keys[0], 2).await;
        until_near(&mine, &keys[0]).await;
        theirs.invalidate(&keys[0]).await.unwrap();
        assert!(until_missing(&mine, &keys[0]).await <= BOUND);
    });
}

/// By another process: within the bound.
async fn others_are_heard(url: &str) {
    others_are_heard_by(near_store(url), near_store(url)).await;
}

pub(super) async fn others_are_heard_by(here: Store, there: Store) {
    let (mine, theirs) = (numbers(&here), numbers(&there));
    let (my_tagged, their_tagged) = (tagged(&here), tagged(&there));
    for round in 0..10 {
        let key = format!("k{round}");
        mine.insert(&key, 1).await;
        my_tagged.insert(&key, 1).await;
        until_near(&mine, &key).await;
        until_near(&my_tagged, &key).await;
        match round % 3 {
            0 => drop(theirs.invalidate(&key).await.unwrap()),
            1 => drop(theirs.invalidate_pattern(&format!("{key}*")).await.unwrap()),
            _ => assert!(theirs.insert(&key, 2).await),
        }
        let began = now();
        while mine.get(&key).await.as_deref() == Some(&1) {
            assert!(began.elapsed() < BOUND, "stale beyond the bound");
            pause(Duration::from_millis(1)).await;
        }
        their_tagged.invalidate_tag("all").await.unwrap();
        assert!(until_missing(&my_tagged, &key).await < BOUND);
    }
}

#[test]
fn others_are_heard_on_one_server() {
    on_tokio(async {
        let server = server();
        others_are_heard(&server.url()).await;
    });
}

#[test]
fn others_are_heard_behind_sentinels() {
    on_tokio(async {
        let sentinels = RedisSentinels::start().unwrap();
        others_are_heard(&sentinels.url()).await;
    });
}

#[test]
fn others_are_heard_in_a_cluster() {
    on_tokio(async {
        let cluster = RedisCluster::start().unwrap();
        others_are_heard(&cluster.url()).await;
    });
}

/// A replaced node answers pings, but hears of changes only by its replication, if at all.
#[test]
fn replaced_node_of_a_cluster_does_not_vouch() {
    on_tokio(async {
        let cluster = RedisCluster::start().unwrap();
        let (store, others) = (near_store(&cluster.url()), near_store(&cluster.url()));
        let (cache, others) = (numbers(&store), numbers(&others));
        let keys: Vec<String> = (0..12).map(|number| format!("k{number}")).collect();
        for key in &keys {
            cache.insert(key, 1).await;
            until_near(&cache, key).await;
        }
        let primary = cluster.primaries()[0];
        let replica = cluster.replicas_of(primary)[0];
        cluster.failover(replica, Failover::Orderly);
        // The new primary lets nobody follow it.
        cluster.node(replica).command(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
        cluster.node(replica).command(&["CLIENT", "KILL", "TYPE", "REPLICA"]);
        for key in &keys {
            while others.invalidate(key).await.is_err() {}
        }
        let began = now();
        for key in &keys {
            // Nothing but near hits: no redirection tells of the failover.
            while cache.get(key).await.is_some() {
                assert!(began.elapsed() < BOUND, "{key} is stale beyond the bound");
                pause(Duration::from_millis(1)).await;
            }
        }
    });
}

/// A value that is made of one that the near tier still gives is stored with the tag's old version.
#[test]
fn value_made_of_an_outdated_part_is_no_hit() {
    on_tokio(async {
        let server = server();
        let proxy = Proxy::start(server.port()).unwrap();
        let (store, others) =
            (near_store(&proxy.url()), Store::connect(&server.url()).await.unwrap());
        let (parts, writer) = (numbers(&store), numbers(&others));
        writer.entry("part").tags(["t"]).or_insert_with(async || 1).await;
        while parts.stats().near_hits == 0 {
            parts.entry("part").tags(["t"]).get().await.unwrap();
        }
        let load = async |context: LoadContext<u64>| {
            proxy.set_both(Conditions::default().hold());
            writer.invalidate_tag("t").await.unwrap();
            let part = parts.entry("part").tags(["t"]).tags_into(&context).get().await;
            // Another load captures the tag anew.
            writer.entry("another").tags(["t"]).or_insert_with(async || 2).await;
            proxy.clear();
            Ok::<_, ()>(*part.expect("within the bound it is served"))
        };
        assert_eq!(*parts.entry("whole").or_load(load).await.unwrap(), 1);
        for cache in [&parts, &writer] {
            assert_eq!(cache.get("whole").await, None);
        }
    });
}

/// A store whose near tier hears of no changes, and is outdated for a minute.
fn unreported_store(server: &RedisServer) -> Store {
    let url = format!("{}?protocol=2", server.url());
    let near = NearOptions::default().max_staleness(Duration::from_secs(60)).without_reports(true);
    Store::builder().url(&url).near(near).build().unwrap()
}

/// So that not every load ends unstored until the near tier's bound is over.
#[test]
fn outdated_part_is_not_given_again() {
    on_tokio(async {
        let server = server();
        let (store, others) =
            (unreported_store(&server), Store::connect(&server.url()).await.unwrap());
        let (parts, writer) = (numbers(&store), numbers(&others));
        let wholes: Cache<u64> = store.cache("wholes").near(false).build().unwrap();
        for named in [false, true] {
            parts.insert("part", 1).await;
            parts.entry("part").tags(["t"]).reload().or_insert_with(async || 1).await;
            let hits = parts.stats().near_hits;
            while parts.stats().near_hits == hits {
                parts.entry("part").tags(["t"]).get().await.unwrap();
            }
            writer.invalidate_tag("t").await.unwrap();
            writer.entry("part").tags(["t"]).or_insert_with(async || 2).await;
            let mut given = Vec::new();
            for _ in 0..2 {
                let load = async |context: LoadContext<u64>| {
                    let part = parts.entry("part").tags(["t"]).tags_into(&context).get().await;
                    Ok::<_, ()>(*part.unwrap())
                };
                let whole = wholes.entry("whole");
                let whole = if named { whole.tags(["t"]) } else { whole };
                given.push(*whole.or_load(load).await.unwrap());
            }
            assert_eq!(given, [1, 2]);
            wholes.invalidate("whole").await.unwrap();
        }
    });
}

/// A call within a load reflects the changes that its outer call asks for.
#[test]
fn token_of_the_outer_call_is_presented_by_its_parts() {
    on_tokio(async {
        let server = server();
        let (store, others) =
            (unreported_store(&server), Store::connect(&server.url()).await.unwrap());
        let (cache, writer) = (numbers(&store), numbers(&others));
        cache.insert("part", 1).await;
        until_near(&cache, "part").await;
        writer.invalidate("part").await.unwrap();
        let token = others.consistency_token();
        let load = async |context: LoadContext<u64>| {
            let part = cache.entry("part").tags_into(&context).or_insert_with(async || 2).await;
            Ok::<_, ()>(*part)
        };
        assert_eq!(*cache.entry("whole").after(token).or_load(load).await.unwrap(), 2);
    });
}

/// What was invalidated while the connection was gone is not served after it is back.
#[test]
fn lost_connection_ends_its_entries() {
    on_tokio(async {
        let server = server();
        let store = near_store(&server.url());
        let cache = numbers(&store);
        let others = Store::connect(&server.url()).await.unwrap();
        for round in 0..20 {
            let key = format!("k{round}");
            cache.insert(&key, 1).await;
            until_near(&cache, &key).await;
            // The server removes the entry after it has forgotten the connection.
            server.command(&["CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES"]);
            while numbers(&others).invalidate(&key).await.is_err() {}
            // Only the next connection answers.
            while store.ping().await.is_err() {}
            assert_eq!(cache.get(&key).await, None);
        }
    });
}

/// A network that swallows everything: no reset, no push, no answer.
#[test]
fn silent_network_ends_near_hits_within_the_bound() {
    on_tokio(async {
        let server = server();
        let proxy = Proxy::start(server.port()).unwrap();
        let store = near_store(&proxy.url());
        let cache = numbers(&store);
        cache.insert("k", 1).await;
        until_near(&cache, "k").await;
        proxy.set_both(Conditions::default().swallow());
        let others = Store::connect(&server.url()).await.unwrap();
        numbers(&others).invalidate("k").await.unwrap();
        let began = now();
        let mut last_hit = Duration::ZERO;
        while began.elapsed() < 3 * BOUND {
            let before = cache.stats().near_hits;
            let reading = tokio::time::timeout(Duration::from_millis(5), cache.get("k")).await;
            if cache.stats().near_hits > before {
                assert_eq!(reading.unwrap().as_deref(), Some(&1));
                last_hit = began.elapsed();
                pause(Duration::from_millis(1)).await;
            }
        }
        assert!(last_hit < BOUND, "{last_hit:?}");
        proxy.clear();
        proxy.cut();
        assert!(until_missing(&cache, "k").await < Duration::from_secs(8));
    });
}

#[test]
fn flush_and_full_tracking_table_are_heard() {
    on_tokio(async {
        let server = server();
        let store = near_store(&server.url());
        let cache = numbers(&store);
        cache.insert("k", 1).await;
        until_near(&cache, "k").await;
        server.command(&["FLUSHALL"]);
        assert!(until_missing(&cache, "k").await < BOUND);

        server.command(&["CONFIG", "SET", "tracking-table-max-keys", "10"]);
        let others = Store::connect(&server.url()).await.unwrap();
        let keys: Vec<String> = (0..200).map(|number| format!("k{number}")).collect();
        for key in &keys {
            cache.insert(key, 1).await;
            until_near(&cache, key).await;
        }
        let began = now();
        numbers(&others).invalidate_many(&keys).await.unwrap();
        for key in &keys {
            until_missing(&cache, key).await;
        }
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    });
}
