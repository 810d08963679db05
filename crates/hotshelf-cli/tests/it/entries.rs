//! `ls`, `get`, `explain` and `ttl`.

use std::time::Duration;

use hotshelf_testkit::RedisServer;

use crate::program::{filled, json, products, run};

#[tokio::test]
async fn keys_are_listed() {
    let server = filled().await;
    let _ = server.cli(&["RPUSH", "list", "1"]);
    let _ = server.cli(&["SET", "plain", "1"]);
    let listing = json(&server, &["ls"]);
    let states = |state: &str| {
        let keys = listing["keys"].as_array().unwrap().iter();
        keys.filter(|it| it["state"] == state).count()
    };
    assert_eq!((states("fresh"), states("foreign"), states("other_type")), (3, 1, 1), "{listing}");
    assert_eq!(listing["complete"], true);
    let listing = json(&server, &["ls", "shop:v1:*", "--limit", "2"]);
    assert_eq!(
        (listing["keys"].as_array().unwrap().len(), &listing["complete"]),
        (2, &false.into())
    );
    let listing = json(&server, &["ls", "hs:t:*"]);
    assert_eq!(listing["keys"].as_array().unwrap().len(), 1);
    assert_eq!(listing["keys"][0]["state"], "tag");
    let text = run(&server, &["ls", "shop:v1:products:1"]).output;
    assert!(text.contains("shop:v1:products:1  fresh") && text.contains("156 B"), "{text}");
    assert_eq!(run(&server, &["ls", "none*"]).output, "no keys\n");
}

#[tokio::test]
async fn values_have_no_trailer() {
    let server = filled().await;
    assert_eq!(run(&server, &["get", "shop:v1:products:1"]).output, "\"lamp 1\"\n");
    assert_eq!(run(&server, &["get", "--raw", "shop:v1:products:1"]).output, "\"lamp 1\"");
    let found = json(&server, &["get", "shop:v1:products:1"]);
    assert_eq!((&found["form"], &found["value"]), (&"json".into(), &"lamp 1".into()));
    assert_eq!((&found["state"], &found["codec"]), (&"fresh".into(), &"JSON".into()));
    let missing = run(&server, &["get", "none"]);
    assert_eq!((missing.code, missing.errors.as_str()), (1, "hotshelf: no such key: none\n"));
    let _ = server.cli(&["RPUSH", "list", "1"]);
    assert_eq!(run(&server, &["get", "list"]).code, 3);
}

#[tokio::test]
async fn entries_are_explained() {
    let server = filled().await;
    let key = "shop:v1:products:1";
    let explained = json(&server, &["explain", key, "--tag", "lamps"]);
    assert_eq!((&explained["verdict"], &explained["lease"]), (&"hit".into(), &().into()));
    let tag = &explained["tags"][0];
    assert_eq!((&tag["name"], &tag["valid"]), (&"lamps".into(), &true.into()), "{explained}");
    assert_eq!(tag["recorded"], tag["current"]);
    assert_eq!(explained["entry"]["fill"].as_str().unwrap().len(), 10);

    let (store, _) = products(&server).await;
    store.invalidate_tag("lamps").await.unwrap();
    let explained = json(&server, &["explain", key]);
    assert_eq!(
        (&explained["verdict"], &explained["reason"]),
        (&"miss".into(), &"invalidated_tag".into())
    );
    let text = run(&server, &["explain", key]).output;
    assert!(text.contains("miss: one of its tags was invalidated"), "{text}");
    let missing = run(&server, &["explain", "--json", "shop:v1:products:none"]);
    assert_eq!((missing.code, &missing.json()["reason"]), (1, &"not_found".into()));
    let _ = server.cli(&["SET", "plain", "1"]);
    assert_eq!(json(&server, &["explain", "plain"])["reason"], "foreign");
}

#[tokio::test]
async fn lease_of_a_load_is_explained() {
    let server = RedisServer::start().unwrap();
    let (_store, cache) = products(&server).await;
    let load = cache.get_or_insert_with("9", async || {
        let server = &server;
        let explained = run(server, &["explain", "--json", "shop:v1:products:9"]).json();
        assert_eq!(explained["lease"]["kind"], "load", "{explained}");
        let text = run(server, &["explain", "shop:v1:products:9"]).output;
        assert!(text.contains("held: the key is being loaded"), "{text}");
        assert_eq!(json(server, &["ls", "--all"])["keys"][0]["state"], "lease");
        "table".to_owned()
    });
    assert_eq!(*load.await, "table");
}

#[tokio::test]
async fn lifetimes_are_printed() {
    let server = filled().await;
    let lifetime = json(&server, &["ttl", "shop:v1:products:1"]);
    let expires = lifetime["expires_in"].as_f64().unwrap();
    assert!(expires > 200.0 && lifetime["fresh_for"].as_f64().unwrap() > 200.0, "{lifetime}");
    let _ = server.cli(&["SET", "plain", "1"]);
    assert_eq!(run(&server, &["ttl", "plain"]).output, "never expires\n");
    assert_eq!(run(&server, &["ttl", "none"]).code, 1);
}

