//! Does with a cache what a test in Python says, a line each, side by side.
//!
//! A line is a JSON object with an `id`, which comes back with the answer, and a `do`:
//!
//! - `get`, `set`, `load`, `write_through`, `delete` with a `key`,
//! - `tag` with the name of one to invalidate.
//!
//! Loads and writes take a `name` for the product, `tags`, and how many `millis` they last.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::time::Duration;

use hotshelf::{Cache, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// What is cached.
#[derive(Debug, Serialize, Deserialize)]
struct Product {
    name: String,
    price: f64,
}

/// What is to be done.
#[derive(Debug, Deserialize)]
struct Order {
    id: u64,
    #[serde(rename = "do")]
    what: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    millis: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: interop URL")?;
    let store = Store::connect(&url).await?;
    store.ping().await?;
    let cache = store.cache::<Product>("interop").prefix("cache").version("v1").build()?;

    let (answers, mut told) = mpsc::unbounded_channel::<Value>();
    tokio::spawn(async move {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let (store, cache, answers) = (store.clone(), cache.clone(), answers.clone());
            tokio::spawn(async move {
                // Nobody is there to be told once the test has ended.
                let _ = answers.send(answer(&store, &cache, &line).await);
            });
        }
    });
    let mut output = tokio::io::stdout();
    while let Some(answer) = told.recv().await {
        output.write_all(format!("{answer}\n").as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

async fn answer(store: &Store, cache: &Cache<Product>, line: &str) -> Value {
    match serde_json::from_str::<Order>(line) {
        Ok(order) => {
            let id = order.id;
            match carry_out(store, cache, order).await {
                Ok(result) => json!({ "id": id, "result": result }),
                Err(error) => json!({ "id": id, "error": error.to_string() }),
            }
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

async fn carry_out(
    store: &Store,
    cache: &Cache<Product>,
    order: Order,
) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let Order { what, key, name, tags, millis, .. } = order;
    let mut ran = false;
    #[expect(clippy::disallowed_methods, reason = "it stands for a load that takes its time")]
    let mut make = async || {
        ran = true;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok::<_, io::Error>(Product { name: name.clone(), price: 0.1 })
    };
    Ok(match what.as_str() {
        "get" => json!(cache.get(&*key).await.map(|product| product.name.clone())),
        "set" => {
            json!(cache.entry(&*key).tags(tags).fallible().insert(make().await?).await.is_ok())
        }
        "delete" => json!(cache.invalidate(&*key).await.is_ok()),
        "tag" => json!(store.invalidate_tag(&key).await.is_ok()),
        "load" => {
            let product = cache.entry(&*key).tags(tags).or_try_insert_with(make).await?;
            json!({ "name": product.name, "ran": ran })
        }
        "write_through" => {
            let written = cache.entry(&*key).tags(tags).write_through(make).await?;
            json!({ "name": written.value().name, "cached": written.cached().is_ok() })
        }
        other => return Err(format!("there is nothing called {other}").into()),
    })
}
