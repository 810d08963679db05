//! The table, and the rows in JSON.

use std::error::Error;
use std::fs;

use serde::Serialize;

use crate::servers::Kind;
use crate::wrk::Measure;

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) round: u32,
    pub(crate) measure: Measure,
}

pub(crate) fn print(rows: &[Row]) {
    println!("GET /products/1, a hit on Redis, wrk -t1 -c64\n");
    println!("| round | server | requests/s | server CPU µs/request |");
    println!("| --- | --- | ---: | ---: |");
    for Row { round, measure } in rows {
        let Measure { kind, requests_per_second, cpu_micros } = measure;
        println!("| {round} | {} | {requests_per_second:.0} | {cpu_micros:.1} |", kind.name());
    }
    for kind in Kind::ALL {
        let (rates, costs) = (values(rows, kind, rate), values(rows, kind, cost));
        println!("| best | {} | {:.0} | {:.1} |", kind.name(), rates[rates.len() - 1], costs[0]);
        println!("| median | {} | {:.0} | {:.1} |", kind.name(), median(&rates), median(&costs));
    }
}

/// Writes `target/bench/http.json`.
pub(crate) fn write(rows: &[Row]) -> Result<(), Box<dyn Error>> {
    #[derive(Serialize)]
    struct Line {
        measure: &'static str,
        library: &'static str,
        variant: String,
        value: f64,
        unit: &'static str,
    }
    let lines = rows.iter().flat_map(|Row { round, measure }| {
        let line = |name, value, unit| Line {
            measure: name,
            library: measure.kind.name(),
            variant: format!("round {round}"),
            value,
            unit,
        };
        [
            line("throughput", measure.requests_per_second, "requests/s"),
            line("server CPU", measure.cpu_micros, "µs/request"),
        ]
    });
    fs::create_dir_all("target/bench")?;
    fs::write("target/bench/http.json", serde_json::to_string_pretty(&lines.collect::<Vec<_>>())?)?;
    Ok(())
}

fn rate(measure: &Measure) -> f64 {
    measure.requests_per_second
}

fn cost(measure: &Measure) -> f64 {
    measure.cpu_micros
}

/// Returns one figure of all rounds, sorted.
fn values(rows: &[Row], kind: Kind, figure: fn(&Measure) -> f64) -> Vec<f64> {
    let of_kind = rows.iter().map(|row| &row.measure).filter(|measure| measure.kind == kind);
    let mut values: Vec<f64> = of_kind.map(figure).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
