//! The operations of the consistency protocol that a backend executes.
//!
//! A backend keeps two things for a key: its *entry* and, while a fill is in flight, its
//! *lease*. The lease contains the [`Token`] of the caller that may fill the key. A fill is
//! stored only if the lease still contains its token. So an invalidation, which removes entry
//! and lease together, also refuses every fill that began before it. This needs no clock and
//! no counter (after the leases of Nishtala et al., "Scaling Memcache at Facebook", NSDI
//! 2013).
//!
//! Each operation is atomic for its key. A backend answers within its own deadlines: no
//! operation waits without bound.

mod layer;
mod local;
mod operation;
#[cfg(test)]
pub(crate) mod recorder;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::error::Error;
use crate::key::{Pattern, WireKey};
use crate::near::{NearTier, TrackedRead};
use crate::runtime::{BoxFuture, Runtime};
use crate::trailer::{LONGEST_TRAILER, Trailer};
use crate::ttl::{Remaining, Ttl};

pub use layer::Layer;
pub use local::{LocalEntries, LocalEntry, LocalFound};
pub use operation::{Answer, Operation};
pub use watch::{Watch, Watchers};

pub use crate::tag::TagVersion;

/// The maximum number of keys in one request. More keys take more round trips.
pub const BATCH: usize = 1000;

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A storage for entries, leases and tags.
///
/// After an error of kind [`Timeout`](crate::ErrorKind::Timeout), or after a future was
/// dropped, it is unknown whether the operation was executed. All operations except `acquire`
/// and `take` may then be repeated as they are; those two need a new token for each attempt.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Returns the kind of backend: `memory`, `redis`.
    fn name(&self) -> &'static str;

    /// Reads entries, in the order of `keys`. Reading the key of a tag returns its version.
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>>;

    /// Returns how long a read takes at most, which is when a loading call needs no timer of its
    /// own for it. Returns `None`, the default, if that is unknown.
    fn longest_read(&self) -> Option<Duration> {
        None
    }

    /// Returns the entries that can be read without waiting, if that is all of them. A value in
    /// them is decoded once. Returns `None` by default.
    fn local(&self) -> Option<&dyn LocalEntries> {
        None
    }

    /// Reports changes of the keys that are read by [`read_tracked`](Self::read_tracked) to a
    /// near tier from now on. Returns `false`, the default, if the backend can't.
    fn report_to(&self, near: &Arc<NearTier>) -> bool {
        let _unheard = near;
        false
    }

    /// Reads entries like [`read`](Self::read), for the near tier.
    fn read_tracked<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<TrackedRead>>> {
        Box::pin(async {
            Ok(self.read(keys).await?.into_iter().map(TrackedRead::unreported).collect())
        })
    }

    /// Asks for the lease of a key, the right to fill it.
    ///
    /// An implementation must never send it twice. An attempt whose answer was lost may be
    /// executed late, after an invalidation, and set the lease again.
    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>>;

    /// Asks for many leases at once, and returns one answer for each.
    fn acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>>;

    /// Takes leases over from any holder, and returns one answer for each.
    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>>;

    /// Stores the fills whose tokens still hold their leases, and returns one answer for each.
    ///
    /// If a value is too large for the backend, returns an error of kind
    /// [`TooLarge`](crate::ErrorKind::TooLarge) and removes the key's entry.
    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>>;

    /// Releases a lease if the token still holds it.
    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>>;

    /// Ends a failed load: replaces the lease by a mark, if the token still holds it. While the
    /// mark lasts, an acquire is answered with [`Acquired::BackingOff`]. Releases the lease if
    /// there is nothing to wait for.
    fn fail<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        pause: Pause,
    ) -> BoxFuture<'a, Result<()>>;

    /// Sets the remaining time of a lease if the token still holds it, and returns whether it
    /// does.
    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Reads the versions of tags. A tag without a version gets a new, unique one.
    ///
    /// Each tag lives for at least another `keep`, the longest lifetime of the entries that
    /// carry it.
    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>>;

    /// Reads the versions of tags like [`capture`](Self::capture), and how long each of them has
    /// been the tag's version, by the backend's clock; zero for a new one.
    fn capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>>;

    /// Replaces the trailer of an entry, if the entry still ends with the one that was seen, and
    /// returns whether it did. The entry keeps its lifetime.
    fn retrail<'a>(&'a self, key: &'a WireKey, trailers: Retrail) -> BoxFuture<'a, Result<bool>>;

    /// Removes entries together with their leases, and returns the number of both.
    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>>;

    /// Removes entries together with their leases, and marks the keys: for `hold`, an acquire is
    /// answered with [`Acquired::Held`], and a take with [`Taken::Held`]. Returns the number of
    /// entries and leases.
    ///
    /// Where the marks cannot be set, the entries and leases are removed all the same, and the
    /// answer is an error.
    fn hold<'a>(&'a self, keys: &'a [WireKey], hold: Duration) -> BoxFuture<'a, Result<u64>>;

    /// Removes the versions of tags, so that no entry with one of these tags matches any more.
    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>>;

    /// Removes all entries and leases whose key matches, and returns the number of entries.
    ///
    /// Scans the whole backend in bounded steps: the leases first, so that no fill that began
    /// before the call survives it.
    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>>;

    /// Returns what the clock of the server that keeps a key shows, in milliseconds: an estimate,
    /// without a request. Returns `None` while it is unknown.
    fn clock(&self, key: &WireKey) -> Option<u64>;

    /// Returns the remaining lifetime of an entry.
    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>>;

    /// Returns a future that completes when a key's entry or lease changes, for use before an
    /// acquire that may find the lease held. Returns `None` if the backend cannot report
    /// changes; the engine then polls.
    fn watch(&self, key: &WireKey) -> Option<Watch> {
        let _unheard = key;
        None
    }

    /// Reads the size and the end of entries, in the order of their keys: the last
    /// [`LONGEST_TRAILER`] bytes. For people, who look at many
    /// entries of any size; the default reads them whole.
    fn read_ends<'a>(
        &'a self,
        keys: &'a [WireKey],
    ) -> BoxFuture<'a, Result<Vec<Option<EntryEnd>>>> {
        Box::pin(async move {
            let found = self.read(keys).await?.into_iter();
            Ok(found.map(|raw| raw.as_ref().map(EntryEnd::of)).collect())
        })
    }

    /// Begins a scan of the keys that match a pattern, those of other clients included. Returns
    /// `None`, the default, if the backend can't scan.
    fn scan(&self, pattern: &Pattern) -> Option<Box<dyn KeyScan>> {
        let _unscanned = pattern;
        None
    }

    /// Checks that the backend answers.
    fn ping(&self) -> BoxFuture<'_, Result<()>>;

    /// Reads the backend's own status.
    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>>;

    /// Closes all connections. Later operations fail with an error of kind `Closed`.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// The token of a lease's holder: 128 random bits, unique to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// Creates a token from the runtime's random bits.
    pub fn random(runtime: &dyn Runtime) -> Self {
        let bits = u128::from(runtime.random()) << 64 | u128::from(runtime.random());
        Self(bits.to_be_bytes())
    }

    /// Returns the token's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A request for the lease of a key.
