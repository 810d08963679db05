//! Events: what happens seldom, and matters to those who run a service.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Serialize;

use crate::runtime::{Moment, Runtime};
use crate::sync::Mutex;

/// The number of events that are kept. A reader that is slower misses the oldest ones.
const KEPT: usize = 256;

/// The number of these up to which frequent ones, such as invalidations, replace others.
const FREQUENT: usize = KEPT / 2;

/// The number of readers that may wait at once.
const READERS: usize = 64;

/// The number of characters of a name in an event, or in a log.
const SHOWN: usize = 200;

/// Returns the beginning of a long name, for an event or a log, which are kept.
#[must_use]
pub fn shortened(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// Operations of a kind begin to fail.
    BackendFails {
        /// What fails: `read`, `acquire`, `store`, `invalidate` and others, as in metrics.
        operation: &'static str,
        /// The error. It contains no passwords and no values.
        error: String,
    },
    /// They work again.
    BackendWorks {
        /// What works.
        operation: &'static str,
        /// How many had failed.
        failures: u64,
    },
    /// Something was invalidated, or should have been.
    Invalidated {
        /// `key`, `tag`, `pattern` or `all`.
        by: &'static str,
        /// The keys, the tags or the pattern: the first ones.
        names: Vec<String>,
        /// The number of names.
        count: usize,
        /// Whether the backend has executed it.
        succeeded: bool,
    },
    /// A loader took longer than a second.
    SlowLoad {
        /// The cache.
        cache: String,
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// The caches were switched on or off.
    Enabled {
        /// Whether they are on.
        enabled: bool,
    },
    /// Somebody did something by an admin page.
    Admin {
        /// Who, as the application says.
        who: String,
        /// What.
        what: String,
    },
}

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Event {
    /// The number of the event: one more than that of the one before.
    pub number: u64,
    /// When it happened, on the runtime's clock.
    #[serde(skip)]
    pub at: Moment,
    /// What has happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The latest events of a store.
pub struct Events {
    runtime: Arc<dyn Runtime>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: VecDeque<Event>,
    /// The number of events so far.
    count: u64,
    waiting: Vec<Waker>,
}

impl EventKind {
    /// Returns `true` if a busy service has many of them.
    fn is_frequent(&self) -> bool {
        matches!(self, Self::Invalidated { .. } | Self::SlowLoad { .. })
    }
}

impl State {
    /// Drops an event: the oldest, unless most are frequent ones, which don't push others out.
    fn make_room(&mut self) {
        let frequent = self.kept.iter().filter(|event| event.kind.is_frequent()).count();
        let oldest = match frequent > FREQUENT {
            true => self.kept.iter().position(|event| event.kind.is_frequent()),
            false => None,
        };
        self.kept.remove(oldest.unwrap_or(0));
    }
}

impl Events {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, state: Mutex::default() }
    }

    /// Adds an event.
    pub fn add(&self, kind: EventKind) {
        let at = self.runtime.now();
        let mut state = self.state.lock();
        let number = state.count;
        state.count += 1;
        if state.kept.len() == KEPT {
            state.make_room();
        }
        state.kept.push_back(Event { number, at, kind });
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        // Wakers may run any code, so not under the lock.
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Returns the kept events from a number on, oldest first.
    #[must_use]
    pub fn since(&self, number: u64) -> Vec<Event> {
        let state = self.state.lock();
        state.kept.iter().filter(|event| event.number >= number).cloned().collect()
    }

    /// Returns how long ago an event happened.
    #[must_use]
    pub fn age(&self, event: &Event) -> Duration {
        self.runtime.now().since(event.at)
    }

    /// Returns the events from now on. It never ends.
    #[must_use]
    pub fn stream(self: &Arc<Self>) -> EventStream {
        let next = self.state.lock().count;
        EventStream { events: Arc::clone(self), next }
    }
}

/// The events of a store from a moment on. A reader that falls behind misses some: their numbers
/// are missing.
#[derive(Debug)]
pub struct EventStream {
    events: Arc<Events>,
    /// The number of the next event.
    next: u64,
}

impl EventStream {
    /// Waits for the next event.
    ///
    /// # Cancel safety
    /// No event is lost if the future is dropped.
    pub async fn next(&mut self) -> Event {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Polls for the next event.
    pub fn poll_next(&mut self, context: &Context<'_>) -> Poll<Event> {
        let mut state = self.events.state.lock();
        let event = state.kept.iter().find(|event| event.number >= self.next).cloned();
        match event {
            Some(event) => {
                self.next = event.number + 1;
                Poll::Ready(event)
            }
            None => {
                let waker = context.waker();
                if !state.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
                    if state.waiting.len() == READERS {
                        state.waiting.remove(0).wake();
                    }
                    state.waiting.push(waker.clone());
                }
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.state.lock().count;
        formatter.debug_struct("Events").field("count", &count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::runtime::fixed::FixedRuntime;

    fn enabled(enabled: bool) -> EventKind {
        EventKind::Enabled { enabled }
    }

    #[test]
    fn invalidations_push_no_outage_out() {
        let events = Events::new(Arc::new(FixedRuntime(0)));
        events.add(EventKind::BackendFails { operation: "read", error: "timeout".into() });
        for _ in 0..2 * KEPT {
            let (names, count) = (Vec::new(), 1);
            events.add(EventKind::Invalidated { by: "key", names, count, succeeded: true });
        }
        let kept = events.since(0);
        assert_eq!((kept.len(), kept[0].number), (KEPT, 0));
        for _ in 0..KEPT {
            events.add(enabled(true));
        }
        let kept = events.since(0);
        assert_eq!(kept.len(), KEPT);
        assert!(kept.iter().filter(|event| event.kind.is_frequent()).count() <= FREQUENT);
    }

    #[test]
    fn readers_get_events_from_their_start_on() {
        let events = Arc::new(Events::new(Arc::new(FixedRuntime(0))));
        events.add(enabled(true));
        let mut stream = events.stream();
        assert!(stream.next().now_or_never().is_none());
        events.add(enabled(false));
        let event = stream.next().now_or_never().unwrap();
        assert_eq!((event.number, event.kind), (1, enabled(false)));
        assert!(stream.next().now_or_never().is_none());
        assert_eq!(events.since(0).len(), 2);
        assert_eq!(events.since(2).len(), 0);
    }

    #[test]
    fn slow_readers_miss_the_oldest() {
        let events = Arc::new(Events::new(Arc::new(FixedRuntime(0))));
        let mut stream = events.stream();
        for _ in 0..KEPT + 10 {
            events.add(enabled(true));
        }
        assert_eq!(stream.next().now_or_never().unwrap().number, 10);
        assert_eq!(events.since(0).len(), KEPT);
    }
}
