//! The time of a hit: 10,000 text keys, read by Zipf's law with exponent 1, on one thread and on
//! two, compared with the table alone and with moka.

use std::error::Error;
use std::thread;
use std::time::Duration;

use crate::allocations;
use crate::spread::Spread;
use crate::subjects::{Fixture, SUBJECTS, Subject};
use crate::trace::Trace;

/// Prints the table.
pub(crate) fn report(repeats: usize, calls: usize) -> Result<(), Box<dyn Error>> {
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

/// Runs one subject, for a profiler.
pub(crate) fn run(number: usize, calls: usize) -> Result<(), Box<dyn Error>> {
    Fixture::new()?.run(SUBJECTS[number], &Trace::zipf(1.0), 0, calls);
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
