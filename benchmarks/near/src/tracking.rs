//! What the server pays for near tiers: CPU time of redis-server for each read that is kept near,
//! and for each write of a key that many connections keep, with each way to track keys.

use std::error::Error;
use std::time::Duration;

use futures_util::future::try_join_all;
use hotshelf::{Cache, NearOptions};
use hotshelf_testkit::RedisServer;
use tokio::runtime::Runtime;

use crate::connection::{Connection, ServerCpu};
use crate::spread::Spread;
use crate::store;

const HOLDERS: [usize; 3] = [1, 10, 50];

/// The number of commands that are sent at once.
const PIPELINE: usize = 50;

const VALUE: usize = 200;

const LONG: Duration = Duration::from_secs(3600);

/// How a connection asks for reports of changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tracking {
    Off,
    /// Of keys that are read right after `CLIENT CACHING YES`.
    OptIn,
    /// Of all keys with a prefix.
    Broadcast,
}

impl Tracking {
    const ALL: [Self; 3] = [Self::Off, Self::OptIn, Self::Broadcast];

    fn name(self) -> &'static str {
        match self {
            Self::Off => "no tracking",
            Self::OptIn => "OPTIN",
            Self::Broadcast => "BCAST",
        }
    }
}

/// The server's microseconds for each read, for each write of a pipeline, and for each write that
/// is sent alone.
struct Cost {
    read: f64,
    write: f64,
    alone: Option<f64>,
}

/// Prints the costs of commands in pipelines, and of stores.
pub(crate) fn report(repeats: usize, keys: usize) -> Result<(), Box<dyn Error>> {
    let server = RedisServer::start()?;
    println!("Server CPU of tracking: µs, best (median), in pipelines of {PIPELINE} commands\n");
    println!("| connections | | a read | a write of a key that all have read | a write alone |");
    println!("| ---: | --- | ---: | ---: | ---: |");
    for holders in HOLDERS {
        let mut costs = Tracking::ALL.map(|_| Vec::new());
        for _ in 0..repeats {
            for (tracking, costs) in Tracking::ALL.into_iter().zip(&mut costs) {
                costs.push(measure(&server, tracking, holders, keys)?);
            }
        }
        for (tracking, costs) in Tracking::ALL.into_iter().zip(costs) {
            print(holders, tracking.name(), &costs);
        }
    }
    println!("\nThe same of stores, each with {PIPELINE} callers: `get`, and `invalidate`\n");
    println!("| stores | | a read | an invalidation |");
    println!("| ---: | --- | ---: | ---: |");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build()?;
    let keys = keys / 10;
    for holders in HOLDERS {
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..repeats {
            for (near, costs) in [false, true].into_iter().zip(&mut costs) {
                costs.push(measure_stores(&runtime, &server, near, holders, keys)?);
            }
        }
        for (name, costs) in ["without near tier", "near tier"].into_iter().zip(costs) {
            print(holders, name, &costs);
        }
    }
    Ok(())
}

fn print(holders: usize, name: &str, costs: &[Cost]) {
    let spread =
        |value: fn(&Cost) -> f64| Spread::of(&mut costs.iter().map(value).collect::<Vec<_>>());
    let (read, write) = (spread(|cost| cost.read), spread(|cost| cost.write));
    print!("| {holders} | {name} | {read:.2} | {write:.2} |");
    let mut alone: Vec<f64> = costs.iter().filter_map(|cost| cost.alone).collect();
    if !alone.is_empty() {
        print!(" {:.2} |", Spread::of(&mut alone));
    }
    println!();
}

