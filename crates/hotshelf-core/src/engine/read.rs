//! Reading entries, and judging them by their tags.

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
    /// The tags that entries must carry; with none, entries may carry any.
    pub tags: &'a Tags,
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
    /// Reads entries, in the order of `keys`.
    ///
    /// Costs one round trip, and a second one if an entry carries tags that the caller
    /// hadn't named.
    ///
    /// # Errors
    /// The backend's own.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read(&self, keys: &[WireKey], view: View<'_>) -> Result<Vec<Found>, Error> {
        let backend = &self.shared.backend;
        let (entries, versions) = if view.tags.keys().is_empty() {
            (backend.read(keys).await?, Vec::new())
        } else {
            let both = [keys, view.tags.keys()].concat();
            let mut entries = backend.read(&both).await?;
            let versions = entries.split_off(keys.len());
            (entries, versions.iter().map(|raw| version(raw.as_ref())).collect())
        };
        let inspect = |raw: Option<Bytes>| raw.map(|raw| (view.inspect(&raw, &versions), raw));
        let inspected: Vec<_> = entries.into_iter().map(inspect).collect();
        self.shared.settle(inspected, view.tags).await
    }
}

impl View<'_> {
    fn inspect(self, raw: &Bytes, versions: &[Option<TagVersion>]) -> Inspected {
        self.format.inspect(raw, self.tags, versions)
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
        let inspected = vec![Some((call.view.inspect(raw, versions), raw.clone()))];
        let found = self.settle(inspected, call.view.tags).await?.pop();
        Ok(match found {
            Some(Found::Entry { value, absent, .. }) => call.judge.judge(&value, absent),
            Some(Found::Unusable(Standing::Foreign, _)) => Verdict::Foreign,
            Some(Found::Unusable(..) | Found::Missing) | None => Verdict::NoAnswer,
        })
    }

    /// Looks up the versions that the inspection has left open, all at once.
    async fn settle(
        &self,
        inspected: Vec<Option<(Inspected, Bytes)>>,
        tags: &Tags,
    ) -> Result<Vec<Found>, Error> {
        let unknown = |item: &Option<(Inspected, Bytes)>| match item {
            Some((Inspected::Unknown(stamps, ..), _)) => stamps.clone(),
            _ => Vec::new(),
        };
        let stamps: Vec<TagStamp> = inspected.iter().flat_map(unknown).collect();
        let mut now = Vec::new();
        if !stamps.is_empty() {
            let keys: Vec<WireKey> = stamps.iter().map(|stamp| tags.key_of(stamp.id)).collect();
            now = self.backend.read(&keys).await?;
        }
        let mut now = now.iter().map(|raw| version(raw.as_ref()));
        let mut found = Vec::with_capacity(inspected.len());
        for item in inspected {
            found.push(match item {
                None => Found::Missing,
                Some((Inspected::Entry { value, absent }, raw)) => {
                    Found::Entry { value, absent, raw }
                }
                Some((Inspected::Dead, raw)) => Found::Unusable(Standing::Own, Seen::entry(&raw)),
                Some((Inspected::Foreign, raw)) => {
                    Found::Unusable(Standing::Foreign, Seen::entry(&raw))
                }
                Some((Inspected::Unknown(stamps, value, absent), raw)) => {
                    // All of them are taken, so that those of the next entry come next.
                    let alive = stamps
                        .iter()
                        .filter(|stamp| now.next().flatten() == Some(stamp.version))
                        .count()
                        == stamps.len();
                    match alive {
                        true => Found::Entry { value, absent, raw },
                        false => Found::Unusable(Standing::Own, Seen::entry(&raw)),
                    }
                }
            });
        }
        Ok(found)
    }
}
