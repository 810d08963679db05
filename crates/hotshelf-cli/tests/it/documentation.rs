//! The page `docs/command-line.md`.

use std::collections::BTreeSet;

use hotshelf_testkit::RedisServer;
use serde_json::Value;

use crate::program::{filled, products, run, run_with};

const PAGE: &str = include_str!("../../../../docs/command-line.md");

/// Collects the names of all fields.
fn fields(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                names.insert(name.clone());
                fields(value, names);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, names)),
        _ => {}
    }
}

/// Checks that the section of a command names the fields of its JSON.
fn check(server: &RedisServer, arguments: &[&str]) {
    let run = run(server, &[arguments, &["--json"]].concat());
    let mut names = BTreeSet::new();
    fields(&run.json(), &mut names);
    let heading = format!("\n## {}\n", arguments[0]);
    let (_, section) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap();
    for name in names {
        assert!(section.contains(&format!("`{name}`")), "`{name}` of {arguments:?}");
    }
}

#[tokio::test]
async fn fields_are_documented() {
    let server = filled().await;
    for arguments in [
        &["doctor"][..],
        &["info"],
        &["stats", "--interval", "0.02"],
        &["top"],
        &["sizes"],
        &["ls"],
        &["get", "shop:v1:products:1"],
        &["explain", "shop:v1:products:1"],
        &["key", "products", "1"],
        &["ttl", "shop:v1:products:1"],
        &["invalidate", "--dry-run", "--key", "shop:v1:products:1"],
        &["bench", "--requests", "10"],
    ] {
        check(&server, arguments);
    }
    let (_store, cache) = products(&server).await;
    cache
        .get_or_insert_with("9", async || {
            check(&server, &["explain", "shop:v1:products:9"]);
            "table".to_owned()
        })
        .await;
}

#[test]
fn commands_and_options_are_documented() {
    let help = run_with(&[], &["--help"]).output;
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    for line in commands.lines().filter_map(|line| line.strip_prefix("  ")) {
        let name = line.split(' ').next().unwrap();
        assert!(PAGE.contains(&format!("`{name}")), "{name}");
        let help = run_with(&[], &[name, "--help"]).output;
        let words = help.split_whitespace().filter(|word| word.starts_with("--"));
        for option in words.filter(|word| !["--help", "--"].contains(word)) {
            let option = option.trim_end_matches([',', '.', ';']);
            assert!(PAGE.contains(option), "{option} of {name}");
        }
    }
}

#[test]
fn checks_of_the_doctor_are_documented() {
    let server = RedisServer::start().unwrap();
    for finding in run(&server, &["doctor", "--json"]).json()["findings"].as_array().unwrap() {
        let check = format!("`{}`", finding["check"].as_str().unwrap());
        assert!(PAGE.contains(&check), "{check}");
    }
}
