//! Reading entries, and verifying their tags.

use std::slice;
use std::sync::Arc;

use bytes::Bytes;

use super::Engine;
use super::call::Call;
use super::entry::{Found, Inspected, tags_of, version};
use super::freshness::Use;
use super::outcome::{Miss, MissReason, ReadOutcome, Stale, Usable, Value};
use crate::backend::{Seen, TagVersion};
use crate::codec::Decoded;
use crate::context::{CacheContext, Format};
use crate::error::Error;
use crate::key::WireKey;
use crate::tag::{TagStamp, Tags};
use crate::trailer::CodecId;

/// The conditions under which an entry answers a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// The tags that an entry must carry.
    pub(crate) tags: &'a Tags,
    /// The format of entries.
    pub(crate) format: Format,
    /// The codec of values.
    pub(crate) codec: CodecId,
}

impl<'a> View<'a> {
    /// Returns the conditions for a call with these tags.
    ///
    /// A caller that names tags gets entries that it could have loaded itself. One that names
    /// none, so that the tags are those of the cache and the key, accepts entries with any
    /// others in addition.
    #[inline]
    pub(crate) fn of(cache: &CacheContext, tags: &'a Tags) -> Self {
        Self { tags, format: cache.validated.format, codec: cache.codec_id }
    }
}

impl Engine {
    /// Reads an entry, and verifies its tags.
    pub(crate) async fn inspect(
        &self,
        cache: &CacheContext,
        key: &WireKey,
        tags: &Tags,
    ) -> Result<Inspected, Error> {
        let mut inspected = self.look_up(cache, key, tags).await?;
        if !inspected.open.is_empty() {
            // Boxed, as it is rare, so that other reads need no room for it.
            Box::pin(self.verify_tags(cache, slice::from_mut(&mut inspected), tags)).await?;
        }
        Ok(inspected)
    }

    /// Reads an entry by one request. Tags that the caller doesn't name remain to be
    /// [verified](Self::verify_tags).
    pub(crate) async fn look_up(
        &self,
        cache: &CacheContext,
        key: &WireKey,
        tags: &Tags,
    ) -> Result<Inspected, Error> {
        let (mut entries, versions) = self.fetch(cache, slice::from_ref(key), tags).await?;
        Ok(View::of(cache, tags).inspect(entries.pop().flatten(), Some(&versions)))
    }

    /// Reads entries and, with them, the versions of the caller's tags.
    async fn fetch(
        &self,
        cache: &CacheContext,
        keys: &[WireKey],
        tags: &Tags,
    ) -> Result<(Vec<Option<Bytes>>, Vec<Option<TagVersion>>), Error> {
        let gate = &self.gate;
        if tags.keys().is_empty() {
            return Ok((gate.read(cache, keys).await?, Vec::new()));
        }
        let both = [keys, tags.keys()].concat();
        let mut entries = gate.read(cache, &both).await?;
        let versions = entries.split_off(keys.len());
        Ok((entries, versions.iter().map(|raw| version(raw.as_ref())).collect()))
    }

    /// Inspects entries, in the order of `keys`, and verifies their tags: in as many round
    /// trips for all of them as for one. `tags` are those that each of them must carry, if
    /// they aren't the cache's own: their versions are looked up in a second round trip.
    pub(crate) async fn inspect_many(
        &self,
        cache: &CacheContext,
        keys: &[WireKey],
        tags: Option<&[Arc<Tags>]>,
    ) -> Result<Vec<Inspected>, Error> {
        let mut inspected: Vec<Inspected> = match tags {
            None => {
                let view = View::of(cache, &cache.tags);
                let (entries, versions) = self.fetch(cache, keys, view.tags).await?;
                entries.into_iter().map(|raw| view.inspect(raw, Some(&versions))).collect()
            }
            Some(tags) => {
                let entries = self.gate.read(cache, keys).await?.into_iter().zip(tags);
                entries.map(|(raw, tags)| View::of(cache, tags).inspect(raw, None)).collect()
            }
        };
        self.verify_tags(cache, &mut inspected, &cache.tags).await?;
        Ok(inspected)
    }

