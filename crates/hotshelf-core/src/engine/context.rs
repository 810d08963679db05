//! What all calls of one cache have in common.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::time::Duration;

use bytes::Bytes;

use super::outcome::{MissReason, Value};
use super::read::View;
use crate::cache::{CacheOptions, Validated};
use crate::codec::Codec;
use crate::key::{Namespace, WireKey};
use crate::stats::{Counter, Stats};
use crate::tag::Tags;
use crate::ttl::Ttl;

/// A cache, independent of the backend that it is on.
pub(crate) struct CacheContext {
    /// The cache's number in its store: views of one cache share it, and with it flights.
    pub(crate) number: u64,
    pub(crate) namespace: Namespace,
    /// What all keys begin with.
    pub(crate) key_prefix: String,
    /// The tags that all entries carry: the epoch, or none.
    pub(crate) tags: Tags,
    pub(crate) options: CacheOptions,
    pub(crate) validated: Validated,
    pub(crate) codec: Arc<dyn Codec>,
    pub(crate) stats: Arc<Stats>,
    /// Whether the caches of the store are on.
    pub(crate) enabled: Arc<AtomicBool>,
    /// The kinds of errors that were logged already, a bit for each.
    pub(crate) logged: Arc<AtomicU32>,
}

/// One call that loads, or fills by hand.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) cache: &'a Arc<CacheContext>,
    pub(crate) key: &'a WireKey,
    /// The tags that the value is to carry.
    pub(crate) tags: &'a Tags,
    /// The longest time that an entry of the call may live, which its tags have to outlive.
    pub(crate) keep: Ttl,
    /// The type of the loader's error.
    pub(crate) errors: TypeId,
    /// Whether the knowledge that there is no value answers the call.
    pub(crate) takes_absent: bool,
    /// Whether the value must come from a loader that begins after this call.
    pub(crate) reload: bool,
    /// How long the call waits for another one of this process; `None` for as long as that
    /// one takes.
    pub(crate) join_timeout: Option<Duration>,
    /// How long the call may still wait for the backend, over all of its requests.
    pub(crate) backend_budget: Duration,
}

/// What callers must have in common to share a flight: then each of them can use what any
/// of them loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    cache: u64,
    errors: TypeId,
    takes_absent: bool,
}

impl CacheContext {
    /// Decodes an entry's value for a call. One that can't be decoded is counted.
    pub(crate) fn decode(
        &self,
        value: &Bytes,
        absent: bool,
        takes_absent: bool,
    ) -> Result<Value, MissReason> {
        match (absent, takes_absent) {
            (true, true) => Ok(Value::Absent),
            (true, false) => Err(MissReason::KnownAbsent),
            (false, _) => self.codec.decode(value).map(Value::Present).map_err(|_| {
                self.stats.count(Counter::Foreign);
                MissReason::Undecodable
            }),
        }
    }
}

impl<'a> Call<'a> {
    pub(crate) fn identity(&self) -> Identity {
        let (errors, takes_absent) = (self.errors, self.takes_absent);
        Identity { cache: self.cache.number, errors, takes_absent }
    }

    pub(crate) fn view(&self) -> View<'a> {
        View::of(self.cache, self.tags)
    }

    pub(crate) fn count(&self, counter: Counter) {
        self.cache.stats.count(counter);
    }
}

impl fmt::Debug for CacheContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("CacheContext");
        debug.field("namespace", &self.namespace).field("options", &self.options);
        debug.field("codec", &self.codec).finish_non_exhaustive()
    }
}
