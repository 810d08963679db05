//! `hotshelf top`.

use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Failure;
use crate::names::shown;
use crate::output::{Align, Table, bytes, escape, separated};
use crate::sample::{Mean, Sample, SampleArguments, numbers};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct TopArguments {
    /// What is compared. Default: frequency where the server counts it (an LFU policy), or else
    /// memory
    #[arg(long, value_enum)]
    by: Option<Measure>,
    /// The largest number of caches and of keys to show; 0 for all
    #[arg(long, default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    sampling: SampleArguments,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Measure {
    /// How often a key is read, by the server's logarithmic counter, 0 to 255
    Frequency,
    /// Bytes
    Memory,
}

#[derive(Serialize)]
struct Top {
    by: Measure,
    keys: u64,
    scanned: u64,
    complete: bool,
    /// The number of keys that the ACL denies, of those to measure.
    skipped: usize,
    namespaces: Vec<Heat>,
    hottest: Vec<HotKey>,
}

#[derive(Serialize)]
struct Heat {
    kind: &'static str,
    namespace: String,
    keys: u64,
    measured: usize,
    mean: f64,
    max: f64,
    /// The mean for all keys: an estimate of the memory, or a weight.
    total: f64,
}

#[derive(Serialize)]
struct HotKey {
    key: String,
    value: f64,
    #[serde(skip)]
    bytes: Bytes,
}

pub(crate) async fn run(arguments: &TopArguments, session: &Session) -> Result<u8, Failure> {
    let info = session.info().await?;
    let counts = info.text("maxmemory_policy").is_some_and(|policy| policy.ends_with("lfu"));
    let by = match arguments.by {
        Some(Measure::Frequency) if !counts => {
            let message = "the server counts no reads: set maxmemory-policy allkeys-lfu";
            return Err(Failure::NotFound(message.to_owned()));
        }
        Some(by) => by,
        None if counts => Measure::Frequency,
        None => Measure::Memory,
    };
    let command: &[&str] = match by {
        Measure::Frequency => &["OBJECT", "FREQ"],
        Measure::Memory => &["MEMORY", "USAGE"],
    };
    let SampleArguments { scan, sample } = arguments.sampling;
    let sampled = Sample::take(session, scan, sample.max(1)).await?;
    let scale = sampled.scale();
    let (mut namespaces, mut hottest, mut skipped) = (Vec::new(), Vec::new(), 0);
    for (group, keys) in sampled.groups {
        let measured = numbers(session, command, &keys.keys).await?;
        skipped += measured.skipped;
        if measured.are_denied() {
            continue;
        }
        let found = keys.keys.iter().zip(&measured.all).filter_map(|(key, value)| {
            Some(HotKey { key: shown(key), value: (*value)?, bytes: key.clone() })
        });
        hottest.extend(found);
        let values = measured.known();
        let count = keys.count as f64 * scale;
        let mean = Mean::of(&values, count as u64).mean;
        namespaces.push(Heat {
            kind: group.kind(),
            namespace: group.name(),
            keys: count.round() as u64,
            measured: values.len(),
            mean,
            max: values.iter().copied().fold(0.0, f64::max),
            total: mean * count,
        });
    }
    let rank = |heat: &Heat| if by == Measure::Memory { heat.total } else { heat.mean };
    namespaces.sort_by(|one, other| rank(other).total_cmp(&rank(one)));
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    namespaces.truncate(limit);
    hottest.sort_by(|one, other| other.value.total_cmp(&one.value));
    hottest.truncate(limit);
    let (keys, scanned, complete) = (sampled.total, sampled.scanned, sampled.is_complete);
    let top = Top { by, keys, scanned, complete, skipped, namespaces, hottest };
    session.show_skipped(skipped);
    session.show(&top, || text(&top, session))
}

fn text(top: &Top, session: &Session) -> String {
    if top.namespaces.is_empty() {
        return "no keys\n".to_owned();
    }
    let (value, name): (fn(f64) -> String, _) = match top.by {
        Measure::Memory => (bytes, "memory"),
        Measure::Frequency => (|value| format!("{value:.1}"), "frequency"),
    };
    let columns = [
        ("cache", Align::Left),
        ("keys", Align::Right),
        ("mean", Align::Right),
        ("max", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for heat in &top.namespaces {
        let keys = separated(heat.keys);
        table.row([heat.namespace.clone(), keys, value(heat.mean), value(heat.max)]);
    }
    let mut keys = Table::new(&[("key", Align::Left), (name, Align::Right)]);
    for hot in &top.hottest {
        keys.row([escape(&hot.bytes), value(hot.value)]);
    }
    format!("{}\n{}", table.render(session.style), keys.render(session.style))
}
