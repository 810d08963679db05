//! Measured figures.

use std::error::Error;
use std::fmt;
use std::fs;

use serde::Serialize;

use crate::load::Cost;
use crate::subject::Subject;

/// The spread of runs of the same load. The speed of the machine may change between two runs:
/// the median shows what is usual, the best run what is possible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) best: f64,
    pub(crate) median: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { best: values[0], median: values[values.len() / 2] }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = formatter.precision().unwrap_or(1);
        write!(formatter, "{:.precision$} ({:.precision$})", self.best, self.median)
    }
}

/// The cost of a call of a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) subject: Subject,
    pub(crate) callers: usize,
    pub(crate) client: Spread,
    pub(crate) server: Spread,
    pub(crate) allocations: f64,
    per_second: f64,
}

impl Figure {
    pub(crate) fn of(subject: Subject, callers: usize, costs: &[Cost]) -> Self {
        let spread = |value: fn(&Cost) -> f64| Spread::of(costs.iter().map(value).collect());
        Self {
            subject,
            callers,
            client: spread(|cost| cost.client_micros),
            server: spread(|cost| cost.server_micros),
            allocations: spread(|cost| cost.allocations).median,
            per_second: spread(|cost| cost.per_second).median,
        }
    }
}

/// Prints the figures of a number of callers, and their ratios to the first one by the best runs.
pub(crate) fn print(figures: &[Figure]) {
    let first = figures[0];
    println!("\nA call with {} caller(s), 200 bytes: CPU µs, best (median)\n", first.callers);
    println!("| | client | times | server | times | allocations | thousands a second |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for figure in figures {
        let Figure { subject, client, server, allocations, per_second, .. } = figure;
        println!(
            "| {} | {client} | {:.2} | {server} | {:.2} | {allocations:.1} | {:.1} |",
            subject.name(),
            client.best / first.client.best,
            server.best / first.server.best,
            per_second / 1e3,
        );
    }
}

#[derive(Serialize)]
struct Row {
    measure: &'static str,
    library: String,
    variant: String,
    value: f64,
    unit: &'static str,
}

/// Writes `target/bench/misses.json`.
pub(crate) fn write(figures: &[Figure]) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for figure in figures {
        let Figure { subject, callers, client, server, allocations, per_second } = *figure;
        for (measure, value, unit) in [
            ("client CPU", client.median, "µs"),
            ("client CPU, best", client.best, "µs"),
            ("server CPU", server.median, "µs"),
            ("server CPU, best", server.best, "µs"),
            ("allocations", allocations, "allocations"),
            ("throughput", per_second, "1/s"),
        ] {
            let variant = format!("{callers} callers");
            rows.push(Row { measure, library: subject.name(), variant, value, unit });
        }
    }
    fs::create_dir_all("target/bench")?;
    fs::write("target/bench/misses.json", serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}
