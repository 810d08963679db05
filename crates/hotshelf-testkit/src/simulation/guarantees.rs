//! Checks of a history against the guarantees.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use hotshelf_core::WireKey;

use super::history::{Event, EventIndex, EventKind, History};

/// A violated guarantee, with the relevant part of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// A description of the violation.
    pub message: String,
    /// The events of the key in that time, in order, one per line.
    pub history: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n{}", self.message, self.history)
    }
}

/// The number of events before the first relevant one at which a report begins, and the limit
/// of its lines.
const BEFORE: usize = 40;
const MOST_LINES: usize = 400;

/// Checks that no call was given an invalidated value.
///
/// After an invalidation has returned `Ok`, no call that begins later is given the value, or
/// the error, of a read that began before the invalidation did. A call that asked for a fresh
/// value is never given the result of a read that began before the call.
///
/// # Errors
/// Returns the first violation.
pub fn check_nothing_stale(history: &History) -> Result<(), Violation> {
    let events = history.events();
    let mut answered: BTreeMap<&WireKey, Limit> = BTreeMap::new();
    let mut limits: BTreeMap<EventIndex, Limit> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::Invalidated { invalidation } => {
                let limit = Limit { origin: invalidation, since: index };
                for key in &event.keys {
                    let highest = answered.entry(key).or_insert(limit);
                    *highest = limit.max(*highest);
                }
            }
            EventKind::Asks { fresh: true } => {
                limits.insert(index, Limit { origin: index, since: index });
            }
            EventKind::Asks { fresh: false } => {
                let limit = answered.get(&event.keys[0]);
                limits.extend(limit.map(|&limit| (index, limit)));
            }
            EventKind::Given { call, origin } | EventKind::GivenError { call, origin } => {
                if let Some(limit) = limits.get(&call).filter(|limit| origin < limit.origin) {
                    return Err(stale(&events, index, call, origin, *limit));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The oldest read that a call may be given: reads that began before `origin` are stale.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Limit {
    origin: EventIndex,
    /// The event that set this limit.
    since: EventIndex,
}

fn stale(
    events: &[Event],
    given: EventIndex,
    call: EventIndex,
    origin: EventIndex,
    limit: Limit,
) -> Violation {
    let key = &events[given].keys[0];
    let why = match limit.origin == call {
        true => "the call asked for a fresh value".to_owned(),
        false => format!("the invalidation at {} returned at {}", limit.origin, limit.since),
    };
    let message = format!(
        "{}: the call at {call} was given, at {given}, the read that began at {origin}, but {why}",
        key.as_str()
    );
    Violation { message, history: excerpt(events, key, origin, given) }
}

/// Checks that each key was loaded at most once between two invalidations, over all processes.
///
/// This holds only without faults: no call is cancelled, no loader fails, no request is lost,
/// no call asks for a fresh value. An invalidation by pattern may cost two loads, since it
/// removes leases first and entries later. Reads of the source without a call are not counted.
///
/// # Errors
/// Returns the first violation.
pub fn check_single_flight(history: &History) -> Result<(), Violation> {
    let events = history.events();
    let mut keys: BTreeMap<&WireKey, Activity> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::Reads { call: Some(asked) } => {
                let activity = keys.entry(&event.keys[0]).or_default();
                activity.loads.push(Load { asked, began: index });
            }
            EventKind::Invalidates { .. } => {
                for key in &event.keys {
                    keys.entry(key).or_default().invalidations.insert(index, EventIndex::MAX);
                }
            }
            EventKind::Invalidated { invalidation } => {
                for key in &event.keys {
                    keys.entry(key).or_default().invalidations.insert(invalidation, index);
                }
            }
            _ => {}
        }
    }
    for (key, activity) in keys {
        if let Some((first, last, allowed)) = activity.excess_load() {
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

/// The loads and invalidations of a key.
#[derive(Default)]
struct Activity {
    loads: Vec<Load>,
    /// The ends of invalidations, by their beginnings.
    invalidations: BTreeMap<EventIndex, EventIndex>,
}

#[derive(Clone, Copy)]
struct Load {
    /// When the call that ran the loader began: its lease was granted later.
    asked: EventIndex,
    began: EventIndex,
}

impl Activity {
    /// Finds consecutive loads that outnumber the invalidations that may have been executed
    /// between the first one's lease and the last one's.
    fn excess_load(&self) -> Option<(Load, Load, usize)> {
        for (number, &first) in self.loads.iter().enumerate() {
            // The answer that grants a lease may arrive so late that the loader of the next
            // holder began earlier.
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

/// Formats the events of a key, and those that concern all keys, around `first` to `last`.
pub(super) fn excerpt(
    events: &[Event],
    key: &WireKey,
    first: EventIndex,
    last: EventIndex,
) -> String {
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
    fn older_read_after_invalidation_is_stale() {
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
    fn unanswered_or_unrelated_invalidation_is_ignored() {
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
    fn fresh_call_rejects_older_read() {
        let (history, key) = history();
        let origin = history.reads(0, &key, None);
        let call = history.asks(0, &key, true);
        history.given(0, &key, call, origin);
        assert!(check_nothing_stale(&history).is_err());
    }

    #[test]
    fn each_reload_needs_an_invalidation() {
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
