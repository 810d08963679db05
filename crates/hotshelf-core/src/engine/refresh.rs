//! Refreshes: loads of keys whose value is served meanwhile.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::admission::Admitted;
use super::call::Call;
use super::flight::{Leadership, Lease};
use super::freshness::Edition;
use super::held::Purpose;
use super::lease::{Answer, acquire, occupant_of};
use super::outcome::{Occupant, ReadOutcome, Stale, Value};
use super::ticket::Ticket;
use super::{Engine, scope};
use crate::backend::{Seen, Token};
use crate::key::WireKey;
use crate::runtime::Moment;
use crate::sync::Mutex;

/// The number of refreshes that a store runs at once. Beyond it, callers go on with what they
/// have: refreshing is not urgent, and loaders cost the source.
const AT_ONCE: usize = 256;

/// How many keys are remembered that are not to be refreshed yet.
const MOST_PAUSED: usize = 10_000;

/// How often ended pauses are removed from a full list, at most.
const SWEEPING: Duration = Duration::from_secs(1);

/// How long a process leaves a refresh to another one before it asks again.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(1);

/// How long a process leaves a key alone whose refresh was dropped.
const ABANDONED: Duration = Duration::from_secs(1);

/// How often a refresh asks for a lease: other processes may store entries meanwhile.
const ATTEMPTS: usize = 3;

/// The keys that this process refreshes, or has failed to refresh.
#[derive(Default)]
pub(crate) struct Refreshes(Mutex<State>);

#[derive(Default)]
struct State {
    keys: HashMap<WireKey, Refreshing, RandomState>,
    running: usize,
    /// The number of claims so far.
    claims: u64,
    /// When ended pauses were removed last.
    swept: Option<Moment>,
}

#[derive(Clone, Copy, PartialEq)]
enum Refreshing {
    /// Since this moment, by the claim of this number.
    Now(Moment, u64),
    /// Not before this moment, if this is still the entry.
    After(Moment, Edition),
}

/// The right to refresh a key, within this process.
pub(crate) struct Claim {
    engine: Arc<Engine>,
    key: WireKey,
    number: u64,
    edition: Edition,
    /// How long nobody else of the process tries.
    pause: Duration,
}

impl Refreshes {
    /// Returns `true` if a load failed so recently that it isn't repeated yet, and the key still
    /// has the entry that it had then: a newer one ends the pause.
    pub(crate) fn is_paused(&self, key: &WireKey, edition: Edition, now: Moment) -> bool {
        self.0.lock().keys.get(key).is_some_and(|found| found.is_paused(edition, now))
    }

    /// Leaves a key alone for a time, while it has this entry.
    pub(crate) fn pause(&self, key: &WireKey, edition: Edition, now: Moment, pause: Duration) {
        self.0.lock().pause(key, edition, now, pause);
    }
}

impl State {
    fn pause(&mut self, key: &WireKey, edition: Edition, now: Moment, pause: Duration) {
        if pause.is_zero() {
            return;
        }
        let after = Refreshing::After(now + pause, edition);
        if let Some(found) = self.keys.get_mut(key) {
            if !matches!(found, Refreshing::Now(..)) {
                *found = after;
            }
            return;
        }
        let is_full = self.keys.len() >= MOST_PAUSED;
        if is_full && self.swept.is_none_or(|swept| now.since(swept) >= SWEEPING) {
            self.swept = Some(now);
            self.keys.retain(|_, found| match found {
                Refreshing::Now(..) => true,
                Refreshing::After(until, _) => *until > now,
            });
        }
        if self.keys.len() < MOST_PAUSED {
            self.keys.insert(key.clone(), after);
        }
    }
}

impl Refreshing {
    fn is_paused(self, edition: Edition, now: Moment) -> bool {
        matches!(self, Self::After(until, of) if until > now && of == edition)
    }
}

