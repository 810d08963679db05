//! Remember that there is no value: `cargo run -p hotshelf --example negative_caching`.
#![expect(clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use hotshelf::{Cache, Lookup, Store};

async fn find_user(name: &str) -> Result<Option<u64>, std::io::Error> {
    println!("looking for {name} in the database");
    Ok((name == "ada").then_some(1))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let users: Cache<u64> = Store::memory()
        .cache("users by name")
        .time_to_live(Duration::from_secs(300))
        .negative_ttl(Duration::from_secs(10))
        .build()?;

    for name in ["ada", "nobody", "ada", "nobody"] {
        let user = users.entry(name).or_try_load_optional(async || find_user(name).await).await?;
        println!("{name}: {user:?}");
    }
    assert_eq!(users.lookup("nobody").await, Lookup::Absent);
    assert_eq!(users.stats().loads, 2);
    Ok(())
}
