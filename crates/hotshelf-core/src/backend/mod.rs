//! The operations of the consistency protocol that a backend executes.
//!
//! A backend keeps two things for a key: its *entry* and, while a fill is in flight, its
//! *lease*. The lease holds the [`Token`] of the caller that may fill the key. A fill is
//! stored only if its token still stands there, so that an invalidation, which removes
//! entry and lease together, also refuses every fill that began before it. No clock and
//! no counter takes part (after the leases of Nishtala et al., "Scaling Memcache at
//! Facebook", NSDI 2013).
//!
//! Each operation is atomic for its key. A backend answers within its own deadlines: no
//! operation may wait without bound.

mod layer;
mod operation;
#[cfg(test)]
pub(crate) mod recorder;
mod watch;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::error::Error;
use crate::key::{Pattern, WireKey};
use crate::runtime::{BoxFuture, Runtime};
use crate::trailer::Trailer;
use crate::ttl::{Remaining, Ttl};

pub use layer::Layer;
pub use operation::{Answer, Operation};
pub use watch::{Watch, Watchers};

pub use crate::tag::TagVersion;

/// How many keys go to the backend at once. More of them take more round trips.
pub const BATCH: usize = 1000;

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where entries live.
///
/// An error of kind [`Timeout`](crate::ErrorKind::Timeout) leaves open whether the
/// operation was executed, and so does dropping its future. All operations but `acquire`
/// and `take` may be repeated then; those two take a new token for each attempt.
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Names the kind of backend: `memory`, `redis`.
    fn name(&self) -> &'static str;

    /// Reads entries, in the order of `keys`. The key of a tag gives its version.
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>>;

    /// Asks for the right to fill a key.
    ///
    /// An implementation never sends it twice: an attempt whose answer was lost may be
    /// executed late, after an invalidation, and set the lease anew.
    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>>;

    /// Takes the right to fill over from whoever holds it; one answer for each.
    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>>;

    /// Stores fills whose tokens still hold their leases; one answer for each.
    ///
    /// A value that is larger than the backend can keep is answered by an error of kind
    /// [`TooLarge`](crate::ErrorKind::TooLarge), and nothing stands at its key then.
    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>>;

    /// Gives a lease up, if the token still holds it.
    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>>;

    /// Sets the time that a lease still lives, if the token still holds it, and says so.
    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>>;

    /// Reads the versions of tags and gives a new, unique version to those that have none.
    ///
    /// A tag lives on for at least `keep`, the longest lifetime of the entries under it.
    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>>;

    /// Removes entries together with their leases, and says how many of both there were.
    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>>;

    /// Forgets the versions of tags: no entry that carries one of them matches any more.
    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>>;

    /// Removes all entries and leases whose key matches, and says how many entries.
    ///
    /// It walks over the whole backend, in bounded steps: over the leases first, so that
    /// no fill that began before the call survives it.
    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>>;

    /// Says how long an entry still lives.
    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>>;

    /// Begins to wait for a change of a key's entry or lease, from before an acquire that
    /// may find the lease held. `None` where the backend doesn't hear of changes: then the
    /// engine looks again by itself.
    fn watch(&self, key: &WireKey) -> Option<Watch> {
        let _unheard = key;
        None
    }

    /// Asks whether the backend answers.
    fn ping(&self) -> BoxFuture<'_, Result<()>>;

    /// Reads what the backend says of itself.
    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>>;

    /// Lets all connections go. Later operations answer an error of kind `Closed`.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What stands in a lease: 128 random bits that no other caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// Makes a token of the runtime's random bits.
    pub fn random(runtime: &dyn Runtime) -> Self {
        let bits = u128::from(runtime.random()) << 64 | u128::from(runtime.random());
        Self(bits.to_be_bytes())
    }

    /// Gives the token's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Asks for the right to fill a key.
#[derive(Clone, Debug)]
pub struct Acquire<'a> {
    /// The key to fill.
    pub key: &'a WireKey,
    /// A token that was never used before.
    pub token: Token,
    /// How long the right lasts unless it is renewed.
    pub lease: Duration,
    /// The entry that the caller has judged a miss. With another entry there, the answer
    /// is that entry.
    pub seen: Seen,
    /// Whether an entry without a trailer counts as none.
    pub skip_foreign: bool,
}

/// What is left of an entry that a caller has judged a miss: enough to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Seen {
    /// The caller found no entry.
    #[default]
    Nothing,
    /// The entry's last bytes: its trailer, which no other fill has, or some more.
    Suffix(Bytes),
}

impl Seen {
    /// The bytes that are compared of an entry without a trailer.
    const LENGTH: usize = 64;

    /// Remembers an entry.
    #[must_use]
    pub fn entry(raw: &Bytes) -> Self {
        let trailer = Trailer::find(raw).map(|(value, _)| raw.len() - value.end);
        let length = trailer.unwrap_or(Self::LENGTH);
        Self::Suffix(raw.slice(raw.len().saturating_sub(length)..))
    }

    /// Says whether an entry is the one that was seen.
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
    /// The token holds the lease now; the backend's clock showed this many milliseconds.
    Granted(u64),
    /// There is an entry that the caller hasn't seen; no lease was set.
    Present(Bytes),
    /// Another token holds the lease, for at most this time unless it is renewed.
    Busy(Duration),
    /// Nobody may fill the key for this time, but everybody may load.
    Held(Duration),
}

/// Takes the right to fill a key over.
#[derive(Clone, Debug)]
pub struct Take {
    /// The key to fill.
    pub key: WireKey,
    /// A token that was never used before.
    pub token: Token,
    /// How long the right lasts.
    pub lease: Duration,
}

/// The answer to [`Backend::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// The token holds the lease now; the backend's clock showed this many milliseconds.
    Granted(u64),
    /// Nobody may fill the key for the time being.
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
    /// How long the entry lives.
    pub ttl: Ttl,
}

/// The answer to [`Backend::store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stored {
    /// The entry stands, and the lease is given up.
    Stored,
    /// The token doesn't hold the lease any more: the key was invalidated or written, or
    /// the lease ran out. Nothing was changed.
    Refused,
}

/// What a backend says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The version of the server, or of the library for the memory backend.
    pub version: String,
    /// How long it has been running.
    pub uptime: Duration,
    /// The clients connected to it.
    pub connected_clients: u64,
    /// The memory it uses, in bytes.
    pub used_memory: u64,
    /// The memory it may use, in bytes; 0 if there is no limit.
    pub max_memory: u64,
    /// The commands it has executed.
    pub total_commands: u64,
    /// Its own count of reads that found a key.
    pub keyspace_hits: u64,
    /// Its own count of reads that found none.
    pub keyspace_misses: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_known_again_by_its_end() {
        let long = Bytes::from([&[b'a'; 100][..], b"end"].concat());
        assert!(Seen::entry(&long).is(&long));
        assert!(!Seen::entry(&long).is(b"end"));
        assert!(Seen::entry(&Bytes::from_static(b"1")).is(b"1"));
        assert!(!Seen::Nothing.is(b"1"));
        assert!(Seen::entry(&Bytes::new()).is(b"") && !Seen::entry(&Bytes::new()).is(b"1"));
    }
}
