//! Executes the requests of a test in Python on a cache, one per line, concurrently.
//!
//! A request is a JSON object with an `id`, which the response repeats, and a `do`:
//!
//! - `get`, `set`, `load`, `write_through`, `delete` with a `key`,
//! - `tag` with the name of a tag to invalidate as its `key`,
//! - `raw_get`, `raw_set`, `packed_get`, `packed_set` with a `key`: the same as `get` and `set`, with
//!   the codecs for raw bytes, which are the name, and MessagePack.
//!
//! Loads and writes have the `name` of the product, `tags`, and a duration in `millis`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::time::Duration;

use hotshelf::codec::{Bytes, MessagePack, Raw};
use hotshelf::{Cache, Store};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

/// A cached value.
#[derive(Debug, Serialize, Deserialize)]
struct Product {
    name: String,
    price: f64,
}

/// The caches that both languages use.
#[derive(Clone)]
struct Caches {
    products: Cache<Product>,
    raw: Cache<Bytes>,
    packed: Cache<Product>,
}

/// A line of the input.
#[derive(Debug, Deserialize)]
struct Request {
    id: u64,
    #[serde(rename = "do")]
    operation: String,
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
    let caches = Caches {
        products: store.cache("interop").prefix("cache").version("v1").build()?,
        raw: store.cache("raw").codec(Raw).build()?,
        packed: store.cache("packed").codec(MessagePack).build()?,
    };

    let (responses, mut receiver) = mpsc::unbounded_channel::<Value>();
    tokio::spawn(async move {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let (store, caches, responses) = (store.clone(), caches.clone(), responses.clone());
            tokio::spawn(async move {
                // It fails only at the end of the test.
                let _ = responses.send(respond(&store, &caches, &line).await);
            });
        }
    });
    let mut output = tokio::io::stdout();
    while let Some(response) = receiver.recv().await {
        output.write_all(format!("{response}\n").as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

async fn respond(store: &Store, caches: &Caches, line: &str) -> Value {
    match serde_json::from_str::<Request>(line) {
        Ok(request) => {
            let id = request.id;
            match execute(store, caches, request).await {
                Ok(result) => json!({ "id": id, "result": result }),
                Err(error) => json!({ "id": id, "error": error.to_string() }),
            }
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

async fn execute(
    store: &Store,
    caches: &Caches,
    request: Request,
) -> Result<Value, Box<dyn Error + Send + Sync>> {
    let Caches { products: cache, raw, packed } = caches;
    let Request { operation, key, name, tags, millis, .. } = request;
    let mut ran = false;
    #[expect(clippy::disallowed_methods, reason = "it simulates a slow load")]
    let mut make = async || {
        ran = true;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok::<_, io::Error>(Product { name: name.clone(), price: 0.1 })
    };
    Ok(match operation.as_str() {
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
        "raw_get" => json!(raw.get(&*key).await.map(|name| name.escape_ascii().to_string())),
        "raw_set" => json!(raw.insert(&*key, Bytes::from(name)).await),
        "packed_get" => json!(packed.get(&*key).await.map(|product| product.name.clone())),
        "packed_set" => json!(packed.insert(&*key, make().await?).await),
        other => return Err(format!("unknown operation {other:?}").into()),
    })
}