    /// Examines an entry that an acquire returned, given the versions of the tags from a
    /// request that was sent no earlier.
    pub(crate) async fn examine(
        &self,
        call: Call<'_>,
        raw: &Bytes,
        versions: &[Option<TagVersion>],
    ) -> Result<ReadOutcome, Error> {
        let mut inspected = call.view().inspect(Some(raw.clone()), Some(versions));
        self.verify_tags(call.cache, slice::from_mut(&mut inspected), call.tags).await?;
        Ok(self.outcome(inspected, call.cache, call.key, call.takes_absent))
    }

    /// Reads a key again for a call whose load has failed or takes too long. Returns the value of
    /// its entry, if it may be served then, fresh or stale.
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    pub(crate) async fn usable(
        &self,
        cache: &CacheContext,
        key: &WireKey,
        tags: &Tags,
    ) -> Result<Option<Usable>, Error> {
        let inspected = self.inspect(cache, key, tags).await?;
        Ok(match self.outcome(inspected, cache, key, true) {
            ReadOutcome::Hit(value) => Some(Usable { value, is_stale: false }),
            ReadOutcome::Stale(stale) => {
                let is_stale = stale.usable != Use::RefreshEarly;
                Some(Usable { value: stale.value, is_stale })
            }
            ReadOutcome::Miss(_) => None,
        })
    }

    /// Decodes what was found, for a call.
    #[inline]
    pub(crate) fn outcome(
        &self,
        inspected: Inspected,
        cache: &CacheContext,
        key: &WireKey,
        takes_absent: bool,
    ) -> ReadOutcome {
        let Found { length, absent, raw, freshness } = match inspected.found {
            Ok(found) => found,
            Err(miss) => return ReadOutcome::Miss(miss),
        };
        let now = || self.gate.clock(key);
        // An untracked entry is always fresh.
        let (used, edition) = match freshness {
            None => (Use::Fresh, None),
            Some(freshness) => {
                let used = freshness.use_of(&cache.options, &*self.runtime, now);
                (used, Some(freshness.edition()))
            }
        };
        if used == Use::Expired {
            return ReadOutcome::Miss(Miss::new(MissReason::Expired, Seen::entry(&raw)));
        }
        match decoded_for(|| cache.codec.decode(&raw, length), absent, takes_absent) {
            Ok(value) => match edition.filter(|_| used != Use::Fresh) {
                None => ReadOutcome::Hit(value),
                Some(edition) => {
                    let (seen, usable) = (Seen::entry(&raw), used);
                    let tags = tags_of(&raw).into_boxed_slice();
                    let is_local = false;
                    let stale = Stale { value, seen, edition, tags, usable, is_local };
                    ReadOutcome::Stale(Box::new(stale))
                }
            },
            Err(reason) => ReadOutcome::Miss(Miss::new(reason, Seen::entry(&raw))),
        }
    }

    /// Looks up the versions of all tags that inspections have left open, at once.
    pub(crate) async fn verify_tags(
        &self,
        cache: &CacheContext,
        inspected: &mut [Inspected],
        tags: &Tags,
    ) -> Result<(), Error> {
        let open = inspected.iter().flat_map(|entry| &entry.open);
        let keys: Vec<WireKey> = open.map(|tag| tags.key_of(tag.id)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.gate.read(cache, &keys).await?;
        let mut now = now.iter().map(|raw| version(raw.as_ref()));
        for entry in inspected {
            // Consumes the versions of all tags of this entry, so that the next entry's
            // follow.
            let changed = |tag: &&TagStamp| now.next().flatten() != Some(tag.version);
            if entry.open.iter().filter(changed).count() > 0 {
                entry.invalidate();
            }
        }
        Ok(())
    }
}

impl Inspected {
    /// Marks the entry as a miss: one of its tags was invalidated.
    fn invalidate(&mut self) {
        if let Ok(Found { raw, .. }) = &self.found {
            self.found = Err(Miss::new(MissReason::TagsChanged, Seen::entry(raw)));
        }
    }
}

/// Decodes an entry's value for a call.
#[inline]
pub(super) fn decoded_for(
    decode: impl FnOnce() -> Result<Decoded, Error>,
    absent: bool,
    takes_absent: bool,
) -> Result<Value, MissReason> {
    match (absent, takes_absent) {
        (true, true) => Ok(Value::Absent),
        (true, false) => Err(MissReason::KnownAbsent),
        (false, _) => decode().map(Value::Present).map_err(|_| MissReason::Undecodable),
    }
}
