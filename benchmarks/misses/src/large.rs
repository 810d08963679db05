//! Misses of large values.

use std::error::Error;

use hotshelf::{Cache, RedisClient};
use hotshelf_testkit::RedisServer;

use crate::figures::Spread;
use crate::load::{connect, server_cpu};

/// The sizes of the values in MB, and the number of calls of a run.
const SIZES: [(usize, usize); 2] = [(1, 40), (10, 8)];

#[derive(Clone, Copy)]
enum Subject {
    Set,
    GetSet,
    Miss,
}

/// Prints the CPU time of the server.
pub(crate) fn print(server: &RedisServer, repeats: usize) -> Result<(), Box<dyn Error>> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("\nLarge values, 1 caller: CPU of the server in ms, best (median)\n");
    println!("| MB | SET | GET + SET | miss | times SET, best (median) |");
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for (size, calls) in SIZES {
        let subjects = [Subject::Set, Subject::GetSet, Subject::Miss];
        let mut costs = subjects.map(|_| Vec::new());
        for _ in 0..repeats {
            for (subject, costs) in subjects.into_iter().zip(&mut costs) {
                server.command(&["FLUSHALL"]);
                let seconds = tokio.block_on(measure(server, subject, size, calls))?;
                costs.push(seconds * 1e3 / calls as f64);
            }
        }
        let [set, get_set, miss] = costs.map(Spread::of);
        let times = Spread { best: miss.best / set.best, median: miss.median / set.median };
        println!("| {size} | {set:.2} | {get_set:.2} | {miss:.2} | {times:.2} |");
    }
    Ok(())
}

/// Returns the server's CPU time of all calls in seconds.
async fn measure(
    server: &RedisServer,
    subject: Subject,
    size: usize,
    calls: usize,
) -> Result<f64, Box<dyn Error>> {
    let store = connect(server.port())?;
    let redis = store.redis().ok_or("the store is not on Redis")?;
    let cache = store.cache::<String>("large").max_value_bytes(64 << 20).build()?;
    let value = "x".repeat(size * 1_000_000);
    // The first call opens the connections.
    call(&cache, redis, subject, "first", &value).await?;
    let before = server_cpu(redis).await?;
    for key in 0..calls {
        call(&cache, redis, subject, &key.to_string(), &value).await?;
    }
    let seconds = server_cpu(redis).await? - before;
    match redis.dbsize().await? as usize {
        stored if stored > calls => Ok(seconds),
        stored => Err(format!("only {stored} of {calls} large values were stored").into()),
    }
}

async fn call(
    cache: &Cache<String>,
    redis: &RedisClient,
    subject: Subject,
    key: &str,
    value: &String,
) -> Result<(), Box<dyn Error>> {
    match subject {
        Subject::Set => redis.set(key, value).await?,
        Subject::GetSet => {
            redis.get(key).await?;
            redis.set(key, value).await?;
        }
        Subject::Miss => {
            cache.get_or_insert_with(key, async || value.clone()).await;
        }
    }
    Ok(())
}
