//! Reading entries, and judging them by their tags.

use std::slice;

use bytes::Bytes;

use super::format::{Format, Inspected, version};
use super::{Call, Engine, EngineShared, Standing, Verdict};
use crate::backend::{Seen, TagVersion};
use crate::error::Error;
use crate::key::WireKey;
use crate::tag::{TagStamp, Tags};

/// How a call looks at entries.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The tags that entries must carry.
    pub tags: &'a Tags,
    /// Whether entries may carry no other tags.
    pub exactly: bool,
    /// How entries are written.
    pub format: Format,
}

/// What a read has found.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing.
    Missing,
    /// An entry that counts.
    Entry {
        /// The value, not decoded yet.
        value: Bytes,
        /// Whether the entry says that there is no value.
        absent: bool,
        /// The whole entry.
        raw: Bytes,
    },
    /// An entry that doesn't count: outdated by its tags, or none of ours.
    Unusable(Standing, Seen),
}

impl Engine {
    /// Reads an entry.
    ///
    /// Costs one round trip, and a second one if the entry carries tags that the caller
    /// hadn't named.
    ///
    /// # Errors
    /// The backend's own.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read(&self, key: &WireKey, view: View<'_>) -> Result<Found, Error> {
        let (mut entries, versions) = self.fetch(slice::from_ref(key), view.tags).await?;
        let mut inspected = view.inspect(entries.pop().flatten(), &versions);
        self.shared.settle(slice::from_mut(&mut inspected), view.tags).await?;
        Ok(inspected.found)
    }

    /// Reads entries, in the order of `keys`.
    ///
    /// Costs as many round trips for all of them as [`Engine::read`] for one.
    ///
    /// # Errors
    /// The backend's own.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read_many(&self, keys: &[WireKey], view: View<'_>) -> Result<Vec<Found>, Error> {
        let (entries, versions) = self.fetch(keys, view.tags).await?;
        let inspect = |raw| view.inspect(raw, &versions);
        let mut inspected: Vec<Inspected> = entries.into_iter().map(inspect).collect();
        self.shared.settle(&mut inspected, view.tags).await?;
        Ok(inspected.into_iter().map(|inspected| inspected.found).collect())
    }

    /// Reads entries and, with them, the versions of the caller's tags.
    async fn fetch(
        &self,
        keys: &[WireKey],
        tags: &Tags,
    ) -> Result<(Vec<Option<Bytes>>, Vec<Option<TagVersion>>), Error> {
        let backend = &self.shared.backend;
        if tags.keys().is_empty() {
            return Ok((backend.read(keys).await?, Vec::new()));
        }
        let both = [keys, tags.keys()].concat();
        let mut entries = backend.read(&both).await?;
        let versions = entries.split_off(keys.len());
        Ok((entries, versions.iter().map(|raw| version(raw.as_ref())).collect()))
    }
}

impl EngineShared {
    /// Judges an entry that turned up, given the tags' versions of a request that was sent
    /// no earlier than the one that found it.
    pub(crate) async fn judge(
        &self,
        call: Call<'_>,
        raw: &Bytes,
        versions: &[Option<TagVersion>],
    ) -> Result<Verdict, Error> {
        let mut inspected = call.view.inspect(Some(raw.clone()), versions);
        self.settle(slice::from_mut(&mut inspected), call.view.tags).await?;
        Ok(match inspected.found {
            Found::Entry { value, absent, .. } => call.judge.judge(&value, absent),
            Found::Unusable(Standing::Foreign, _) => Verdict::Foreign,
            Found::Unusable(..) | Found::Missing => Verdict::NoAnswer,
        })
    }

    /// Looks up the versions that the inspection has left open, all at once.
    async fn settle(&self, inspected: &mut [Inspected], tags: &Tags) -> Result<(), Error> {
        let open = inspected.iter().flat_map(|entry| &entry.open);
        let keys: Vec<WireKey> = open.map(|tag| tags.key_of(tag.id)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.backend.read(&keys).await?;
        let mut now = now.iter().map(|raw| version(raw.as_ref()));
        for entry in inspected {
            // All of them are taken, so that those of the next entry come next.
            let changed = |tag: &&TagStamp| now.next().flatten() != Some(tag.version);
            if entry.open.iter().filter(changed).count() > 0
                && let Found::Entry { raw, .. } = &entry.found
            {
                entry.found = Found::Unusable(Standing::Own, Seen::entry(raw));
            }
        }
        Ok(())
    }
}
