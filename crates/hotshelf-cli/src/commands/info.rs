//! `hotshelf info`.

use std::time::Duration;

use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Align, Color, Table, bytes, duration, percent, separated};
use crate::sample::Sample;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct InfoArguments {
    /// The number of keys to scan; 0 for all
    #[arg(long, value_name = "KEYS", default_value_t = 100_000)]
    scan: u64,
}

#[derive(Serialize)]
struct Info {
    address: String,
    server: String,
    servers: usize,
    role: Option<String>,
    uptime: u64,
    clients: u64,
    used_memory: u64,
    max_memory: u64,
    policy: Option<String>,
    hits: u64,
    misses: u64,
    evicted: u64,
    keys: u64,
    scanned: u64,
    complete: bool,
    namespaces: Vec<Counted>,
}

/// The keys of one cache.
#[derive(Serialize)]
struct Counted {
    kind: &'static str,
    namespace: String,
    /// The number of keys; an estimate, if not all keys were scanned.
    keys: u64,
    share: f64,
}

pub(crate) async fn run(arguments: &InfoArguments, session: &Session) -> Result<u8, Failure> {
    let info = session.info().await?;
    let sample = Sample::take(session, arguments.scan, 0).await?;
    let scale = sample.scale();
    let mut namespaces: Vec<Counted> = sample
        .groups
        .iter()
        .map(|(group, sampled)| Counted {
            kind: group.kind(),
            namespace: group.name(),
            keys: (sampled.count as f64 * scale).round() as u64,
            share: sampled.count as f64 / sample.scanned.max(1) as f64,
        })
        .collect();
    namespaces.sort_by_key(|counted| std::cmp::Reverse(counted.keys));
    let found = Info {
        address: session.redis_options.to_string(),
        server: info.product(),
        servers: info.servers(),
        role: info.text("role").map(str::to_owned),
        uptime: info.number("uptime_in_seconds").unwrap_or_default() as u64,
        clients: info.sum("connected_clients"),
        used_memory: info.sum("used_memory"),
        max_memory: info.sum("maxmemory"),
        policy: info.text("maxmemory_policy").map(str::to_owned),
        hits: info.sum("keyspace_hits"),
        misses: info.sum("keyspace_misses"),
        evicted: info.sum("evicted_keys"),
        keys: sample.total,
        scanned: sample.scanned,
        complete: sample.is_complete,
        namespaces,
    };
    session.show(&found, || text(&found, session))
}

fn text(info: &Info, session: &Session) -> String {
    let limit = match info.max_memory {
        0 => "no limit".to_owned(),
        limit => format!("of {}", bytes(limit as f64)),
    };
    let reads = (info.hits + info.misses) as f64;
    let policy = info.policy.as_deref().unwrap_or("unknown");
    let lines = [
        ("address", info.address.clone()),
        ("server", format!("{}, {}", info.server, info.role.as_deref().unwrap_or("unknown role"))),
        ("uptime", duration(Duration::from_secs(info.uptime))),
        ("clients", separated(info.clients)),
        ("memory", format!("{}, {limit}, {policy}", bytes(info.used_memory as f64))),
        ("evicted", separated(info.evicted)),
        ("hits", format!("{} of all reads since its start", percent(info.hits as f64, reads))),
        ("keys", separated(info.keys)),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        text.push_str(&format!(
            "{}{value}\n",
            session.style.paint(Color::Bold, &format!("{name:<9}"))
        ));
    }
    if info.namespaces.is_empty() {
        return text;
    }
    let columns = [("cache", Align::Left), ("keys", Align::Right), ("share", Align::Right)];
    let mut table = Table::new(&columns);
    for counted in &info.namespaces {
        let about = if info.complete { "" } else { "~" };
        let keys = format!("{about}{}", separated(counted.keys));
        table.row([counted.namespace.clone(), keys, percent(counted.share, 1.0)]);
    }
    text.push('\n');
    text.push_str(&table.render(session.style));
    if !info.complete {
        let scanned = separated(info.scanned);
        text.push_str(&format!("estimated from {scanned} keys; --scan 0 counts all\n"));
    }
    text
}
