//! Read a value, or load it: `cargo run -p hotshelf --example basic`.
#![expect(clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use hotshelf::{Cache, Store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: u64,
    name: String,
}

/// Stands for a query of the database.
async fn find_user(id: u64) -> Result<User, std::io::Error> {
    println!("loading user {id}");
    Ok(User { id, name: format!("user {id}") })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `Store::connect("redis://localhost").await?` is all that a server needs.
    let store = Store::memory();
    let users: Cache<User> = store.cache("users").time_to_live(Duration::from_secs(60)).build()?;

    for _ in 0..3 {
        let user = users.get_or_try_insert_with(7, async || find_user(7).await).await?;
        println!("{} is {}", user.id, user.name);
    }
    users.invalidate(7).await?;
    println!("after an invalidation: {:?}", users.get(7).await);
    println!("{:?}", users.stats());
    Ok(())
}
