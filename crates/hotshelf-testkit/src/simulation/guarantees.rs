//! Checks of a history against what is promised.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use hotshelf_core::WireKey;

use super::history::{Event, EventIndex, History, What};

/// A promise that wasn't kept, and the part of the history that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What went wrong.
    pub message: String,
    /// What happened to the key meanwhile, in order, one event a line.
    pub history: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n{}", self.message, self.history)
    }
}

/// How many events before the first that matters a report begins, and how many it shows.
const BEFORE: usize = 40;
const MOST_LINES: usize = 400;

/// Checks that nobody was given what had been invalidated.
///
/// After an invalidation has answered `Ok`, no call that begins later is given a value,
/// or a loader's error, of a read that began before the invalidation did. A call that
/// asked for a fresh value isn't given what was read before the call began.
///
/// # Errors
/// The first violation.
pub fn check_nothing_stale(history: &History) -> Result<(), Violation> {
    let events = history.events();
    let mut answered: BTreeMap<&WireKey, Bar> = BTreeMap::new();
    let mut bars: BTreeMap<EventIndex, Bar> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        match event.what {
            What::Invalidated { invalidation } => {
                let bar = Bar { origin: invalidation, since: index };
                for key in &event.keys {
                    let highest = answered.entry(key).or_insert(bar);
                    *highest = bar.max(*highest);
                }
            }
            What::Asks { fresh: true } => {
                bars.insert(index, Bar { origin: index, since: index });
            }
            What::Asks { fresh: false } => {
                let bar = answered.get(&event.keys[0]);
                bars.extend(bar.map(|&bar| (index, bar)));
            }
            What::Given { call, origin } | What::GivenError { call, origin } => {
                if let Some(bar) = bars.get(&call).filter(|bar| origin < bar.origin) {
                    return Err(stale(&events, index, call, origin, *bar));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a call must not be given: reads that began before `origin`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bar {
    origin: EventIndex,
    /// When that became so.
    since: EventIndex,
}

fn stale(
    events: &[Event],
    given: EventIndex,
    call: EventIndex,
    origin: EventIndex,
    bar: Bar,
) -> Violation {
    let key = &events[given].keys[0];
    let why = match bar.origin == call {
        true => "it had asked for a fresh one".to_owned(),
        false => format!("the invalidation at {} was answered at {}", bar.origin, bar.since),
    };
    let message = format!(
        "{}: the call at {call} was given, at {given}, what was read from {origin} on, but {why}",
        key.as_str()
    );
    Violation { message, history: excerpt(events, key, origin, given) }
}

/// Checks that each key was loaded once only, over all processes, between two
/// invalidations.
///
/// That holds where nothing fails: no call is given up, no loader fails, no request is
/// lost, nobody asks for a fresh value. An invalidation by pattern may cost two loads, since
/// it removes leases first and entries later. Reads of the source for no call don't count.
///
/// # Errors
/// The first violation.
pub fn check_single_flight(history: &History) -> Result<(), Violation> {
    let events = history.events();
    let mut keys: BTreeMap<&WireKey, Activity> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        match event.what {
            What::Reads { call: Some(asked) } => {
                let activity = keys.entry(&event.keys[0]).or_default();
                activity.loads.push(Load { asked, began: index });
            }
            What::Invalidates { .. } => {
                for key in &event.keys {
                    keys.entry(key).or_default().invalidations.insert(index, EventIndex::MAX);
                }
            }
            What::Invalidated { invalidation } => {
                for key in &event.keys {
                    keys.entry(key).or_default().invalidations.insert(invalidation, index);
                }
            }
            _ => {}
        }
    }
    for (key, activity) in keys {
        if let Some((first, last, allowed)) = activity.one_load_too_many() {
            let message = format!(
                "{}: more than {} loads from {} to {}, with {allowed} invalidations",
                key.as_str(),
                allowed + 1,
                first.began,
                last.began,
            );
            return Err(Violation {
                message,
                history: excerpt(&events, key, first.asked, last.began),
            });
        }
    }
    Ok(())
}

/// What happened to a key.
#[derive(Default)]
struct Activity {
    loads: Vec<Load>,
    /// Where invalidations end, by where they begin.
    invalidations: BTreeMap<EventIndex, EventIndex>,
}

#[derive(Clone, Copy)]
struct Load {
    /// When the call that ran it began: its lease was granted after that.
    asked: EventIndex,
    began: EventIndex,
}

impl Activity {
    /// Finds loads, one after the other, of which there are more than the invalidations that
    /// may have been executed from the first one's lease to the last one's.
    fn one_load_too_many(&self) -> Option<(Load, Load, usize)> {
        for (number, &first) in self.loads.iter().enumerate() {
            // The answer that grants a lease may be so late that another loader, which got
            // the lease next, began earlier.
            let mut earliest = first;
            for (more, last) in self.loads[number + 1..].iter().enumerate() {
                earliest.asked = earliest.asked.min(last.asked);
                let began = self.invalidations.range(..last.began);
                let allowed = began.filter(|&(_, &ended)| ended > earliest.asked).count();
                if allowed < more + 1 {
                    return Some((earliest, *last, allowed));
                }
            }
        }
        None
    }
}

/// Shows what happened to a key, and to everything, about the events from `first` to `last`.
fn excerpt(events: &[Event], key: &WireKey, first: EventIndex, last: EventIndex) -> String {
    let concerns = |event: &Event| event.keys.is_empty() || event.keys.contains(key);
    let indices = |range: Range<EventIndex>| -> Vec<EventIndex> {
        range.filter(|&index| concerns(&events[index])).collect()
    };
    let (before, between) = (indices(0..first), indices(first..last + 1));
    let shown = [&before[before.len().saturating_sub(BEFORE)..], &between].concat();
    let line = |index: &EventIndex| format!("{index:>6} {}\n", events[*index]);
    let lines: Vec<String> = shown.iter().map(line).collect();
    match lines.len().checked_sub(MOST_LINES) {
        None | Some(0) => lines.concat(),
        Some(more) => {
            let (head, tail) = lines.split_at(MOST_LINES / 2);
            format!("{}       … {more} more …\n{}", head.concat(), tail[more..].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::runtime::SimRuntime;
    use super::*;

    fn history() -> (History, WireKey) {
        (History::new(SimRuntime::new(1), true), "k".into())
    }

    #[test]
    fn a_call_that_begins_after_an_invalidation_must_not_be_given_an_older_read() {
        let (history, key) = history();
        let keys = [key.clone()];
        let old = history.reads(0, &key, None);
        let early = history.asks(1, &key, false);
        let invalidation = history.invalidates(2, &keys, "key");
        let meanwhile = history.asks(3, &key, false);
        let between = history.reads(3, &key, Some(meanwhile));
        history.invalidated(2, &keys, invalidation);
        let late = history.asks(1, &key, false);
        for (call, origin) in [(early, old), (meanwhile, old), (late, between)] {
            history.given(1, &key, call, origin);
            assert_eq!(check_nothing_stale(&history), Ok(()));
        }
        history.given(1, &key, late, old);
        let violation = check_nothing_stale(&history).unwrap_err();
        assert!(violation.to_string().contains("the call at 6 was given, at 10"), "{violation}");
        assert!(violation.history.contains("p2    invalidates by key"), "{violation}");
    }

    #[test]
    fn an_invalidation_without_an_answer_or_of_another_key_forbids_nothing() {
        let (history, key) = history();
        let origin = history.reads(0, &key, None);
        let other = [WireKey::from("other")];
        history.invalidates(0, std::slice::from_ref(&key), "key");
        let invalidation = history.invalidates(0, &other, "key");
        history.invalidated(0, &other, invalidation);
        let call = history.asks(0, &key, false);
        history.given_error(0, &key, call, origin);
        assert_eq!(check_nothing_stale(&history), Ok(()));
    }

    #[test]
    fn a_call_for_a_fresh_value_must_not_be_given_an_older_one() {
        let (history, key) = history();
        let origin = history.reads(0, &key, None);
        let call = history.asks(0, &key, true);
        history.given(0, &key, call, origin);
        assert!(check_nothing_stale(&history).is_err());
    }

    #[test]
    fn each_load_but_the_first_needs_an_invalidation() {
        let (history, key) = history();
        let load = || {
            let call = history.asks(0, &key, false);
            history.reads(0, &key, Some(call));
        };
        let keys = [key.clone()];
        load();
        history.reads(0, &key, None);
        let invalidation = history.invalidates(0, &keys, "key");
        load();
        history.invalidated(0, &keys, invalidation);
        assert_eq!(check_single_flight(&history), Ok(()));
        load();
        let violation = check_single_flight(&history).unwrap_err();
        assert!(violation.message.contains("more than 2 loads"), "{violation}");
    }
}
