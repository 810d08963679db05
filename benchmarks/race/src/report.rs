//! The table, the rows in JSON, and the check of hotshelf.

use std::fs;

use serde::Serialize;

use crate::Failure;
use crate::child::{CALLERS, ROUNDS};
use crate::library::Contestant;
use crate::parent::PROCESSES;

/// The measurements of a library.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) contestant: Contestant,
    pub(crate) by_key: Result<Race, Failure>,
    /// `None` for a library without groups.
    pub(crate) by_group: Option<Result<Race, Failure>>,
    /// The loads of the cold key, in each process.
    pub(crate) cold: Result<Vec<u64>, Failure>,
}

/// The races of one kind, [`ROUNDS`] of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Race {
    /// The number of races that ended with a stale read.
    pub(crate) stale: u64,
    /// The number of races in which the invalidation waited for the load.
    pub(crate) blocked: u64,
}

pub(crate) fn print(rows: &[Row]) {
    let callers = thousands(CALLERS);
    println!(
        "A load reads the data and continues; the data changes; the entry is invalidated; the \
         load ends. Is the next read stale? ({ROUNDS} races each.)\n"
    );
    println!(
        "| library | version | reads by | stale after invalidation by key | by tag or group | \
         {callers} callers × {PROCESSES} processes on one cold key: computations |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for Row { contestant, by_key, by_group, cold } in rows {
        let (label, call, versions) = (contestant.label, contestant.call, contestant.versions());
        let by_key = cell(by_key, |race| race_cell(*race));
        let by_group = match (by_group, contestant.group) {
            (Some(result), Some(call)) => {
                format!("{}, `{call}`", cell(result, |race| race_cell(*race)))
            }
            _ => "—".to_owned(),
        };
        let cold = cell(cold, |loads| cold_cell(loads, contestant.shared));
        println!("| {label} | {versions} | `{call}` | {by_key} | {by_group} | {cold} |");
    }
}

/// Formats a number below a million with a comma.
fn thousands(number: u64) -> String {
    if number < 1_000 {
        return number.to_string();
    }
    format!("{},{:03}", number / 1_000, number % 1_000)
}

fn cell<T>(result: &Result<T, Failure>, show: impl FnOnce(&T) -> String) -> String {
    match result {
        Ok(value) => show(value),
        Err(error) => format!("failed: {error}"),
    }
}

fn race_cell(Race { stale, blocked }: Race) -> String {
    let answer = if stale == 0 { "no" } else { "**yes**" };
    let mut cell = format!("{answer}, {stale} of {ROUNDS}");
    if blocked > 0 {
        cell += &format!(" (in {blocked} the invalidation had to wait for the load)");
    }
    cell
}

fn cold_cell(loads: &[u64], shared: bool) -> String {
    let place = if shared { "on one Redis" } else { "one in each process" };
    format!("{}, {place}", thousands(loads.iter().sum()))
}

/// Writes `target/bench/race.json`.
pub(crate) fn write(rows: &[Row]) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line {
        measure: &'static str,
        library: &'static str,
        variant: String,
        value: u64,
        unit: String,
    }
    let lines = rows.iter().flat_map(|row| {
        let line = |measure, value: Option<u64>, unit: &str| {
            let (library, variant) = (row.contestant.label, row.contestant.versions());
            let unit = unit.to_owned();
            value.map(|value| Line { measure, library, variant, value, unit })
        };
        let stale = |result: &Result<Race, Failure>| result.as_ref().ok().map(|race| race.stale);
        let loads = row.cold.as_ref().ok().map(|loads| loads.iter().sum());
        let by_group = row.by_group.as_ref().and_then(stale);
        let races = format!("of {ROUNDS} races");
        [
            line("stale after invalidation by key", stale(&row.by_key), &races),
            line("stale after invalidation by group", by_group, &races),
            line("computations of a cold key", loads, "loads"),
        ]
        .into_iter()
        .flatten()
    });
    fs::create_dir_all("target/bench")?;
    fs::write("target/bench/race.json", serde_json::to_string_pretty(&lines.collect::<Vec<_>>())?)?;
    Ok(())
}

/// Returns an error unless hotshelf was measured, returned no stale value and loaded once:
/// once in all processes that share a Redis, otherwise once in each.
pub(crate) fn check(rows: &[Row]) -> Result<(), Failure> {
    for row in rows.iter().filter(|row| row.contestant.is_ours()) {
        let label = row.contestant.label;
        for race in [Some(&row.by_key), row.by_group.as_ref()].into_iter().flatten() {
            match race {
                Ok(Race { stale: 0, .. }) => {}
                Ok(race) => return Err(format!("{label} was stale {} times", race.stale).into()),
                Err(error) => return Err(format!("failed to measure {label}: {error}").into()),
            }
        }
        let loads = row.cold.as_ref().map_err(|error| format!("{label} failed: {error}"))?;
        let allowed = if row.contestant.shared { 1 } else { PROCESSES as u64 };
        let loads: u64 = loads.iter().sum();
        if loads > allowed {
            return Err(format!("{label} loaded a cold key {loads} times, not {allowed}").into());
        }
    }
    Ok(())
}
