//! The cost of an invalidation by tag, independent of the number of entries.

use std::error::Error;
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::Store;
use hotshelf_testkit::{RedisServer, Reply};

/// The number of concurrent calls while the server is filled.
const CONCURRENCY: u64 = 256;

/// The cost of one invalidation.
pub(crate) struct Cost {
    pub(crate) entries: u64,
    /// The commands that the server has counted.
    pub(crate) commands: i64,
    pub(crate) time: Duration,
}

/// Fills a Redis with entries that carry a tag, and invalidates the tag.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
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
        return Err("failed to write the entries".into());
    }

    let before = executed(&server)?;
    let start = std::time::Instant::now();
    store.invalidate_tag("all").await?;
    let time = start.elapsed();
    // Reading the count is itself a command.
    let commands = executed(&server)? - before - 1;
    match cache.get(entries - 1).await {
        None => Ok(Cost { entries, commands, time }),
        Some(_) => Err("an entry is still valid after its tag was invalidated".into()),
    }
}

fn executed(server: &RedisServer) -> Result<i64, Box<dyn Error>> {
    let Reply::Text(stats) = server.command(&["INFO", "stats"]) else {
        return Err("the server returned no statistics".into());
    };
    let executed = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    Ok(executed.ok_or("the server does not count its commands")?.trim().parse()?)
}
