//! `hotshelf bench`.

use std::time::Duration;

use futures_util::future::try_join_all;
use hotshelf_core::Error;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Align, Table, duration, separated};
use crate::session::Session;

/// After this time the server removes the keys of a run that was interrupted, in milliseconds.
const LIFETIME: &str = "120000";

/// The number of keys that are removed in one command.
const AT_ONCE: usize = 500;

#[derive(Debug, clap::Args)]
pub(crate) struct BenchArguments {
    /// The number of writes, and of reads
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    requests: u32,
    /// The number of concurrent callers, which share one connection
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: u32,
    /// The size of each value, in bytes
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    bytes: u32,
    /// The prefix of the keys, for a user whose ACL allows only some
    #[arg(long, default_value = "hotshelf-bench")]
    prefix: String,
}

#[derive(Serialize)]
struct Bench {
    requests: u32,
    callers: u32,
    value_bytes: u32,
    results: Vec<Measured>,
}

/// Latencies are in seconds.
#[derive(Serialize)]
struct Measured {
    operation: &'static str,
    per_second: f64,
    min: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

pub(crate) async fn run(arguments: &BenchArguments, session: &Session) -> Result<u8, Failure> {
    let random = session.store.runtime().random();
    let prefix = format!("{}:v1:{random:016x}:", arguments.prefix);
    let measured = measure(arguments, session, &prefix).await;
    let removed = clean_up(arguments, session, &prefix).await;
    let bench = Bench {
        requests: arguments.requests,
        callers: arguments.callers,
        value_bytes: arguments.bytes,
        results: measured?,
    };
    removed?;
    session.show(&bench, || text(&bench, session))
}

/// A run of one operation on all keys.
struct Run<'a> {
    session: &'a Session,
    arguments: &'a BenchArguments,
    prefix: &'a str,
    /// The value to set; `None` to get.
    value: Option<String>,
}

async fn measure(
    arguments: &BenchArguments,
    session: &Session,
    prefix: &str,
) -> Result<Vec<Measured>, Error> {
    // The first command connects.
    session.redis.command(&["PING"]).await?;
    let value = Some("x".repeat(arguments.bytes as usize));
    let set = Run { session, arguments, prefix, value };
    let get = Run { session, arguments, prefix, value: None };
    Ok(vec![set.measure("set").await?, get.measure("get").await?])
}

impl Run<'_> {
    async fn measure(&self, operation: &'static str) -> Result<Measured, Error> {
        let runtime = self.session.store.runtime();
        let BenchArguments { requests, callers, .. } = *self.arguments;
        let began = runtime.now();
        let times = try_join_all((0..callers).map(|number| self.caller(number))).await?;
        let took = runtime.now().since(began);
        let mut times: Vec<Duration> = times.into_iter().flatten().collect();
        times.sort_unstable();
        let last = (times.len() - 1) as f64;
        let at = |share: f64| times[(last * share).round() as usize].as_secs_f64();
        Ok(Measured {
            operation,
            per_second: f64::from(requests) / took.as_secs_f64().max(1e-6),
            min: at(0.0),
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: at(1.0),
        })
    }

    /// Sends one request after the other, and returns the time that each took.
    async fn caller(&self, number: u32) -> Result<Vec<Duration>, Error> {
        let Self { session, arguments, prefix, value } = self;
        let runtime = session.store.runtime();
        let mut times = Vec::new();
        for key in (number..arguments.requests).step_by(arguments.callers as usize) {
            let (key, began) = (format!("{prefix}{key}"), runtime.now());
            match value {
                Some(value) => session.redis.command(&["SET", &key, value, "PX", LIFETIME]).await?,
                None => session.redis.command(&["GET", &key]).await?,
            };
            times.push(runtime.now().since(began));
        }
        Ok(times)
    }
}

async fn clean_up(
    arguments: &BenchArguments,
    session: &Session,
    prefix: &str,
) -> Result<(), Error> {
    let keys: Vec<[String; 2]> =
        (0..arguments.requests).map(|key| ["DEL".to_owned(), format!("{prefix}{key}")]).collect();
    for keys in keys.chunks(AT_ONCE) {
        session.redis.pipeline(keys).await?;
    }
    Ok(())
}

fn text(bench: &Bench, session: &Session) -> String {
    let columns = ["operation", "per second", "min", "p50", "p95", "p99", "max"];
    let columns = columns.map(|name| (name, Align::Right));
    let mut table = Table::new(&columns);
    for it in &bench.results {
        let times = [it.min, it.p50, it.p95, it.p99, it.max];
        let times = times.map(|time| duration(Duration::from_secs_f64(time)));
        let rate = separated(it.per_second.round() as u64);
        table.row([it.operation.to_owned(), rate].into_iter().chain(times));
    }
    let Bench { requests, callers, value_bytes, .. } = bench;
    let about = format!("{requests} requests, {callers} callers, values of {value_bytes} bytes\n");
    table.render(session.style) + &about
}