impl Claim {
    /// Claims the refresh of a key that has this entry. `None` if this process refreshes the key
    /// already, has tried a moment ago, or refreshes enough others.
    pub(crate) fn new(engine: &Arc<Engine>, key: &WireKey, edition: Edition) -> Option<Self> {
        let mut state = engine.refreshes.0.lock();
        let now = engine.runtime.now();
        let is_taken = match state.keys.get(key) {
            None => false,
            // Nobody may poll its holder. The lease still keeps two of them from loading at once.
            Some(Refreshing::Now(since, _)) => now.since(*since) <= engine.lease,
            Some(found) => found.is_paused(edition, now),
        };
        if is_taken {
            return None;
        }
        if state.running >= AT_ONCE || scope::is_computing(engine, key) {
            return None;
        }
        state.running += 1;
        state.claims += 1;
        let number = state.claims;
        state.keys.insert(key.clone(), Refreshing::Now(now, number));
        let (engine, key) = (Arc::clone(engine), key.clone());
        Some(Self { engine, key, number, edition, pause: ABANDONED })
    }

    /// Sets how long the process then leaves the key alone. A refresh that is dropped leaves it alone
    /// for a second.
    pub(crate) fn pause(&mut self, pause: Duration) {
        self.pause = pause;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let engine = &self.engine;
        let mut state = engine.refreshes.0.lock();
        state.running -= 1;
        if !matches!(state.keys.get(&self.key), Some(Refreshing::Now(_, it)) if *it == self.number)
        {
            return;
        }
        state.keys.remove(&self.key);
        state.pause(&self.key, self.edition, engine.runtime.now(), self.pause);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Claim").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The answer to a request for a refresh.
pub(crate) enum Asked {
    /// The right and the duty to load, and the entry, if it is another one than that which the call
    /// has seen.
    Lead(Ticket, Option<Box<Stale>>),
    /// Another process has just done it.
    Found(Value),
    /// Another process does it, or nobody may for this time.
    Later(Duration),
}

/// Requests the lease of a key that has a value, without waiting for it. The flight can't be
/// joined: callers have the value.
///
/// Costs one round trip, or more if another process has stored an entry meanwhile.
pub(crate) async fn ask(call: Call<'_>, engine: &Arc<Engine>, mut seen: Seen) -> Asked {
    let mut leadership = Leadership::alone(engine, call);
    let (mut occupant, mut newer, mut is_stale) = (Some(Occupant::ThisCache), None, true);
    for _ in 0..ATTEMPTS {
        let permit = engine.admission.permit(&*engine.runtime, Admitted::Acquire).await;
        let token = Token::random(&*engine.runtime);
        let answer = {
            let asking = pin!(acquire(call, engine, token, &seen, Purpose::Load));
            leadership.budget.spend(&*engine.runtime, asking).await
        };
        drop(permit);
        match answer {
            Some(Answer::Granted(lease)) => {
                let is_over_seen = lease.is_over_seen && is_stale;
                leadership.lease = Some(Lease { occupant, is_over_seen, ..lease });
                return Asked::Lead(Ticket::begin(leadership), newer);
            }
            Some(Answer::Present(raw, versions)) => {
                let examining = pin!(engine.examine(call, &raw, &versions));
                match leadership.budget.spend(&*engine.runtime, examining).await {
                    Some(Ok(ReadOutcome::Hit(value))) => return Asked::Found(value),
                    Some(Ok(outcome)) => {
                        occupant = occupant_of(&outcome);
                        is_stale = matches!(outcome, ReadOutcome::Stale(_));
                        if let ReadOutcome::Stale(stale) = outcome {
                            newer = Some(stale);
                        }
                        seen = Seen::entry(&raw);
                    }
                    Some(Err(_)) | None => break,
                }
            }
            Some(Answer::Busy(left)) => return Asked::Later(left.min(LEFT_TO_OTHERS)),
            Some(Answer::Held(left) | Answer::BackingOff(left)) => return Asked::Later(left),
            Some(Answer::Impossible) | None => break,
        }
    }
    Asked::Later(LEFT_TO_OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_list_forgets_ended_pauses_once_a_second() {
        let (mut state, second) = (State::default(), Duration::from_secs(1));
        let edition = Edition::default();
        let mut pause = |key: usize, now: u32| {
            let now = Moment::after_start(second * now);
            state.pause(&WireKey::from(key.to_string()), edition, now, 2 * second);
            state.keys.len()
        };
        for key in 0..=MOST_PAUSED {
            assert_eq!(pause(key, 0), MOST_PAUSED.min(key + 1));
        }
        assert_eq!(pause(MOST_PAUSED, 1), MOST_PAUSED, "none has ended");
        assert_eq!(pause(MOST_PAUSED, 3), 1);
    }
}
