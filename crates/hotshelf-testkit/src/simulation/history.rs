//! What the processes of a simulation did, in the order in which it happened.

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
    at: Moment,
    process: Option<usize>,
    /// The keys of the entries that it is about; none if it is about all.
    pub(super) keys: Vec<WireKey>,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Asks { fresh: bool },
    Given { call: EventIndex, origin: EventIndex },
    GivenError { call: EventIndex, origin: EventIndex },
    GivesUp { call: EventIndex },
    Reads { call: Option<EventIndex> },
    Finds { origin: EventIndex, version: u64 },
    Invalidates { by: &'static str },
    Invalidated { invalidation: EventIndex },
    Note(String),
}

impl History {
    /// Begins a history. A detailed one keeps notes, too.
    #[must_use]
    pub fn new(runtime: SimRuntime, detailed: bool) -> Self {
        Self { runtime, detailed, events: Mutex::default() }
    }

    /// A call begins. With `fresh`, only what is read after it began answers it.
    pub fn asks(&self, process: usize, key: &WireKey, fresh: bool) -> EventIndex {
        self.push(process, key, What::Asks { fresh })
    }

    /// A call was given the value that a read of the source of truth had found.
    pub fn given(&self, process: usize, key: &WireKey, call: EventIndex, origin: EventIndex) {
        self.push(process, key, What::Given { call, origin });
    }

    /// A call was given the error in which a read of the source of truth had ended.
    pub fn given_error(&self, process: usize, key: &WireKey, call: EventIndex, origin: EventIndex) {
        self.push(process, key, What::GivenError { call, origin });
    }

    /// A caller has given its call up.
    pub fn gives_up(&self, process: usize, key: &WireKey, call: EventIndex) {
        self.push(process, key, What::GivesUp { call });
    }

    /// Somebody begins to read the source of truth, or to write it. What they find there,
    /// or have written, is identified by the index that this returns, its origin. For a loader,
    /// `call` is the call that runs it.
    pub fn reads(&self, process: usize, key: &WireKey, call: Option<EventIndex>) -> EventIndex {
        self.push(process, key, What::Reads { call })
    }

    /// What was read or written is this version. It shows in reports only.
    pub fn finds(&self, process: usize, key: &WireKey, origin: EventIndex, version: u64) {
        self.push(process, key, What::Finds { origin, version });
    }

    /// An invalidation begins: of keys, or of all entries that carry a tag.
    pub fn invalidates(&self, process: usize, keys: &[WireKey], by: &'static str) -> EventIndex {
        self.push_all(Some(process), keys, What::Invalidates { by })
    }

    /// An invalidation has answered `Ok`.
    pub fn invalidated(&self, process: usize, keys: &[WireKey], invalidation: EventIndex) {
        self.push_all(Some(process), keys, What::Invalidated { invalidation });
    }

    /// Something else happened, to the process if there is one: to some keys, or to all if
    /// there are none. Only a detailed history takes note of it.
    pub fn note(&self, process: Option<usize>, keys: &[WireKey], text: impl FnOnce() -> String) {
        if self.detailed {
            self.push_all(process, keys, What::Note(text()));
        }
    }

    /// Counts the invalidations of a key that began and ended since a read of its source
    /// began.
    #[must_use]
    pub fn invalidations_since(&self, origin: EventIndex) -> u64 {
        let events = self.events();
        let key = &events[origin].keys[0];
        let since = |event: &&Event| match event.what {
            What::Invalidated { invalidation } => invalidation > origin && event.keys.contains(key),
            _ => false,
        };
        events[origin..].iter().filter(since).count() as u64
    }

    /// Counts the calls that were given a value or an error.
    #[must_use]
    pub fn answers(&self) -> u64 {
        let is_answer =
            |event: &&Event| matches!(event.what, What::Given { .. } | What::GivenError { .. });
        self.events().iter().filter(is_answer).count() as u64
    }

    pub(super) fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock()
    }

    fn push(&self, process: usize, key: &WireKey, what: What) -> EventIndex {
        self.push_all(Some(process), std::slice::from_ref(key), what)
    }

    fn push_all(&self, process: Option<usize>, keys: &[WireKey], what: What) -> EventIndex {
        let event = Event { at: self.runtime.now(), process, keys: keys.to_vec(), what };
        let mut events = self.events();
        events.push(event);
        events.len() - 1
    }
}

/// Shows everything that happened.
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
        write!(formatter, " {}", self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks { fresh: false } => write!(formatter, "asks"),
            Self::Asks { fresh: true } => write!(formatter, "asks for a fresh value"),
            Self::Given { call, origin } => {
                write!(formatter, "is given, for its call at {call}, what was read at {origin}")
            }
            Self::GivenError { call, origin } => {
                write!(formatter, "is given, for its call at {call}, the error of {origin}")
            }
            Self::GivesUp { call } => write!(formatter, "gives its call at {call} up"),
            Self::Reads { call: None } => write!(formatter, "goes to the source"),
            Self::Reads { call: Some(call) } => {
                write!(formatter, "loads from the source for its call at {call}")
            }
            Self::Finds { origin, version } => {
                write!(formatter, "has version {version} from its turn at the source at {origin}")
            }
            Self::Invalidates { by } => write!(formatter, "invalidates by {by}"),
            Self::Invalidated { invalidation } => {
                write!(formatter, "is told Ok for its invalidation at {invalidation}")
            }
            Self::Note(text) => formatter.write_str(text),
        }
    }
}