#[tokio::test]
async fn stale_values_are_told_from_fresh_ones() {
    let server = RedisServer::start().unwrap();
    let (store, _) = products(&server).await;
    let cache = store.cache::<String>("quick").prefix("shop");
    let cache = cache.time_to_live(Duration::from_millis(20));
    let cache = cache.stale_while_revalidate(Duration::from_secs(60)).build().unwrap();
    assert!(cache.insert("1", "x".to_owned()).await);
    let is_stale = || json(&server, &["ttl", "shop:v1:quick:1"])["state"] == "stale";
    while !is_stale() {}
    assert_eq!(json(&server, &["explain", "shop:v1:quick:1"])["verdict"], "stale");
    assert!(run(&server, &["ttl", "shop:v1:quick:1"]).output.starts_with("stale, expires in"));
}

#[test]
fn odd_keys_are_escaped() {
    let server = RedisServer::start().unwrap();
    let long = format!("a:v1:b:{}", "x".repeat(500));
    let keys = [
        &b"a:v1:b:\x1b[31m\r\n\x07"[..],
        b"a:v1:b:\xff\xfe",
        long.as_bytes(),
        b"a:v1:b:\\x",
        "a:v1:b:\u{202e}é".as_bytes(),
        "a:v1:b:\u{ad}\u{e0041}".as_bytes(),
        b"",
    ];
    for key in keys {
        let _ = server.command(&[b"SET", key, b"\x1b[2J"]);
    }
    for arguments in [
        &["ls"][..],
        &["info"],
        &["sizes"],
        &["top"],
        &["explain", "--escaped", "a:v1:b:\\x1b[31m\\r\\n\\x07"],
    ] {
        let run = run(&server, arguments);
        assert_eq!(run.code, 0, "{run:?}");
        let hidden = ['\u{202e}', '\u{ad}', '\u{e0041}'];
        let is_plain = |it: char| it == '\n' || !it.is_control() && !hidden.contains(&it);
        assert!(run.output.chars().all(is_plain), "{run:?}");
    }
    // Each key that is listed can be asked for.
    let listing = run(&server, &["ls", "a:*"]).output;
    assert_eq!(listing.lines().count(), 7, "{listing}");
    for line in listing.lines().skip(1) {
        let key = line.split("  ").next().unwrap();
        let found = run(&server, &["get", "--escaped", key]);
        assert_eq!((found.code, found.output.as_str()), (0, "\\x1b[2J\n"), "{key}");
    }
    let listing = json(&server, &["ls", "a:v1:b:\\\\x"]);
    assert_eq!(listing["keys"][0]["key"], "a:v1:b:\\x");
    let escaped = json(&server, &["ls"])["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["escaped"] == true)
        .count();
    assert_eq!(escaped, 1);
    assert_eq!(run(&server, &["get", ""]).code, 0);
    let refused = run(&server, &["invalidate", "--yes", "--escaped", "--key", "a\\xff"]);
    assert_eq!(refused.code, 2, "{refused:?}");
}

#[test]
fn keys_in_errors_are_escaped_once() {
    let server = RedisServer::start().unwrap();
    for (arguments, message) in [
        (&["get", "a\nb\\"][..], "no such key: a\\nb\\\\"),
        (&["get", "--escaped", "a\\nb"], "no such key: a\\nb"),
        (&["ttl", "a\x1bb"], "no such key: a\\x1bb"),
        (
            &["get", "--escaped", "a\\q"],
            "invalid key a\\q: --escaped takes keys as `ls` shows them",
        ),
    ] {
        assert_eq!(run(&server, arguments).errors, format!("hotshelf: {message}\n"));
    }
}

#[test]
fn long_key_widens_no_other_line() {
    let server = RedisServer::start().unwrap();
    let long = format!("a:v1:b:{}", "x".repeat(1_000_000));
    let _ = server.cli(&["SET", &long, "1"]);
    for key in 0..50 {
        let _ = server.cli(&["SET", &format!("a:v1:b:{key}"), "1"]);
    }
    for command in ["ls", "top"] {
        let shown = run(&server, &[command, "--limit", "60"]).output;
        assert!(shown.contains(&long) && shown.len() < 1_020_000, "{}", shown.len());
    }
    let lines = run(&server, &["ls"]).output;
    let states = lines.lines().filter(|line| line.len() < 1_000).map(|line| line.find("foreign"));
    assert!(states.skip(1).all(|at| at == Some(102)), "aligned");
}

#[test]
fn bytes_are_shown_as_digits() {
    let server = RedisServer::start().unwrap();
    let _ = server.command(&[&b"SET"[..], b"a", b"\xff\x00"]);
    let found = json(&server, &["get", "a"]);
    assert_eq!((&found["form"], &found["value"]), (&"hex".into(), &"ff00".into()));
    let _ = server.cli(&["SET", "a", "text"]);
    assert_eq!(json(&server, &["get", "a"])["form"], "text");
    let _ = server.cli(&["SET", "a", "12345678901234567890123"]);
    assert!(run(&server, &["get", "--json", "a"]).output.contains("12345678901234567890123"));
}
