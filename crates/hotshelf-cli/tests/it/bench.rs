//! `hotshelf bench`.

use hotshelf_testkit::RedisServer;

use crate::program::{json, run};

#[test]
fn measures_and_cleans_up() {
    let server = RedisServer::start().unwrap();
    let _ = server.cli(&["SET", "other", "1"]);
    let arguments = ["bench", "--requests", "1500", "--callers", "7", "--bytes", "50"];
    let bench = json(&server, &arguments);
    for (result, operation) in bench["results"].as_array().unwrap().iter().zip(["set", "get"]) {
        assert_eq!(result["operation"], operation);
        let number = |name: &str| result[name].as_f64().unwrap();
        assert!(number("per_second") > 0.0 && number("min") <= number("p50"), "{bench}");
        assert!(number("p50") <= number("p99") && number("p99") <= number("max"), "{bench}");
    }
    assert_eq!(server.cli(&["DBSIZE"]), "1");
    assert!(run(&server, &arguments).output.contains("1500 requests"));
}

#[test]
fn failure_leaves_no_keys() {
    let server = RedisServer::start_with(&["--maxmemory", "3mb"]).unwrap();
    let run = run(&server, &["bench", "--requests", "2000", "--bytes", "10000"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}
