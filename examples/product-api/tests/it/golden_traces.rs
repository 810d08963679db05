//! Replays the recorded requests of the original example, step by step, on a real Redis.
//!
//! `tests/data/traces_03.json` contains the requests, responses and keys of example 03 of
//! fastapi-rc 0.1.0. [`DIFFERENCES`] lists the intended differences with their reasons; the
//! README has the same rows. The test fails if a row is missing or no longer true.

use std::collections::BTreeSet;

use axum::http::Method;
use hotshelf_testkit::RedisServer;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{Answer, TestApp};

const TRACES: &str = include_str!("../data/traces_03.json");
const README: &str = include_str!("../../README.md");

/// Steps with generated data in the original: only the shape of their bodies is compared.
const GENERATED: [&str; 10] = [
    "miss",
    "hit",
    "list default",
    "list default hit",
    "list filtered",
    "list filtered hit",
    "list unicode category",
    "list empty category",
    "list again",
    "cache info",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Aspect {
    Status,
    Body,
    Keys,
}
use Aspect::{Body, Keys, Status};

struct Difference {
    step: &'static str,
    aspect: Aspect,
    what: &'static str,
    reason: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        step: "list unicode category",
        aspect: Body,
        what: "no items",
        reason: "the data comes from the database, which has no such category",
    },
    Difference {
        step: "stock false cached",
        aspect: Keys,
        what: "the product's entry is removed, and the keys of pages stay",
        reason: "the entry is loaded from the database again, not rewritten in place; the pages are invalidated by their tags",
    },
    Difference {
        step: "get after stock",
        aspect: Keys,
        what: "the product's entry is back",
        reason: "the previous step removed it",
    },
    Difference {
        step: "delete category never matches",
        aspect: Body,
        what: "200 products and 1 entry are counted",
        reason: "the products of the category are deleted, and their entries by id; the original searches for the category in keys that contain only a hash of it",
    },
    Difference {
        step: "delete category never matches",
        aspect: Keys,
        what: "the entries of its products are removed",
        reason: "as above",
    },
    Difference {
        step: "delete category glob *",
        aspect: Body,
        what: "0 products are counted as well",
        reason: "the response contains the number of deleted products",
    },
    Difference {
        step: "delete category matches only a product id holding the text",
        aspect: Body,
        what: "0 products and 0 entries are counted",
        reason: "no product has this category, and an id that contains its name belongs to another product",
    },
    Difference {
        step: "delete category matches only a product id holding the text",
        aspect: Keys,
        what: "the key that contains the name stays",
        reason: "as above",
    },
    Difference {
        step: "stock deletes list:*; product id list:1 collides",
        aspect: Status,
        what: "404",
        reason: "product 1 was deleted with its category; the original stores no products",
    },
    Difference {
        step: "stock deletes list:*; product id list:1 collides",
        aspect: Body,
        what: "`Product not found`",
        reason: "as above",
    },
    Difference {
        step: "stock deletes list:*; product id list:1 collides",
        aspect: Keys,
        what: "nothing is removed",
        reason: "nothing was written",
    },
    Difference {
        step: "cache info",
        aspect: Body,
        what: "`backend` and `caches` are added",
        reason: "the counters of each cache are not in Redis",
    },
];

#[derive(Deserialize)]
struct Step {
    name: String,
    method: String,
    path: String,
    body: Option<Value>,
    #[serde(default)]
    redis_setup: Vec<Vec<String>>,
    status: u16,
    response: Value,
    /// All keys after the step.
    keys: BTreeSet<String>,
}

#[tokio::test]
async fn responses_and_keys_match_the_original() {
    let app = TestApp::on_redis().await;
    let steps: Vec<Step> = serde_json::from_str(TRACES).unwrap();
    assert_eq!(steps.len(), 31);

    let mut found = BTreeSet::new();
    let mut golden_keys = BTreeSet::new();
    for step in &steps {
        for aspect in replay(&app, step, &golden_keys).await {
            found.insert((step.name.as_str(), aspect));
        }
        golden_keys.clone_from(&step.keys);
    }
    let listed: BTreeSet<_> = DIFFERENCES.iter().map(|row| (row.step, row.aspect)).collect();
    assert_eq!(found, listed, "left: actual differences; right: listed differences");
}

#[test]
fn readme_lists_the_differences() {
    for Difference { step, aspect, what, reason } in DIFFERENCES {
        let row =
            format!("| {step} | {} | {what} | {reason} |", format!("{aspect:?}").to_lowercase());
        assert!(README.lines().any(|line| line == row), "missing row in the README:\n{row}");
    }
}

/// Runs a step and returns the aspects in which it differs from the original.
async fn replay(app: &TestApp, step: &Step, golden_before: &BTreeSet<String>) -> Vec<Aspect> {
    let redis = app.redis.as_ref().unwrap();
    let mut golden_before = golden_before.clone();
    for command in &step.redis_setup {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        assert_eq!(redis.cli(&words).trim(), "OK", "{command:?}");
        golden_before.insert(command[1].clone());
    }
    let before = keys(redis);
    let method = Method::from_bytes(step.method.as_bytes()).unwrap();
    let answer = app.call(method, &step.path, step.body.as_ref()).await;
    assert_eq!(answer.content_type, "application/json", "{}", step.name);

    // The step must change our keys as it changed those of the original.
    let added = step.keys.difference(&golden_before).cloned();
    let expected: BTreeSet<String> =
        before.into_iter().filter(|key| kept(step, &golden_before, key)).chain(added).collect();
    let differs = [
        (Status, answer.status != step.status),
        (Body, !is_same_body(step, &answer)),
        (Keys, keys(redis) != expected),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
}

fn kept(step: &Step, golden_before: &BTreeSet<String>, key: &str) -> bool {
    step.keys.contains(key) || !golden_before.contains(key)
}

fn is_same_body(step: &Step, answer: &Answer) -> bool {
    if GENERATED.contains(&step.name.as_str()) {
        has_same_shape(&step.response, &answer.body)
    } else {
        step.response == answer.body
    }
}

/// Returns `true` for the same members of the same types; of arrays, the first items are
/// compared.
fn has_same_shape(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.keys().eq(right.keys())
                && left.iter().all(|(name, member)| has_same_shape(member, &right[name]))
        }
        (Value::Array(left), Value::Array(right)) => match (left.first(), right.first()) {
            (Some(left), Some(right)) => has_same_shape(left, right),
            (left, right) => left.is_none() && right.is_none(),
        },
        _ => std::mem::discriminant(left) == std::mem::discriminant(right),
    }
}

fn keys(redis: &RedisServer) -> BTreeSet<String> {
    redis
        .cli(&["KEYS", "api:*"])
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}
