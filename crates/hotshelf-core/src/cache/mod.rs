//! Everything that a cache decides without knowing the type of its values: options with their
//! defaults, keys, tags, hits and misses, limits, whether a value is stored, counting and
//! logging.
//!
//! Rust's `Cache<T>` adds a codec and generics; Python adds bytes, asyncio and its objects.
//! Neither takes a caching decision.
//!
//! - [`ByteStore`]: a backend and the caches on it.
//! - [`ByteCache`]: one cache: [`read`](ByteCache::read), [`load`](ByteCache::load),
//!   [`insert`](ByteCache::insert), [`write_guard`](ByteCache::write_guard),
//!   [`invalidate`](ByteCache::invalidate).

mod call;
mod counting;
mod decoded_entry;
mod entry_key;
mod expire;
mod explain;
mod inherited;
mod insert;
mod inspection;
mod invalidate;
mod load;
mod load_many;
mod load_ticket;
mod load_timeouts;
mod local;
mod read;
mod refresh;
mod registry;
mod span;
mod store;
mod trace;
mod write_guard;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::codec::Opaque;
use crate::context::CacheContext;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::key::{Key, Namespace, WireKey};
use crate::runtime::Runtime;
use crate::stats::{CacheStats, Counter};
use crate::ttl::Ttl;

pub use crate::context::{CacheOptions, Foreign, NegativeTtl, TagRule};
pub use crate::engine::{Filled, LEASE, Miss, MissReason, ReadOutcome, SharedError, Stale, Value};
pub use call::{CallOptions, Mode, RefreshMode};
pub use decoded_entry::{DecodedEntry, EntryState};
pub use entry_key::EntryKey;
pub use explain::{EntryInfo, Explanation, TagInfo, Verdict};
pub use inherited::InheritedTags;
pub use insert::Inserts;
pub(crate) use inspection::cache_id;
pub use inspection::{EntryScan, Inspection};
pub use load::Loaded;
pub use load_many::{Ended, ManyLoad};
pub use load_ticket::{Decision, LoadTicket};
pub use load_timeouts::{LoadTimeouts, Waited};
pub use refresh::{Begun, Refresh};
pub use registry::{CacheDefinition, CacheInfo, ValueKind, declare_prefix};
pub use store::{ByteStore, CLOSE_TIMEOUT, Unfinished};
pub use trace::{Outcome, Source, Trace};
pub use write_guard::{WriteGuard, Written, WrittenValues};

/// A cache of values whose type only its codec knows. A cheap handle.
///
/// Keys are passed as `Result`s, so that a key that a binding could not build stops neither
/// the other keys nor a load.
#[derive(Clone)]
pub struct ByteCache {
    engine: Arc<Engine>,
    context: Arc<CacheContext>,
}

impl ByteCache {
    /// Builds the key of an entry, with its tags.
    #[must_use]
    pub fn key(&self, key: &Key<'_>) -> EntryKey {
        let cache = &self.context;
        let tags = cache
            .tag_rule
            .as_ref()
            .map(|rule| cache.tag_sets.of(&cache.tags, rule.names(key)).map_err(Box::new));
        EntryKey { wire: self.wire_key(key), tags }
    }

    /// Builds the exact key of an entry in the backend.
    #[must_use]
    pub fn wire_key(&self, key: &Key<'_>) -> WireKey {
        self.context.namespace.wire_key_after(&self.context.key_prefix, key)
    }

