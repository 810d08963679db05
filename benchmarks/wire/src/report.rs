//! Tables in Markdown.

use crate::figures::{Figure, Instructions, Spread};
use crate::load::Load;

/// Prints the cost of loads of one size, with a row for each number of callers.
pub(crate) fn print(title: &str, subjects: &[&str], figures: &[Figure]) {
    let cpu = |spread: Spread| format!("{:.2} ({:.2})", spread.median, spread.best);
    let rate = |spread: Spread| format!("{:.0} ({:.0})", spread.median / 1e3, spread.best / 1e3);
    // There is no CPU time for processes that are not ours.
    let timed: Vec<_> = figures.iter().filter(|figure| !figure.cpu_micros.best.is_nan()).collect();
    let names: Vec<_> = subjects
        .iter()
        .filter(|&&subject| timed.iter().any(|figure| figure.subject == subject))
        .copied()
        .collect();
    println!("\n{title}: CPU µs for each, median (best)\n");
    print_table(&names, &timed, |figure| cpu(figure.cpu_micros));
    println!("\n{title}: thousands a second, median (best)\n");
    print_table(subjects, &figures.iter().collect::<Vec<_>>(), |figure| rate(figure.per_second));
}

fn print_table(subjects: &[&str], figures: &[&Figure], cell: impl Fn(&Figure) -> String) {
    println!("| callers | {} |", subjects.join(" | "));
    println!("| ---: |{}", " ---: |".repeat(subjects.len()));
    for row in figures.chunks(subjects.len()) {
        let cells: Vec<_> = row.iter().map(|figure| cell(figure)).collect();
        println!("| {} | {} |", row[0].load.callers, cells.join(" | "));
    }
}

pub(crate) fn print_instructions(counts: &[Instructions]) {
    println!("\nInstructions for each, without the kernel's, one worker\n");
    println!("| | bytes | callers | instructions |\n| --- | ---: | ---: | ---: |");
    for Instructions { subject, load: Load { size, callers, .. }, per_call } in counts {
        println!("| {subject} | {size} | {callers} | {per_call:.0} |");
    }
}
