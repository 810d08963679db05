//! `info`, `sizes`, `top` and `stats`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use hotshelf_testkit::RedisServer;

use crate::program::{filled, json, run, run_with};

#[tokio::test]
async fn keys_are_counted_by_cache() {
    let server = filled().await;
    let info = json(&server, &["info"]);
    assert_eq!((&info["keys"], &info["complete"]), (&4.into(), &true.into()), "{info}");
    let first = &info["namespaces"][0];
    assert_eq!((&first["namespace"], &first["keys"]), (&"shop:v1:products".into(), &3.into()));
    assert_eq!(info["namespaces"][1]["kind"], "tags");
    let text = run(&server, &["info"]).output;
    assert!(text.contains("Redis ") && text.contains("shop:v1:products"), "{text}");
}

#[test]
fn part_of_the_keys_is_an_estimate() {
    let server = RedisServer::start().unwrap();
    let script = "for i = 1, 9000 do redis.call('SET', 'a:v1:' .. i % 3 .. ':' .. i, 'x') end";
    let _ = server.cli(&["EVAL", script, "0"]);
    let info = json(&server, &["info", "--scan", "3000"]);
    assert_eq!(info["complete"], false);
    for namespace in info["namespaces"].as_array().unwrap() {
        let keys = namespace["keys"].as_u64().unwrap();
        assert!((2_500..3_500).contains(&keys), "{info}");
    }
    assert!(run(&server, &["info", "--scan", "3000"]).output.contains('~'));
}

#[test]
fn sizes_are_estimated() {
    let server = RedisServer::start().unwrap();
    let script = "for i = 1, 3000 do \
        redis.call('SET', 'a:v1:small:' .. i, string.rep('x', 100)) \
        redis.call('SET', 'a:v1:large:' .. i, string.rep('x', 2000 + i % 1000)) end";
    let _ = server.cli(&["EVAL", script, "0"]);
    let sizes = json(&server, &["sizes", "--sample", "100"]);
    let large = &sizes["namespaces"][0];
    assert_eq!((&large["namespace"], &large["measured"]), (&"a:v1:large".into(), &100.into()));
    let (bytes, error) = (large["bytes"].as_f64().unwrap(), large["error"].as_f64().unwrap());
    let usage = |i: usize| server.cli(&["MEMORY", "USAGE", &format!("a:v1:large:{i}")]);
    let all: f64 = (1..=3_000).step_by(10).map(|i| usage(i).parse::<f64>().unwrap()).sum();
    assert!((bytes - 10.0 * all).abs() < 3.0 * error, "{bytes} ± {error}, not {}", 10.0 * all);
    assert_eq!(json(&server, &["sizes", "--sample", "5000"])["namespaces"][0]["error"], 0.0);
    assert!(run(&server, &["sizes"]).output.contains("±"));
}

#[test]
fn hottest_caches_come_first() {
    let server =
        RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lfu"])
            .unwrap();
    for (key, size) in [("a:v1:cold:1", 9_000), ("a:v1:hot:1", 10)] {
        let _ = server.cli(&["SET", key, &"x".repeat(size)]);
    }
    for _ in 0..300 {
        let _ = server.cli(&["GET", "a:v1:hot:1"]);
    }
    let top = json(&server, &["top"]);
    assert_eq!(
        (&top["by"], &top["namespaces"][0]["namespace"]),
        (&"frequency".into(), &"a:v1:hot".into())
    );
    assert_eq!(top["hottest"][0]["key"], "a:v1:hot:1");
    let top = json(&server, &["top", "--by", "memory", "--limit", "1"]);
    assert_eq!(top["namespaces"][0]["namespace"], "a:v1:cold");
    assert_eq!(top["namespaces"].as_array().unwrap().len(), 1);
    let top = json(&server, &["top", "--limit", "0"]);
    assert_eq!(top["namespaces"].as_array().unwrap().len(), 2);
    let _ = server.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert_eq!(run(&server, &["top", "--by", "frequency"]).code, 1);
    assert_eq!(json(&server, &["top"])["by"], "memory");
}

#[test]
fn stats_are_lines() {
    let server = RedisServer::start().unwrap();
    let watch = ["stats", "--watch", "--interval", "0.02", "--count", "3"];
    let run_json = run(&server, &[&watch[..], &["--json"]].concat());
    let lines: Vec<serde_json::Value> =
        run_json.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0]["ops"].as_f64().unwrap() > 0.0 && lines[0]["hit_ratio"].is_null());
    let text = run(&server, &watch).output;
    assert_eq!(text.lines().count(), 4, "{text}");
    assert_eq!(run(&server, &["stats", "--interval", "0.02"]).output.lines().count(), 2);
}

/// `SCAN` shows a user the names of all keys.
#[tokio::test]
async fn denied_keys_are_skipped() {
    let server = filled().await;
    for key in ["other:v1:a:1", "other:v1:a:2"] {
        let _ = server.cli(&["SET", key, "1"]);
    }
    let user = ["ACL", "SETUSER", "app", "on", ">pw", "~shop:*", "+@all"];
    assert_eq!(server.cli(&user), "OK");
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port());
    for (command, skipped) in [("ls", 2), ("top", 3), ("sizes", 3)] {
        let shown = run_with(&[], &[command, "--json", "--url", &url]).json();
        assert_eq!(shown["skipped"], skipped, "{shown}");
        let shown = run_with(&[], &[command, "--url", &url]);
        assert!(shown.output.contains("shop:v1:products") && shown.code == 0, "{shown:?}");
        assert!(!shown.output.contains("other"), "{shown:?}");
        let message = format!("skipped {skipped} keys, which the ACL denies\n");
        assert_eq!(shown.errors, message, "{command}");
    }
    let all_denied = json(&server, &["ls", "other:*", "--url", &url]);
    assert_eq!((&all_denied["skipped"], &all_denied["keys"][0]), (&2.into(), &().into()));
}

#[test]
fn watching_survives_a_restart() {
    let mut server = RedisServer::start().unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_hotshelf"));
    program.args(["stats", "--watch", "--json", "--interval", "0.02", "--url", &server.url()]);
    let program = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut program = program.unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut errors = BufReader::new(program.stderr.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"time\""));
    server.kill();
    assert!(errors.next().unwrap().unwrap().contains("\"error\""));
    server.restart().unwrap();
    let restarted = time_of(&server);
    let is_new = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["time"].as_f64().unwrap() > restarted
    };
    assert!(lines.any(|line| is_new(&line.unwrap())));
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(errors.next().is_none(), "said once");
}

/// Returns the time of a server, in seconds since the Unix epoch.
fn time_of(server: &RedisServer) -> f64 {
    let script =
        "local time = redis.call('TIME') return string.format('%d.%06d', time[1], time[2])";
    server.cli(&["EVAL", script, "0"]).trim_matches('"').parse().unwrap()
}
