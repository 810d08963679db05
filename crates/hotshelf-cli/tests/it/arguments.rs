//! Arguments, exit codes, and servers that can't be reached.

use hotshelf_testkit::RedisServer;

use crate::program::{json, run, run_with};

#[test]
fn invalid_arguments_exit_with_2() {
    for arguments in [
        &["unknown"][..],
        &[],
        &["get"],
        &["invalidate"],
        &["ls", "--url", "http://localhost"],
        &["ls", "--timeout", "0"],
        &["ls", "--timeout", "nan"],
        &["stats", "--interval", "0"],
        &["get", "--escaped", "\\q"],
        &["get", "--raw", "--json", "a"],
        &["--json", "get", "--raw", "a"],
        &["invalidate", "--tag", "lamps", "--yes"],
        &["invalidate", "--key", "a", "--pattern", "b*", "--yes"],
        // Leases and tags, by an escape.
        &["invalidate", "--pattern", "\\hs:*", "--yes"],
        &["bench", "--requests", "0"],
        &["key", "products", "1", "{"],
        &["key", "--tuple", "acme,7", "users"],
        &["key", "--prefix", "hs", "products", "1"],
    ] {
        let run = run_with(&[], arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(run.output.is_empty() && !run.errors.is_empty(), "{run:?}");
    }
}

#[test]
fn invalid_arguments_are_json_errors() {
    for (arguments, message) in [
        (&["unknown"][..], "unrecognized subcommand 'unknown'"),
        (&[], "'hotshelf' requires a subcommand but one was not provided"),
        (&["get"], "the following required arguments were not provided: <KEY>"),
        (&["get", "--raw", "a"], "the argument '--raw' cannot be used with '--json'"),
        (&["stats", "--interval", "0"], "invalid --interval: use 0.01 seconds or more"),
        (&["info", "redis://h"], "unexpected argument 'redis://h' found; a server is given by"),
    ] {
        let run = run_with(&[], &[arguments, &["--json"]].concat());
        let error: serde_json::Value = serde_json::from_str(&run.errors).unwrap();
        assert_eq!((run.code, &error["error"]["kind"]), (2, &"usage".into()), "{run:?}");
        let shown = error["error"]["message"].as_str().unwrap();
        assert!(shown.starts_with(message) && !shown.contains('\n'), "{shown}");
    }
    let help = run_with(&[], &["--json", "--help"]);
    assert!(help.code == 0 && help.output.contains("Usage:"), "{help:?}");
}

#[test]
fn passwords_are_never_written() {
    let server = RedisServer::start_with(&["--requirepass", "sesame-42"]).unwrap();
    let url = format!("redis://:sesame-42@127.0.0.1:{}", server.port());
    let wrong = format!("redis://:sesame-43@127.0.0.1:{}", server.port());
    let malformed = "redis://:sesame-42@[::1";
    for (arguments, code) in [
        (&["doctor", "--url", &url][..], 0),
        (&["info", "--json", "--url", &url], 0),
        (&["doctor", "--url", &wrong], 3),
        (&["info", "--url", &wrong], 3),
        (&["info", &url], 2),
        (&[&url], 2),
        (&["redis://127.0.0.1?password=sesame-42"], 2),
        (&["info", "--json", "redis://127.0.0.1?user=a&password=sesame-42&db=1"], 2),
        (&["info", "--url", malformed], 2),
    ] {
        let run = run_with(&[("REDIS_URL", &url)], arguments);
        assert_eq!(run.code, code, "{arguments:?}: {run:?}");
        assert!(!format!("{run:?}").contains("sesame"), "{run:?}");
    }
    let misplaced = run_with(&[], &["info", &url]);
    assert!(misplaced.errors.contains("--url URL"), "{misplaced:?}");
    let help = run_with(&[("REDIS_URL", &url)], &["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.output.contains("REDIS_URL") && !help.output.contains("sesame"));
}

#[test]
fn unreachable_server_exits_with_3() {
    let mut server = RedisServer::start().unwrap();
    server.kill();
    for arguments in [
        &["info"][..],
        &["stats"],
        &["top"],
        &["ls"],
        &["get", "a"],
        &["explain", "a"],
        &["ttl", "a"],
        &["sizes"],
        &["bench", "--requests", "1"],
        &["invalidate", "--key", "a", "--yes"],
        &["dashboard"],
        &["doctor"],
    ] {
        let run = run(&server, arguments);
        assert_eq!(run.code, 3, "{arguments:?}: {run:?}");
    }
    let run = run(&server, &["ls", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&run.errors).unwrap();
    assert_eq!(error["error"]["kind"], "unavailable", "{run:?}");
}

#[test]
fn silent_server_times_out() {
    let server = RedisServer::start().unwrap();
    server.pause();
    let run = run(&server, &["ls", "--timeout", "0.2"]);
    assert_eq!(run.code, 3, "{run:?}");
}

#[test]
fn key_is_that_of_the_engine() {
    let cache = hotshelf::Store::memory().cache::<String>("products").build().unwrap();
    let params = std::collections::BTreeMap::from([("page", 2)]);
    let expected = cache.wire_key(hotshelf::Key::new("7").with_params(&params).unwrap());
    let key = |arguments: &[&str]| run_with(&[], &[&["key"], arguments].concat()).output;
    assert_eq!(key(&["products", "7"]), "cache:v1:products:7\n");
    assert_eq!(
        key(&["--prefix", "shop", "--version", "v2", "products", "a b"]),
        "shop:v2:products:a%20b\n"
    );
    assert_eq!(key(&["--version", "", "products", "7"]), "cache::products:7\n");
    assert_eq!(key(&["--tuple", "products", "acme,7"]), "cache:v1:products:acme,7\n");
    let expected = expected.as_str();
    assert_eq!(key(&["products", "7", "{\"page\": 2}"]), format!("{expected}\n"));
    let run = run_with(&[], &["key", "--json", "--layout", "fastapi-rc", "products", "a b"]);
    assert_eq!(run.json()["key"], "cache:v1:products:a b");
}

#[test]
fn full_disk_is_an_error() {
    for arguments in [&["--help"][..], &["completions", "bash"], &["key", "a", "b"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_hotshelf"));
        let done = program.args(arguments).stdout(full).output().unwrap();
        let errors = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(3), "{arguments:?}");
        assert!(errors.starts_with("hotshelf: can't write the output: "), "{errors}");
    }
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = run_with(&[], &["completions", shell]);
        assert!(run.code == 0 && run.output.contains("invalidate"), "{shell}");
    }
}

#[test]
fn url_has_precedence_over_the_environment() {
    let (server, other) = (RedisServer::start().unwrap(), RedisServer::start().unwrap());
    let _ = server.cli(&["SET", "a:v1:b:c", "1"]);
    assert_eq!(json(&other, &["info", "--url", &server.url()])["keys"], 1);
    assert_eq!(json(&other, &["info"])["keys"], 0);
}
