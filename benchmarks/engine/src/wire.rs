//! What an invalidation by a tag costs, however many entries carry it.

use std::error::Error;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::Store;
use hotshelf_testkit::{RedisServer, Reply};

/// How many calls wait for the server at once while it is filled.
const CONCURRENCY: u64 = 256;

/// What one invalidation cost.
pub(crate) struct Cost {
    pub(crate) entries: u64,
    /// The commands that the server executed, by its own count.
    pub(crate) commands: i64,
    pub(crate) time: Duration,
}

/// Fills a Redis with entries that carry a tag, and invalidates the tag.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
pub(crate) async fn invalidate_tag(entries: u64) -> Result<Cost, Box<dyn Error>> {
    let server = RedisServer::start()?;
    let store = Store::connect(&server.url()).await?;
    let cache = store.cache::<u64>("numbers").build()?;
    let mut key = 0;
    while key < entries {
        let batch = key..entries.min(key + CONCURRENCY);
        join_all(batch.map(|key| cache.entry(key).tags(["all"]).insert(key))).await;
        key += CONCURRENCY;
    }
    if cache.stats().errors > 0 || cache.get(entries - 1).await.is_none() {
        return Err("the entries could not be written".into());
    }

    let before = executed(&server)?;
    let start = std::time::Instant::now();
    store.invalidate_tag("all").await?;
    let time = start.elapsed();
    // The question for the count is itself a command.
    let commands = executed(&server)? - before - 1;
    match cache.get(entries - 1).await {
        None => Ok(Cost { entries, commands, time }),
        Some(_) => Err("the tag was invalidated, and an entry still counts".into()),
    }
}

fn executed(server: &RedisServer) -> Result<i64, Box<dyn Error>> {
    let Reply::Text(stats) = server.command(&["INFO", "stats"]) else {
        return Err("the server tells no statistics".into());
    };
    let executed = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    Ok(executed.ok_or("the server doesn't count its commands")?.trim().parse()?)
}