    /// Returns the namespace of the cache's keys.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.context.namespace
    }

    /// Returns the options that the cache was built with.
    #[must_use]
    pub fn options(&self) -> &CacheOptions {
        &self.context.options
    }

    /// Returns the cache's counters in this process.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.context.stats.read()
    }

    /// Returns the keys that this process reads most, the hottest first, each with the number of
    /// its reads among those that were looked at, one in 61.
    #[must_use]
    pub fn hot_keys(&self, most: usize) -> Vec<(WireKey, u64)> {
        self.context.stats.hot_keys().top(most)
    }

    /// Returns the runtime of the cache's store.
    #[must_use]
    pub fn runtime(&self) -> &dyn Runtime {
        &*self.engine.runtime
    }

    /// Counts a key that could not be built, and logs the first one.
    pub fn reject(&self, error: &Error) {
        self.count(Counter::Error);
        self.report(Mistake::Key, error);
    }

    /// Counts an option of a call that could not be converted, and logs the first one.
    pub fn reject_option(&self, error: &Error) {
        self.count(Counter::Error);
        self.report(Mistake::Option, error);
    }

    /// Counts an entry that the caller could not decode, and logs the first one.
    pub fn undecodable(&self, error: &Error) {
        self.count(Counter::Foreign);
        self.report(Mistake::Entry, error);
    }

    fn is_enabled(&self) -> bool {
        self.context.enabled.load(Ordering::Relaxed)
    }

    fn count(&self, counter: Counter) {
        self.context.stats.count(counter);
    }

    fn jittered(&self, ttl: Ttl) -> Ttl {
        self.context.options.jitter.apply(ttl, &*self.engine.runtime)
    }

    /// Encodes a value. Values that cannot be stored are counted.
    fn encode(&self, value: &Opaque) -> Result<Bytes, Error> {
        let limit = self.context.options.max_value_bytes;
        let encoded = self.context.codec.encode(value).and_then(|raw| match raw.len() {
            _ if !self.context.validated.format.can_hold(&raw) => Err(Error::new(
                ErrorKind::Encode,
                "the value ends like an entry of hotshelf: turn `strict_plain` off",
            )),
            length if length <= limit => Ok(raw),
            length => Err(Error::new(
                ErrorKind::TooLarge,
                format!("value of {length} bytes is too large: raise `max_value_bytes` ({limit})"),
            )),
        });
        encoded.inspect_err(|error| {
            self.count(Counter::Unstorable);
            self.report(Mistake::Value, error);
        })
    }

    /// Counts an invalid part of a call, and logs the first one of its kind.
    fn checked<V>(&self, mistake: Mistake, result: Result<V, Error>) -> Result<V, Error> {
        result.inspect_err(|error| {
            self.count(Counter::Error);
            self.report(mistake, error);
        })
    }

    /// Counts a failure of the backend. The gate logs when it begins and ends.
    fn counted<V>(&self, result: Result<V, Error>) -> Result<V, Error> {
        result.inspect_err(|_| self.count(Counter::Error))
    }

    /// Logs a mistake of the application or in its data: the first of each kind as a warning,
    /// later ones at debug level.
    fn report(&self, mistake: Mistake, error: &Error) {
        let cache = self.context.namespace.name();
        let what = mistake.text();
        let error = error.with_causes();
        let bit = 1 << mistake as u32;
        if self.context.logged.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            tracing::warn!("cache {cache:?}: {what}: {error}");
        } else {
            tracing::debug!("cache {cache:?}: {what}: {error}");
        }
    }
}

/// An invalid part of a call, or of its data.
#[derive(Clone, Copy, Debug)]
enum Mistake {
    Key,
    Tags,
    Lifetime,
    Pattern,
    Option,
    Value,
    Entry,
    OtherTags,
}

impl Mistake {
    fn text(self) -> &'static str {
        match self {
            Self::Key => "invalid key, nothing is stored or invalidated under it",
            Self::Tags => "invalid tags, nothing is stored or invalidated with them",
            Self::Lifetime => "invalid lifetime, nothing is stored with it",
            Self::Pattern => "invalid pattern, nothing is invalidated",
            Self::Option => "invalid option of a call",
            Self::Value => "a value cannot be stored",
            Self::Entry => "an entry cannot be decoded, and is a miss",
            Self::OtherTags => "an entry has other tags than the call, and is a miss",
        }
    }
}

impl fmt::Debug for ByteCache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("ByteCache");
        debug.field("namespace", self.namespace());
        debug.field("options", self.options()).finish_non_exhaustive()
    }
}
