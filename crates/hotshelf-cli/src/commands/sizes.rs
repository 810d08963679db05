//! `hotshelf sizes`.

use serde::Serialize;

use crate::failure::Failure;
use crate::output::{Align, Table, bytes, separated};
use crate::sample::{Mean, Sample, SampleArguments, numbers};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct SizesArguments {
    #[command(flatten)]
    sampling: SampleArguments,
}

#[derive(Serialize)]
struct Sizes {
    keys: u64,
    scanned: u64,
    complete: bool,
    /// The number of keys that the ACL denies, of those to measure.
    skipped: usize,
    namespaces: Vec<Size>,
}

/// The memory of one cache, in bytes.
#[derive(Serialize)]
struct Size {
    kind: &'static str,
    namespace: String,
    keys: u64,
    measured: usize,
    mean: f64,
    /// The estimate for all its keys.
    bytes: f64,
    /// Half of the interval that holds the true sum with a probability of 95 %.
    error: f64,
}

pub(crate) async fn run(arguments: &SizesArguments, session: &Session) -> Result<u8, Failure> {
    let SampleArguments { scan, sample } = arguments.sampling;
    let sampled = Sample::take(session, scan, sample.max(1)).await?;
    let scale = sampled.scale();
    let (mut namespaces, mut skipped) = (Vec::new(), 0);
    for (group, keys) in sampled.groups {
        let measured = numbers(session, &["MEMORY", "USAGE"], &keys.keys).await?;
        skipped += measured.skipped;
        if measured.are_denied() {
            continue;
        }
        let measured = measured.known();
        let count = keys.count as f64 * scale;
        let Mean { mean, error } = Mean::of(&measured, count as u64);
        namespaces.push(Size {
            kind: group.kind(),
            namespace: group.name(),
            keys: count.round() as u64,
            measured: measured.len(),
            mean,
            bytes: mean * count,
            error: error * count,
        });
    }
    namespaces.sort_by(|one, other| other.bytes.total_cmp(&one.bytes));
    let (keys, scanned, complete) = (sampled.total, sampled.scanned, sampled.is_complete);
    let sizes = Sizes { keys, scanned, complete, skipped, namespaces };
    session.show_skipped(skipped);
    session.show(&sizes, || text(&sizes, session))
}

fn text(sizes: &Sizes, session: &Session) -> String {
    if sizes.namespaces.is_empty() {
        return "no keys\n".to_owned();
    }
    let columns = [
        ("cache", Align::Left),
        ("memory", Align::Right),
        ("error", Align::Right),
        ("keys", Align::Right),
        ("mean", Align::Right),
        ("measured", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for size in &sizes.namespaces {
        table.row([
            size.namespace.clone(),
            bytes(size.bytes),
            format!("±{}", bytes(size.error)),
            separated(size.keys),
            bytes(size.mean),
            separated(size.measured as u64),
        ]);
    }
    table.render(session.style)
}
