//! The performance goals of a miss.

use crate::figures::{Figure, Spread};
use crate::subject::Subject;

/// A miss costs the client and the server at most this many times what `GET` and `SET` cost.
const CLIENT: f64 = 3.0;
const SERVER: f64 = 4.0;

const ALLOCATIONS: f64 = 30.0;

/// A call with 32 tags costs at most this many times what one without costs.
const TAGS: f64 = 3.0;

/// Prints each goal as a ratio of CPU times, by the medians and by the best runs. Both must
/// reach it.
pub(crate) fn print(figures: &[Figure]) {
    println!("\n| CPU of | beside | callers | goal | by median | by best | |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | --- |");
    let beside = |subject: Subject, other: Subject, most: [Option<f64>; 2]| {
        for figure in figures.iter().filter(|figure| figure.subject == subject) {
            let same = |one: &&Figure| one.subject == other && one.callers == figure.callers;
            let Some(other) = figures.iter().find(same) else { continue };
            let sides =
                [("client", figure.client, other.client), ("server", figure.server, other.server)];
            for ((side, cost, others), most) in sides.into_iter().zip(most) {
                if let Some(most) = most {
                    print_ratio(figure, side, &other.subject.name(), (cost, others), most);
                }
            }
        }
    };
    beside(Subject::Miss(0), Subject::GetSet, [Some(CLIENT), Some(SERVER)]);
    beside(Subject::Miss(32), Subject::Miss(0), [Some(TAGS), Some(TAGS)]);
    beside(Subject::Hit(32), Subject::Hit(0), [Some(TAGS), None]);
    println!();
    for Figure { allocations, callers, .. } in
        figures.iter().filter(|figure| figure.subject == Subject::Miss(0))
    {
        let verdict = verdict(*allocations <= ALLOCATIONS);
        println!(
            "- allocations of a miss, {callers} callers: {allocations:.1}, goal {ALLOCATIONS}: \
             {verdict}"
        );
    }
}

fn print_ratio(figure: &Figure, side: &str, other: &str, costs: (Spread, Spread), most: f64) {
    let (cost, others) = costs;
    let (median, best) = (cost.median / others.median, cost.best / others.best);
    let verdict = verdict(median.max(best) <= most);
    let (name, callers) = (figure.subject.name(), figure.callers);
    println!(
        "| {name}, {side} | {other} | {callers} | {most} | {median:.2} | {best:.2} | {verdict} |"
    );
}

fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "missed" }
}
