//! Checks of a history against the guarantees of the near tier.

use std::collections::BTreeMap;
use std::time::Duration;

use hotshelf_core::{Moment, WireKey};

use super::guarantees::{Violation, excerpt};
use super::history::{Event, EventIndex, EventKind, History};

/// The hits of near tiers in a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NearHits {
    /// The number of hits.
    pub count: u64,
    /// The number of those whose entry another process had invalidated: within the bound.
    pub outdated: u64,
}

/// An invalidation that has returned `Ok`.
struct Invalidated {
    process: Option<usize>,
    at: Moment,
    /// The events at which it returned, and at which it began.
    index: EventIndex,
    origin: EventIndex,
}

/// Checks that no near tier gave a call an entry that was outdated for too long.
///
/// A hit reflects every invalidation that its own process made and that had returned `Ok`, and
/// every one of another process that had returned `Ok` more than `bound` earlier. No hit answers
/// a call for a fresh value. `process_of` returns the process of a runtime.
///
/// # Errors
/// Returns the first violation.
pub fn check_near_hits(
    history: &History,
    bound: Duration,
    process_of: impl Fn(usize) -> usize,
) -> Result<NearHits, Violation> {
    let events = history.events();
    let mut invalidated: BTreeMap<&WireKey, Vec<Invalidated>> = BTreeMap::new();
    let mut hits = NearHits::default();
    for (index, event) in events.iter().enumerate() {
        match event.kind {
            EventKind::Invalidated { invalidation: origin } => {
                let process = event.process.map(&process_of);
                for key in &event.keys {
                    let returned = Invalidated { process, at: event.at, index, origin };
                    invalidated.entry(key).or_default().push(returned);
                }
            }
            EventKind::GivenNear { call, origin } => {
                let process = event.process.map(&process_of);
                let returned = invalidated.get(&event.keys[0]).map_or(&[][..], Vec::as_slice);
                let hit = Hit { given: index, call, origin, process };
                hits.outdated += u64::from(hit.check(&events, returned, bound)?);
                hits.count += 1;
            }
            _ => {}
        }
    }
    Ok(hits)
}

#[derive(Clone, Copy)]
struct Hit {
    given: EventIndex,
    call: EventIndex,
    origin: EventIndex,
    process: Option<usize>,
}

impl Hit {
    /// Returns whether its entry was outdated, within the bound.
    fn check(
        self,
        events: &[Event],
        returned: &[Invalidated],
        bound: Duration,
    ) -> Result<bool, Violation> {
        if matches!(events[self.call].kind, EventKind::Asks { fresh: true }) {
            return Err(self.report(events, "the call asked for a fresh value"));
        }
        let is_missed = |it: &&Invalidated| it.index < self.call && it.origin > self.origin;
        let mut is_outdated = false;
        for missed in returned.iter().filter(is_missed) {
            is_outdated = true;
            let age = events[self.call].at.since(missed.at);
            let is_own = missed.process == self.process;
            if is_own || age > bound {
                let whose = if is_own { "its own process's" } else { "another process's" };
                let Invalidated { origin, index, .. } = missed;
                let why = format!(
                    "{whose} invalidation at {origin} had returned at {index}, {age:?} earlier"
                );
                return Err(self.report(events, &why));
            }
        }
        Ok(is_outdated)
    }

    fn report(self, events: &[Event], why: &str) -> Violation {
        let Self { given, call, origin, .. } = self;
        let key = &events[given].keys[0];
        let message = format!(
            "{}: the call at {call} found near, at {given}, the read that began at {origin}, but \
             {why}",
            key.as_str()
        );
        Violation { message, history: excerpt(events, key, origin, given) }
    }
}

#[cfg(test)]
mod tests {
    use hotshelf_core::Runtime;

    use super::super::runtime::SimRuntime;
    use super::*;

    const BOUND: Duration = Duration::from_millis(100);

    /// A process with the runtimes 0 and 1, another one with runtime 2, and an entry that the
    /// latter invalidates.
    struct Scene {
        runtime: SimRuntime,
        history: History,
        key: WireKey,
        origin: EventIndex,
    }

    impl Scene {
        fn invalidated_by(process: usize) -> Self {
            let runtime = SimRuntime::new(1);
            let history = History::new(runtime.clone(), true);
            let key = WireKey::from("k");
            let origin = history.reads(0, &key, None);
            let keys = [key.clone()];
            let invalidation = history.invalidates(process, &keys, "key");
            history.invalidated(process, &keys, invalidation);
            Self { runtime, history, key, origin }
        }

        fn hit_after(&self, wait: Duration, fresh: bool) -> Result<NearHits, Violation> {
            self.runtime.block_on(self.runtime.sleep(wait));
            let call = self.history.asks(0, &self.key, fresh);
            self.history.given_near(0, &self.key, call, self.origin);
            check_near_hits(&self.history, BOUND, |runtime| runtime / 2)
        }
    }

    #[test]
    fn hit_may_be_outdated_within_the_bound() {
        let scene = Scene::invalidated_by(2);
        assert_eq!(scene.hit_after(BOUND, false), Ok(NearHits { count: 1, outdated: 1 }));
        let violation = scene.hit_after(Duration::from_nanos(1), false).unwrap_err();
        assert!(violation.message.contains("had returned at 2, 100.000001ms"), "{violation}");
    }

    #[test]
    fn own_invalidation_has_no_bound() {
        let violation = Scene::invalidated_by(1).hit_after(Duration::ZERO, false).unwrap_err();
        assert!(violation.message.contains("its own process's invalidation"), "{violation}");
    }

    #[test]
    fn fresh_call_is_not_answered_near() {
        let scene = Scene::invalidated_by(2);
        let violation = scene.hit_after(Duration::ZERO, true).unwrap_err();
        assert!(violation.message.contains("asked for a fresh value"), "{violation}");
    }
}
