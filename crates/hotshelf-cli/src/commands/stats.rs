//! `hotshelf stats`.

use std::time::Duration;

use serde::Serialize;

use crate::failure::{DONE, Failure};
use crate::output::{Color, bytes, percent, separated};
use crate::server_info::ServerInfo;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct StatsArguments {
    /// Go on, with a line for each interval, also after a restart of the server
    #[arg(long, short)]
    watch: bool,
    /// The interval, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,
    /// The number of lines; 0 for no end
    #[arg(long, default_value_t = 0, requires = "watch")]
    count: u64,
}

/// Rates are per second over the interval.
#[derive(Serialize)]
struct Stats {
    /// The time since the Unix epoch, in seconds.
    time: f64,
    ops: f64,
    hits: f64,
    misses: f64,
    hit_ratio: Option<f64>,
    used_memory: u64,
    evicted: f64,
    expired: f64,
    clients: u64,
}

/// The counters of which rates are made.
const COUNTERS: [&str; 5] = [
    "total_commands_processed",
    "keyspace_hits",
    "keyspace_misses",
    "evicted_keys",
    "expired_keys",
];

/// The number of lines between two headings.
const PAGE: u64 = 20;

pub(crate) async fn run(arguments: &StatsArguments, session: &Session) -> Result<u8, Failure> {
    let interval = Duration::try_from_secs_f64(arguments.interval).unwrap_or_default();
    if interval < Duration::from_millis(10) {
        return Err(Failure::Usage("invalid --interval: use 0.01 seconds or more".to_owned()));
    }
    let runtime = session.store.runtime();
    let (mut before, mut began) = (session.info().await?, runtime.now());
    let count = if arguments.watch { arguments.count } else { 1 };
    let (mut line, mut is_away) = (0, false);
    while count == 0 || line < count {
        runtime.sleep(interval).await;
        let now = match session.info().await {
            Ok(now) => now,
            // It may be restarted, or replaced by another one.
            Err(Failure::Server(error)) if arguments.watch && error.is_temporary() => {
                if !std::mem::replace(&mut is_away, true) {
                    Failure::Server(error).report(session.common.json, &*session.terminal);
                }
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let at = runtime.now();
        if std::mem::replace(&mut is_away, false) {
            // Its counters may begin anew.
            (before, began) = (now, at);
            continue;
        }
        let stats = Stats::between(&before, &now, at.since(began), session.terminal.time());
        session.show_line(&stats, || {
            let heading =
                line.is_multiple_of(PAGE).then(|| session.style.paint(Color::Bold, HEADING) + "\n");
            heading.unwrap_or_default() + &stats.line()
        })?;
        (before, began) = (now, at);
        line += 1;
    }
    Ok(DONE)
}

const HEADING: &str =
    "     ops/s     hits/s   misses/s  hit ratio      memory  evicted/s  expired/s  clients";

impl Stats {
    fn between(before: &ServerInfo, now: &ServerInfo, time: Duration, at: Duration) -> Self {
        let rate = |name| {
            now.sum(name).saturating_sub(before.sum(name)) as f64 / time.as_secs_f64().max(1e-3)
        };
        let [ops, hits, misses, evicted, expired] = COUNTERS.map(rate);
        Self {
            time: at.as_secs_f64(),
            ops,
            hits,
            misses,
            hit_ratio: (hits + misses > 0.0).then(|| hits / (hits + misses)),
            used_memory: now.sum("used_memory"),
            evicted,
            expired,
            clients: now.sum("connected_clients"),
        }
    }

    fn line(&self) -> String {
        let rate = |rate: f64| separated(rate.round() as u64);
        format!(
            "{:>10} {:>10} {:>10} {:>10} {:>11} {:>10} {:>10} {:>8}\n",
            rate(self.ops),
            rate(self.hits),
            rate(self.misses),
            percent(self.hits, self.hits + self.misses),
            bytes(self.used_memory as f64),
            rate(self.evicted),
            rate(self.expired),
            self.clients,
        )
    }
}
