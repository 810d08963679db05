//! Entries in the memory of this process.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Result;
use crate::codec::Decoded;
use crate::engine::Freshness;
use crate::key::WireKey;
use crate::near::Sourced;
use crate::observe::MemoryUse;
use crate::runtime::Moment;
use crate::tag::TagStamp;
use crate::trailer::{CodecId, Trailer, TrailerError};

/// Entries that are read without waiting: those of a backend in memory, or of the near tier in
/// front of a server.
pub trait LocalEntries: Send + Sync {
    /// Returns the entry of a key.
    ///
    /// # Errors
    /// Of kind `Closed`.
    fn get(&self, key: &WireKey) -> Result<Option<LocalFound>>;

    /// Returns the entry of a key, if the read that found it was sent after a moment of
    /// [`Runtime::uptime`](crate::Runtime::uptime). By default, entries were not read from
    /// elsewhere, and are those of now.
    ///
    /// # Errors
    /// Of kind `Closed`.
    fn get_read_after(&self, key: &WireKey, _: Moment) -> Result<Option<LocalFound>> {
        self.get(key)
    }

    /// Returns what the clock of the server that keeps an entry showed when it was found, in
    /// milliseconds; `None` while that is unknown.
    fn millis(&self, found: &LocalFound) -> Option<u64>;

    /// Returns `true`, the default, if there are no other entries: what isn't found is missing.
    fn is_complete(&self) -> bool {
        true
    }

    /// Returns how much memory the entries take, if that is known.
    fn memory_use(&self) -> Option<MemoryUse> {
        None
    }
}

/// An entry that was found.
#[derive(Debug)]
pub struct LocalFound {
    /// The entry.
    pub entry: Arc<LocalEntry>,
    /// When it was found, by the clock of what keeps it.
    pub now: Moment,
    /// The connection over which it was read, if it is in the near tier.
    pub source: Option<Sourced>,
}

/// An entry in the memory of this process: its bytes and, once it was read, what its trailer
/// says and its decoded value.
pub struct LocalEntry {
    raw: Bytes,
    /// Whether a change of the key was reported since it was read.
    is_outdated: AtomicBool,
    stamp: OnceLock<Result<Stamp, TrailerError>>,
    decoded: OnceLock<(u64, Decoded)>,
}

/// What the trailer of an entry says.
#[derive(Debug)]
pub(crate) struct Stamp {
    /// The length of the encoded value, which comes first.
    pub(crate) length: usize,
    /// Whether the entry is a negative.
    pub(crate) absent: bool,
    pub(crate) codec: CodecId,
    pub(crate) freshness: Freshness,
    /// Whether there may be tags among them that were known only after the load.
    pub(crate) late_tags: bool,
    pub(crate) tags: Box<[TagStamp]>,
}

impl Stamp {
    fn new(value: Range<usize>, trailer: Trailer) -> Self {
        let freshness = Freshness::of(&trailer);
        let Trailer { absent, codec, late_tags, tags, .. } = trailer;
        let tags = tags.into_boxed_slice();
        Self { length: value.end, absent, codec, freshness, late_tags, tags }
    }
}

impl LocalEntry {
    /// Creates an entry that was not read yet.
    #[must_use]
    pub fn new(raw: Bytes) -> Self {
        let is_outdated = AtomicBool::new(false);
        Self { raw, is_outdated, stamp: OnceLock::new(), decoded: OnceLock::new() }
    }

    /// Creates a copy of an entry that was read, and returns when it expires by its trailer, in
    /// milliseconds of the server's clock. The trailer is read now, and not kept.
    pub(crate) fn copied(raw: &[u8]) -> (Self, Option<u64>) {
        let Ok((value, trailer)) = Trailer::find(raw) else {
            return (Self::new(Bytes::copy_from_slice(raw)), None);
        };
        let ends = (trailer.loaded_at > 0).then(|| trailer.ends_at());
        let entry = Self::new(Bytes::copy_from_slice(&raw[value.clone()]));
        // It was just created.
        let _ = entry.stamp.set(Ok(Stamp::new(value, trailer)));
        (entry, ends)
    }

    /// Records that the server reported a change of the key. A reader that found the entry
    /// earlier checks [`is_outdated`](Self::is_outdated) last, and doesn't use it.
    pub(crate) fn outdate(&self) {
        self.is_outdated.store(true, Ordering::SeqCst);
    }

    /// Returns `true` if a change of the key was reported.
    pub(crate) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::SeqCst)
    }

    /// Returns the whole entry, with its trailer; of a [copy](Self::copied), the value.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Returns what the trailer says.
    #[inline]
    pub(crate) fn stamp(&self) -> Result<&Stamp, TrailerError> {
        let stamp = self.stamp.get_or_init(|| {
            let (value, trailer) = Trailer::find(&self.raw)?;
            Ok(Stamp::new(value, trailer))
        });
        stamp.as_ref().map_err(|error| *error)
    }

    /// Returns the value that a cache has decoded, by the cache's number; otherwise decodes it.
    /// One entry is read by caches of several types only in fastapi-rc's layout: then the first
    /// one keeps its value, and the others decode theirs each time.
    #[inline]
    pub(crate) fn decoded(
        &self,
        cache: u64,
        decode: impl FnOnce() -> Result<Decoded>,
    ) -> Result<Decoded> {
        match self.decoded.get() {
            Some((owner, value)) if *owner == cache => Ok(Arc::clone(value)),
            Some(_) => decode(),
            None => {
                let value = decode()?;
                // Of two that decode at once, one value is kept.
                let (owner, kept) = self.decoded.get_or_init(|| (cache, Arc::clone(&value)));
                Ok(if *owner == cache { Arc::clone(kept) } else { value })
            }
        }
    }
}

impl fmt::Debug for LocalEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("LocalEntry");
        debug.field("length", &self.raw.len());
        debug.field("is_decoded", &self.decoded.get().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn value_is_decoded_once_for_each_cache_that_keeps_it() {
        let entry = LocalEntry::new(Bytes::from_static(b"7"));
        let number = |number: u32| move || Ok(Arc::new(number) as Decoded);
        let failed = || Err(Error::new(ErrorKind::Decode, "not a value"));
        assert!(entry.decoded(1, failed).is_err());
        let first = entry.decoded(1, number(7)).unwrap();
        assert!(Arc::ptr_eq(&first, &entry.decoded(1, failed).unwrap()));
        let other = entry.decoded(2, number(8)).unwrap();
        assert_eq!(other.downcast_ref(), Some(&8_u32));
        assert!(Arc::ptr_eq(&first, &entry.decoded(1, failed).unwrap()));
        assert_eq!(entry.stamp().unwrap_err(), TrailerError::Missing);
    }
}
