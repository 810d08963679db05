//! Where a call's value came from.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::engine::{Freshness, MissReason, Usable};
use crate::sync::Mutex;
use crate::tag::TagStamp;

/// Where the value of a call came from, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// What gave the value, if there is one.
    pub source: Source,
    /// How long before the call the load of the value began, by the server's clock, if the value
    /// came from an entry. In seconds when serialized, as the others.
    #[serde(serialize_with = "optional_seconds")]
    pub age: Option<Duration>,
    /// How long the load of the entry took.
    #[serde(serialize_with = "optional_seconds")]
    pub load_time: Option<Duration>,
    /// Whether the value was stale.
    pub is_stale: bool,
    /// Whether this call's loader ran, or was begun in the background.
    pub loaded: bool,
    /// Whether it was begun in the background: the call didn't wait for it.
    pub in_background: bool,
    /// How long the call waited for leases and for the loads of others.
    #[serde(serialize_with = "seconds")]
    pub waited: Duration,
    /// Why the value was not taken from an entry at once.
    pub reason: Option<MissReason>,
    /// The tags of the entry that the value came from, as it carries them; `None` if it came from
    /// none.
    #[serde(skip)]
    pub(crate) tags: Option<Box<[TagStamp]>>,
    /// Whether the value was served instead of an error, or of waiting on.
    #[serde(skip)]
    pub(crate) is_instead: bool,
}

/// What gives a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// Nothing: there is no value, or the load failed.
    #[default]
    None,
    /// The memory of the process: the near tier, or the backend in memory.
    Local,
    /// The server.
    Server,
    /// The load of another call, here or in another process.
    OtherCall,
    /// The call's own loader.
    Loader,
}

/// Collects the outcome of one call. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Outcome>>);

impl Outcome {
    /// Returns whether an entry answered the call at once, with a fresh value or a stale one.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        let is_stored = matches!(self.source, Source::Local | Source::Server);
        is_stored && !self.is_instead && (!self.loaded || self.in_background)
    }

    /// Notes a value that was loaded for the call.
    pub(crate) fn from(&mut self, source: Source) {
        let Self { loaded, waited, reason, .. } = std::mem::take(self);
        *self = Self { source, loaded, waited, reason, ..Self::default() };
    }
}

impl Trace {
    /// Returns what was collected so far.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.lock().clone()
    }

    /// Notes that the call's own code can't decode the entry that was found.
    pub fn undecodable(&self) {
        let reason = Some(MissReason::Undecodable);
        self.note(|outcome| {
            let Outcome { loaded, waited, .. } = *outcome;
            *outcome = Outcome { loaded, waited, reason, ..Outcome::default() };
        });
    }

    /// Notes what a call is given instead of an error, or while its load goes on. It was read again.
    pub(crate) fn instead(&self, usable: &Usable) {
        self.note(|outcome| {
            if !usable.is_stale || outcome.source == Source::None {
                outcome.from(Source::Server);
            }
            (outcome.is_stale, outcome.is_instead) = (usable.is_stale, true);
        });
    }

    /// Notes the wait for a lease or for another call, whether or not that gave a value.
    pub(crate) fn waited(&self, waited: Duration, is_hit: bool) {
        self.note(|outcome| {
            outcome.waited += waited;
            if is_hit {
                outcome.from(Source::OtherCall);
            }
        });
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut Outcome)) {
        note(&mut self.0.lock());
    }

    /// Notes an entry that answers the call, and what its server's clock shows.
    pub(crate) fn found(
        &self,
        source: Source,
        freshness: Option<Freshness>,
        tags: Box<[TagStamp]>,
        now: Option<u64>,
    ) {
        self.note(|outcome| {
            outcome.source = source;
            outcome.tags = Some(tags);
            let Some(freshness) = freshness else { return };
            outcome.load_time = Some(freshness.load_time());
            outcome.age = now.map(|now| freshness.age(now));
        });
    }
}

/// Writes a time in seconds.
pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Writes a time in seconds, if there is one.
pub(super) fn optional_seconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::None => "no value",
            Source::Local => "from memory",
            Source::Server => "from the server",
            Source::OtherCall => "loaded by another call",
            Source::Loader => "loaded",
        };
        formatter.write_str(source)?;
        if let Some(age) = self.age {
            write!(formatter, ", {age:?} old")?;
        }
        if self.is_stale {
            formatter.write_str(", stale")?;
        }
        if let Some(reason) = self.reason {
            write!(formatter, "; {reason}")?;
        }
        Ok(())
    }
}
