//! The history of a simulation.

use std::fmt;

use hotshelf_core::sync::{Mutex, MutexGuard};
use hotshelf_core::{Moment, Runtime, WireKey};

use super::runtime::SimRuntime;

/// A record of all calls, reads of the source of truth and invalidations.
///
/// Its events are in a total order, even those at the same moment of the simulated clock.
pub struct History {
    runtime: SimRuntime,
    detailed: bool,
    events: Mutex<Vec<Event>>,
}

/// The index of an event in its history, which identifies calls, reads and invalidations.
pub type EventIndex = usize;

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Moment,
    pub(super) process: Option<usize>,
    /// The keys of the entries that it concerns; empty if it concerns all.
    pub(super) keys: Vec<WireKey>,
    pub(super) kind: EventKind,
}

#[derive(Clone, Debug)]
pub(super) enum EventKind {
    Asks { fresh: bool },
    Given { call: EventIndex, origin: EventIndex },
    GivenError { call: EventIndex, origin: EventIndex },
    GivenNear { call: EventIndex, origin: EventIndex },
    Cancels { call: EventIndex },
    Reads { call: Option<EventIndex> },
    Finds { origin: EventIndex, version: u64 },
    Ends { origin: EventIndex, failed: bool },
    Barred { call: EventIndex },
    Invalidates { by: &'static str },
    Invalidated { invalidation: EventIndex },
    Note(String),
}

impl History {
    /// Creates a history. A detailed one also keeps notes.
    #[must_use]
    pub fn new(runtime: SimRuntime, detailed: bool) -> Self {
        Self { runtime, detailed, events: Mutex::default() }
    }

    /// Records that a call begins. With `fresh`, it must not be given a read that began
    /// earlier.
    pub fn asks(&self, process: usize, key: &WireKey, fresh: bool) -> EventIndex {
        self.push(process, key, EventKind::Asks { fresh })
    }

    /// Records that a call was given the value of a read of the source of truth.
    pub fn given(&self, process: usize, key: &WireKey, call: EventIndex, origin: EventIndex) {
        self.push(process, key, EventKind::Given { call, origin });
    }

    /// Records that a call was given the value of a read of the source of truth by a near tier,
    /// at the moment at which it began.
    pub fn given_near(&self, process: usize, key: &WireKey, call: EventIndex, origin: EventIndex) {
        self.push(process, key, EventKind::GivenNear { call, origin });
    }

    /// Records that a call was given the error of a read of the source of truth.
    pub fn given_error(&self, process: usize, key: &WireKey, call: EventIndex, origin: EventIndex) {
        self.push(process, key, EventKind::GivenError { call, origin });
    }

    /// Records that a caller has cancelled its call.
    pub fn gives_up(&self, process: usize, key: &WireKey, call: EventIndex) {
        self.push(process, key, EventKind::Cancels { call });
    }

    /// Records that a read or a write of the source of truth begins. The returned index, its
    /// origin, identifies the value that is read or written. For a loader, `call` is the call
    /// that runs it.
    pub fn reads(&self, process: usize, key: &WireKey, call: Option<EventIndex>) -> EventIndex {
        self.push(process, key, EventKind::Reads { call })
    }

    /// Records the version that was read or written. It is only used in reports.
    pub fn finds(&self, process: usize, key: &WireKey, origin: EventIndex, version: u64) {
        self.push(process, key, EventKind::Finds { origin, version });
    }

    /// Records that a loader has ended: with a value, an error, or because it was dropped.
    pub fn ends(&self, process: usize, key: &WireKey, origin: EventIndex, failed: bool) {
        self.push(process, key, EventKind::Ends { origin, failed });
    }

    /// Records that a call is told not to load or not to store, since a load has failed.
    pub fn barred(&self, process: usize, key: &WireKey, call: EventIndex) {
        self.push(process, key, EventKind::Barred { call });
    }

    /// Returns the version that was found by a read or a write of the source.
    #[must_use]
    pub fn version_of(&self, of: EventIndex) -> Option<u64> {
        let events = self.events();
        let found = |event: &Event| match event.kind {
            EventKind::Finds { origin, version } if origin == of => Some(version),
            _ => None,
        };
        events[of..].iter().find_map(found)
    }

    /// Returns the index of the first event after a moment: a read that began with it sees what a
    /// replica that shows that moment does.
    #[must_use]
    pub fn index_after(&self, moment: Moment) -> EventIndex {
        self.events().partition_point(|event| event.at <= moment)
    }

