//! Use the server itself, on the cache's connection:
//! `cargo run -p hotshelf --features redis --example raw_redis -- redis://localhost`.
#![expect(clippy::print_stdout, reason = "an example")]

use hotshelf::Store;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://localhost".into());
    let store = Store::connect(&url).await?;
    let redis = store.redis().ok_or("this store has no server")?;

    println!("visits: {}", redis.incr_by("example:visits", 1).await?);

    // Several commands in one round trip.
    let commands = [vec!["RPUSH", "example:jobs", "a", "b"], vec!["LLEN", "example:jobs"]];
    for reply in redis.pipeline(&commands).await? {
        println!("{reply:?}");
    }

    // A plain client reads what the cache has stored: JSON, with white space behind it.
    let users = store.cache::<Vec<u32>>("example").build()?;
    users.insert("k", vec![1, 2, 3]).await;
    let raw = redis.get(users.wire_key("k").as_str()).await?.unwrap_or_default();
    println!("{}", String::from_utf8_lossy(&raw).trim_end());
    redis.unlink(&["example:visits", "example:jobs"]).await?;
    Ok(())
}
