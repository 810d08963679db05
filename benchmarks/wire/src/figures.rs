//! Measured figures.

use std::error::Error;
use std::fs;

use serde::Serialize;

use crate::load::{Cost, Load};
use crate::subject;

/// The spread of runs of the same load. The speed of the machine may change between two runs:
/// the median shows what is usual, the best run what is possible.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) best: f64,
}

/// The cost of a load for a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) subject: &'static str,
    pub(crate) load: Load,
    pub(crate) cpu_micros: Spread,
    pub(crate) per_second: Spread,
}

/// The instructions of a call for a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instructions {
    pub(crate) subject: &'static str,
    pub(crate) load: Load,
    pub(crate) per_call: f64,
}

/// Measures loads, alternating between the subjects.
pub(crate) fn compare(
    subjects: &[&'static str],
    loads: &[Load],
    port: u16,
    calls: usize,
    repeats: usize,
) -> Result<Vec<Figure>, Box<dyn Error>> {
    let turns = || loads.iter().flat_map(|&load| subjects.iter().map(move |&name| (name, load)));
    let mut costs = vec![Vec::with_capacity(repeats); turns().count()];
    for _ in 0..repeats {
        for ((subject, load), costs) in turns().zip(&mut costs) {
            costs.push(subject::measure(subject, load, port, calls)?);
        }
    }
    let figures = turns().zip(costs).map(|((subject, load), costs)| Figure {
        subject,
        load,
        cpu_micros: spread(&costs, |cost| cost.cpu_micros),
        per_second: {
            // The best throughput is the highest.
            let Spread { median, best } = spread(&costs, |cost| -cost.per_second);
            Spread { median: -median, best: -best }
        },
    });
    Ok(figures.collect())
}

fn spread(costs: &[Cost], value: fn(&Cost) -> f64) -> Spread {
    let mut values: Vec<_> = costs.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    Spread { median: values[values.len() / 2], best: values[0] }
}

/// Returns the figure of a subject and a load.
pub(crate) fn find<'a>(figures: &'a [Figure], subject: &str, load: Load) -> Option<&'a Figure> {
    figures.iter().find(|figure| figure.subject == subject && figure.load == load)
}

#[derive(Serialize)]
struct Row {
    measure: &'static str,
    library: &'static str,
    variant: String,
    value: f64,
    unit: &'static str,
}

/// Writes `target/bench/wire.json`.
pub(crate) fn write(
    figures: &[Figure],
    instructions: &[Instructions],
) -> Result<(), Box<dyn Error>> {
    let row = |subject, load: Load, (measure, value, unit)| {
        let Load { size, callers, workers } = load;
        let variant = format!("{size} bytes, {callers} callers, {workers} workers");
        Row { measure, library: subject, variant, value, unit }
    };
    let mut rows = Vec::new();
    for &Figure { subject, load, cpu_micros, per_second } in figures {
        let measures = [
            ("CPU", cpu_micros.median, "µs"),
            ("CPU, best", cpu_micros.best, "µs"),
            ("throughput", per_second.median, "1/s"),
            ("throughput, best", per_second.best, "1/s"),
        ];
        let measured = measures.into_iter().filter(|(_, value, _)| !value.is_nan());
        rows.extend(measured.map(|measure| row(subject, load, measure)));
    }
    for &Instructions { subject, load, per_call } in instructions {
        rows.push(row(subject, load, ("instructions", per_call, "instructions")));
    }
    fs::create_dir_all("target/bench")?;
    fs::write("target/bench/wire.json", serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}
