//! Reading entries in the memory of this process.

use super::Engine;
use super::entry::version;
use super::freshness::Use;
use super::outcome::{Miss, MissReason, ReadOutcome, Stale, Value};
use super::read::{View, decoded_for};
use crate::backend::{LocalEntries, LocalEntry, LocalFound, Seen, TagVersion};
use crate::cache::{Source, Trace};
use crate::context::CacheContext;
use crate::error::Error;
use crate::key::WireKey;
use crate::runtime::Moment;
use crate::tag::Tags;

/// Entries in the memory of this process, as far as a call may use them.
struct Local<'a> {
    entries: &'a dyn LocalEntries,
    /// When the call's token was first presented: older reads don't answer it.
    after: Option<Moment>,
}

impl Local<'_> {
    #[inline]
    fn get(&self, key: &WireKey) -> Result<Option<LocalFound>, Error> {
        match self.after {
            None => self.entries.get(key),
            Some(after) => self.entries.get_read_after(key, after),
        }
    }

    #[cold]
    fn trace(&self, trace: &Trace, found: &LocalFound) {
        let stamp = found.entry.stamp().ok();
        let tags = stamp.map(|stamp| stamp.tags.clone()).unwrap_or_default();
        let freshness = stamp.map(|stamp| stamp.freshness);
        trace.found(Source::Local, freshness, tags, self.entries.millis(found));
    }

    fn miss(&self, reason: MissReason, found: &LocalFound) -> Miss {
        Miss::new(reason, self.seen(found))
    }

    /// Returns the fingerprint of an entry. The near tier keeps no trailers: there the backend
    /// answers a request for the lease with the entry.
    fn seen(&self, found: &LocalFound) -> Seen {
        match self.entries.is_complete() {
            true => Seen::entry(found.entry.raw()),
            false => Seen::Nothing,
        }
    }
}

impl Engine {
    /// Reads an entry, verifies its tags, and decodes it unless that was done before. Returns
    /// `None` if the backend has to be asked. With `after`, neither the entry nor the versions
    /// of its tags may have been read earlier.
    #[inline]
    pub(crate) fn read_local(
        &self,
        cache: &CacheContext,
        key: &WireKey,
        tags: &Tags,
        takes_absent: bool,
        after: Option<Moment>,
        trace: Option<&Trace>,
    ) -> Option<Result<ReadOutcome, Error>> {
        let local = Local { entries: self.gate.local(cache)?, after };
        let found = match local.get(key) {
            Ok(found) => found,
            Err(error) => return Some(Err(error)),
        };
        let miss = match found {
            None => Miss::without_entry(MissReason::Missing),
            Some(found) => {
                match View::of(cache, tags).answer(cache, &local, &found.entry, takes_absent) {
                    Ok(value) => match self.use_of(cache, &local, &found) {
                        Use::Expired => local.miss(MissReason::Expired, &found),
                        usable => {
                            if let Some(trace) = trace {
                                local.trace(trace, &found);
                            }
                            if let (false, Ok(stamp)) = (usable == Use::Fresh, found.entry.stamp())
                            {
                                let (seen, edition) =
                                    (local.seen(&found), stamp.freshness.edition());
                                let tags = stamp.tags.clone();
                                let is_local = true;
                                let stale = Stale { value, seen, edition, tags, usable, is_local };
                                return Some(Ok(ReadOutcome::Stale(Box::new(stale))));
                            }
                            return Some(Ok(ReadOutcome::Hit(value)));
                        }
                    },
                    Err(reason) => local.miss(reason, &found),
                }
            }
        };
        local.entries.is_complete().then_some(Ok(ReadOutcome::Miss(miss)))
    }

    /// Returns how a call may use the value of an entry.
    #[inline]
    fn use_of(&self, cache: &CacheContext, local: &Local<'_>, found: &LocalFound) -> Use {
        let Ok(stamp) = found.entry.stamp() else { return Use::Fresh };
        let now = || local.entries.millis(found);
        stamp.freshness.use_of(&cache.options, &*self.runtime, now)
    }
}

impl View<'_> {
    /// Returns the value of an entry, if it answers the call.
    #[inline]
    fn answer(
        self,
        cache: &CacheContext,
        local: &Local<'_>,
        entry: &LocalEntry,
        takes_absent: bool,
    ) -> Result<Value, MissReason> {
        let (length, absent) = match entry.stamp() {
            Ok(stamp) if stamp.codec != self.codec => return Err(MissReason::OtherCodec),
            Ok(stamp) => {
                if !(stamp.tags.is_empty() && self.tags.ids().is_empty()) {
                    self.verify(local, entry)?;
                }
                (stamp.length, stamp.absent)
            }
            Err(error) => (entry.raw().len(), self.untracked(entry.raw(), error)?),
        };
        let decode = || cache.codec.decode(entry.raw(), length);
        let decoded = || entry.decoded(cache.number, decode);
        if !local.entries.is_complete() && !absent {
            // What can't be decoded is counted when the backend has been asked.
            return decoded().map(Value::Present).map_err(|_| MissReason::Undecodable);
        }
        decoded_for(decoded, absent, takes_absent)
    }

    /// Compares an entry's tags with the caller's, and their versions with the current ones.
    fn verify(self, local: &Local<'_>, entry: &LocalEntry) -> Result<(), MissReason> {
        let Ok(stamp) = entry.stamp() else { return Ok(()) };
        let current = |tag: &WireKey| -> Option<TagVersion> {
            version(local.get(tag).ok()?.as_ref().map(|found| found.entry.raw()))
        };
        // Nearly always an entry carries the tags of the call, and both are sorted.
        if stamp.tags.iter().map(|tag| tag.id).eq(self.tags.ids().iter().copied()) {
            let mut both = stamp.tags.iter().zip(self.tags.keys());
            let is_current = both.all(|(tag, key)| current(key) == Some(tag.version));
            return if is_current { Ok(()) } else { Err(MissReason::TagsChanged) };
        }
        let versions: Vec<_> = self.tags.keys().iter().map(current).collect();
        let open = self.open(&stamp.tags, stamp.late_tags, Some(&versions))?;
        let is_current = open.iter().all(|tag| {
            let key = self.tags.key_of(tag.id);
            current(&key) == Some(tag.version)
        });
        if is_current { Ok(()) } else { Err(MissReason::TagsChanged) }
    }
}