#[derive(Clone, Debug)]
pub struct Acquire<'a> {
    /// The key to fill.
    pub key: &'a WireKey,
    /// A token that was not used before.
    pub token: Token,
    /// The duration of the lease unless it is renewed.
    pub lease: Duration,
    /// The entry that the caller found to be a miss. If another entry is stored, the answer is
    /// that entry.
    pub seen: Seen,
    /// Whether an entry without a trailer is treated as missing.
    pub skip_foreign: bool,
    /// Whether the lease is granted although the mark of a failed load is in its place.
    pub replace_failure: bool,
}

/// The fingerprint of an entry that a caller found to be a miss, by which the backend
/// recognises it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Seen {
    /// The caller found no entry.
    #[default]
    Nothing,
    /// The entry's last bytes: its trailer, which is unique to its fill, or the last 64 bytes.
    Suffix(Bytes),
}

impl Seen {
    /// The number of bytes that are compared if an entry has no trailer.
    const LENGTH: usize = 64;

    /// Returns the fingerprint of an entry.
    #[must_use]
    pub fn entry(raw: &Bytes) -> Self {
        let trailer = Trailer::find(raw).map(|(value, _)| raw.len() - value.end);
        let length = trailer.unwrap_or(Self::LENGTH);
        Self::Suffix(raw.slice(raw.len().saturating_sub(length)..))
    }

    /// Returns `true` if an entry has this fingerprint.
    #[must_use]
    pub fn is(&self, raw: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Suffix(suffix) if suffix.is_empty() => raw.is_empty(),
            Self::Suffix(suffix) => raw.ends_with(suffix),
        }
    }
}

