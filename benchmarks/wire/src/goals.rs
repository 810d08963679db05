//! The performance goals of hotshelf, relative to the others.

use crate::figures::{Figure, Spread, find};
use crate::load::Load;
use crate::subject::{APART, CACHES, CLIENTS};

/// Prints each goal as a ratio of CPU times, by the medians and by the best runs. Both must
/// reach it.
pub(crate) fn print(figures: &[Figure]) {
    println!("\nCPU of hotshelf, as a ratio\n");
    println!("| beside | bytes | callers | goal | by median | by best | |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    for &Figure { subject, load, cpu_micros, .. } in figures {
        match subject {
            "hotshelf" => print_get(figures, load, cpu_micros),
            "hotshelf Cache" => {
                for (&other, most) in CACHES[1..].iter().zip([Some(0.6), None]) {
                    print_beside(figures, other, load, cpu_micros, most);
                }
            }
            _ => {}
        }
    }
}

fn print_get(figures: &[Figure], load: Load, cost: Spread) {
    match load {
        Load { workers: 1, callers: 1, .. } => {
            let others = figures
                .iter()
                .filter(|figure| figure.load == load && CLIENTS[1..].contains(&figure.subject));
            let best = others
                .min_by(|one, other| one.cpu_micros.median.total_cmp(&other.cpu_micros.median));
            if let Some(best) = best {
                print_beside(figures, best.subject, load, cost, Some(1.1));
            }
        }
        Load { workers: 1, .. } => {
            print_beside(figures, "redis 1.8", load, cost, Some(0.5));
            print_beside(figures, "rustis", load, cost, Some(1.0));
        }
        Load { callers: 1, .. } => {}
        load => {
            let alone = find(figures, "hotshelf", Load { workers: 1, ..load });
            if let Some(alone) = alone {
                print_ratio("itself, 2 workers for 1", load, cost, alone.cpu_micros, None);
                if let Some(apart) = find(figures, APART, load) {
                    let (name, cost) = ("itself, 2 runtimes for 1", apart.cpu_micros);
                    print_ratio(name, load, cost, alone.cpu_micros, Some(1.5));
                }
            }
        }
    }
}

fn print_beside(figures: &[Figure], other: &str, load: Load, cost: Spread, most: Option<f64>) {
    if let Some(figure) = find(figures, other, load) {
        print_ratio(other, load, cost, figure.cpu_micros, most);
    }
}

fn print_ratio(other: &str, load: Load, cost: Spread, others: Spread, most: Option<f64>) {
    let (median, best) = (cost.median / others.median, cost.best / others.best);
    let (goal, verdict) = match most {
        None => (String::new(), ""),
        Some(most) if median.max(best) <= most => (format!("{most}"), "reached"),
        Some(most) => (format!("{most}"), "missed"),
    };
    let Load { size, callers, .. } = load;
    println!("| {other} | {size} | {callers} | {goal} | {median:.2} | {best:.2} | {verdict} |");
}
