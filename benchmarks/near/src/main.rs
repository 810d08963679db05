//! The cost of a hit in the memory of the process: 10,000 text keys, read by Zipf's law with
//! exponent 1, on one thread and on two, compared with the table alone and with moka.
//!
//! Times are the best and the median of alternating runs.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod allocations;
mod product;
mod subjects;
mod trace;

use std::error::Error;
use std::thread;
use std::time::Duration;

use subjects::{Fixture, SUBJECTS, Subject};
use trace::Trace;

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => report(15, 400_000),
        [word] if word == "quick" => report(5, 100_000),
        [word, number, calls] if word == "run" => {
            let subject = SUBJECTS[number.parse::<usize>()?];
            Fixture::new()?.run(subject, &Trace::zipf(1.0), 0, calls.parse()?);
            Ok(())
        }
        _ => Err("usage: near [quick | run SUBJECT CALLS]".into()),
    }
}

fn report(repeats: usize, calls: usize) -> Result<(), Box<dyn Error>> {
    let fixture = Fixture::new()?;
    let trace = Trace::zipf(1.0);
    let mut times = vec![[Vec::new(), Vec::new()]; SUBJECTS.len()];
    for _ in 0..repeats {
        for (subject, times) in SUBJECTS.iter().zip(&mut times) {
            for (threads, times) in [1, 2].into_iter().zip(times) {
                times.push(time(*subject, &fixture, &trace, threads, calls));
            }
        }
    }
    println!("A hit in memory of a struct of 10 fields: ns for each, best (median)\n");
    println!("| | 1 thread | 2 threads | scaling | allocations |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (subject, [one, two]) in SUBJECTS.iter().zip(&mut times) {
        let allocated = allocations::during(|| fixture.run(*subject, &trace, 0, 1_000));
        let (one, two) = (Spread::of(one), Spread::of(two));
        let scaling = one.best / two.best;
        let each = allocated as f64 / 1_000.0;
        println!("| {} | {one} | {two} | {scaling:.2} | {each:.1} |", subject.name());
    }
    Ok(())
}

/// Returns the time of all threads for each of their calls together, in nanoseconds.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(subject: Subject, fixture: &Fixture, trace: &Trace, threads: usize, calls: usize) -> f64 {
    let start = std::time::Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || fixture.run(subject, trace, thread * 7919, calls));
        }
    });
    nanos(start.elapsed()) / (threads * calls) as f64
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// The best and the median of several runs.
#[derive(Clone, Copy)]
struct Spread {
    best: f64,
    median: f64,
}

impl Spread {
    fn of(times: &mut [f64]) -> Self {
        times.sort_by(f64::total_cmp);
        Self { best: times[0], median: times[times.len() / 2] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.0} ({:.0})", self.best, self.median)
    }
}