    /// Records that an invalidation begins: of keys, or of all entries that carry a tag.
    pub fn invalidates(&self, process: usize, keys: &[WireKey], by: &'static str) -> EventIndex {
        self.push_all(Some(process), keys, EventKind::Invalidates { by })
    }

    /// Records that an invalidation has returned `Ok`.
    pub fn invalidated(&self, process: usize, keys: &[WireKey], invalidation: EventIndex) {
        self.push_all(Some(process), keys, EventKind::Invalidated { invalidation });
    }

    /// Records another event, of a process or of none, that concerns `keys`, or all keys if
    /// empty. Only a detailed history keeps it.
    pub fn note(&self, process: Option<usize>, keys: &[WireKey], text: impl FnOnce() -> String) {
        if self.detailed {
            self.push_all(process, keys, EventKind::Note(text()));
        }
    }

    /// Returns the number of invalidations of a key that began and ended since a read of its
    /// source began.
    #[must_use]
    pub fn invalidations_since(&self, origin: EventIndex) -> u64 {
        let events = self.events();
        let key = &events[origin].keys[0];
        let since = |event: &&Event| match event.kind {
            EventKind::Invalidated { invalidation } => {
                invalidation > origin && event.keys.contains(key)
            }
            _ => false,
        };
        events[origin..].iter().filter(since).count() as u64
    }

    /// Returns the number of calls that were given a value or an error.
    #[must_use]
    pub fn answers(&self) -> u64 {
        let is_answer = |event: &&Event| {
            matches!(
                event.kind,
                EventKind::Given { .. }
                    | EventKind::GivenError { .. }
                    | EventKind::GivenNear { .. }
            )
        };
        self.events().iter().filter(is_answer).count() as u64
    }

    pub(super) fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock()
    }

    fn push(&self, process: usize, key: &WireKey, kind: EventKind) -> EventIndex {
        self.push_all(Some(process), std::slice::from_ref(key), kind)
    }

    fn push_all(&self, process: Option<usize>, keys: &[WireKey], kind: EventKind) -> EventIndex {
        let event = Event { at: self.runtime.now(), process, keys: keys.to_vec(), kind };
        let mut events = self.events();
        events.push(event);
        events.len() - 1
    }
}

/// Lists all events.
impl fmt::Display for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, event) in self.events().iter().enumerate() {
            write!(formatter, "{index:>6} {event}")?;
            for key in &event.keys {
                write!(formatter, " [{}]", key.as_str())?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

impl fmt::Debug for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("History")
            .field("events", &self.events().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = (self.at - Moment::default()).as_secs_f64() * 1000.0;
        write!(formatter, "{millis:>12.3} ms ")?;
        match self.process {
            Some(process) => write!(formatter, "{:<5}", format!("p{process}"))?,
            None => write!(formatter, "world")?,
        }
        write!(formatter, " {}", self.kind)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks { fresh: false } => write!(formatter, "asks"),
            Self::Asks { fresh: true } => write!(formatter, "asks for a fresh value"),
            Self::Given { call, origin } => {
                write!(formatter, "receives, for its call at {call}, the read at {origin}")
            }
            Self::GivenError { call, origin } => {
                write!(formatter, "receives, for its call at {call}, the error of {origin}")
            }
            Self::GivenNear { call, origin } => {
                write!(formatter, "finds, for its call at {call}, the read at {origin} near")
            }
            Self::Cancels { call } => write!(formatter, "cancels its call at {call}"),
            Self::Reads { call: None } => write!(formatter, "accesses the source"),
            Self::Reads { call: Some(call) } => {
                write!(formatter, "loads from the source for its call at {call}")
            }
            Self::Finds { origin, version } => {
                write!(formatter, "has version {version} from its access to the source at {origin}")
            }
            Self::Ends { origin, failed: false } => write!(formatter, "ends its load at {origin}"),
            Self::Ends { origin, failed: true } => {
                write!(formatter, "fails in its load at {origin}")
            }
            Self::Barred { call } => {
                write!(formatter, "may not fill, in its call at {call}, since a load has failed")
            }
            Self::Invalidates { by } => write!(formatter, "invalidates by {by}"),
            Self::Invalidated { invalidation } => {
                write!(formatter, "completes its invalidation at {invalidation}")
            }
            Self::Note(text) => formatter.write_str(text),
        }
    }
}