/// The answer to [`Backend::acquire`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acquired {
    /// The token now holds the lease; contains the backend's clock, in milliseconds.
    Granted(u64),
    /// The same, and the entry that the caller has seen is still stored.
    GrantedOver(u64),
    /// There is an entry that the caller hasn't seen. No lease was set.
    Present(Bytes),
    /// Another token holds the lease, for at most this time unless it is renewed.
    Busy(Duration),
    /// No caller may fill the key for this time, but all may load.
    Held(Duration),
    /// A load of the key has failed, and should not be repeated for this time.
    BackingOff(Duration),
}

impl Acquired {
    /// Returns the backend's clock, and whether the entry that the caller has seen is still stored,
    /// if the token now holds the lease.
    #[must_use]
    pub fn granted(&self) -> Option<(u64, bool)> {
        match self {
            Self::Granted(at) => Some((*at, false)),
            Self::GrantedOver(at) => Some((*at, true)),
            Self::Present(_) | Self::Busy(_) | Self::Held(_) | Self::BackingOff(_) => None,
        }
    }
}

/// For how long a failed load should not be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// If the key has an entry; at most for as long as that lives. Zero for no pause.
    pub with_entry: Duration,
    /// If it has none. Zero for no pause.
    pub without_entry: Duration,
}

/// The trailers of an entry: the one that it had, and the one that replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retrail {
    /// The end of the entry, as it was read.
    pub seen: Bytes,
    /// At least as long.
    pub trailer: Bytes,
}

/// Takes over the right to fill a key.
#[derive(Clone, Debug)]
pub struct Take {
    /// The key to fill.
    pub key: WireKey,
    /// A token that was not used before.
    pub token: Token,
    /// The duration of the lease unless it is renewed.
    pub lease: Duration,
}

/// The answer to [`Backend::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// The token now holds the lease; contains the backend's clock, in milliseconds.
    Granted(u64),
    /// No caller may fill the key at present.
    Held,
}

/// A value to store.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The key to fill.
    pub key: WireKey,
    /// The token that was granted for it.
    pub token: Token,
    /// The entry.
    pub value: Bytes,
    /// The estimated size of the decoded value, in bytes. It counts where entries keep it.
    pub decoded_size: usize,
    /// How long the entry lives.
    pub ttl: Ttl,
    /// For how long nobody else fills the key then, if it is held: see [`Backend::hold`].
    pub hold: Option<Duration>,
    /// The trailers, if the stored entry has the same value. A backend may replace the trailer
    /// alone, under the same token, provided that the entry ends with the one that was seen;
    /// otherwise it stores the value.
    pub kept: Option<Retrail>,
}

/// The answer to [`Backend::store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// The entry was stored, and the lease was released.
    Stored,
    /// The token no longer holds the lease: the key was invalidated or written, or the lease
    /// expired. Nothing was changed.
    Refused,
}

/// The size of an entry, and its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryEnd {
    /// The size in bytes.
    pub size: usize,
    /// The last bytes, among them the trailer.
    pub end: Bytes,
}

impl EntryEnd {
    /// Returns the end of a whole entry.
    #[must_use]
    pub fn of(raw: &Bytes) -> Self {
        let end = raw.slice(raw.len().saturating_sub(LONGEST_TRAILER)..);
        Self { size: raw.len(), end }
    }
}

/// A scan of keys, step by step.
pub trait KeyScan: Send {
    /// Returns further keys, possibly none; `None` at the end. A key may be returned again.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<WireKey>>>>;
}

/// The status of a backend, as it reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The version of the server, or of the library for the memory backend.
    pub version: String,
    /// The time since it was started.
    pub uptime: Duration,
    /// The number of connected clients.
    pub connected_clients: u64,
    /// The memory it uses, in bytes.
    pub used_memory: u64,
    /// The memory it may use, in bytes; 0 if there is no limit.
    pub max_memory: u64,
    /// The number of executed commands.
    pub total_commands: u64,
    /// Its own count of reads that found a key.
    pub keyspace_hits: u64,
    /// Its own count of reads that found no key.
    pub keyspace_misses: u64,
    /// What the server or its ACL refuses, and what the cache does instead. Empty for a server
    /// with all that the cache uses.
    pub limitations: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_recognised_by_its_end() {
        let long = Bytes::from([&[b'a'; 100][..], b"end"].concat());
        assert!(Seen::entry(&long).is(&long));
        assert!(!Seen::entry(&long).is(b"end"));
        assert!(Seen::entry(&Bytes::from_static(b"1")).is(b"1"));
        assert!(!Seen::Nothing.is(b"1"));
        assert!(Seen::entry(&Bytes::new()).is(b"") && !Seen::entry(&Bytes::new()).is(b"1"));
    }
}
