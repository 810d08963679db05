//! Reads, through the near tier if there is one.

use std::sync::Arc;

use bytes::Bytes;

use super::Gate;
use crate::backend::{EntryEnd, KeyScan, LocalEntries, LocalEntry, Result};
use crate::context::CacheContext;
use crate::key::{Pattern, WireKey};
use crate::near::{Before, ConsistencyToken, NearTier, TrackedRead};
use crate::outage::OperationKind;
use crate::runtime::Moment;
use crate::ttl::Remaining;

impl Gate {
    /// Returns the entries that can be read without waiting, if there are any, and if nothing
    /// is about to be removed.
    #[inline]
    pub(crate) fn local(&self, cache: &CacheContext) -> Option<&dyn LocalEntries> {
        let local = match self.near_for(cache) {
            Some(near) => Some(&**near as &dyn LocalEntries),
            None => self.backend.local(),
        };
        local.filter(|_| self.duties.is_empty())
    }

    /// Returns when a token was first presented to this process, if there is a near tier: what
    /// is read elsewhere is that of now.
    pub(crate) fn presented(
        &self,
        cache: &CacheContext,
        token: ConsistencyToken,
    ) -> Option<Moment> {
        self.near_for(cache).map(|near| near.presented(token))
    }

    /// Returns `true` if what is read without waiting is that of the near tier.
    #[inline]
    pub(crate) fn has_near_tier(&self, cache: &CacheContext) -> bool {
        self.near_for(cache).is_some()
    }

    #[inline]
    fn near_for(&self, cache: &CacheContext) -> Option<&Arc<NearTier>> {
        self.near.as_ref().filter(|_| cache.options.near)
    }

    pub(crate) async fn read(
        &self,
        cache: &CacheContext,
        keys: &[WireKey],
    ) -> Result<Vec<Option<Bytes>>> {
        let before = (!self.duties.is_empty()).then(|| self.duties.removing(keys));
        let found = match self.near_for(cache) {
            None => self.backend.read(keys).await,
            Some(near) => Box::pin(self.read_through(near, cache, keys)).await,
        };
        let found = self.noted(Some(cache), OperationKind::Read, found);
        if before.is_none() && self.duties.is_empty() {
            return found;
        }
        let removing = [before.unwrap_or_default(), self.duties.removing(keys)];
        found.map(|found| without(found, removing))
    }

    /// Reads from the backend, and admits what was found to the near tier.
    async fn read_through(
        &self,
        near: &NearTier,
        cache: &CacheContext,
        keys: &[WireKey],
    ) -> Result<Vec<Option<Bytes>>> {
        let before = near.before(keys);
        let read = match self.is_told {
            true => self.backend.read_tracked(keys).await?,
            false => {
                let read = self.backend.read(keys).await?.into_iter();
                read.map(TrackedRead::unreported).collect()
            }
        };
        let admitted = |((key, before), read): ((&WireKey, Before), TrackedRead)| {
            let is_kept =
                read.source.is_some() || read.is_unreported && near.options().without_reports;
            if let Some(raw) = read.raw.as_ref().filter(|_| is_kept) {
                let decoded_size = |entry: &LocalEntry| cache.decoded_size(key, entry);
                near.admit(key, raw, decoded_size, read.source, before);
            }
            read.raw
        };
        Ok(keys.iter().zip(before).zip(read).map(admitted).collect())
    }

    /// Returns the remaining time to live of an entry, which was read before.
    pub(crate) async fn remaining(&self, cache: &CacheContext, key: &WireKey) -> Result<Remaining> {
        self.noted(Some(cache), OperationKind::Read, self.backend.remaining(key).await)
    }

    /// Returns what the clock of the server that keeps a key shows, in milliseconds.
    pub(crate) fn clock(&self, key: &WireKey) -> Option<u64> {
        self.backend.clock(key)
    }

    /// Reads the ends of entries of any cache, for people and their tools.
    pub(crate) async fn ends(&self, keys: &[WireKey]) -> Result<Vec<Option<EntryEnd>>> {
        self.backend.read_ends(keys).await
    }

    /// Reads entries of any cache, for people and their tools.
    pub(crate) async fn raw(&self, keys: &[WireKey]) -> Result<Vec<Option<Bytes>>> {
        self.backend.read(keys).await
    }

    /// Begins a scan of keys.
    pub(crate) fn scan(&self, pattern: &Pattern) -> Option<Box<dyn KeyScan>> {
        self.backend.scan(pattern)
    }
}

/// Leaves out the entries that are about to be removed.
#[cold]
fn without(mut found: Vec<Option<Bytes>>, removing: [Vec<bool>; 2]) -> Vec<Option<Bytes>> {
    for removing in removing {
        let all = found.iter_mut().zip(removing);
        all.filter(|(_, removing)| *removing).for_each(|(entry, _)| *entry = None);
    }
    found
}
