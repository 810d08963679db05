//! Checks of a history against the guarantees of refreshes, and of loads that fail.

use std::collections::BTreeMap;
use std::time::Duration;

use hotshelf_core::WireKey;

use super::guarantees::{Violation, excerpt};
use super::history::{Event, EventIndex, EventKind, History};

/// Checks that a load that fails isn't repeated before `throttle` has passed, by any process.
///
/// This holds while the key has a stale value, nothing else fails, and nothing is invalidated.
///
/// # Errors
/// Returns the first violation.
pub fn check_throttle(history: &History, throttle: Duration) -> Result<(), Violation> {
    let events = history.events();
    let mut failed: BTreeMap<&WireKey, (EventIndex, EventIndex)> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::Ends { origin, failed: true } => {
                failed.insert(&event.keys[0], (origin, index));
            }
            EventKind::Reads { call: Some(_) } => {
                let Some(&(origin, ended)) = failed.get(&event.keys[0]) else { continue };
                let pause = event.at.since(events[ended].at);
                if pause < throttle {
                    let why = format!("{pause:?} after the load at {origin} has failed");
                    return Err(report(&events, origin, index, &why));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that no two loads of a key run at the same time, over all processes.
///
/// This holds while nothing fails and nothing is invalidated.
///
/// # Errors
/// Returns the first violation.
pub fn check_one_load_at_a_time(history: &History) -> Result<(), Violation> {
    let events = history.events();
    let mut running: BTreeMap<&WireKey, EventIndex> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::Reads { call: Some(_) } => {
                if let Some(other) = running.insert(&event.keys[0], index) {
                    let why = format!("while the load at {other} runs");
                    return Err(report(&events, other, index, &why));
                }
            }
            EventKind::Ends { origin, .. } => {
                let key = &event.keys[0];
                if running.get(key) == Some(&origin) {
                    running.remove(key);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that an invalidation of a key ends what a failed load of it has caused: no call that
/// begins later is told not to load, or not to store, because of a load that began earlier.
///
/// This holds where nothing but failed loads keeps calls from storing.
///
/// # Errors
/// Returns the first violation.
pub fn check_marks(history: &History) -> Result<(), Violation> {
    let events = history.events();
    let mut keys: BTreeMap<&WireKey, Marks> = BTreeMap::new();
    let mut limits: BTreeMap<EventIndex, EventIndex> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::Ends { origin, failed: true } => {
                keys.entry(&event.keys[0]).or_default().failed.push(origin);
            }
            EventKind::Invalidated { invalidation } => {
                for key in &event.keys {
                    let marks = keys.entry(key).or_default();
                    marks.invalidated = marks.invalidated.max(Some(invalidation));
                }
            }
            EventKind::Asks { .. } => {
                let invalidated = keys.get(&event.keys[0]).and_then(|marks| marks.invalidated);
                limits.extend(invalidated.map(|invalidation| (index, invalidation)));
            }
            EventKind::Barred { call } => {
                let Some(&limit) = limits.get(&call) else { continue };
                let marks = &keys[&event.keys[0]];
                if !marks.failed.iter().any(|&origin| origin > limit) {
                    let why = format!("although the invalidation at {limit} returned before that");
                    return Err(report(&events, limit, index, &why));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is known of the failed loads of a key.
#[derive(Default)]
struct Marks {
    failed: Vec<EventIndex>,
    /// The beginning of the latest invalidation that has returned.
    invalidated: Option<EventIndex>,
}

fn report(events: &[Event], first: EventIndex, last: EventIndex, why: &str) -> Violation {
    let Event { keys, kind, .. } = &events[last];
    let key = &keys[0];
    let message = format!("{}: a process {kind}, at {last}, {why}", key.as_str());
    Violation { message, history: excerpt(events, key, first, last) }
}

#[cfg(test)]
mod tests {
    use hotshelf_core::Runtime;

    use super::super::runtime::SimRuntime;
    use super::*;

    const THROTTLE: Duration = Duration::from_secs(1);

    struct Scene {
        runtime: SimRuntime,
        history: History,
        key: WireKey,
    }

    impl Scene {
        fn new() -> Self {
            let runtime = SimRuntime::new(1);
            let history = History::new(runtime.clone(), true);
            Self { runtime, history, key: WireKey::from("k") }
        }

        fn load(&self) -> EventIndex {
            let call = self.history.asks(0, &self.key, false);
            self.history.reads(0, &self.key, Some(call))
        }

        fn fail(&self, origin: EventIndex) {
            self.history.ends(0, &self.key, origin, true);
        }

        fn invalidate(&self) {
            let keys = [self.key.clone()];
            let invalidation = self.history.invalidates(1, &keys, "key");
            self.history.invalidated(1, &keys, invalidation);
        }

        fn is_barred(&self) -> Result<(), Violation> {
            let call = self.history.asks(0, &self.key, false);
            self.history.barred(0, &self.key, call);
            check_marks(&self.history)
        }
    }

    #[test]
    fn failed_load_is_repeated_after_the_throttle_alone() {
        let scene = Scene::new();
        scene.fail(scene.load());
        scene.runtime.block_on(scene.runtime.sleep(THROTTLE));
        let again = scene.load();
        assert_eq!(check_throttle(&scene.history, THROTTLE), Ok(()));
        scene.fail(again);
        scene.load();
        let violation = check_throttle(&scene.history, THROTTLE).unwrap_err();
        assert!(violation.message.contains("0ns after the load at 4 has failed"), "{violation}");
    }

    #[test]
    fn loads_of_a_key_take_turns() {
        let scene = Scene::new();
        scene.history.ends(0, &scene.key, scene.load(), false);
        scene.load();
        assert_eq!(check_one_load_at_a_time(&scene.history), Ok(()));
        scene.load();
        let violation = check_one_load_at_a_time(&scene.history).unwrap_err();
        assert!(violation.message.contains("while the load at 4 runs"), "{violation}");
    }

    #[test]
    fn invalidation_ends_marks_of_earlier_loads() {
        let scene = Scene::new();
        scene.fail(scene.load());
        assert_eq!(scene.is_barred(), Ok(()));
        let early = scene.load();
        scene.invalidate();
        scene.fail(scene.load());
        assert_eq!(scene.is_barred(), Ok(()));
        scene.invalidate();
        scene.fail(early);
        let violation = scene.is_barred().unwrap_err();
        assert!(violation.message.contains("returned before that"), "{violation}");
    }
}