fn measure(
    server: &RedisServer,
    tracking: Tracking,
    holders: usize,
    keys: usize,
) -> Result<Cost, Box<dyn Error>> {
    server.command(&["FLUSHALL"]);
    let mut cpu = ServerCpu::of(server.port())?;
    let mut writer = Connection::open(server.port())?;
    let keys: Vec<String> = (0..keys).map(|number| format!("products:{number:012}")).collect();
    let value = "x".repeat(VALUE);
    let write = |key: &String| format!("SET {key} {value}");
    let writes: Vec<String> = keys.iter().map(write).collect();
    writer.call(&writes)?;
    let mut holders = open(server.port(), tracking, holders)?;

    let before = cpu.micros()?;
    read_each(&keys, tracking, &mut holders)?;
    let read = (cpu.micros()? - before) / (keys.len() * holders.len()) as f64;
    let mut write_each = |writes: &[String], at_once, holders: &mut [Connection]| {
        let before = cpu.micros()?;
        for writes in writes.chunks(at_once) {
            writer.call(writes)?;
            if tracking != Tracking::Off {
                holders.iter_mut().try_for_each(|holder| holder.await_invalidated(writes.len()))?;
            }
        }
        Ok::<_, Box<dyn Error>>((cpu.micros()? - before) / writes.len() as f64)
    };
    let write = write_each(&writes, PIPELINE, &mut holders)?;
    read_each(&keys, tracking, &mut holders)?;
    let alone = write_each(&writes[..keys.len() / 10], 1, &mut holders)?;
    Ok(Cost { read, write, alone: Some(alone) })
}

/// Reads all keys over each connection.
fn read_each(
    keys: &[String],
    tracking: Tracking,
    holders: &mut [Connection],
) -> Result<(), Box<dyn Error>> {
    let read = |key| match tracking {
        Tracking::OptIn => vec!["CLIENT CACHING YES".to_owned(), format!("GET {key}")],
        _ => vec![format!("GET {key}")],
    };
    for keys in keys.chunks(PIPELINE) {
        let reads: Vec<String> = keys.iter().flat_map(read).collect();
        for holder in holders.iter_mut() {
            holder.call(&reads)?;
        }
    }
    Ok(())
}

fn open(port: u16, tracking: Tracking, number: usize) -> Result<Vec<Connection>, Box<dyn Error>> {
    let open = |_| {
        let mut connection = Connection::open(port)?;
        let track = match tracking {
            Tracking::Off => return Ok(connection),
            Tracking::OptIn => "CLIENT TRACKING ON OPTIN",
            Tracking::Broadcast => "CLIENT TRACKING ON BCAST PREFIX products:",
        };
        connection.call(&[track.to_owned()])?;
        Ok(connection)
    };
    (0..number).map(open).collect()
}

fn measure_stores(
    runtime: &Runtime,
    server: &RedisServer,
    near: bool,
    holders: usize,
    keys: usize,
) -> Result<Cost, Box<dyn Error>> {
    server.command(&["FLUSHALL"]);
    let mut cpu = ServerCpu::of(server.port())?;
    runtime.block_on(async {
        let writer = store::on(server)?.build()?;
        let written = writer.cache::<String>("products").time_to_live(LONG).build()?;
        let value = "x".repeat(VALUE);
        written.insert_many((0..keys).map(|key| (key, value.clone()))).await;
        let mut stores = Vec::new();
        let mut caches = Vec::new();
        for _ in 0..holders {
            let builder = store::on(server)?;
            let options = NearOptions::default().time_to_live(LONG);
            let store = if near { builder.near(options) } else { builder }.build()?;
            store.ping().await?;
            caches.push(store.cache::<String>("products").time_to_live(LONG).build()?);
            stores.push(store);
        }

        let before = cpu.micros()?;
        for cache in &caches {
            read_all(cache, keys).await?;
        }
        let between = cpu.micros()?;
        for first in (0..keys).step_by(PIPELINE) {
            try_join_all((first..first + PIPELINE).map(|key| written.invalidate(key))).await?;
        }
        let after = cpu.micros()?;
        let count = keys as f64;
        let read = (between - before) / count / holders as f64;
        Ok(Cost { read, write: (after - between) / count, alone: None })
    })
}

async fn read_all(cache: &Cache<String>, keys: usize) -> Result<(), Box<dyn Error>> {
    let caller = async |caller: usize| {
        for key in (caller..keys).step_by(PIPELINE) {
            cache.get(key).await.ok_or("the server has everything")?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    try_join_all((0..PIPELINE).map(caller)).await?;
    Ok(())
}
