//! `hotshelf invalidate`.

use hotshelf_testkit::RedisServer;

use crate::program::{filled, json, products, run};

#[tokio::test]
async fn nobody_to_ask_is_an_error() {
    let server = filled().await;
    let refused = run(&server, &["invalidate", "--key", "shop:v1:products:1"]);
    assert_eq!(refused.code, 2);
    assert!(refused.errors.contains("--yes"), "{refused:?}");
    assert_eq!(run(&server, &["get", "shop:v1:products:1"]).code, 0);
}

#[tokio::test]
async fn dry_runs_remove_nothing() {
    let server = filled().await;
    for target in [["--pattern", "shop:v1:*"], ["--cache", "shop:v1:products"]] {
        let found = json(&server, &["invalidate", "--dry-run", target[0], target[1]]);
        assert_eq!((&found["matches"], &found["applied"]), (&3.into(), &false.into()), "{found}");
        assert_eq!(found["names"].as_array().unwrap().len(), 3);
    }
    let found = run(&server, &["invalidate", "--dry-run", "--key", "none"]);
    assert_eq!((found.code, found.output.as_str()), (1, "would remove 0 entries\n"));
    let keys = ["--key", "none", "--key", "shop:v1:products:1"];
    let found = json(&server, &[&["invalidate", "--dry-run"], &keys[..]].concat());
    assert_eq!(found["names"], serde_json::json!(["shop:v1:products:1"]), "{found}");
    let tag = ["invalidate", "--dry-run", "--tag", "lamps", "--prefix", "shop"];
    assert!(json(&server, &tag)["matches"].is_null());
    assert_eq!(server.cli(&["DBSIZE"]), "4");
}

#[test]
fn names_beyond_the_first_are_counted() {
    let server = RedisServer::start().unwrap();
    let _ =
        server.cli(&["EVAL", "for i = 1, 1025 do redis.call('SET', 'a:v1:b:' .. i, 'x') end", "0"]);
    let found = run(&server, &["invalidate", "--dry-run", "--cache", "a:v1:b"]).output;
    assert!(found.starts_with("would remove 1,025 entries\n  a:v1:b:"), "{found}");
    assert!(found.ends_with("\n  and 1,005 more\n") && found.lines().count() == 22, "{found}");
}

#[test]
fn leases_and_tags_are_no_entries() {
    let server = RedisServer::start().unwrap();
    for key in ["hs:t:foo", "hs:l:{a:v1:b:1}"] {
        let _ = server.cli(&["SET", key, "1"]);
        let refused = run(&server, &["invalidate", "--yes", "--key", key]);
        assert_eq!((refused.code, server.cli(&["EXISTS", key]).as_str()), (2, "1"), "{refused:?}");
    }
}

#[tokio::test]
async fn entries_are_removed() {
    let server = filled().await;
    let _ = server.cli(&["SET", "shop:v1:products2:1", "1"]);
    let keys = ["--key", "shop:v1:products:1", "--key", "none"];
    let removed = json(&server, &[&["invalidate", "--yes"][..], &keys].concat());
    assert_eq!((&removed["removed"], &removed["by"]), (&1.into(), &"key".into()));
    let removed = json(&server, &["invalidate", "--yes", "--cache", "shop:v1:products"]);
    assert_eq!(removed["removed"], 2);
    let removed = run(&server, &["invalidate", "--yes", "--pattern", "shop:v1:*"]);
    assert_eq!(removed.output, "removed 1 entry or lease\n");
}

#[tokio::test]
async fn tags_are_invalidated() {
    let server = filled().await;
    let done = run(&server, &["invalidate", "-y", "--tag", "lamps", "--prefix", "shop"]);
    assert_eq!((done.code, done.output.as_str()), (0, "invalidated the tags\n"), "{done:?}");
    let (_store, cache) = products(&server).await;
    assert_eq!(cache.get("1").await, None);
    assert_eq!(*cache.get("3").await.unwrap(), "table");
}

#[test]
fn patterns_must_begin_with_a_prefix() {
    let server = RedisServer::start().unwrap();
    for pattern in ["*", "?hop:*", "[s]hop:*", "h*", "hs:*", "hs:t:shop:*", "", "é*x:["] {
        let refused = run(&server, &["invalidate", "--yes", "--pattern", pattern]);
        assert_eq!(refused.code, if pattern == "é*x:[" { 0 } else { 2 }, "{pattern}");
    }
    for cache in ["shop", "shop:v1", "shop:v1:products:1", "hs:l:x"] {
        let refused = run(&server, &["invalidate", "--yes", "--cache", cache]);
        assert_eq!(refused.code, 2, "{cache}");
    }
}

/// A plain `DEL` would let the load store what it read before.
#[tokio::test]
async fn loads_in_flight_are_refused() {
    let by_key = ["--key", "shop:v1:products:9"];
    for target in [by_key, ["--cache", "shop:v1:products"], ["--pattern", "shop:*"]] {
        let run_in_load = async |server: &RedisServer, arguments: &[&str]| {
            let (_store, cache) = products(server).await;
            let load = cache.get_or_insert_with("9", async || {
                let _ = server.cli(&["DEL", "shop:v1:products:9"]);
                let done = run(server, arguments);
                assert!(done.code < 2, "{done:?}");
                "outdated".to_owned()
            });
            assert_eq!(*load.await, "outdated");
            cache.get("9").await.is_some()
        };
        let server = RedisServer::start().unwrap();
        let arguments = ["invalidate", "--yes", target[0], target[1]];
        assert!(!run_in_load(&server, &arguments).await, "{target:?}");
        let arguments = ["invalidate", "--dry-run", target[0], target[1]];
        assert!(run_in_load(&server, &arguments).await, "{target:?}");
    }
}
